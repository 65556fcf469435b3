"""Real encodes for the full-reference benchmark, their planes, and what libvmaf says of them.

libvmaf, x264 and the decoder that planes are read with are those inside imageio-ffmpeg's ffmpeg.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
import torch
from torch import Tensor

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


class Planes(NamedTuple):
    """Every picture of a file, (N, 1, H, W) each."""

    y: Tensor
    u: Tensor
    v: Tensor


@dataclass(frozen=True, slots=True)
class Case:
    """One encode: x264, preset veryfast, of the first `frames` pictures of a clip."""

    clip: Path
    bit_depth: int
    crf: int
    frames: int
    filters: str = "null"

    @property
    def pixels(self) -> str:
        return "yuv420p" if self.bit_depth == 8 else f"yuv420p{self.bit_depth}le"

    def make(self, folder: Path) -> tuple[Path, Path]:
        """The reference as Y4M and the encode as MP4, made in `folder`."""
        name = f"{self.clip.stem}_{self.bit_depth}"
        ref, dist = folder / f"{name}.y4m", folder / f"{name}_{self.crf}.mp4"
        cut = ("-map", "0:v:0", "-frames:v", str(self.frames), "-vf", self.filters, "-r", "25")
        ffmpeg("-i", str(self.clip), *cut, "-pix_fmt", self.pixels, "-strict", "-1", str(ref))
        codec = ("-c:v", "libx264", "-preset", "veryfast", "-crf", str(self.crf), "-pix_fmt", self.pixels)
        ffmpeg("-i", str(ref), *codec, str(dist))
        return ref, dist


def ffmpeg(*arguments: str) -> bytes:
    run = subprocess.run([FFMPEG, "-v", "error", "-y", *arguments], capture_output=True, check=False)
    if run.returncode:
        raise SystemExit(f"ffmpeg {' '.join(arguments)}: {run.stderr.decode(errors='replace')[-500:]}")
    return run.stdout


def decode(path: Path, case: Case) -> Planes:
    said = subprocess.run([FFMPEG, "-i", str(path)], capture_output=True, text=True, check=False).stderr
    size = re.search(r"Video:.*?(\d{2,5})x(\d{2,5})", said)
    assert size is not None, said
    width, height = map(int, size.groups())
    raw = ffmpeg("-i", str(path), "-fps_mode", "passthrough", "-pix_fmt", case.pixels, "-f", "rawvideo", "-")
    codes = torch.from_numpy(np.frombuffer(raw, np.uint8 if case.bit_depth == 8 else np.uint16).copy())
    h, w = (height + 1) // 2, (width + 1) // 2
    y, u, v = codes.view(-1, height * width + 2 * h * w).split([height * width, h * w, h * w], dim=1)
    return Planes(y.reshape(-1, 1, height, width), u.reshape(-1, 1, h, w), v.reshape(-1, 1, h, w))


def libvmaf(
    ref: Path, dist: Path, log: Path, models: Mapping[str, str], features: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Per-frame values by libvmaf's names, (N,) each. `models`: name in the log -> libvmaf's model=... without the name."""
    wanted = "|".join(f"{model}\\:name={name}" for name, model in models.items())
    options = [f"log_fmt=json:log_path={log}:n_threads=1", f"model='{wanted}'" if wanted else "model="]
    if features:
        options.append("feature='" + "|".join(f"name={f}" for f in features) + "'")
    graph = f"[0:v][1:v]libvmaf={':'.join(options)}"
    ffmpeg("-threads", "1", "-i", str(dist), "-threads", "1", "-i", str(ref), "-lavfi", graph, "-f", "null", "-")
    frames = [frame["metrics"] for frame in json.loads(log.read_text())["frames"]]
    return {name: torch.tensor([f[name] for f in frames], dtype=torch.float64) for name in frames[0]}


def child_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of the programs that `work` ran."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
