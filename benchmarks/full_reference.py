"""Full-reference metrics: accuracy against libvmaf on real encodes, and speed on one thread, beside libvmaf.

    python -m benchmarks.full_reference                     # all clips, 24 frames each; about ten minutes on one core
    python -m benchmarks.full_reference --frames 6 --clips carphone_distorted.mp4
    python -m benchmarks.full_reference --speed --peers     # only the speed at 1080p, and the other packages beside

libvmaf is the one inside imageio-ffmpeg's ffmpeg, run with one thread. Encodes are x264 at CRF 23, 32 and 40, 8 and 10 bit,
made here. Speeds are frames a second of CPU time. A metric that libvmaf has is one more row in `METRICS`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import torch
from torch import Tensor

from mediaml.metrics import adm, motion, motion2, psnr, ssim, vif, vmaf
from mediaml.metrics.vmaf_features import Plan, spatial
from mediaml.metrics.vmaf_model import Feature

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", ROOT.parent / "shared" / "data"))
CLIPS = ("bigbuckbunny.mp4", "nasa_13013.mp4", "testvideo.mp4", "carphone_distorted.mp4")
CRFS = (23, 32, 40)
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg", "vmaf_4k": "vmaf_4k_v0.6.1", "vmaf_v1": "vmaf_v1.0.16"}
_BUILT_IN = {"vmaf_v1.0.16": "vmaf_v1.0.16_3d0h"}  # libvmaf's own name, where it differs


@dataclass(frozen=True, slots=True)
class Pictures:
    """Y, U, V of every picture, (N, 1, H, W) each."""

    y: Tensor
    u: Tensor
    v: Tensor
    bit_depth: int


@dataclass(frozen=True, slots=True)
class Metric:
    """`ours` gives (N,) of reference and distorted; `theirs` is the name in libvmaf's log."""

    ours: Callable[[Pictures, Pictures], Tensor]
    theirs: str


def _planes(pictures: Pictures) -> tuple[Tensor, Tensor, Tensor]:
    return pictures.y, pictures.u, pictures.v


def model_score(name: str, ref: Pictures, dist: Pictures) -> Tensor:
    chroma = ((ref.u, ref.v), (dist.u, dist.v))
    return vmaf(ref.y, dist.y, model=name, bit_depth=ref.bit_depth, chroma=chroma)


def vif_score(scale: int, ref: Pictures, dist: Pictures) -> Tensor:
    return vif(ref.y, dist.y, bit_depth=ref.bit_depth)[:, scale]


METRICS: dict[str, Metric] = {
    **{name: Metric(partial(model_score, model), name) for name, model in MODELS.items()},
    **{f"vif_scale{i}": Metric(partial(vif_score, i), f"integer_vif_scale{i}") for i in range(4)},
    "adm2": Metric(lambda r, d: adm(r.y, d.y, bit_depth=r.bit_depth, aim=False).adm2, "integer_adm2"),
    "motion2": Metric(lambda r, _: motion2(motion(r.y, bit_depth=r.bit_depth)), "integer_motion2"),
}


def ffmpeg(*arguments: str) -> bytes:
    run = subprocess.run([FFMPEG, "-v", "error", "-y", *arguments], capture_output=True, check=False)
    if run.returncode:
        raise SystemExit(f"ffmpeg {' '.join(arguments)}: {run.stderr.decode(errors='replace')[-500:]}")
    return run.stdout


def decode(path: Path, bit_depth: int) -> Pictures:
    said = subprocess.run([FFMPEG, "-i", str(path)], capture_output=True, text=True, check=False).stderr
    size = re.search(r"Video:.*?(\d{2,5})x(\d{2,5})", said)
    assert size is not None, said
    width, height = map(int, size.groups())
    pixels = "yuv420p" if bit_depth == 8 else "yuv420p10le"
    raw = ffmpeg("-i", str(path), "-fps_mode", "passthrough", "-pix_fmt", pixels, "-f", "rawvideo", "-")
    codes = torch.from_numpy(np.frombuffer(raw, np.uint8 if bit_depth == 8 else np.uint16).copy())
    h, w = (height + 1) // 2, (width + 1) // 2
    y, u, v = codes.view(-1, height * width + 2 * h * w).split([height * width, h * w, h * w], dim=1)
    return Pictures(y.reshape(-1, 1, height, width), u.reshape(-1, 1, h, w), v.reshape(-1, 1, h, w), bit_depth)


def libvmaf(ref: Path, dist: Path, log: Path, models: Mapping[str, str]) -> list[dict[str, float]]:
    wanted = "|".join(f"version={_BUILT_IN.get(m, m)}\\:name={n}" for n, m in models.items())
    graph = f"[0:v][1:v]libvmaf=model='{wanted}':log_fmt=json:log_path={log}:n_threads=1"
    ffmpeg("-threads", "1", "-i", str(dist), "-threads", "1", "-i", str(ref), "-lavfi", graph, "-f", "null", "-")
    return [frame["metrics"] for frame in json.loads(log.read_text())["frames"]]


