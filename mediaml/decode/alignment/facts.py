"""What a path between two files means: frames without a counterpart, losses, repeats, the cadence of a rate conversion."""

from __future__ import annotations

from math import ceil, floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.path import MOTION_FLOOR, Path, Track, comparable, correlation, local_motion

Cadence = Literal["same", "repeats", "drops", "3:2 pull-down", "variable"]
_POOR = 0.8  # correlation below which a frame is no likeness of its reference
_TELLS, _REPEATS = (
    0.3,
    0.3,
)  # a step of motion over the coding error; the part of a step by which a repeated frame may differ
_MOST_REPEATED = 2
_INSERT_SECONDS = 1.0
_SAME_RATE = 0.005
Indices = NDArray[np.int64]


def drop_unmatched(distorted: Track, reference: Track, path: Path) -> Indices:
    """path.index with -1 for distorted frames that the reference does not have.

    At the ends: frames of times at which the reference has none. Poor likenesses elsewhere are kept, placed by time (a broken
    picture is to be scored as broken), unless the reference stands still for a second or more meanwhile: then they are an
    insert.
    """
    index = path.index.copy()
    poor = _poor(distorted, reference, path)
    good = np.flatnonzero(~poor)
    if not len(good):
        return np.full(len(index), -1, np.int64)
    _leave_out(distorted, reference, path, index, poor)
    _place_runs(distorted, reference, index, poor)
    return index


def _poor(distorted: Track, reference: Track, path: Path) -> NDArray[np.bool_]:
    alike = correlation(distorted, reference, path.index)
    flat = np.isnan(alike)
    return np.where(flat, path.distance > 150, alike < _POOR)


def _leave_out(distorted: Track, reference: Track, path: Path, index: Indices, poor: NDArray[np.bool_]) -> None:
    """Distorted frames of times at which the reference has none become -1, unless they all plainly repeat its end frame: in a
    moving scene it fits them as well as the last one that has a time; or it is one frame of a rate conversion, whose phase is
    known to a part of a frame only. What takes longer than `_MOST_REPEATED` frames is no repeat: the reference ends."""
    if path.outside is None or not path.outside.any():
        return
    inside = np.flatnonzero(~path.outside)
    if not len(inside):
        index[:] = -1
        return
    motion = local_motion(comparable(distorted, reference)[1])
    for rows, end, beside in (
        (np.arange(0, inside[0]), 0, inside[0]),
        (np.arange(inside[-1] + 1, len(index)), len(reference) - 1, inside[-1]),
    ):
        step = float(motion[end]) - MOTION_FLOOR
        usual = float(path.distance[beside])
        tells = index[beside] == end and step > _TELLS * usual
        rounded = len(rows) == 1 and _resampled(distorted, reference)
        away = np.abs(distorted.pts_seconds[rows] - distorted.pts_seconds[beside]).max(initial=0)
        beyond = away / reference.period_seconds
        repeats = (path.distance[rows] - usual < _REPEATS * max(step, usual if rounded else 0)) & ~poor[rows]
        if beyond > _MOST_REPEATED + 0.5 or not ((tells or rounded) and repeats.all()):
            index[rows] = -1
    index[np.flatnonzero(path.outside & (index >= 0) & poor)] = -1


def _resampled(distorted: Track, reference: Track) -> bool:
    ratio = distorted.period_seconds / reference.period_seconds
    return abs(ratio - round(ratio)) > _SAME_RATE


def _place_runs(distorted: Track, reference: Track, index: Indices, poor: NDArray[np.bool_]) -> None:
    """Poor likenesses: an insert or a lead-in becomes -1; a damaged stretch takes the reference frames of its time."""
    good = np.flatnonzero(~poor & (index >= 0))
    if not len(good):
        return
    lag = reference.pts_seconds[index] - distorted.pts_seconds
    for start, stop in _runs(poor & (index >= 0)):
        before = good[good < start][-1:]
        after = good[good >= stop][:1]
        near = before if len(before) else after
        if len(before) and len(after):
            spent = distorted.pts_seconds[after[0]] - distorted.pts_seconds[before[0]]
            covered = reference.pts_seconds[index[after[0]]] - reference.pts_seconds[index[before[0]]]
            if spent - covered > _INSERT_SECONDS:
                index[start:stop] = -1
                continue
            at = np.interp(np.arange(start, stop), [before[0], after[0]], lag[[before[0], after[0]]])
        else:
            at = np.full(stop - start, lag[near[0]])
        index[start:stop] = _at_time(reference, distorted.pts_seconds[start:stop] + at)


def _at_time(reference: Track, seconds: NDArray[np.float64]) -> Indices:
    """The reference frame nearest to each time; -1 beyond its ends by more than half a frame."""
    times, period = reference.pts_seconds, reference.period_seconds
    right = np.clip(np.searchsorted(times, seconds), 1, max(1, len(times) - 1))
    if len(times) == 1:
        nearest = np.zeros(len(seconds), np.int64)
    else:
        nearest = np.where(seconds - times[right - 1] < times[right] - seconds, right - 1, right)
    outside = (seconds < times[0] - 0.6 * period) | (seconds > times[-1] + 0.6 * period)
    return np.where(outside, -1, nearest)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def count_faults(distorted: Track, reference: Track, index: Indices) -> tuple[int, int]:
    """(dropped, repeated) reference frames beyond what the ratio of the usual frame distances explains."""
    steps = np.diff(index[index >= 0])
    expected = distorted.period_seconds / reference.period_seconds
    most, least = max(1, ceil(expected - 0.02)), floor(expected + 0.02)
    return int(np.maximum(0, steps - most).sum()), int(np.maximum(0, least - steps).sum())


def cadence(distorted: Track, reference: Track, index: Indices) -> Cadence:
    """How the frames of the one follow those of the other."""
    steps = np.diff(index[index >= 0])
    if len(steps) < 10:
        return "same"
    if _uneven(distorted) and not _uneven(reference):
        return "variable"
    repeats, drops = float((steps == 0).mean()), float((steps > 1).mean())
    film = abs(reference.period_seconds * 24 - 1) < 0.02 and abs(distorted.period_seconds * 30 - 1) < 0.02
    if film and 0.15 < repeats < 0.25 and _four_of_five(steps):
        return "3:2 pull-down"
    expected = distorted.period_seconds / reference.period_seconds  # a conversion from 24 to 25 repeats one frame in 25
    if repeats > min(0.1, 0.5 * (1 - expected) if expected < 0.99 else 0.1):
        return "repeats"
    return "drops" if drops > min(0.1, 0.5 * (expected - 1) if expected > 1.01 else 0.1) else "same"


def _four_of_five(steps: Indices) -> bool:
    """Whether five distorted frames nearly always take four reference frames."""
    sums = np.convolve(steps, np.ones(5, np.int64), mode="valid")
    return bool(len(sums)) and float((sums == 4).mean()) > 0.8


def _uneven(track: Track) -> bool:
    gaps = np.diff(track.pts_seconds)
    return bool(len(gaps) > 2 and float((np.abs(gaps - np.median(gaps)) > 0.2 * np.median(gaps)).mean()) > 0.05)
