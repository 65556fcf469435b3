"""Noise and grain: the fine fluctuation that is left where the picture is flat, and that no two pictures share."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import PAIRS, Bytes, is_small, luma8, previous8
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_BLOCK = 16
_DARK, _BRIGHT = 32, 220  # block means beyond which noise is clipped or crushed
_FLAT_PERCENTILE = 10
_LEAST_BLOCKS = 12
_TILE, _TILE_LINES = (
    32,
    360,
)  # px: of the tiles looked for in the picture before, for so many lines; larger in larger ones
_FLAT_TILES = 25  # per cent of the tiles, the flattest, that are compared
_LEAST_TILES, _MOST_TILES = 4, 48
_NOISY = 3.0  # levels
_ALIKE = 0.3  # greatest correlation with the picture before: noise has 0.16 to 0.22, texture 0.35 or more
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 1.4  # three samples


class Noise(Detector):
    """Standard deviation of noise by Immerkaer's mask, in the flattest tenth of the picture's 16x16 blocks.

    Blocks near black and white are left out. Texture that fills nine tenths of the picture raises the measure as well, but
    moves with the picture: where there are 3 levels or more, the flattest quarter of 32x32 tiles (in proportion for more
    than 360 lines) is looked for in the picture before, by cross-correlation of what the mask leaves. Only what correlates
    by less than 0.3 at its best place is noise. Noise that stands still, in repeated pictures, is not told from texture.
    Native luma, twice a second, on the scale of 8 bits.
    severity  0.2 at 3 levels to 1 at 15; whether grain is wanted is for the viewer to say
    """

    spec = Spec(
        name="noise",
        version=4,
        summary="noise and grain",
        outputs=(
            Column(
                "noise_sigma", "float32", "8-bit code value",
                "standard deviation of noise where the picture is flat; null where no block is neither black nor white",
                minimum=0, maximum=255, nullable=True,
            ),
        ),
        need=PAIRS,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="Immerkaer 1996, Fast noise variance estimation; independence from picture to picture: ours",
        cost_ms=10.0,
        kinds=("noise",),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        luma = luma8(batch)
        sigma = np.full(len(luma), np.nan) if is_small(batch) else np.array([noise_sigma(y) for y in luma])
        alike = np.ones(len(luma))
        if (sigma >= _NOISY).any():
            before = previous8(batch)
            for i in np.flatnonzero(sigma >= _NOISY):
                alike[i] = likeness(luma[i], before[i])
        return {"noise_sigma": sigma, "alike": alike}

    def judge(self, track: Track) -> list[Finding]:
        sigma = np.nan_to_num(track["noise_sigma"])
        flags = (sigma >= _NOISY) & (track["alike"] < _ALIKE)
        found = []
        for first, stop in track.spans(flags, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            noisy = first + np.flatnonzero(flags[first:stop])
            worst = int(noisy[sigma[noisy].argmax()])
            level = float(np.median(sigma[noisy]))
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


def likeness(luma: Bytes, before: Bytes) -> float:
    """Greatest correlation of fine detail with the picture before, -1..1: the median over the flattest tiles.

    Each tile is moved over its own place in the picture before, cyclically. 1 with fewer than four tiles that are neither
    dark nor bright.
    """
    side = _TILE * max(1, round(luma.shape[0] / _TILE_LINES))
    level = _tiles(luma, side).mean(axis=(1, 2))
    now = _tiles(cv2.filter2D(luma, cv2.CV_32F, _MASK), side)
    usable = np.flatnonzero((level >= _DARK) & (level <= _BRIGHT))
    if len(usable) < _LEAST_TILES:
        return 1.0
    flattest = usable[np.argsort(np.abs(now[usable]).mean(axis=(1, 2)))]
    chosen = flattest[: min(max(_LEAST_TILES, len(usable) * _FLAT_TILES // 100), _MOST_TILES)]
    now, then = now[chosen], _tiles(cv2.filter2D(before, cv2.CV_32F, _MASK), side)[chosen]
    crossed = np.fft.irfft2(np.fft.rfft2(now) * np.fft.rfft2(then).conj(), s=(side, side))
    energy = np.sqrt((now**2).sum(axis=(1, 2)) * (then**2).sum(axis=(1, 2)))
    return float(np.median(crossed.max(axis=(1, 2)) / np.maximum(energy, 1e-6)))


def _tiles(picture: NDArray, side: int) -> NDArray:
    """(tiles, side, side) of (H, W)."""
    rows, columns = picture.shape[0] // side, picture.shape[1] // side
    whole = picture[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return whole.transpose(0, 2, 1, 3).reshape(-1, side, side)
