"""Runs one artifact detector over pictures made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector
from mediaml.analyzers.artifacts.native_view import FPS as NATIVE_FPS
from mediaml.analyzers.artifacts.small_view import HEIGHT, SMALL, WIDTH
from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.media import MediaInfo
from mediaml.spec import Table, View
from tests.frames import rgb_batch

FPS = 25.0
LIMITED = Colour("smpte170m", "limited", "smpte170m", "smpte170m")
Spans = list[dict[str, Any]]


def scene(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> NDArray[np.uint8]:
    """(H, 2 W) grey picture with shapes of all sizes: something to move a window over."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, 2 * width), 90, np.uint8)
    for _ in range(120):
        x, y, r = rng.integers(0, 2 * width), rng.integers(0, height), rng.integers(4, 30)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + r), int(y + r)), int(rng.integers(30, 220)), -1)
    return picture


def panning(frames: int, step: float = 2.0, seed: int = 0, indices: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """(N, 144, 256, 3) R'G'B': a window that moves over `scene`; `indices` gives each frame's place in time."""
    picture = scene(seed=seed)
    places = [round(i * step) % WIDTH for i in (indices if indices is not None else range(frames))]
    return np.stack([np.repeat(picture[:, x : x + WIDTH, None], 3, axis=2) for x in places])


def small_spans(
    detector: Detector, rgb: NDArray[np.uint8], *, batch: int = 32, pts: Sequence[float] | None = None
) -> Spans:
    """Spans of a detector of the small view; `rgb` (N, 144, 256, 3) at 25 frames a second, or at `pts` seconds."""
    assert isinstance(SMALL.view, View)
    batches = []
    for first in range(0, len(rgb), batch):
        made = rgb_batch(rgb[first : first + batch], SMALL.view, fps=FPS, first=first)
        if pts is not None:
            made = replace(made, pts_seconds=torch.tensor(pts[first : first + batch], dtype=torch.float64))
        batches.append(made)
    return spans(detector, batches)


def native_spans(
    detector: Detector, luma: Sequence[NDArray[np.uint8]], *, chroma: int = 128, colour: Colour = LIMITED,
    media: MediaInfo | None = None, previous: Sequence[NDArray[np.uint8]] | None = None,
) -> Spans:  # fmt: skip
    """Spans of a detector of native samples: (H, W) coded luma twice a second, even chroma, and the luma before each
    (None: the sample before)."""
    y = torch.from_numpy(np.stack(luma))[:, None]
    c = torch.full((len(luma), 1, y.shape[2] // 2, y.shape[3] // 2), chroma, dtype=torch.uint8)
    index = torch.arange(len(luma))
    batch = FrameBatch(
        pts_seconds=index.to(torch.float64) / NATIVE_FPS,
        duration_seconds=torch.full((len(luma),), 1 / FPS, dtype=torch.float64),
        frame_index=index,
        key_frame=index == 0,
        colour=colour,
        planes=Planes(y, c, c, 8),
        previous=torch.cat([y[:1], y[:-1]]) if previous is None else torch.from_numpy(np.stack(previous))[:, None],
    )
    return spans(detector, [batch], media)


def spans(detector: Detector, batches: Sequence[FrameBatch], media: MediaInfo | None = None) -> Spans:
    """Rows of `spans` as dictionaries."""
    detector.setup(torch.device("cpu"))
    if media is not None:
        detector.start(media)
    for batch in batches:
        detector.update(batch)
    rows = detector.finish()[Table.SPANS]
    return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]


def kinds(found: Spans) -> list[str]:
    return [row["kind"] for row in found]