def make_pair(
    clip: Path, folder: Path, bit_depth: int, crf: int, frames: int, scale: str = "null"
) -> tuple[Path, Path]:
    pixels = "yuv420p" if bit_depth == 8 else "yuv420p10le"
    ref, dist = folder / f"{clip.stem}_{bit_depth}.y4m", folder / f"{clip.stem}_{bit_depth}_{crf}.mkv"
    cut = ("-map", "0:v:0", "-frames:v", str(frames), "-vf", scale, "-pix_fmt", pixels, "-strict", "-1", "-r", "25")
    ffmpeg("-i", str(clip), *cut, str(ref))
    ffmpeg("-i", str(ref), "-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", pixels, str(dist))
    return ref, dist


def accuracy(clips: Sequence[Path], frames: int, folder: Path) -> None:
    print("## Greatest difference a frame from libvmaf (first and last frame included)")
    print("| clip | bits | CRF | mean VMAF | " + " | ".join(METRICS) + " |\n|---|---|---|---|" + "---|" * len(METRICS))
    worst = dict.fromkeys(METRICS, 0.0)
    for clip in clips:
        for bit_depth in (8, 10):
            for crf in CRFS:
                ref, dist = make_pair(clip, folder, bit_depth, crf, frames)
                wanted = {n: m for n, m in MODELS.items() if n != "vmaf_v1" or large(ref, bit_depth)}
                theirs = libvmaf(ref, dist, folder / "log.json", wanted)
                pair = decode(ref, bit_depth), decode(dist, bit_depth)
                cells = []
                for name, metric in METRICS.items():
                    if metric.theirs not in theirs[0]:
                        cells.append("-")
                        continue
                    expected = torch.tensor([f[metric.theirs] for f in theirs], dtype=torch.float64)
                    off = float((metric.ours(*pair) - expected).abs().max())
                    worst[name] = max(worst[name], off)
                    cells.append(f"{off:.1e}")
                mean = np.mean([f["vmaf"] for f in theirs])
                print(f"| {clip.stem} | {bit_depth} | {crf} | {mean:.2f} | " + " | ".join(cells) + " |", flush=True)
    print("| worst | | | | " + " | ".join(f"{v:.1e}" for v in worst.values()) + " |")


def large(ref: Path, bit_depth: int) -> bool:
    """Whether VMAF v1 takes pictures of that size: 160 pixels a side, and 216 along the longer one."""
    height, width = decode(ref, bit_depth).y.shape[2:]
    return min(height, width) >= 160 and max(height, width) >= 216


def speed(clip: Path, folder: Path, frames: int = 8) -> None:
    print("\n## Frames a second of CPU, one thread, 1920x1080, 8 bit (best of three)")
    ref, dist = make_pair(clip, folder, 8, 32, frames, "scale=1920:1080:flags=bicubic")
    pair = decode(ref, 8), decode(dist, 8)
    y = [(r, d) for r, d in zip(pair[0].y.split(1), pair[1].y.split(1), strict=True)]
    plain, neg = Feature("vif_scale0"), Feature("vif_scale0", (("vif_enhn_gain_limit", 1.0),))
    adm_plain, adm_neg = Feature("adm2"), Feature("adm2", (("adm_enhn_gain_limit", 1.0),))
    rows = {
        "VMAF v0.6.1": lambda: vmaf(pair[0].y, pair[1].y),
        "VIF and ADM of v0.6.1": lambda: [spatial(r, d, 8, Plan.of([plain, adm_plain])) for r, d in y],
        "VIF and ADM of v0.6.1 and NEG": lambda: [
            spatial(r, d, 8, Plan.of([plain, neg, adm_plain, adm_neg])) for r, d in y
        ],
        "motion": lambda: motion(pair[0].y),
        "VMAF v0.6.1, NEG, PSNR and SSIM": lambda: (
            [spatial(r, d, 8, Plan.of([plain, neg, adm_plain, adm_neg])) for r, d in y],
            motion(pair[0].y),
            [psnr(r, d) for r, d in zip(_planes(pair[0]), _planes(pair[1]), strict=True)],
            ssim(pair[0].y, pair[1].y),
        ),
    }
    for name, work in rows.items():
        print(f"| {name} | {frames / min(cpu_seconds(work) for _ in range(3)):.2f} |", flush=True)
    logs = folder / "log.json"
    whole = min(child_seconds(lambda: libvmaf(ref, dist, logs, {"vmaf": "vmaf_v0.6.1"})) for _ in range(3))
    decoding = min(child_seconds(lambda: (decode(ref, 8), decode(dist, 8))) for _ in range(3))
    print(f"| libvmaf v0.6.1 (its time less that of decoding) | {frames / max(1e-3, whole - decoding):.2f} |")


def peers() -> None:
    """The conventions of other packages against those packages, and everybody's speed."""
    from benchmarks.full_reference_peers import made_pair, show_peers, show_speed

    ref, dist = made_pair()
    print("\n## Beside other packages")
    show_speed(ref, dist)
    show_peers(ref, dist)


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def child_seconds(work: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--clips", nargs="*", default=CLIPS)
    parser.add_argument("--speed", action="store_true", help="only the speed")
    parser.add_argument(
        "--peers", action="store_true", help="and torchmetrics, piq, pyiqa and vmaf-torch, where installed"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    clips = [next(SHARED.rglob(name)) for name in given.clips]
    with tempfile.TemporaryDirectory() as folder:
        if not given.speed:
            accuracy(clips, given.frames, Path(folder))
        speed(clips[0], Path(folder))
    if given.peers:
        peers()


if __name__ == "__main__":
    main()
