"""Rows of small arrays that grow with a file's duration: in memory while few, then in a temporary file."""

from __future__ import annotations

import mmap
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

IN_MEMORY = 32 << 20  # bytes


class Rows:
    """Appended to, then read as one array, (n, *shape), of which the system may drop pages again where it lies in a file.

    The file has no name and vanishes with the array. Raises OSError where the directory for temporary files (TMPDIR) is full.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, prefix="mediaml-")  # noqa: SIM115
        self._bytes = 0

    def __del__(self) -> None:
        self._file.close()

    def append(self, rows: NDArray[Any]) -> None:
        """One row, (*shape), or several, (k, *shape)."""
        data = np.ascontiguousarray(rows, self._dtype).tobytes()
        self._file.write(data)
        self._bytes += len(data)

    def array(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """The rows from `start` to `stop`, all where nothing is said; read-only."""
        each = int(np.prod(self._shape)) * self._dtype.itemsize
        first, last = start * each, self._bytes if stop is None else min(stop * each, self._bytes)
        if last - first <= IN_MEMORY:
            self._file.seek(first)
            data: Any = self._file.read(last - first)
            self._file.seek(0, 2)
        else:
            self._file.flush()
            data = memoryview(mmap.mmap(self._file.fileno(), last, access=mmap.ACCESS_READ))[first:]
        return np.frombuffer(data, self._dtype).reshape(-1, *self._shape)
