"""The lag between two files, row by row, as far as pictures tell: where a scene stands still, the lag before it goes on.

In a still scene the first path goes wherever coding noise leads it, tens of frames off; a search near it would never look
where the clock says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.path import Path, Track, local_motion, pair_distance

_TELLS, _OF_ERROR = 2.0, 0.5  # squared codes, and a share of the error, by which another lag has to fit better
_MOVES = 0.2  # squared codes a frame: rows of which a beginning is told
_FIRST = 9
_FITS = 10.0  # times what coding leaves, and squared codes: rows beyond show something else, whose lag means nothing
_BLOCK = 64

Floats = NDArray[np.float64]


def settled_lags(distorted: Track, reference: Track, first: Path, places: Floats) -> Floats:
    """(M,) reference frames by which rows lie beyond `places`: the first path's lag where it plainly fits better than the
    lag so far, which goes on elsewhere."""
    lags = first.index - places
    fits = first.distance <= _FITS * (1 + first.noise)
    moves = np.flatnonzero(fits & (local_motion(reference, 0.0)[first.index] > _MOVES))
    lag = float(np.median(lags[moves if len(moves) >= _FIRST else slice(None)][:_FIRST]))
    found, row, last = np.empty(len(lags)), 0, len(reference) - 1
    while row < len(lags):
        rows = np.arange(row, min(row + _BLOCK, len(lags)))
        kept = np.clip(np.floor(places[rows] + lag + 1e-9).astype(np.int64), 0, last)
        misfit = _distance(distorted, reference, rows, kept)
        better = fits[rows] & (misfit - first.distance[rows] > _TELLS + _OF_ERROR * first.distance[rows])
        at = int(better.argmax()) if better.any() else len(rows)
        found[row : row + at] = lag
        row += at
        if at < len(rows):
            lag = float(lags[row])
            found[row] = lag
            row += 1
    return found


def _distance(
    distorted: Track, reference: Track, rows: NDArray[np.int64], shown: NDArray[np.int64]
) -> NDArray[np.float32]:
    return pair_distance(distorted.at(rows), reference, shown)
