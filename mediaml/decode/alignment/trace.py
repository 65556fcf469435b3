"""The way back through a search: which state each state came from, packed, since nearly all of them came alike.

Two hours at 60 frames a second have half a million rows of up to 768 states; unpacked they would take a gigabyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_ROWS = 64

Steps = NDArray[np.int16]


class Trace:
    """Rows of equal length, below 32,768 in magnitude, appended in order and read from the last to the first."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._open: list[Steps] = []

    def append(self, *parts: NDArray[np.int64]) -> None:
        """One row, of one or several parts."""
        self._open.append(np.concatenate(parts).astype(np.int16))
        if len(self._open) == _ROWS:
            self._packed.append(zlib.compress(np.stack(self._open).tobytes(), 1))
            self._open = []

    def backwards(self) -> Iterator[Steps]:
        yield from reversed(self._open)
        for packed in reversed(self._packed):
            yield from np.frombuffer(zlib.decompress(packed), np.int16).reshape(_ROWS, -1)[::-1]
