"""Pairs of raw pictures, and what an independent ffmpeg (libvmaf, xpsnr) says of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

Planes = tuple[Tensor, Tensor, Tensor]
_HALVED = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}  # rows, columns


def read_raw(
    path: Path, width: int, height: int, depth: int, chroma: str = "420", skip: int = 0, gap: int = 0
) -> Planes:
    """Planar raw pictures, (N, 1, h, w) each; `skip` bytes before the first, `gap` before each."""
    down, across = _HALVED[chroma]
    shapes = [(height, width)] + [(-(-height // down), -(-width // across))] * 2
    size = 1 if depth == 8 else 2
    frame = sum(h * w for h, w in shapes) * size + gap
    content = np.fromfile(path, np.uint8)[skip:]
    rows = content[: len(content) // frame * frame].reshape(-1, frame)[:, gap:]
    planes, start = [], 0
    for h, w in shapes:
        part = np.ascontiguousarray(rows[:, start : start + h * w * size])
        planes.append(torch.from_numpy(part.view(np.uint8 if size == 1 else np.uint16).reshape(-1, 1, h, w).copy()))
        start += h * w * size
    return planes[0], planes[1], planes[2]


def made_pair(width: int, height: int, depth: int, chroma: str = "420", frames: int = 3) -> tuple[Planes, Planes]:
    """Moving waves with steps (banding) and their noisy, shifted copies."""
    down, across = _HALVED[chroma]
    rng = np.random.default_rng(7)
    top = 2**depth - 1
    pair: tuple[list[Tensor], list[Tensor]] = ([], [])
    for plane in range(3):
        h, w = (height, width) if plane == 0 else (-(-height // down), -(-width // across))
        y, x = np.mgrid[0:h, 0:w]
        clean = np.stack([0.5 + 0.3 * np.sin((x + 5 * i) / (17 + 9 * plane)) * np.cos(y / 23) for i in range(frames)])
        bands = np.floor((0.3 + 0.1 * x / w) * 255) / 255
        clean = np.where(y > h // 2, bands, clean + rng.normal(0, 0.01, clean.shape))
        spoiled = np.where(y > h // 2, clean, clean * 0.97 + rng.normal(0, 0.02, clean.shape))
        for target, values in zip(pair, (clean, spoiled), strict=True):
            codes = (values.clip(0, 1) * top).round().astype(np.uint8 if depth == 8 else np.uint16)
            target.append(torch.from_numpy(codes)[:, None])
    return (pair[0][0], pair[0][1], pair[0][2]), (pair[1][0], pair[1][1], pair[1][2])


class Oracle:
    """An ffmpeg with libvmaf, working in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        import imageio_ffmpeg

        self.folder = folder
        self.ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()

    def libvmaf(
        self, ref: Planes, dist: Planes, depth: int, chroma: str, features: Sequence[str], models: Sequence[str] = ()
    ) -> dict[str, Tensor]:
        """Per-frame values of the features and of the models built in, by libvmaf's names."""
        log = self.folder / "log.json"
        graph = f"[0][1]libvmaf=log_fmt=json:log_path={log}"
        if features:
            graph += ":feature='" + "|".join(f"name={f}" for f in features) + "'"
        if models:
            graph += ":model='" + "|".join(f"version={m}\\:name={m}" for m in models) + "'"
        self._run(dist, ref, depth, chroma, 25, graph)
        frames = [f["metrics"] for f in json.loads(log.read_text())["frames"]]
        return {name: torch.tensor([f[name] for f in frames], dtype=torch.float64) for name in frames[0]}

    def xpsnr(self, ref: Planes, dist: Planes, depth: int, chroma: str, rate: int) -> Tensor:
        """(N, 3) dB."""
        log = self.folder / "xpsnr.txt"
        self._run(ref, dist, depth, chroma, rate, f"[0][1]xpsnr,metadata=print:file={log}")
        values = [float(v) for v in re.findall(r"xpsnr\.[yuv]=(\S+)", log.read_text())]
        return torch.tensor(values, dtype=torch.float64).view(-1, 3)

    def _run(self, first: Planes, second: Planes, depth: int, chroma: str, rate: int, graph: str) -> None:
        height, width = first[0].shape[2:]
        kind = f"yuv{chroma}p" + ("" if depth == 8 else f"{depth}le")
        inputs: list[str] = []
        for name, planes in (("first", first), ("second", second)):
            path = self.folder / f"{name}.yuv"
            path.write_bytes(b"".join(p[i].numpy().tobytes() for i in range(len(planes[0])) for p in planes))
            inputs += ["-f", "rawvideo", "-pix_fmt", kind, "-s", f"{width}x{height}", "-r", str(rate), "-i", str(path)]
        command = [self.ffmpeg, "-hide_banner", "-loglevel", "error", *inputs, "-lavfi", graph, "-f", "null", "-"]
        subprocess.run(command, check=True, capture_output=True)
