"""Upscaled pictures: the true resolution is below the stated one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, SMALLEST, Bytes, luma8, turned
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Column, Spec, Table

_LENGTH = 256  # samples of a line that are transformed
_LINES = 64  # a picture and direction
_WITHIN = 0.95  # of the whitened spectrum
_NATURAL = 0.475  # cycles a sample: where a spectrum falling with 1/f^2 holds 95 % of it
_LOWEST = 0.02  # cycles a sample: below it is shading, not detail
_FLOOR_VARIANCE = 0.3  # levels squared: rounding and coding noise, which is white
_DETAIL = 6.0  # levels of deviation along a line: less says nothing
_UPSCALED = 0.62  # share of the stated resolution
_QUANTILE = 80
_LEAST_SAMPLES = 2


class Upscaled(Detector):
    """The share of the stated width and height that the pictures' detail fills.

    Natural pictures have spectra that fall with about 1/f^2. The frequency below which the spectrum times f^2 holds 95 % of
    its sum, against the one of a natural picture, is the share; the sharpest fifth of the samples decides (native luma, two a
    second). Enlarging by 2 gives about 0.5. Pictures that were blurred or coded very coarsely have lost the same detail.
    kind      "upscaled": the whole file, where the share is under 0.62
    severity  0.2 at 0.62 to 0.8 at 0.25
    """

    spec = Spec(
        name="upscaled",
        version=1,
        summary="pictures whose true resolution is below the stated one",
        outputs=(
            Column("detail_share", "float32", "1", "share of the stated resolution that detail fills; null if flat",
                   minimum=0, maximum=2, nullable=True),
            Column("effective_height", "float64", "px", "height that the detail would fill; null without detail", Table.FILES,
                   minimum=0, nullable=True),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="natural spectra: Field 1987; cut-off as Katsavounidis, Aaron & Ronca 2015, native resolution detection",
        cost_ms=4.0,
        kinds=("upscaled",),
    )  # fmt: skip

    def start(self, media: MediaInfo) -> None:
        stream = media.main_video
        self._size = (stream.width, stream.height) if stream else (0, 0)

    def reset(self) -> None:
        self._size = (0, 0)

    def measure(self, batch: FrameBatch) -> Measures:
        return {"detail_share": np.array([detail_share(y) for y in luma8(batch)])}

    def judge(self, track: Track) -> list[Finding]:
        share = usual_share(track)
        if share is None or share >= _UPSCALED:
            return []
        width, height = self._size
        message = f"detail fills about {round(share * width)}x{round(share * height)} of the stated {width}x{height}"
        confidence = 0.5 + 0.5 * ramp(share, _UPSCALED, 0.4)
        best = int(np.nanargmax(track["detail_share"]))
        severity = 0.2 + 0.6 * ramp(share, _UPSCALED, 0.25)
        return [Finding("upscaled", track.start[0], track.end[-1], severity, confidence, track.start[best], message)]

    def facts(self, track: Track) -> Mapping[str, Any]:
        share = usual_share(track)
        return {"effective_height": None if share is None else min(share, 1.0) * self._size[1]}


def usual_share(track: Track) -> float | None:
    """The file's share; None with fewer than two samples of detail."""
    known = track["detail_share"][~np.isnan(track["detail_share"])]
    return float(np.percentile(known, _QUANTILE)) if len(known) >= _LEAST_SAMPLES else None


def detail_share(luma: Bytes) -> float:
    """The share for (H, W) luma; NaN for small and flat pictures."""
    if min(luma.shape) < 2 * SMALLEST:
        return float("nan")
    shares = [_share(luma), _share(turned(luma))]
    return float(np.mean(shares))


def _share(luma: Bytes) -> float:
    length = min(_LENGTH, luma.shape[1] // 2 * 2)
    left = (luma.shape[1] - length) // 2
    rows = np.linspace(0, luma.shape[0] - 1, min(_LINES, luma.shape[0])).astype(int)
    lines = luma[rows, left : left + length].astype(np.float32)
    lines -= lines.mean(axis=1, keepdims=True)
    lines = lines[lines.std(axis=1) >= _DETAIL]
    if len(lines) < 8:
        return float("nan")
    power = (np.abs(np.fft.rfft(lines * _window(length), axis=1)) ** 2).mean(axis=0)
    frequency = np.arange(len(power)) / length
    floor = _FLOOR_VARIANCE * float((_window(length) ** 2).sum())
    white = (np.maximum(power - floor, 0.0) * frequency**2)[frequency >= _LOWEST]
    if not white.any():
        return float("nan")
    whole = white.cumsum() / white.sum()
    within = int(np.searchsorted(whole, _WITHIN))
    return float(frequency[frequency >= _LOWEST][within] / _NATURAL)


@lru_cache(maxsize=4)
def _window(length: int) -> NDArray[np.float32]:
    return np.hanning(length).astype(np.float32)
