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
_CELLS = (8, 6)  # across, down
_DETAIL = 5  # px: what is finer is detail
_FADED, _GONE = 0.1, 0.7  # of the detail that must be missing for a fade, and beyond which too little is left to tell
_ALIKE = 0.23  # of what is missing, its spread between quartiles
_EVENLY = 1.4  # times what an even fade has missing half-way, at most: motion takes detail away at once
_LOST, _LOST_TIMES = 0.1, 2.5  # of the histogram, and times the steps before, that a cut does not leave in common
_LOST_STEP = 0.02  # steps before are taken as at least this
_STEPS = 3


def arrives(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether (H, W) `still` is another picture than the moving one of the frames `before` it, the latest last."""
    return cuts_in(still, before) or fades_in(still, before)


def cuts_in(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether there is a cut into `still`, or into the frame before it (an encoder may improve the first of a shot)."""
    shares = [histogram(frame) for frame in (*before[-_STEPS - 2 :], still)]
    lost = [1 - float(np.minimum(one, other).sum()) for one, other in pairwise(shares)]
    return any(
        lost[at] > max(_LOST, _LOST_TIMES * max(_LOST_STEP, *lost[at - _STEPS : at]))
        for at in range(max(_STEPS, len(lost) - 2), len(lost))
    )


def fades_in(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether (H, W) `still` fades in over the frames `before` it, the latest last; at most 12 of them are looked at."""
    detail = _detail(still)
    energy = _means(detail * detail)
    weights = np.sqrt(energy).ravel()
    missing = [0.0]  # share of the detail that is not there yet, so many frames before
    for frame in reversed(before[-LOOKS_BACK:]):
        present = (_means(detail * _detail(frame)) / np.maximum(energy, 1e-3)).ravel()
        low, middle, high = _quartiles(present, weights)
        missing.append(1 - float(middle))
        count = len(missing) - 1
        evenly = missing[count // 2] <= _EVENLY * missing[-1] * (count // 2) / count
        if count > 1 and evenly and _FADED <= missing[-1] <= _GONE and high - low <= _ALIKE * missing[-1]:
            return True
    return False


def _detail(frame: Bytes) -> Floats:
    picture = frame.astype(np.float32)
    return picture - cv2.blur(picture, (_DETAIL, _DETAIL))


def _means(values: Floats) -> Floats:
    return np.asarray(cv2.resize(values, _CELLS, interpolation=cv2.INTER_AREA), np.float32)


def _quartiles(values: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """(3,) quartiles of (N,) values that count by their weights."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    places = np.searchsorted(sums, np.array([0.25, 0.5, 0.75]) * sums[-1])
    return values[order][np.minimum(places, len(values) - 1)]
