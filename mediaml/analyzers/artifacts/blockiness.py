"""Blockiness: steps on the grid of the coder's blocks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, Bytes, is_small, luma8, turned
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

PERIODS = (8, 12, 16, 24)  # px: the 8x8 transform, and the same after enlarging by 1.5, 2 and 3
_EDGE = 48  # levels: larger steps are edges of the picture, not of blocks
_STEP = 0.5  # levels: visible steps on the grid, on average, from which on a picture is blocky
_CLEAR = 5.0  # times the scatter between the other positions of the grid
_EVEN = 0.5  # of the mean step that the median line of the grid must have: one line of the picture is no grid
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 1.4  # three samples


class Blockiness(Detector):
    """How much a picture steps on a regular grid more than beside it, on native luma twice a second.

    For each column, the mean of |step| minus the larger of its neighbours' |step|, where positive: a step within a flat
    surrounding. The columns are folded at periods of 8, 12, 16 and 24; the best position's excess over the others is the
    measure, averaged with that of the rows. The steps must lie on all of the grid: the median of its lines has at least half
    of the mean excess.
    severity  0.3 at half a level to 1 at three levels
    """

    spec = Spec(
        name="blockiness",
        version=3,
        summary="steps on the grid of coding blocks",
        outputs=(
            Column(
                "block_step", "float32", "8-bit code value", "mean visible step on the block grid; null for tiny pictures",
                minimum=0, maximum=255, nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="Muijs & Kirenko 2005, a no-reference blocking artifact measure; FFmpeg blockdetect",
        cost_ms=8.0,
        kinds=("blockiness",),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        if is_small(batch):
            nothing = np.full(len(batch), np.nan)
            return {"block_step": nothing, "clarity": nothing}
        both = np.array([grid_step(y) for y in luma8(batch)])
        return {"block_step": both[:, 0], "clarity": both[:, 1]}

    def judge(self, track: Track) -> list[Finding]:
        step = np.nan_to_num(track["block_step"])
        flags = (step >= _STEP) & (np.nan_to_num(track["clarity"]) >= _CLEAR)
        found = []
        for first, stop in track.spans(flags, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            worst = first + int(step[first:stop].argmax())
            usual = float(np.median(step[first:stop]))
            severity, sure = 0.3 + 0.7 * ramp(usual, _STEP, 3.0), 0.6 + 0.4 * ramp(usual, _STEP, 3 * _STEP)
            message = f"blocks show: steps of {usual:.1f} levels on the coder's grid"
            found.append(
                Finding(
                    "blockiness", track.start[first], track.end[stop - 1], severity, sure, track.start[worst], message
                )
            )
        return found


def grid_step(luma: Bytes) -> tuple[float, float]:
    """(levels, times the scatter): the mean step on the clearest grid of (H, W) luma, and how clear it is; 0 without one."""
    across, down = _profile(luma), _profile(turned(luma))
    best = (0.0, 0.0)
    for period in PERIODS:
        step, clarity, typical = (np.array(_folded(across, period)) + _folded(down, period)) / 2
        if clarity >= _CLEAR and step > best[0] and typical >= _EVEN * step:
            best = (float(step), float(clarity))
    return best if best[0] else (max(0.0, (_folded(across, 8)[0] + _folded(down, 8)[0]) / 2), 0.0)


def _profile(luma: Bytes) -> NDArray[np.float64]:
    """(W - 3,) mean isolated step between neighbouring columns."""
    steps = cv2.absdiff(np.ascontiguousarray(luma[:, 1:]), np.ascontiguousarray(luma[:, :-1]))
    beside = cv2.max(steps[:, 2:], steps[:, :-2])
    alone = cv2.subtract(steps[:, 1:-1], beside)
    _, alone = cv2.threshold(alone, _EDGE, 0, cv2.THRESH_TOZERO_INV)
    return cv2.reduce(alone, 0, cv2.REDUCE_AVG, dtype=cv2.CV_64F)[0]


def _folded(profile: NDArray[np.float64], period: int) -> tuple[float, float, float]:
    """(best position's excess over the mean of the others, that in their standard deviations, its lines' median excess)."""
    whole = len(profile) // period
    if whole < 3:
        return 0.0, 0.0, 0.0
    cells = profile[: whole * period].reshape(whole, period)
    means = cells.mean(axis=0)
    best = int(means.argmax())
    others = np.delete(means, best)
    excess = float(means[best] - others.mean())
    lines = cells[:, best] - np.delete(cells, best, axis=1).mean(axis=1)
    return excess, excess / (float(others.std()) + 0.02), max(0.0, float(np.median(lines)))
