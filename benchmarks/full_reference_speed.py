"""Frames a second of one processor at 1920x1080, 8 bit: mediaml, libvmaf and the packages, in one run."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.full_reference_material import Case, Planes, child_seconds, decode, libvmaf
from benchmarks.full_reference_peers import conventions, missing, vmaf_torch
from mediaml import metrics
from mediaml.metrics.vmaf_features import Plan, spatial
from mediaml.metrics.vmaf_model import Feature

FRAMES = 4
RUNS = 2
Work = Callable[[], object]
LIBVMAF = {
    "VMAF v0.6.1": {"models": {"vmaf": "version=vmaf_v0.6.1"}},
    "VMAF v1.0.16": {"models": {"vmaf_v1": "version=vmaf_v1.0.16_3d0h"}},
    "PSNR (y, u, v)": {"features": ["psnr"]},
    "SSIM": {"features": ["float_ssim"]},
    "MS-SSIM": {"features": ["float_ms_ssim"]},
    "CIEDE2000": {"features": ["ciede"]},
    "PSNR-HVS (y, u, v)": {"features": ["psnr_hvs"]},
    "CAMBI": {"features": ["cambi"]},
}


def ours(ref: Planes, dist: Planes) -> dict[str, Work]:
    """Each metric over all frames."""
    chroma = (ref[1:], dist[1:])
    return {
        "VMAF v0.6.1": lambda: metrics.vmaf(ref.y, dist.y),
        "VMAF v1.0.16": lambda: metrics.vmaf(ref.y, dist.y, model="vmaf_v1.0.16", chroma=chroma),
        "PSNR (y, u, v)": lambda: [metrics.psnr(r, d) for r, d in zip(ref, dist, strict=True)],
        "SSIM": lambda: metrics.ssim(ref.y, dist.y),
        "MS-SSIM": lambda: metrics.ms_ssim(ref.y, dist.y),
        "CIEDE2000": lambda: metrics.ciede2000(ref, dist),
        "PSNR-HVS (y, u, v)": lambda: metrics.psnr_hvs_planes(ref, dist),
        "CAMBI": lambda: metrics.cambi(dist.y),
        "XPSNR (y, u, v)": lambda: metrics.xpsnr(ref, dist),
    }


def together(ref: Planes, dist: Planes) -> None:
    """VMAF v0.6.1, NEG, PSNR and SSIM as the analyzers compute them: VIF and ADM once for both models."""
    limits = (("vif_scale0", "vif_enhn_gain_limit"), ("adm2", "adm_enhn_gain_limit"))
    plan = Plan.of(Feature(n, o) for n, limit in limits for o in ((), ((limit, 1.0),)))
    spatial(ref.y, dist.y, 8, plan)
    metrics.motion(ref.y)
    for r, d in zip(ref, dist, strict=True):
        metrics.psnr(r, d)
    metrics.ssim(ref.y, dist.y)


def fps(work: Work, frames: int, runs: int = RUNS) -> float:
    """Frames a processor second of the fastest run; one more goes before."""
    work()
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return frames / best


def of_libvmaf(ref: Path, dist: Path, log: Path, frames: int) -> dict[str, float]:
    """Its time less that of ffmpeg decoding the two files."""
    decoding = min(child_seconds(lambda: libvmaf(ref, dist, log, {}, ["motion"])) for _ in range(RUNS))
    motion = 0.004 * frames  # what its cheapest feature takes, so that decoding is not overrated
    found = {}
    for name, given in LIBVMAF.items():
        work = partial(libvmaf, ref, dist, log, given.get("models", {}), given.get("features", []))
        found[name] = frames / max(1e-3, min(child_seconds(work) for _ in range(RUNS)) - decoding + motion)
    return found


def of_packages(ref: Planes, dist: Planes) -> dict[str, dict[str, float]]:
    """Package -> metric -> frames a processor second: one frame, one run after another."""
    x, y = (p.y[:1].float() / 255 for p in (ref, dist))
    found: dict[str, dict[str, float]] = {}
    names = {"psnr": "PSNR (y)", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}
    with torch.inference_mode():
        for name, peer in conventions().items():
            metric, convention = name.split(":")
            if convention != "wang2004":
                found.setdefault(convention, {})[names[metric]] = fps(lambda peer=peer: peer(x, y), 1, runs=1)
        if "vmaf_torch" not in missing():
            two = [Planes(p.y[:2], p.u[:2], p.v[:2]) for p in (ref, dist)]
            found["vmaf-torch"] = {"VMAF v0.6.1": fps(lambda: vmaf_torch(two[0], two[1], 8), 2, runs=1)}
    return found


def show_speed(clip: Path) -> None:
    """One table: a row a metric, a column a package."""
    case = Case(clip, 8, 32, FRAMES, "scale=1920:1080:flags=bicubic")
    with tempfile.TemporaryDirectory() as folder:
        ref, dist = case.make(Path(folder))
        pair = decode(ref, case), decode(dist, case)
        theirs = of_libvmaf(ref, dist, Path(folder) / "log.json", FRAMES)
    work = ours(*pair)
    work["PSNR (y)"] = lambda: metrics.psnr(pair[0].y, pair[1].y)
    mine = {}
    for name, w in work.items():
        mine[name] = fps(w, FRAMES)
        print(f"({name}: {mine[name]:.2f}; libvmaf {theirs.get(name, float('nan')):.2f})", flush=True)
    all_four = fps(lambda: together(*pair), FRAMES)
    print(f"(v0.6.1, NEG, PSNR and SSIM together: {all_four:.2f})", flush=True)
    columns = {"mediaml": mine, "libvmaf": theirs, **of_packages(*pair)}
    names = list(dict.fromkeys(n for c in columns.values() for n in c))
    load = os.getloadavg()[0]
    print(f"\n## Frames a second of CPU, one thread, 1920x1080, 8 bit, best of two, after one more (load {load:.1f})")
    print("| metric | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name in names:
        print(f"| {name} | " + " | ".join(f"{c[name]:.2f}" if name in c else "-" for c in columns.values()) + " |")
    print(
        f"\nv0.6.1, NEG, PSNR and SSIM together: {all_four:.2f} fps, {mine['VMAF v0.6.1'] / all_four:.2f} times v0.6.1 alone"
    )
