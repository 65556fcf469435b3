"""The native samples that detectors of fine detail look at: two pictures a second, one need, so decoded planes come once."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.ops.colour import coded_luma
from mediaml.spec import Need, View

FPS = 2.0
NATIVE = Need(View.planes(), fps=FPS)
PAIRS = Need(View.planes(), fps=FPS, previous=True)  # and the luma of the picture before each; all are then decoded
SMALLEST = 48  # px: pictures with a shorter side hold too little to judge

Bytes = NDArray[np.uint8]


def luma8(batch: FrameBatch) -> Bytes:
    """(N, H, W) native luma on the host, rounded to 8 bits; range as coded."""
    return batch.shared("artifacts.luma8", lambda: _rounded(*coded_luma(batch)))


def previous8(batch: FrameBatch) -> Bytes:
    """(N, H, W) `luma8` of the picture before each; the picture itself where there is none. For batches of `PAIRS`."""

    def make() -> Bytes:
        if batch.previous is None:
            raise InvalidValue("this batch holds no pictures before its own: its need is not PAIRS")
        return _rounded(batch.previous, coded_luma(batch)[1])

    return batch.shared("artifacts.previous8", make)


def _rounded(luma: Tensor, bits: int) -> Bytes:
    if bits > 8:
        values = luma.to(torch.int32)
        luma = ((values + (1 << (bits - 9))) >> (bits - 8)).clamp_(max=255).to(torch.uint8)
    return np.ascontiguousarray(luma[:, 0].cpu().numpy())


def turned(luma: Bytes) -> Bytes:
    """(H, W) to (W, H): columns as rows."""
    return np.asarray(cv2.transpose(luma), np.uint8)


def is_small(batch: FrameBatch) -> bool:
    """Whether the picture is too small for measures of detail: they are null then."""
    return min(luma8(batch).shape[1:]) < SMALLEST
