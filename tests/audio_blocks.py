"""Sound made by tests, given to analyzers as the decoder would."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.analyzers.base import AudioAnalyzer
from mediaml.frames import AudioBlock
from mediaml.spec import Table

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def analyzed(
    analyzer: AudioAnalyzer, samples: NDArray[np.float32], rate: int = 48000, size: int | None = None
) -> dict[Table, dict[str, list[Any]]]:
    """The rows of `finish` for (C, T) samples in blocks of `size` (a second)."""
    tensor, size = torch.from_numpy(np.ascontiguousarray(samples, np.float32)), size or rate
    with torch.inference_mode():
        for at in range(0, tensor.shape[1], size):
            part = tensor[:, at : at + size].contiguous()
            analyzer.update(AudioBlock(part, rate, at, at / rate, LAYOUTS[tensor.shape[0]]))
        return {t: {n: list(v) for n, v in c.items()} for t, c in analyzer.finish().items()}


def spans(rows: dict[Table, dict[str, list[Any]]]) -> list[tuple[str, float, float]]:
    """(kind, start, end), rounded to milliseconds."""
    found = rows[Table.SPANS]
    return [
        (k, round(a, 3), round(b, 3))
        for k, a, b in zip(found["kind"], found["start_seconds"], found["end_seconds"], strict=True)
    ]


def noise(
    seconds: float, rate: int = 48000, channels: int = 2, level: float = 0.05, seed: int = 0
) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((channels, round(seconds * rate)))).astype(np.float32)


def write_sound(path: Path, samples: NDArray[np.float32], rate: int) -> Path:
    """A WAVE file of 16 bits from (C, T) samples."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(samples.shape[0])
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((samples.T.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return path
