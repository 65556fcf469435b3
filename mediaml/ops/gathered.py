"""Columns that grow batch by batch, in a few large pieces.

Kept one by one, the small tensors of every batch come to lie between the large ones that are freed, and none of these gaps is
large enough for the next batch: the heap then grows with the film, by 600 MB in 2,400 frames of one analyzer.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_LEAST = 1024  # rows of the first piece


class Gathered:
    """Tensors (N, ...) of equal columns, one batch after another; each batch is copied where it lies, none is held."""

    def __init__(self) -> None:
        self.count = 0
        self._room: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return self.count

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Appends a batch; its columns, their types and their shapes but for N are those of the first one."""
        rows = len(next(iter(batch.values()))) if batch else 0
        for name, values in batch.items():
            self._with_room(name, values, self.count + rows)[self.count : self.count + rows] = values
        self.count += rows

    def columns(self) -> dict[str, Tensor]:
        """All rows so far."""
        return {name: room[: self.count] for name, room in self._room.items()}

    def _with_room(self, name: str, values: Tensor, rows: int) -> Tensor:
        room = self._room.get(name)
        if room is None or len(room) < rows:
            grown = values.new_empty((max(_LEAST, rows + rows // 2), *values.shape[1:]))
            if room is not None:
                grown[: self.count] = room[: self.count]
            self._room[name] = room = grown
        return room
