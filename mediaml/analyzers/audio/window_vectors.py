"""Vectors of windows of sound as rows of `embeddings`, and their mean as the file's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.ops.gathered import GatheredColumn


class WindowVectors:
    """Windows in order of time, each with its vector."""

    def __init__(self) -> None:
        self._times, self._vectors = GatheredColumn(), GatheredColumn()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, start_seconds: float, end_seconds: float, vector: Tensor) -> None:
        """One window; `vector` (D,) float32, on the CPU."""
        self._times.add(torch.tensor([[start_seconds, end_seconds]], dtype=torch.float64))
        self._vectors.add(vector[None])

    @property
    def span(self) -> tuple[float, float]:
        """Start of the first window and end of the last, in seconds; zeros without one."""
        times = self._times.values()
        return (float(times[0, 0]), float(times[-1, 1])) if len(times) else (0.0, 0.0)

    def rows(self, space: str, weights_sha256: str) -> dict[str, list[Any]]:
        """A row a window, and one of scope "file": the mean of the windows, of length 1. No row without a window."""
        count = len(self)
        if not count:
            return {n: [] for n in ("start_seconds", "end_seconds", "scope", "model", "weights_sha256", "vector")}
        vectors = self._vectors.values().numpy()
        times = np.concatenate([self._times.values().numpy(), [self.span]])
        return {
            "start_seconds": times[:, 0].tolist(),
            "end_seconds": times[:, 1].tolist(),
            "scope": ["window"] * count + ["file"],
            "model": [space] * (count + 1),
            "weights_sha256": [weights_sha256] * (count + 1),
            "vector": [*vectors, _unit(vectors.mean(axis=0))],
        }


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
