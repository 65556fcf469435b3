"""The way back through a search: which state each state came from, packed, since nearly all of them came from themselves.

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
    """Rows of (of running states, of held pictures), appended in order, read from the last to the first."""

    def __init__(self) -> None:
        self._packed: list[tuple[bytes, int, int]] = []
        self._open: list[tuple[Steps, Steps]] = []

    def append(self, running: NDArray[np.int64], held: NDArray[np.int64]) -> None:
        self._open.append((running.astype(np.int16), held.astype(np.int16)))
        if len(self._open) == _ROWS:
            joined = np.stack([np.concatenate(row) for row in self._open])
            self._packed.append((zlib.compress(joined.tobytes(), 1), joined.shape[1], len(running)))
            self._open = []

    def backwards(self) -> Iterator[tuple[Steps, Steps]]:
        yield from reversed(self._open)
        for packed, wide, states in reversed(self._packed):
            for row in np.frombuffer(zlib.decompress(packed), np.int16).reshape(-1, wide)[::-1]:
                yield row[:states], row[states:]
