"""Columns that grow batch by batch: a little of each in memory, the rest in a temporary file.

Kept one by one, the small tensors of every batch come to lie between the large ones that are freed, and none of these gaps is
large enough for the next batch: the heap then grows with the film, by 600 MB in 2,400 frames of one analyzer. In large pieces
they still are some 0.7 kB a frame of all detectors, 190 MB in three hours. So a column on the CPU keeps 128 KiB in memory at
most; what is beyond lies in a file without a name, which vanishes with the column, and is read through a mapping that the
system may drop from memory again.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Hashable, Mapping
from typing import IO, Generic, TypeVar

import torch
from torch import Tensor

from mediaml.errors import OutputUnwritable

Key = TypeVar("Key", bound=Hashable)
_LEAST = 1024  # rows of the first piece
IN_MEMORY = 128 << 10  # bytes of a column, but for one batch that is larger


class GatheredColumn:
    """Tensors (N, ...) of one type and shape but for N, one batch after another; each is copied, none is held.

    `add` and `values` raise OutputUnwritable where the folder for temporary files (TMPDIR) is full.
    """

    def __init__(self) -> None:
        self._count = 0  # rows in all
        self._held = 0  # of them in `_room`
        self._room: Tensor | None = None
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return self._count

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, values: Tensor) -> None:
        """Appends (N, ...); N may be 0."""
        if self._room is not None and self._held and self._spills(self._held + len(values)):
            self._spill()
        rows = self._held + len(values)
        if self._room is None or len(self._room) < rows:
            grown = values.new_empty((max(_LEAST, rows + rows // 2), *values.shape[1:]))
            if self._room is not None:
                grown[: self._held] = self._room[: self._held]
            self._room = grown
        self._room[self._held : rows] = values
        self._held = rows
        self._count += len(values)

    def values(self) -> Tensor:
        """All rows so far; (0,) where nothing was ever added."""
        if self._room is None:
            return torch.zeros(0)
        if self._file is None:
            return self._room[: self._held]
        if self._held:
            self._spill()
        shape, kind = (self._count, *self._room.shape[1:]), self._room.dtype
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        return torch.frombuffer(mapped, dtype=kind).reshape(shape)

    def _spills(self, rows: int) -> bool:
        room = self._room
        if room is None or room.device.type != "cpu":
            return False
        return rows * room[:1].numel() * room.element_size() > IN_MEMORY

    def _spill(self) -> None:
        """Moves the rows in memory to the end of the file."""
        assert self._room is not None
        held = self._room[: self._held].reshape(-1).view(torch.uint8).numpy()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="mediaml-")  # noqa: SIM115
            self._file.write(held.data)
            self._file.flush()
        except OSError as error:
            where = f"the folder for temporary files, {tempfile.gettempdir()}, cannot be written"
            raise OutputUnwritable(f"{where}: {error.strerror}; free space there, or set TMPDIR to another") from error
        self._held = 0


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
