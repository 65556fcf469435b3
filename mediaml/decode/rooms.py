"""Memory for batches of pictures, used again when a batch has been dropped.

Large pieces are pages of their own, outside the heap: there the decoder's and the analyzers' threads allocate in turn, and
what they leave between them grows with the film. Taking such pages from the system anew for every batch would cost a
millisecond for each megabyte or two, so a stream keeps the ones it got back.
"""

from __future__ import annotations

import mmap
import weakref
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

MAPPED_BYTES = 2 << 20
KEPT = 4


class Rooms:
    """The pages of one stream. `take` is called by the decode thread; pages come back from whichever thread drops a batch."""

    def __init__(self) -> None:
        self.free: list[mmap.mmap] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
        """An array of any content. Its pages come back when it and all arrays and tensors that view it are gone."""
        size = int(np.prod(shape)) * dtype.itemsize
        if size < MAPPED_BYTES:
            return np.empty(shape, dtype)
        pages = self._pages(size)
        whole = np.frombuffer(pages, dtype)
        weakref.finalize(whole, self._back, pages).atexit = False
        return whole.reshape(shape)

    def _pages(self, size: int) -> mmap.mmap:
        for _ in range(len(self.free)):  # single steps that no other thread can split
            try:
                pages = self.free.pop(0)
            except IndexError:
                break
            if len(pages) == size:
                return pages
            self.free.append(pages)
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without huge pages
                pages.madvise(mmap.MADV_HUGEPAGE)  # one page fault in the place of 512
        return pages

    def _back(self, pages: mmap.mmap) -> None:
        self.free.append(pages)
        del self.free[:-KEPT]
