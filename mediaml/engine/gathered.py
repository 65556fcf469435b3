"""Columns that grow batch by batch, in a few large pieces.

Kept one by one, the small arrays of every batch come to lie between the large ones that are freed, and none of these gaps is
large enough for the next batch: the heap then grows with the film, by 200 MB in five minutes of one analyzer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 1024  # rows of the first piece


class Gathered:
    """Arrays (N, ...) of equal columns, one batch after another; each batch is copied, none is held."""

    def __init__(self) -> None:
        self.count = 0
        self._room: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self.count

    def add(self, batch: Mapping[str, NDArray[Any]]) -> None:
        """Appends a batch; its columns, their types and their shapes but for N are those of the first one."""
        rows = len(next(iter(batch.values()))) if batch else 0
        for name, values in batch.items():
            self._with_room(name, values, self.count + rows)[self.count : self.count + rows] = values
        self.count += rows

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All rows so far."""
        return {name: room[: self.count] for name, room in self._room.items()}

    def _with_room(self, name: str, values: NDArray[Any], rows: int) -> NDArray[Any]:
        room = self._room.get(name)
        if room is None or len(room) < rows:
            grown = np.empty((max(_LEAST, 2 * rows), *values.shape[1:]), values.dtype)
            if room is not None:
                grown[: self.count] = room[: self.count]
            self._room[name] = room = grown
        return room
