"""Cuts a stream of samples into pieces of one size, so that results do not depend on how blocks arrive."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class Rechunk:
    """Blocks (C, T) of any length in, pieces (C, size) out."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiting: list[Tensor] = []
        self._count = 0

    def push(self, samples: Tensor) -> Iterator[Tensor]:
        """Gives every piece that is complete."""
        self._waiting.append(samples)
        self._count += samples.shape[1]
        if self._count < self.size:
            return
        joined = samples if len(self._waiting) == 1 else torch.cat(self._waiting, dim=1)
        whole = joined.shape[1] - joined.shape[1] % self.size
        rest = joined[:, whole:]
        self._waiting, self._count = ([rest] if rest.shape[1] else []), rest.shape[1]
        for at in range(0, whole, self.size):
            yield joined[:, at : at + self.size]

    def rest(self) -> Tensor | None:
        """The samples of the incomplete piece, taken out; None if there are none."""
        waiting, self._waiting, self._count = self._waiting, [], 0
        return torch.cat(waiting, dim=1) if waiting else None
