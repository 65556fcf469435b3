"""Ringing: waves beside strong edges, left by coarse coding, steep filters and oversharpening."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, Bytes, is_small, luma8, turned
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_REACH = 4  # px to each side that an edge's rise is measured over
_RISE = 60  # levels: a strong edge
_NEAR = (3, 10)  # px from the edge: where it rings
_FAR = (11, 18)  # px from the edge: what the surface does by itself
_CALM = 0.12  # of the rise: wave that the surface may have by itself
_LINE = 0.35  # of the rise: what leaves the surface further is another line, not a wave
_EDGES = 1500  # looked at in each direction
_LEAST_EDGES = 40
_RINGS = 0.12  # of the rise: textured pictures reach 0.11
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 0.9  # two samples


class Ringing(Detector):
    """How far the picture swings to and fro beside strong edges, more than it does further away, in shares of the edge.

    The swing is the total variation over 7 px less the net change, so that a soft but smooth slope has none; the measure is
    the median over strong edges with a calm surface on that side. Native luma, twice a second.
    severity  0.3 at 12 % of the edge to 1 at half of it
    """

    spec = Spec(
        name="ringing",
        version=1,
        summary="waves beside strong edges",
        outputs=(
            Column(
                "ringing", "float32", "1", "swing beside strong edges, share of the edge; null without such edges",
                minimum=-1, maximum=10, nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="perceptual ringing beside edges as Liu, Klomp & Heynderickx 2010; Marziliano et al. 2004",
        cost_ms=15.0,
        kinds=("ringing",),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        luma = luma8(batch)
        return {"ringing": np.full(len(luma), np.nan) if is_small(batch) else np.array([ringing(y) for y in luma])}

    def judge(self, track: Track) -> list[Finding]:
        swing = np.nan_to_num(track["ringing"])
        found = []
        for first, stop in track.spans(swing >= _RINGS, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            worst = first + int(swing[first:stop].argmax())
            level = float(np.median(swing[first:stop]))
            severity, sure = 0.3 + 0.7 * ramp(level, _RINGS, 0.5), 0.5 + 0.5 * ramp(level, _RINGS, 2 * _RINGS)
            message = f"edges ring: waves beside them swing by {100 * level:.0f} % of the edge"
            found.append(
                Finding("ringing", track.start[first], track.end[stop - 1], severity, sure, track.start[worst], message)
            )
        return found


def ringing(luma: Bytes) -> float:
    """The measure of (H, W) luma; NaN with fewer than forty usable edges."""
    swings = np.concatenate([_swings(luma), _swings(turned(luma))])
    return float(np.clip(np.median(swings), -1, 10)) if len(swings) >= _LEAST_EDGES else float("nan")


def _swings(luma: Bytes) -> NDArray[np.float64]:
    """The excess swing at strong edges across the rows, on each side that is calm further away."""
    rise = cv2.absdiff(np.ascontiguousarray(luma[:, 2 * _REACH :]), np.ascontiguousarray(luma[:, : -2 * _REACH]))
    margin = _FAR[1] - _REACH + 1
    inner = rise[:, margin : rise.shape[1] - margin]
    if inner.shape[1] < 1:
        return np.zeros(0)
    # the middle of an edge rises more than its neighbours
    peak = (
        (inner >= _RISE)
        & (inner >= rise[:, margin - 1 : -margin - 1])
        & (inner > rise[:, margin + 1 : rise.shape[1] - margin + 1])
    )
    rows, columns = np.nonzero(peak)
    if len(rows) > _EDGES:
        chosen = np.linspace(0, len(rows) - 1, _EDGES).astype(int)
        rows, columns = rows[chosen], columns[chosen]
    centre, height = columns + margin + _REACH, rise[rows, columns + margin].astype(np.float64)
    both = np.concatenate([_side(luma, rows, centre, sign) / height[:, None] for sign in (1, -1)])
    usable = (both[:, 1] <= _CALM) & (both[:, 2] <= _LINE)
    return both[usable, 0] - both[usable, 1]


def _side(luma: Bytes, rows: NDArray[np.intp], centre: NDArray[np.intp], sign: int) -> NDArray[np.float64]:
    """(edges, 3) swing near the edge, swing further away, and how far what is near leaves what is further away; levels."""
    near, far = (
        luma[rows[:, None], centre[:, None] + sign * np.arange(first, last + 1)].astype(np.float64)
        for first, last in (_NEAR, _FAR)
    )
    swings = [np.abs(np.diff(v, axis=1)).sum(axis=1) - np.abs(v[:, -1] - v[:, 0]) for v in (near, far)]
    leaves = np.abs(near - far.mean(axis=1, keepdims=True)).max(axis=1)
    return np.stack([*swings, leaves], axis=1)
