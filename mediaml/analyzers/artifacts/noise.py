"""Noise and grain: the fine fluctuation that is left where the picture is flat."""

from __future__ import annotations

import cv2
import numpy as np

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, Bytes, is_small, luma8
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_BLOCK = 16
_DARK, _BRIGHT = 32, 220  # block means beyond which noise is clipped or crushed
_FLAT_PERCENTILE = 10
_LEAST_BLOCKS = 12
_NOISY = 6.0  # levels: fine texture that fills a picture reaches 4.6
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 1.4  # three samples


class Noise(Detector):
    """Standard deviation of noise by Immerkaer's mask, in the flattest tenth of the picture's 16x16 blocks.

    Blocks near black and white are left out. Texture raises the measure only where it fills nine tenths of the picture.
    Native luma, twice a second, on the scale of 8 bits.
    severity  0.2 at 6 levels to 1 at 15; whether grain is wanted is for the viewer to say
    """

    spec = Spec(
        name="noise",
        version=3,
        summary="noise and grain",
        outputs=(
            Column(
                "noise_sigma", "float32", "8-bit code value",
                "standard deviation of noise where the picture is flat; null where no block is neither black nor white",
                minimum=0, maximum=255, nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="Immerkaer 1996, Fast noise variance estimation",
        cost_ms=10.0,
        kinds=("noise",),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        luma = luma8(batch)
        return {
            "noise_sigma": np.full(len(luma), np.nan) if is_small(batch) else np.array([noise_sigma(y) for y in luma])
        }

    def judge(self, track: Track) -> list[Finding]:
        sigma = np.nan_to_num(track["noise_sigma"])
        found = []
        for first, stop in track.spans(sigma >= _NOISY, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            worst = first + int(sigma[first:stop].argmax())
            level = float(np.median(sigma[first:stop]))
            severity, sure = 0.2 + 0.8 * ramp(level, _NOISY, 15.0), 0.6 + 0.4 * ramp(level, _NOISY, 2 * _NOISY)
            message = f"noise or grain: standard deviation {level:.1f} of 255 levels where the picture is flat"
            found.append(
                Finding("noise", track.start[first], track.end[stop - 1], severity, sure, track.start[worst], message)
            )
        return found


def noise_sigma(luma: Bytes) -> float:
    """Levels; NaN where fewer than twelve 16x16 blocks of the (H, W) picture are neither dark nor bright."""
    rows, columns = luma.shape[0] // _BLOCK, luma.shape[1] // _BLOCK
    whole = luma[: rows * _BLOCK, : columns * _BLOCK]
    size = (columns, rows)
    level = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    detail = np.abs(cv2.filter2D(whole, cv2.CV_32F, _MASK))
    spread = cv2.resize(detail, size, interpolation=cv2.INTER_AREA)
    usable = spread[(level >= _DARK) & (level <= _BRIGHT)]
    if len(usable) < _LEAST_BLOCKS:
        return float("nan")
    return float(np.percentile(usable, _FLAT_PERCENTILE)) * float(np.sqrt(np.pi / 2)) / 6
