"""Columns that grow batch by batch, in a few large pieces.

Kept one by one, the small tensors of every batch come to lie between the large ones that are freed, and none of these gaps is
large enough for the next batch: the heap then grows with the film, by 600 MB in 2,400 frames of one analyzer.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key", bound=Hashable)
_LEAST = 1024  # rows of the first piece


class GatheredColumn:
    """Tensors (N, ...) of one type and shape but for N, one batch after another; each is copied, none is held."""

    def __init__(self) -> None:
        self._count = 0
        self._room: Tensor | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, values: Tensor) -> None:
        """Appends (N, ...); N may be 0."""
        rows = self._count + len(values)
        if self._room is None or len(self._room) < rows:
            grown = values.new_empty((max(_LEAST, rows + rows // 2), *values.shape[1:]))
            if self._room is not None:
                grown[: self._count] = self._room[: self._count]
            self._room = grown
        self._room[self._count : rows] = values
        self._count = rows

    def values(self) -> Tensor:
        """All rows so far; (0,) where nothing was ever added."""
        return torch.zeros(0) if self._room is None else self._room[: self._count]


class Gathered(Generic[Key]):
    """Several columns of equal length; their names are those of the first batch."""

    def __init__(self) -> None:
        self._columns: dict[Key, GatheredColumn] = {}

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def add(self, batch: Mapping[Key, Tensor]) -> None:
        """Appends a batch of N rows."""
        for name, values in batch.items():
            self._columns.setdefault(name, GatheredColumn()).add(values)

    def columns(self) -> dict[Key, Tensor]:
        """All rows so far."""
        return {name: column.values() for name, column in self._columns.items()}
