"""FrameBatch objects made by hand, for tests of one analyzer or function."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.spec import View

FULL = Colour(range="full")


def luma_batch(y: NDArray, colour: Colour = FULL, bit_depth: int = 8, fps: float = 25.0, first: int = 0) -> FrameBatch:
    """(N, H, W) uint8 or uint16 coded luma as a batch of native planes."""
    return _batch(len(y), fps, first, colour, Planes(torch.from_numpy(np.array(y))[:, None], None, None, bit_depth))


def rgb_batch(rgb: NDArray | Tensor, view: View, fps: float = 1.0, first: int = 0) -> FrameBatch:
    """(N, H, W, 3) uint8 as a batch of one RGB view, channels last in memory as decoders deliver it."""
    pictures = torch.as_tensor(rgb).permute(0, 3, 1, 2)
    return _batch(len(pictures), fps, first, FULL, None, {view: pictures})


def _batch(
    n: int, fps: float, first: int, colour: Colour, planes: Planes | None, views: dict[View, Tensor] | None = None
) -> FrameBatch:
    index = torch.arange(first, first + n)
    return FrameBatch(
        pts_seconds=index.to(torch.float64) / fps,
        duration_seconds=torch.full((n,), 1 / fps, dtype=torch.float64),
        frame_index=index,
        key_frame=index == 0,
        colour=colour,
        planes=planes,
        views=views or {},
    )
