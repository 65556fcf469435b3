"""Decode and embed on a GPU: NVDEC -> views -> a vision transformer, and the default set on short clips.

    python -m benchmarks.gpu                     # needs CUDA; prints why not where there is none; about three minutes
    python -m benchmarks.gpu --seconds 120 --workers 8

Measured, several files at once in as many threads: decoding alone, with 224 px views, and with a CLIP ViT-B/32 image tower
(its shape is what counts: seeded weights do); the views and the tower alone on pictures that lie on the GPU already; and
clips a second of `mediaml analyze` with the default set on 15-second clips, one process a worker. GPU busy share is
nvidia-smi's. The last lines say which part is the limit. Goals: >= 450x real time for 1080p decode and embedding, >= 12
clips a second, >= 90 % busy.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from benchmarks.analyze import clip
from mediaml.decode.device_views import DeviceViews
from mediaml.decode.nvdec import why_software
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.spec import Need, View

VIEW = View.rgb(224, 224, fit="cover")
CUDA = torch.device("cuda")
FPS = 25
BATCH = 32
TOWER_GFLOP = 8.8  # a picture, ViT-B/32 at 224 px: 4.4 GMAC (Radford et al. 2021, table 19, rounded)
Step = Callable[[torch.Tensor], object]


def model() -> torch.nn.Module:
    """CLIP ViT-B/32's image tower, bfloat16, weights from a seed."""
    import open_clip

    torch.manual_seed(0)
    net: torch.nn.Module = open_clip.create_model("ViT-B-32", pretrained=None).visual  # type: ignore[assignment]
    return net.to(CUDA).eval().to(torch.bfloat16)


def embed(net: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """(N, 3, 224, 224) uint8 -> (N, 512)."""
    return net(pictures.to(torch.bfloat16).div_(127.5).sub_(1))


@torch.inference_mode()
def work(path: Path, need: Need, step: Step | None, stream: torch.cuda.Stream) -> int:
    """All frames of one file; each worker has a CUDA stream of its own, so that kernels of several files overlap."""
    frames, media = 0, probe(path)
    with torch.cuda.stream(stream), MediaStream(path, media, make_plan(media, [need]), device=CUDA) as opened:
        for _, batch in opened:
            assert isinstance(batch, FrameBatch)
            if step is not None:
                step(batch.view(VIEW))
            frames += len(batch)
    stream.synchronize()
    return frames


@torch.inference_mode()
def alone(step: Callable[[], object], batches: int = 300) -> float:
    """Pictures a second of a step on pictures that lie on the GPU already."""
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(batches):
        step()
    torch.cuda.synchronize()
    return batches * BATCH / (time.perf_counter() - began)


def views_alone(path: Path) -> float:
    """Of 1080p planes."""
    main = probe(path).main_video
    assert main is not None
    y = torch.randint(16, 236, (BATCH, 1, 1080, 1920), dtype=torch.uint8, device=CUDA)
    uv = torch.randint(16, 240, (2, BATCH, 1, 540, 960), dtype=torch.uint8, device=CUDA)
    times = torch.arange(BATCH, dtype=torch.float64)
    keys = (times, times, torch.arange(BATCH), torch.zeros(BATCH, dtype=torch.bool))
    colour = Colour("bt709", "limited", "bt709", "bt709")
    made = DeviceViews(main)
    batch = FrameBatch(*keys, colour=colour, planes=Planes(y, uv[0], uv[1], 8), make_view=made)
    return alone(lambda: made(batch, VIEW))


class Busy:
    """Mean GPU utilisation as nvidia-smi samples it, while the block runs."""

    def __enter__(self) -> Busy:
        self.samples: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._stop.wait(0.2):
            self.samples.append(
                int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0])
            )

    @property
    def share(self) -> float:
        return sum(self.samples) / max(1, len(self.samples)) / 100


def measure(name: str, path: Path, workers: int, need: Need, step: Step | None) -> float:
    """Frames a second over all workers."""
    streams = [torch.cuda.Stream() for _ in range(workers)]
    work(path, need, step, streams[0])  # warm up
    with Busy() as busy, ThreadPoolExecutor(workers) as pool:
        began = time.perf_counter()
        frames = sum(pool.map(lambda s: work(path, need, step, s), streams))
        rate = frames / (time.perf_counter() - began)
    print(f"| {name} | {rate:,.0f} | {rate / FPS:.0f}x | {busy.share:.0%} |", flush=True)
    return rate


def default_set(clips: int, workers: int) -> None:
    """`mediaml analyze --device cuda` on copies of one clip that differ in their last bytes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "media"
        folder.mkdir()
        body = clip(15, 720).read_bytes()
        for i in range(clips):
            (folder / f"{i}.mp4").write_bytes(body + i.to_bytes(4, "big"))
        command = [
            "mediaml",
            "analyze",
            str(folder),
            "-o",
            f"{place}/lake",
            "-q",
            "--device",
            "cuda",
            "-w",
            str(workers),
        ]
        with Busy() as busy:
            began = time.perf_counter()
            subprocess.run(command, check=True)
            spent = time.perf_counter() - began
    print(f"| default set, 15 s clips at 720p | {clips / spent:.2f} clips a second | | {busy.share:.0%} |")


def limits(path: Path, net: torch.nn.Module, decode: float, whole: float) -> None:
    """What each part could do alone, and which one the whole comes nearest to."""
    pictures = torch.randint(0, 256, (BATCH, 3, 224, 224), dtype=torch.uint8, device=CUDA)
    parts = {
        "NVDEC": decode,
        "views": views_alone(path),
        "ViT-B/32": alone(lambda: embed(net, pictures)),
    }
    for name, rate in parts.items():
        print(f"| {name} alone | {rate:,.0f} | {rate / FPS:.0f}x | |")
    gpu = 1 / (1 / parts["views"] + 1 / parts["ViT-B/32"])  # both take the same kernels' time
    slowest = min(("NVDEC", decode), ("views and ViT-B/32 one after the other", gpu), key=lambda p: p[1])
    print(
        f"\nlimit: {slowest[0]} at {slowest[1]:,.0f} frames a second; the whole reaches {whole / slowest[1]:.0%} of it."
    )
    print(f"ViT-B/32 alone does {parts['ViT-B/32'] * TOWER_GFLOP / 1e3:.0f} TFLOP/s; compare the card's bf16 peak.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), help="files at once")
    parser.add_argument("--clips", type=int, default=64)
    given = parser.parse_args()
    if not torch.cuda.is_available() or shutil.which("nvidia-smi") is None:
        print("nothing measured: torch finds no CUDA device, or nvidia-smi is not there")
        return
    path = clip(given.seconds, 1080)
    media, needs = probe(path), {"planes": Need(View.planes()), "view": Need(VIEW)}
    why = why_software(path, media, make_plan(media, [needs["view"]]), CUDA)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} CPU cores")
    by = "NVDEC" if why is None else f"the CPU: {why}"
    print(f"{given.workers} files of {given.seconds} s, 1080p H.264; decoded by {by}\n")
    net = model()
    print("| work | frames a second | real time | GPU busy |\n|---|---|---|---|")
    decode = measure("decode", path, given.workers, needs["planes"], None)
    measure("decode, 224 px views", path, given.workers, needs["view"], lambda view: view)
    whole = measure("decode, views, ViT-B/32", path, given.workers, needs["view"], lambda view: embed(net, view))
    default_set(given.clips, given.workers)
    limits(path, net, decode, whole)


if __name__ == "__main__":
    main()
