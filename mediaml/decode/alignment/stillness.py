"""Distorted frames that stand still while the reference moves: what a repeated frame looks like, before anything is aligned.

A repeated frame costs a coder nothing, so the picture hardly changes: 1 where the reference's step is 5, at CRF 24. How
much of the reference's motion an encode shows differs from file to file and is measured: the logarithm of the encode's step
over the reference's, its median and its spread (median absolute deviation) over the 25 frames nearby that go on.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.path import PIXELS, Floats, Indices, Track

FROM = 2.5  # spreads below the median
EACH, MOST = 0.6, 2.0  # evidence a spread beyond that, and at most
_FLOOR = 0.5  # squared codes: steps below are rounding
_TELLS = 1.0  # squared codes: what the reference has to move by
_LEAST_SPREAD = 0.35
_CUT = 20.0  # times the step before
_WINDOW = 25  # frames that go on, about each
_BLOCK = 1024


def stillness(distorted: Track, reference: Track, shown: Indices) -> Floats:
    """(M,) evidence, 0 to `MOST`, that a distorted frame shows what the one before shows; shown (M,): about which reference
    frame that is."""
    parts = [_steps(distorted, reference, shown, s) for s in range(1, len(distorted), _BLOCK)]
    if not parts:
        return np.zeros(len(distorted), np.float32)
    moved, expected = (np.concatenate([np.zeros(1, np.float32), *side]) for side in zip(*parts, strict=True))
    ratio = np.log(moved + _FLOOR) - np.log(expected + _FLOOR)
    tells = expected > _TELLS
    goes = np.flatnonzero(tells & (np.diff(shown, prepend=shown[0]) > 0))
    if len(goes) < _WINDOW:
        return np.zeros(len(distorted), np.float32)
    middle = _running_median(ratio[goes])
    off = _running_median(np.abs(ratio[goes] - middle))
    spread = np.maximum(1.4826 * np.maximum(off, np.median(off)), _LEAST_SPREAD)
    rows = np.arange(len(ratio))
    below = (np.interp(rows, goes, middle) - ratio) / np.interp(rows, goes, spread) - FROM
    return np.where(tells, np.clip(EACH * below, 0, MOST), 0).astype(np.float32)


def _running_median(of: Floats) -> Floats:
    padded = np.pad(of, _WINDOW // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1)


def _steps(distorted: Track, reference: Track, shown: Indices, start: int) -> tuple[Floats, NDArray[np.float32]]:
    """Squared changes of distorted frames from `start` on, and the lesser one of the reference's to either side; 0 before a
    cut, where coders spare the last frames."""
    rows = slice(start - 1, min(start + _BLOCK, len(distorted)))
    moved = (np.diff(distorted.vectors(rows), axis=0) ** 2).sum(1) / PIXELS
    at, last = shown[rows][1:], len(reference) - 1
    pictures = [reference.vectors(np.clip(at + k, 0, last)) for k in (-1, 0, 1, 2)]
    back, on, later = (((b - a) ** 2).sum(1) / PIXELS for a, b in pairwise(pictures))
    least = np.where(at == 0, on, np.where(at == last, back, np.minimum(back, on)))
    return moved, np.where(np.maximum(on, later) > _CUT * np.maximum(least, _TELLS), 0, least)
