"""How long the C library keeps what was freed."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_LARGEST, _KEPT = 32 << 20, 256 << 20  # bytes


def keep_freed_memory() -> None:
    """For this process: pictures and layers that come and go at the same sizes are not fetched from the system each time.

    Blocks up to 32 MiB (the most that glibc allows) come from the heap, of which 256 MiB may lie free. Elsewhere than on
    glibc nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _KEPT)
