"""Banding: gradients whose levels are missing, so that plateaus meet in visible steps."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, Bytes, is_small, luma8, turned
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_LINES = 360  # larger pictures are halved until their shorter side has at most so many
_MEDIAN = 3  # px: a coder's ripple of one level on a plateau goes, borders stay
_PLATEAU = 6  # px of one level on either side of a border
_BETWEEN = 3  # px at most that rise from one plateau to the next
_COARSE, _EDGE = 3, 12  # levels: smaller steps belong to any 8-bit gradient, larger ones are edges of the picture
_SHARE = 0.001  # of the picture: coarse borders, two pixels wide
_RATIO = 0.5  # coarse borders to fine ones: a sound gradient steps by one level, seldom by two
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 1.4  # three samples


class Banding(Detector):
    """Borders between plateaus of luma, on pictures of at most 360 lines after a median over 3x3 px, twice a second.

    A border lies where six pixels of one level meet six of another, along a row or a column, with at most three rising
    pixels between. Gradients of a sound 8-bit picture step by one level, now and then by two; in banded ones levels are
    missing. A picture is banded where borders of three to twelve levels lie on 0.1 % of it and are at least half as
    many as those of one or two levels. CAMBI, which is in `cambi`, counts steps of up to one 8-bit level at its defaults:
    it says how visible the quantisation of any gradient is, and falls where the bands get coarser.
    severity  0.3 where the steps are three levels to 1 at eight, in the mean
    """

    spec = Spec(
        name="banding",
        version=1,
        summary="bands in gradients",
        outputs=(
            Column(
                "band_share",
                "float32",
                "1",
                "share of the picture at borders between plateaus 3 to 12 levels apart; null for tiny pictures",
                minimum=0,
                maximum=1,
                nullable=True,
            ),
            Column(
                "band_ratio",
                "float32",
                "1",
                "such borders to those of 1 or 2 levels; above 0.5 levels are missing; null for tiny pictures",
                minimum=0,
                nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="plateaus and dyadic scales as in CAMBI (Tandon et al. 2021); the count of missing levels and limits ours",
        cost_ms=8.0,
        kinds=("banding",),
    )

    def measure(self, batch: FrameBatch) -> Measures:
        if is_small(batch):
            return dict.fromkeys(("band_share", "band_ratio", "step"), np.full(len(batch), np.nan))
        coarse, fine, step = np.array([contours(y) for y in luma8(batch)], np.float64).T
        return {"band_share": coarse, "band_ratio": coarse / np.maximum(fine, 1e-6), "step": step}

    def judge(self, track: Track) -> list[Finding]:
        share, ratio = (np.nan_to_num(track[name]) for name in ("band_share", "band_ratio"))
        flags = (share >= _SHARE) & (ratio >= _RATIO)
        found = []
        for first, stop in track.spans(flags, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            worst = first + int(share[first:stop].argmax())
            step, missing = float(np.nanmedian(track["step"][first:stop])), float(np.median(ratio[first:stop]))
            message = (
                f"bands: plateaus {step:.1f} levels apart, their borders on {100 * share[worst]:.1f} % of the picture"
            )
            severity, sure = 0.3 + 0.7 * ramp(step, _COARSE, 8.0), 0.5 + 0.5 * ramp(missing, _RATIO, 1.2)
            found.append(
                Finding("banding", track.start[first], track.end[stop - 1], severity, sure, track.start[worst], message)
            )
        return found


def contours(luma: Bytes) -> tuple[float, float, float]:
    """Shares of (H, W) luma at coarse and at fine borders, two pixels wide, and the mean step of the coarse in levels."""
    while min(luma.shape) > _LINES:
        luma = np.ascontiguousarray(luma[::2, ::2])
    luma = np.asarray(cv2.medianBlur(luma, _MEDIAN), np.uint8)
    steps = np.concatenate([_steps(luma), _steps(turned(luma))])
    coarse = steps[steps >= _COARSE]
    fine = len(steps) - len(coarse)
    mean = float(coarse.mean()) if len(coarse) else float("nan")
    return 2 * len(coarse) / luma.size, 2 * fine / luma.size, mean


def _steps(luma: Bytes) -> NDArray[np.uint8]:
    """The steps, 1 to 12 levels, of all borders along the rows."""
    equal = luma[:, 1:] == luma[:, :-1]
    flat = equal[:, : equal.shape[1] - _PLATEAU + 2].copy()  # flat[x]: luma[x : x + _PLATEAU] is a plateau
    for k in range(1, _PLATEAU - 1):
        flat &= equal[:, k : k + flat.shape[1]]
    found = [np.zeros(0, np.uint8)]
    for between in range(_BETWEEN + 1):
        right = _PLATEAU + between  # where the second plateau begins, from the first one's start
        places = np.flatnonzero(flat[:, :-right] & flat[:, right:])
        rows, columns = np.divmod(places, flat.shape[1] - right)
        left_level, right_level = luma[rows, columns], luma[rows, columns + right]
        low, high = np.minimum(left_level, right_level), np.maximum(left_level, right_level)
        step = high - low
        kept = (step >= 1) & (step <= _EDGE)
        for k in range(_PLATEAU, right):
            rising = luma[rows, columns + k]
            kept &= (rising > low) & (rising < high)
        found.append(step[kept])
    return np.concatenate(found)
