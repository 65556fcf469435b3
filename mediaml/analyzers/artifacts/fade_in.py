"""Whether a picture that stands still has faded in: by a dissolve, or out of black.

While a still picture fades in, each frame before it holds its detail at its own place, weaker the earlier, and equally weak
everywhere. Motion that stops moves the detail instead: what of it is found in place differs from part to part of the
picture. So the detail of earlier frames is projected on the still one's, cell by cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.small_view import Bytes, Floats

LOOKS_BACK = 12  # frames
_CELLS = (20, 12)  # across, down
_DETAIL = 5  # px: what is finer is detail
_STILL_THERE = 0.3  # of the detail: earlier frames hold too little of the still picture to tell
_FADED, _ALIKE = 0.1, 0.3  # of the detail that must have been missing; its spread between quartiles, as a share of that


def fades_in(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether (H, W) `still` fades in over the frames `before` it, the latest last; at most 12 of them are looked at."""
    detail = _detail(still)
    energy = _means(detail * detail)
    weights = np.sqrt(energy).ravel()
    for frame in before[-LOOKS_BACK:-1]:
        present = (_means(detail * _detail(frame)) / np.maximum(energy, 1e-3)).ravel()
        low, middle, high = _quartiles(present, weights)
        if middle >= _STILL_THERE and 1 - middle >= _FADED and high - low <= _ALIKE * (1 - middle):
            return True
    return False


def _detail(frame: Bytes) -> Floats:
    picture = frame.astype(np.float32)
    return picture - cv2.blur(picture, (_DETAIL, _DETAIL))


def _means(values: Floats) -> Floats:
    return np.asarray(cv2.resize(values, _CELLS, interpolation=cv2.INTER_AREA), np.float32)


def _quartiles(values: Floats, weights: Floats) -> NDArray[np.float32]:
    """(3,) quartiles of (N,) values that count by their weights."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    places = np.searchsorted(sums, np.array([0.25, 0.5, 0.75]) * sums[-1])
    return values[order][np.minimum(places, len(values) - 1)]
