"""yuv420p pictures of the harness (BT.601, limited range) to R'G'B' and back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (H * 3 / 2, W) yuv420p


def to_rgb(picture: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) R'G'B'."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), np.uint8)


def to_yuv(rgb: NDArray[Any] | MatLike) -> Picture:
    """(H * 3 / 2, W) yuv420p of (H, W, 3) uint8, H and W even."""
    return _filtered(np.ascontiguousarray(rgb), cv2.COLOR_RGB2YUV_I420)


def from_bgr(bgr: NDArray[Any] | MatLike) -> Picture:
    """The same of B'G'R'."""
    return _filtered(np.ascontiguousarray(bgr), cv2.COLOR_BGR2YUV_I420)


def _filtered(picture: NDArray[Any], code: int) -> Picture:
    """Chroma is the mean of four pixels: OpenCV takes that of one, which leaves R'G'B' beside the mean of the luma."""
    converted = np.asarray(cv2.cvtColor(picture, code), np.uint8)
    height, width = picture.shape[:2]
    mean = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    blocks = cv2.resize(mean, (width, height), interpolation=cv2.INTER_NEAREST)
    converted[height:] = cv2.cvtColor(blocks, code)[height:]
    return converted


def luma(picture: Picture) -> Picture:
    """(H, W): the luma of a yuv420p picture, as a view."""
    return picture[: picture.shape[0] * 2 // 3]


def chroma(picture: Picture) -> Picture:
    """(2, H / 2, W / 2): Cb and Cr of a yuv420p picture, as a view."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    return picture[height:].reshape(2, height // 2, width // 2)
