"""What a path between two files means: frames without a counterpart, losses, repeats, the cadence of a rate conversion."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment_path import Path, Track, comparable, correlation, local_motion

Cadence = Literal["same", "repeats", "drops", "3:2 pull-down", "variable"]
_POOR = 0.8  # correlation below which a frame is no likeness of its reference
_WORSE = 4.0  # times the usual distance: at an end of the reference, another picture than the one it is held against
_INSERT_SECONDS = 1.0
Indices = NDArray[np.int64]


def drop_unmatched(distorted: Track, reference: Track, path: Path) -> Indices:
    """path.index with -1 for distorted frames that the reference does not have.

    At the ends: frames held against the reference's first or last picture that differ from it. Poor likenesses elsewhere
    are kept, placed by time (a broken picture is to be scored as broken), unless the reference stands still for a second
    or more meanwhile: then they are an insert.
    """
    index = path.index.copy()
    poor = _poor(distorted, reference, path)
    usual = float(np.median(path.distance[~poor])) if (~poor).any() else path.noise
    good = np.flatnonzero(~poor)
    if not len(good):
        return np.full(len(index), -1, np.int64)
    motion = local_motion(comparable(distorted, reference)[1])
    others = [
        poor | (path.distance > min(_WORSE * max(usual, path.noise), 1.5 * usual + 0.5 * float(motion[end])))
        for end in (0, -1)
    ]
    _trim(index, (others[0], others[1]), len(reference) - 1)
    _place_runs(distorted, reference, index, poor)
    return index


def _poor(distorted: Track, reference: Track, path: Path) -> NDArray[np.bool_]:
    alike = correlation(distorted, reference, path.index)
    flat = np.isnan(alike)
    return np.where(flat, path.distance > 150, alike < _POOR)


def _trim(index: Indices, others: tuple[NDArray[np.bool_], NDArray[np.bool_]], last: int) -> None:
    """Distorted frames before the reference's first and after its last picture."""
    for i, following in pairwise(range(len(index))):
        if not (index[i] == 0 and index[following] == 0 and others[0][i]):
            break
        index[i] = -1
    for i, before in pairwise(range(len(index) - 1, -1, -1)):
        if not (index[i] == last and index[before] == last and others[1][i]):
            break
        index[i] = -1


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
    if repeats > 0.1:
        return "repeats"
    return "drops" if drops > 0.1 else "same"


def _four_of_five(steps: Indices) -> bool:
    """Whether five distorted frames nearly always take four reference frames."""
    sums = np.convolve(steps, np.ones(5, np.int64), mode="valid")
    return bool(len(sums)) and float((sums == 4).mean()) > 0.8


def _uneven(track: Track) -> bool:
    gaps = np.diff(track.pts_seconds)
    return bool(len(gaps) > 2 and float((np.abs(gaps - np.median(gaps)) > 0.2 * np.median(gaps)).mean()) > 0.05)
