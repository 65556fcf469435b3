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
_LEAST_EDGES = 60
_RINGS = 0.09  # of the rise
_WAVE = 0.2  # of the rise: swing of the mean over all edges, which texture lacks and waves have
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 1.4  # three samples


class Ringing(Detector):
    """How far the picture swings to and fro beside strong edges, more than it does further away, in shares of the edge.

    The swing is the total variation over 7 px less the net change, so that a soft but smooth slope has none; the measure is
    the median over strong edges with a calm surface on that side. Waves also keep step: the mean of all edges' surroundings,
    signed by the edge, must swing by 20 %, for 1.5 s. Native luma, twice a second.

    Finds strong ringing only: sharp photographs of fine texture swing as much as a moderately ringing picture does. Too weak
    to fail a file by: no shipped profile uses it.
    severity  0.3 at 9 % of the edge to 1 at half of it
    """

    spec = Spec(
        name="ringing",
        version=3,
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
        both = np.array([(np.nan, np.nan) if is_small(batch) else swings(y) for y in luma])
        return {"ringing": both[:, 0], "wave": both[:, 1]}

    def judge(self, track: Track) -> list[Finding]:
        swing = np.nan_to_num(track["ringing"])
        flags = (swing >= _RINGS) & (np.nan_to_num(track["wave"]) >= _WAVE)
        found = []
        for first, stop in track.spans(flags, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            worst = first + int(swing[first:stop].argmax())
            level = float(np.median(swing[first:stop]))
            severity, sure = 0.3 + 0.7 * ramp(level, _RINGS, 0.5), 0.5 + 0.5 * ramp(level, _RINGS, 2 * _RINGS)
            message = f"edges ring: waves beside them swing by {100 * level:.0f} % of the edge"
            found.append(
                Finding("ringing", track.start[first], track.end[stop - 1], severity, sure, track.start[worst], message)
            )
        return found


def swings(luma: Bytes) -> tuple[float, float]:
    """(median swing, swing of the mean) of (H, W) luma, in shares of the edge; NaN with fewer than sixty usable edges."""
    sides = np.concatenate([_sides(luma), _sides(turned(luma))])
    if len(sides) < _LEAST_EDGES:
        return float("nan"), float("nan")
    mean = sides[:, 1:].mean(axis=0)
    wave = np.abs(np.diff(mean)).sum() - abs(mean[-1] - mean[0])
    return float(np.clip(np.median(sides[:, 0]), -1, 10)), float(wave)


def _sides(luma: Bytes) -> NDArray[np.float64]:
    """(sides, 9) at strong edges across the rows, each side that is calm further away, in shares of the edge.

    Columns: the excess swing, then how the 8 px near the edge leave what lies further away, up on the brighter side.
    """
    rise = cv2.absdiff(np.ascontiguousarray(luma[:, 2 * _REACH :]), np.ascontiguousarray(luma[:, : -2 * _REACH]))
    margin = _FAR[1] - _REACH + 1
    inner = rise[:, margin : rise.shape[1] - margin]
    if inner.shape[1] < 1:
        return np.zeros((0, 2 + _NEAR[1] - _NEAR[0]))
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
    return np.concatenate([_side(luma, rows, centre, height, sign) for sign in (1, -1)])


def _side(
    luma: Bytes, rows: NDArray[np.intp], centre: NDArray[np.intp], height: NDArray[np.float64], sign: int
) -> NDArray[np.float64]:
    """`_sides` of one side of the edges."""
    near, far = (
        luma[rows[:, None], centre[:, None] + sign * np.arange(first, last + 1)] / height[:, None]
        for first, last in (_NEAR, _FAR)
    )
    close, away = (np.abs(np.diff(v, axis=1)).sum(axis=1) - np.abs(v[:, -1] - v[:, 0]) for v in (near, far))
    here, there = (luma[rows, centre + s * sign * _REACH].astype(np.int16) for s in (1, -1))
    leaves = near - far.mean(axis=1, keepdims=True)
    usable = (away <= _CALM) & (np.abs(leaves).max(axis=1) <= _LINE)
    signed = leaves * np.sign(here - there)[:, None]
    return np.concatenate([(close - away)[:, None], signed], axis=1)[usable]
