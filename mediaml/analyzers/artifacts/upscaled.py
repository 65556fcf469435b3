"""Upscaled pictures: the true resolution is below the stated one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, SMALLEST, Bytes, luma8
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Column, Spec, Table

FACTORS = (1.5, 2.0, 3.0)
_CROP = (544, 960)  # rows and columns of the picture's middle that are looked at
_LOSS = 0.355  # of what shrinking twice as far loses: less is lost only where there was nothing to lose
_DETAIL = 1.0  # levels that shrinking six-fold must lose: flat pictures say nothing
_QUANTILE = 80
_LEAST_SAMPLES = 2


class Upscaled(Detector):
    """Whether the pictures survive being made smaller: one that was enlarged does.

    A picture is shrunk by a factor (by areas) and enlarged again (bicubic). What that loses, as RMS, is compared with what
    twice the factor loses: natural pictures lose 0.45 to 0.6 of it at any factor, enlarged ones 0.2 to 0.37 at about the
    factor that they were enlarged by (1.5, 2 and 3 are tried). Native luma, twice a second; the sharpest fifth of the samples
    decides. Pictures that were blurred have lost the same detail.

    kind      "upscaled": the whole file, where the loss is under 0.355
    severity  0.28 for 1.5, 0.37 for 2, 0.53 for 3
    """

    spec = Spec(
        name="upscaled",
        version=2,
        summary="pictures whose true resolution is below the stated one",
        outputs=(
            Column("shrink_loss", "float32", "1", "least loss by shrinking, against shrinking twice as far; null if flat",
                   minimum=0, maximum=10, nullable=True),
            Column("shrink_factor", "float32", "1", "the factor at which that is: 1.5, 2 or 3; null if flat",
                   minimum=1.5, maximum=3, nullable=True),
            Column("effective_height", "float64", "px", "height that the detail would fill; null without detail", Table.FILES,
                   minimum=0, nullable=True),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="self-similar pictures: Field 1987; aim: Katsavounidis, Aaron & Ronca 2015, native resolution detection",
        cost_ms=25.0,
        kinds=("upscaled",),
    )  # fmt: skip

    def start(self, media: MediaInfo) -> None:
        stream = media.main_video
        self._size = (stream.width, stream.height) if stream else (0, 0)

    def reset(self) -> None:
        self._size = (0, 0)

    def measure(self, batch: FrameBatch) -> Measures:
        both = np.array([shrink_loss(y) for y in luma8(batch)])
        return {"shrink_loss": both[:, 0], "shrink_factor": both[:, 1]}

    def judge(self, track: Track) -> list[Finding]:
        factor = usual_factor(track)
        if factor is None or factor <= 1:
            return []
        width, height = self._size
        loss = np.nan_to_num(track["shrink_loss"], nan=1.0)
        message = (
            f"enlarged about {factor:g} times: detail fills {round(width / factor)}x{round(height / factor)} of the stated "
            f"{width}x{height}"
        )
        level = float(np.nanpercentile(track["shrink_loss"], _QUANTILE))
        severity, confidence = 0.2 + 0.5 * ramp(factor, 1.0, 4.0), 0.5 + 0.5 * ramp(level, _LOSS, 0.25)
        worst = int(loss.argmin())
        return [Finding("upscaled", track.start[0], track.end[-1], severity, confidence, track.start[worst], message)]

    def facts(self, track: Track) -> Mapping[str, Any]:
        factor = usual_factor(track)
        return {"effective_height": None if factor is None else self._size[1] / factor}


def usual_factor(track: Track) -> float | None:
    """By how much the file was enlarged, 1 for not at all; None with fewer than two samples of detail."""
    known = ~np.isnan(track["shrink_loss"])
    if known.sum() < _LEAST_SAMPLES:
        return None
    loss, factor = track["shrink_loss"][known], track["shrink_factor"][known]
    return 1.0 if np.percentile(loss, _QUANTILE) >= _LOSS else float(np.median(factor))


def shrink_loss(luma: Bytes) -> tuple[float, float]:
    """(least ratio, its factor) for (H, W) luma; NaN for small and flat pictures."""
    if min(luma.shape) < 2 * SMALLEST:
        return float("nan"), float("nan")
    top, left = (max(0, (full - part) // 2) for full, part in zip(luma.shape, _CROP, strict=True))
    picture = luma[top : top + _CROP[0], left : left + _CROP[1]].astype(np.float32)
    lost = {factor: _lost(picture, factor) for factor in sorted({*FACTORS, *(2 * f for f in FACTORS)})}
    if lost[2 * FACTORS[-1]] < _DETAIL:
        return float("nan"), float("nan")
    ratios = {factor: lost[factor] / max(lost[2 * factor], 1e-6) for factor in FACTORS}
    best = min(ratios, key=lambda f: ratios[f])
    return min(ratios[best], 10.0), best


def _lost(picture: NDArray[np.float32], factor: float) -> float:
    """RMS, levels, of what shrinking by `factor` loses."""
    height, width = picture.shape
    small = cv2.resize(picture, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
    again = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return float(cv2.norm(picture, again, cv2.NORM_L2) / np.sqrt(picture.size))
