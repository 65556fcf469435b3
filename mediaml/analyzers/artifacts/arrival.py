"""How a picture that stands still has come: by a fade or a cut, or out of its own motion.

While a still picture fades in, each frame before it holds its detail at its own place, evenly weaker the earlier, and
equally weak everywhere. Motion that stops moves the detail instead: what of it is found in place differs from part to part
of the picture. So the detail of earlier frames is projected on the still one's, cell by cell. A cut changes the histogram far
more than the steps of the fastest motion before it do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.small_view import Bytes, Floats, histogram

LOOKS_BACK = 12  # frames
_CELLS = ((8, 6), (20, 12))  # across, down: large and small ones
_DETAIL = 5  # px: what is finer is detail
_FADED, _GONE = 0.1, 0.7  # of the detail that must be missing for a fade, and beyond which too little is left to tell
_ALIKE = 0.23, 0.42  # of what is missing, its spread between quartiles, in large and small cells
_DISPLACED = 1.08  # of the detail: what was not there is missing, what has moved is missing and more (negative lobes)
_LEAST_FRAMES = 3  # that a fade takes
_FOUR, _ONE_WAY = 4, 0.4  # frames, and the cosine between what successive fours of them change
_EVENLY = 1.4  # times what an even fade has missing half-way, at most: motion takes detail away at once
_LOST, _LOST_TIMES = 0.1, 2.5  # of the histogram, and times the steps before, that a cut does not leave in common
_LOST_STEP = 0.02  # steps before are taken as at least this
_STEPS = 3


def arrives(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether (H, W) `still` is another picture than the moving one of the frames `before` it, the latest last."""
    return cuts_in(still, before) or changes_one_way(still, before) or fades_in(still, before)


def cuts_in(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether there is a cut into `still`, or into the frame before it (an encoder may improve the first of a shot)."""
    shares = [histogram(frame) for frame in (*before[-_STEPS - 2 :], still)]
    lost = [1 - float(np.minimum(one, other).sum()) for one, other in pairwise(shares)]
    return any(
        lost[at] > max(_LOST, _LOST_TIMES * max(_LOST_STEP, *lost[at - _STEPS : at]))
        for at in range(max(_STEPS, len(lost) - 2), len(lost))
    )


def changes_one_way(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether the picture has changed by the same difference thrice, four frames each: a fade of what stands still itself.

    Motion undoes its differences or moves them on (cosine around 0); text that stays on top of a fade does not matter.
    """
    if len(before) < LOOKS_BACK:
        return False
    shown = [frame.astype(np.float32).ravel() for frame in (*before[-LOOKS_BACK::_FOUR], still)]
    steps = [later - sooner for sooner, later in pairwise(shown)]
    return all(
        float(steps[-1] @ s) >= _ONE_WAY * float(np.linalg.norm(steps[-1]) * np.linalg.norm(s)) for s in steps[:-1]
    )


def fades_in(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether (H, W) `still` fades in over the frames `before` it, the latest last; at most 12 of them are looked at."""
    detail = _detail(still)
    energies = [_means(detail * detail, cells) for cells in _CELLS]
    missing = [0.0]  # share of the detail that is not there yet, so many frames before
    fades = False
    for frame in reversed(before[-LOOKS_BACK:]):
        product = detail * _detail(frame)
        quartiles = [_quartiles(_means(product, e.shape[::-1]) / np.maximum(e, 1e-3), np.sqrt(e)) for e in energies]
        missing.append(1 - float(quartiles[0][1]))
        count = len(missing) - 1
        evenly = missing[count // 2] <= _EVENLY * missing[-1] * (count // 2) / count
        alike = all(high - low <= a * missing[-1] for (low, _, high), a in zip(quartiles, _ALIKE, strict=True))
        fades |= count >= _LEAST_FRAMES and evenly and alike and _FADED <= missing[-1] <= _GONE
    return fades and max(missing) <= _DISPLACED


def _detail(frame: Bytes) -> Floats:
    picture = frame.astype(np.float32)
    return picture - cv2.blur(picture, (_DETAIL, _DETAIL))


def _means(values: Floats, cells: Sequence[int]) -> Floats:
    return np.asarray(cv2.resize(values, tuple(cells), interpolation=cv2.INTER_AREA), np.float32)


def _quartiles(values: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """(3,) quartiles of values that count by their weights."""
    values, weights = values.ravel(), weights.ravel()
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    places = np.searchsorted(sums, np.array([0.25, 0.5, 0.75]) * sums[-1])
    return values[order][np.minimum(places, len(values) - 1)]
