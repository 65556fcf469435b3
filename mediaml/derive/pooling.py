"""How vectors of frames become one a shot, and those one a file. Spaces of unit vectors stay spaces of unit vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEAN_OF_FRAMES = "mean of frames"
MEAN_OF_SHOTS = "mean of shots by seconds"
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """spans (N, 2) seconds, values (N, D), and the name of the pooling, as `embeddings.pooling` says it."""

    spans: NDArray[np.float64]
    values: NDArray[np.float32]
    pooling: str


def pool_shots(times: NDArray[np.float64], values: NDArray[np.float32], shots: NDArray[np.float64]) -> Pooled:
    """The mean of the frames in each shot; a shot without a sampled frame is left out.

    Args:
        times: (N,) seconds, ascending, of the frames whose vectors `values` (N, D) are.
        shots: (S, 2) start and end in seconds, ascending; none at all: everything is one shot.

    Where every frame's vector has length 1, so has every mean (it is normalised again).
    """
    if len(shots) == 0:
        shots = np.array([[times[0], np.nextafter(times[-1], np.inf)]])
    first = np.searchsorted(times, shots[:, 0])
    last = np.searchsorted(times, shots[:, 1])
    kept = last > first
    means = [values[a:b].mean(0, dtype=np.float64) for a, b in zip(first[kept], last[kept], strict=True)]
    if not means:
        return pool_shots(times, values, np.zeros((0, 2)))
    return Pooled(shots[kept], as_before(np.stack(means), values), MEAN_OF_FRAMES)


def pool_file(shots: Pooled) -> Pooled:
    """One row: the mean of the shots, each weighted by its seconds."""
    seconds = np.maximum(shots.spans[:, 1] - shots.spans[:, 0], 1e-6)
    mean = (seconds[:, None] * shots.values).sum(0, dtype=np.float64) / seconds.sum()
    span = np.array([[shots.spans[0, 0], shots.spans[-1, 1]]])
    return Pooled(span, as_before(mean[None], shots.values), MEAN_OF_SHOTS)


def as_before(means: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of unit vectors as unit vectors; others as they are."""
    if is_unit(values):
        means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return means.astype(np.float32)


def is_unit(values: NDArray[np.float32]) -> bool:
    """Whether every row has length 1."""
    return bool(len(values)) and bool(np.abs(np.linalg.norm(values, axis=1) - 1).max() < _UNIT_TOLERANCE)
