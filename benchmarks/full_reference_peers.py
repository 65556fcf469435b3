"""The metrics beside VMAF: their conventions against the packages they are named after, and frames a second on one core.

    python benchmarks/full_reference_peers.py [REFERENCE.yuv DISTORTED.yuv WIDTH HEIGHT]

Without arguments it makes a 1080p pair itself. torchmetrics, piq and pyiqa are optional: whichever can be imported is
compared (`pip install --no-deps --target DIR torchmetrics lightning-utilities piq pyiqa`, then PYTHONPATH=DIR).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml import metrics
from mediaml.metrics.ssim_conventions import CONVENTIONS

Peer = Callable[[Tensor, Tensor], Tensor]
Planes = list[Tensor]


def made_pair(height: int = 1080, width: int = 1920) -> tuple[Planes, Planes]:
    """8-bit 4:2:0 planes: a smooth picture with texture, and a blurred, quantised copy."""
    rng = torch.Generator().manual_seed(1)
    ref, dist = [], []
    for h, w in ((height, width), (height // 2, width // 2), (height // 2, width // 2)):
        x = F.interpolate(torch.rand(1, 1, h // 40, w // 40, generator=rng), size=(h, w), mode="bicubic")
        x = x + 0.03 * torch.randn(x.shape, generator=rng) * (torch.arange(w) > w // 2)
        y = (F.avg_pool2d(x, 3, 1, 1) * 100).round() / 100
        for planes, t in ((ref, x), (dist, y)):
            planes.append((t.clamp(0, 1) * 219 + 16).round().to(torch.uint8))
    return ref, dist


def read_pair(reference: str, distorted: str, width: int, height: int) -> tuple[Planes, Planes]:
    """The first picture of two raw 8-bit 4:2:0 files."""
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    pair = []
    for name in (reference, distorted):
        content, start, planes = np.fromfile(Path(name), np.uint8), 0, []
        for h, w in shapes:
            planes.append(torch.from_numpy(content[start : start + h * w].reshape(1, 1, h, w)))
            start += h * w
        pair.append(planes)
    return pair[0], pair[1]


def peers() -> dict[str, Peer]:
    """ "metric:convention" -> a function of float luma in [0, 1]; those that can be imported."""
    found: dict[str, Peer] = {}
    if importlib.util.find_spec("torchmetrics"):
        image = importlib.import_module("torchmetrics.functional.image")
        found["psnr:torchmetrics"] = lambda x, y: image.peak_signal_noise_ratio(y, x, data_range=1.0)
        found["ssim:torchmetrics"] = lambda x, y: image.structural_similarity_index_measure(y, x, data_range=1.0)
        found["ms_ssim:torchmetrics"] = lambda x, y: image.multiscale_structural_similarity_index_measure(
            y, x, data_range=1.0
        )
    if importlib.util.find_spec("piq"):
        piq = importlib.import_module("piq")
        found |= {"psnr:piq": piq.psnr, "ssim:piq": piq.ssim, "ms_ssim:piq": piq.multi_scale_ssim}
    if spec := importlib.util.find_spec("pyiqa"):
        _bare("pyiqa", list(spec.submodule_search_locations or ()))
        ssim, psnr = (importlib.import_module(f"pyiqa.archs.{m}_arch") for m in ("ssim", "psnr"))
        found |= {"psnr:pyiqa": psnr.PSNR(), "ssim:pyiqa": ssim.SSIM(), "ms_ssim:pyiqa": ssim.MS_SSIM()}
    return found


def _bare(name: str, places: list[str]) -> None:
    """Packages without running their __init__, which imports far more than two metrics need."""
    for suffix in ("", ".archs", ".utils"):
        module = types.ModuleType(name + suffix)
        module.__path__ = [p + suffix.replace(".", "/") for p in places]
        sys.modules[name + suffix] = module


def ours(ref: Planes, dist: Planes) -> dict[str, Callable[[], Tensor]]:
    """Everything measured, by name."""
    x, y = ref[0], dist[0]
    found: dict[str, Callable[[], Tensor]] = {
        "psnr": lambda: metrics.psnr(x, y),
        "psnr (y, u, v)": lambda: torch.stack([metrics.psnr(a, b) for a, b in zip(ref, dist, strict=True)]),
        "ciede2000": lambda: metrics.ciede2000(ref, dist),
        "psnr_hvs": lambda: metrics.psnr_hvs(x, y),
        "psnr_hvs (y, u, v)": lambda: metrics.psnr_hvs_planes(ref, dist),
        "xpsnr": lambda: metrics.xpsnr(x, y),
        "xpsnr (y, u, v)": lambda: metrics.xpsnr(ref, dist),
        "cambi": lambda: metrics.cambi(y),
    }
    for name in CONVENTIONS:
        found[f"ssim:{name}"] = lambda name=name: metrics.ssim(x, y, convention=name)
        found[f"ms_ssim:{name}"] = lambda name=name: metrics.ms_ssim(x, y, convention=name)
    for name in ("torchmetrics", "piq", "pyiqa"):
        found[f"psnr:{name}"] = lambda name=name: metrics.psnr(x, y, convention=name)
    return found


def timed(make: Callable[[], Tensor], runs: int) -> tuple[Tensor, float]:
    """The value of a first run, and the processor seconds of the fastest of `runs` more."""
    value, best = make(), float("inf")
    for _ in range(runs):
        start = time.process_time()
        make()
        best = min(best, time.process_time() - start)
    return value, best


def show_speed(ref: Planes, dist: Planes) -> None:
    """Every metric's value and frames a second."""
    print(f"{dist[0].shape[3]}x{dist[0].shape[2]}, one thread: metric, value, frames a processor second")
    for name, make in sorted(ours(ref, dist).items()):
        value, seconds = timed(make, 3)
        print(f"{name:22} {value.flatten()[0].item():10.5f} | {1 / seconds:8.1f}", flush=True)


def show_peers(ref: Planes, dist: Planes) -> None:
    """The conventions beside the packages that they are named after, on the first 640x360 pixels."""
    ref, dist = (
        [t[..., : 360 // k, : 640 // k].contiguous() for t, k in zip(p, (1, 2, 2), strict=True)] for p in (ref, dist)
    )
    unit = [t.double() / 255 for t in (ref[0], dist[0])]
    mine = ours(ref, dist)
    print("640x360: metric, value, the package's value, difference, frames a processor second here and there")
    for name, peer in sorted(peers().items()):
        value, here = timed(mine[name], 3)
        theirs, there = timed(lambda peer=peer: peer(*unit), 1)
        apart = abs(value.item() - theirs.item())
        print(
            f"{name:22} {value.item():10.6f} | {theirs.item():10.6f} | {apart:.1e} | {1 / here:7.1f} | {1 / there:7.1f}",
            flush=True,
        )


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pair = read_pair(*arguments[:2], *map(int, arguments[2:4])) if arguments else made_pair()
    show_speed(*pair)
    show_peers(*pair)


if __name__ == "__main__":
    main(sys.argv[1:])
