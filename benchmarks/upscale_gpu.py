"""Super-resolution on a GPU: the network alone against what the card's arithmetic allows, and `mediaml upscale` end to end.

    python -m benchmarks.upscale_gpu             # needs CUDA; prints why not where there is none; about two minutes

The network alone: batches of luma on the GPU, kernel by kernel and recorded (`restore/replay.py`), in float16. Its
roofline is the lesser of two limits measured in the same run: the arithmetic that a large float16 matrix product
reaches, and the traffic of a copy, if each layer's input is read and its output written once. End to end: 360p and
1080p, H.264 (decoded on the CPU, for its quantizers) and HEVC (by NVDEC), into libx264 and, where the card has an
encoder, h264_nvenc.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import torch

from benchmarks.analyze import clip
from mediaml.engine.upscale.enlarging import BATCH, BATCH_PIXELS
from mediaml.engine.upscale.plan import UpscaleSettings
from mediaml.engine.upscale.video import upscale
from mediaml.errors import OutputUnwritable
from mediaml.nets.mediaml_sr import CELL, MediamlSr
from mediaml.restore.luma import LumaEnlarger
from mediaml.restore.models import Where, load_model

CUDA = torch.device("cuda")
SIZES = ((360, 640), (1080, 1920))


def rate(step: Callable[[], object], seconds: float = 2.0) -> float:
    """Calls a second."""
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(10):
            step()
        torch.cuda.synchronize()
        calls += 10
    return calls / (time.perf_counter() - began)


def peak_flops() -> float:
    """FLOP a second of a float16 matrix product of side 8192."""
    a, b = (torch.randn(8192, 8192, device=CUDA, dtype=torch.float16) for _ in range(2))
    return 2 * 8192**3 * rate(lambda: a @ b)


def peak_bytes() -> float:
    """Bytes a second read and written by a copy of 2 GiB."""
    a = torch.empty(1 << 30, device=CUDA, dtype=torch.float16)
    b = torch.empty_like(a)
    return 2 * a.numel() * a.itemsize * rate(lambda: b.copy_(a))


def work_per_pixel(net: MediamlSr) -> tuple[float, float]:
    """(FLOP, bytes in float16) of one input pixel, the Lanczos base and the gate included."""
    kernels = [*(b.weight for b in net.convolutions()), net.gate.weight, net.base]
    flop = sum(2 * k.numel() for k in kernels)
    moved = sum(2 * (k.shape[0] + k.shape[1]) for k in kernels)
    return flop / CELL**2, moved / CELL**2


def network_alone(enlarger: LumaEnlarger, flops: float, traffic: float) -> None:
    """Frames a second, and their share of the roofline."""
    flop, moved = work_per_pixel(enlarger.net)
    print("\n| network alone | batch | kernel by kernel | recorded | roofline | share |\n|---|---|---|---|---|---|")
    for height, width in SIZES:
        batch = max(1, min(BATCH, BATCH_PIXELS // (height * width)))
        luma, strength = torch.rand(batch, 1, height, width, device=CUDA), torch.full((batch,), 0.5, device=CUDA)
        limit = min(flops / flop, traffic / moved) / (height * width)
        with torch.no_grad():
            plain = batch * rate(lambda x=luma, s=strength: enlarger.net(x, s))
            recorded = batch * rate(lambda x=luma, s=strength: enlarger.luma(x, s))
        print(
            f"| {width}x{height} | {batch} | {plain:,.0f} | {recorded:,.0f} | {limit:,.0f} | {recorded / limit:.0%} |"
        )


def end_to_end(seconds: int) -> None:
    """Frames a second by the clock, everything included but loading."""
    print("\n| source | encoder | frames a second | decoded by |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for height, _ in SIZES:
            h264 = clip(seconds, height)
            for source in (h264, _as_hevc(h264, Path(place) / f"{height}.mp4")):
                for codec in ("libx264", "h264_nvenc"):
                    settings = UpscaleSettings(
                        codec=codec, preset="veryfast" if codec == "libx264" else None, device="cuda"
                    )
                    try:
                        done = upscale(source, Path(place) / "out.mkv", settings)
                    except OutputUnwritable as error:
                        print(f"| {source.name} | {codec} | not measured: {str(error)[:90]} | |")
                        continue
                    print(f"| {source.name} | {codec} | {done.frames_per_second:,.0f} | {done.decoder} |", flush=True)


def _as_hevc(source: Path, out: Path) -> Path:
    with av.open(str(source)) as container, av.open(str(out), "w") as made:
        stream = made.add_stream("libx265", rate=25, options={"preset": "ultrafast", "x265-params": "log-level=error"})
        seen = container.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = seen.width, seen.height, "yuv420p"
        for frame in container.decode(seen):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="length of the clips")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("nothing measured: torch finds no CUDA device")
        return
    enlarger = load_model("mediaml_sr_x2", 2, Where(CUDA))
    assert isinstance(enlarger, LumaEnlarger)
    flops, traffic = peak_flops(), peak_bytes()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"measured limits: {flops / 1e12:.0f} TFLOP/s in float16, {traffic / 1e9:,.0f} GB/s")
    network_alone(enlarger, flops, traffic)
    end_to_end(given.seconds)


if __name__ == "__main__":
    main()
