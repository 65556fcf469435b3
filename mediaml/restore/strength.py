"""How strongly the pictures of a file were compressed: the decoder's quantizers where it exports them, else estimated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mediaml.frames import Planes
from mediaml.restore.enlarger import Enlarger

_CROP = (384, 640)  # rows and columns that the estimator looks at
_ESTIMATE_EVERY = 8  # frames
_SLOWNESS = (
    0.85  # most that the past weighs in the running mean: pictures of one group do not flicker with their quantizers
)
_LOSSLESS = ("ffv1", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "png", "v210", "dpx", "magicyuv")
_SPAN = {"h264": 51.0, "mpeg4": 31.0, "mpeg2video": 31.0, "mpeg1video": 31.0, "vp9": 255.0}


def exported_strength(codec: str, qp: float) -> float | None:
    """Mean quantizer of a picture on its codec's own scale -> strength in [0, 1]; None where it is not known.

    0 for codecs that lose nothing.
    """
    if codec in _LOSSLESS:
        return 0.0
    span = _SPAN.get(codec)
    return None if span is None or math.isnan(qp) else min(1.0, max(0.0, qp / span))


def tells_strength(codec: str) -> bool:
    """Whether software decoders tell the quantizers of `codec`, or it loses nothing."""
    return codec in _LOSSLESS or codec in _SPAN


def jpeg_strength(luma_table: Sequence[int]) -> float:
    """The quantization table of a JPEG's luma, 64 steps row by row -> strength in [0, 1].

    From the geometric mean of the steps over the lowest 3x3 frequencies without DC. Steps of orthonormal transforms compare
    (H.264's is 0.625 * 2^(QP / 6)), but the network, which knows video codecs with filters at their block edges, must be
    told more of JPEG: the lines were fitted to what gives the least error on 24 training photographs at qualities 25 to 97.
    """
    steps = [max(1, luma_table[8 * row + column]) for row in range(3) for column in range(3) if row or column]
    octaves = sum(math.log2(step / 0.625) for step in steps) / len(steps)
    return min(1.0, max(0.0, min(0.25 * octaves - 0.05, 0.15 * octaves + 0.13)))


class Steady:
    """A running mean: of all values at first, of about the last seven later."""

    def __init__(self) -> None:
        self._mean, self._count = 0.0, 0

    def next(self, value: float) -> float:
        past = min(_SLOWNESS, self._count / (self._count + 1))
        self._mean = past * self._mean + (1 - past) * value
        self._count += 1
        return self._mean


class StrengthTrack:
    """A running mean over the pictures of a segment, in display order."""

    def __init__(self, enlarger: Enlarger) -> None:
        self._enlarger = enlarger
        self.restart()

    def restart(self) -> None:
        """Forgets the past: a segment's result does not depend on where the run before it began."""
        self._steady = Steady()
        self._mean: float | None = None
        self._since = 0

    def next(self, planes: Planes, exported: float | None) -> float:
        """The strength of the next picture (N = 1); 0 where the enlarger does not use it."""
        if not self._enlarger.uses_strength:
            return 0.0
        found = exported
        if found is None:
            if self._mean is not None and self._since < _ESTIMATE_EVERY:
                self._since += 1
                return self._mean
            self._since = 1
            with torch.no_grad():
                luma = _middle(planes.y).to(torch.float32) / ((1 << planes.bit_depth) - 1)
                found = float(self._enlarger.estimate(luma)[0])
        self._mean = self._steady.next(found)
        return self._mean


def _middle(luma: Tensor) -> Tensor:
    """The middle of the picture, from a row and column where blocks of 8 begin."""
    top, left = (max(0, (s - c) // 16 * 8) for s, c in zip(luma.shape[2:], _CROP, strict=True))
    return luma[:, :, top : top + _CROP[0], left : left + _CROP[1]]
