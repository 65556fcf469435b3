"""Distorted frames that stand still while the reference moves: what a repeated frame looks like, before anything is aligned.

A repeated frame costs a coder nothing, so the picture hardly changes: 1 where the reference's step is 5, at CRF 24. How
much of the reference's motion an encode shows differs from file to file and is measured: the logarithm of the encode's step
over the reference's, its median and its spread (median absolute deviation) over the frames that go on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.path import PIXELS, Floats, Indices, Track

FROM = 2.5  # spreads below the median
EACH, MOST = 0.6, 2.0  # evidence a spread beyond that, and at most
_FLOOR = 0.5  # squared codes: steps below are rounding
_TELLS = 1.0  # squared codes: what the reference has to move by
_LEAST_SPREAD = 0.35
_LEAST_FRAMES = 10
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
    goes = ratio[tells & (np.diff(shown, prepend=shown[0]) > 0)]
    if len(goes) < _LEAST_FRAMES:
        return np.zeros(len(distorted), np.float32)
    middle = float(np.median(goes))
    spread = max(1.4826 * float(np.median(np.abs(goes - middle))), _LEAST_SPREAD)
    below = (middle - ratio) / spread - FROM
    return np.where(tells, np.clip(EACH * below, 0, MOST), 0).astype(np.float32)


def _steps(distorted: Track, reference: Track, shown: Indices, start: int) -> tuple[Floats, NDArray[np.float32]]:
    """Squared changes of distorted frames from `start` on, and the lesser one of the reference's to either side."""
    rows = slice(start - 1, min(start + _BLOCK, len(distorted)))
    moved = (np.diff(distorted.vectors(rows), axis=0) ** 2).sum(1) / PIXELS
    at, last = shown[rows][1:], len(reference) - 1
    here = reference.vectors(at)
    back = ((here - reference.vectors(np.maximum(at - 1, 0))) ** 2).sum(1) / PIXELS
    on = ((here - reference.vectors(np.minimum(at + 1, last))) ** 2).sum(1) / PIXELS
    return moved, np.where(at == 0, on, np.where(at == last, back, np.minimum(back, on)))
