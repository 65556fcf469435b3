"""Pictures that do not fit into memory at once: tiles with overlap, of a size taken from what memory is free."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from mediaml.errors import InvalidValue

_SHARE_OF_FREE = 0.4
_SMALLEST = 64
_STEP = 16  # sides of tiles are multiples of this, so that nets that unshuffle see the same cells


def tiled(apply: Callable[[Tensor], Tensor], x: Tensor, scale: int, tile: int, overlap: int) -> Tensor:
    """`apply` to (N, C, H, W) in tiles of at most `tile` input pixels a side -> (N, C', H * scale, W * scale).

    Each tile is computed with `overlap` more pixels on every side that is not the picture's edge, which are then cut off:
    with `overlap` at least the reach of the network the result equals that of the whole. Raises InvalidValue for a tile that
    is smaller than 1.
    """
    if tile < 1:
        raise InvalidValue(f"tile {tile} must be at least 1 pixel")
    height, width = x.shape[2:]
    if height <= tile and width <= tile:
        return apply(x)
    out: Tensor | None = None
    overlap = math.ceil(overlap / _STEP) * _STEP
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            t, b = max(0, top - overlap), min(height, bottom + overlap)
            le, r = max(0, left - overlap), min(width, right + overlap)
            done = apply(x[:, :, t:b, le:r])
            if out is None:
                out = done.new_empty(done.shape[0], done.shape[1], height * scale, width * scale)
            inner = done[:, :, (top - t) * scale : (bottom - t) * scale, (left - le) * scale : (right - le) * scale]
            out[:, :, top * scale : bottom * scale, left * scale : right * scale] = inner
    assert out is not None
    return out


def tile_side(bytes_per_pixel: float, frames: int, device: torch.device, workers: int = 1) -> int:
    """The side of the largest square tile that `workers` threads may compute at once in 40 % of the memory that is free."""
    budget = _SHARE_OF_FREE * free_bytes(device) / max(1, workers)
    side = int(math.sqrt(budget / (bytes_per_pixel * max(1, frames))))
    return max(_SMALLEST, side // _STEP * _STEP)


class TileSide:
    """The side of tiles for batches: `given`, or by free memory.

    On a GPU it is decided once for each number of frames: what the first run keeps (recorded kernels, cached memory) would
    otherwise shrink the tiles of the next one.
    """

    def __init__(self, bytes_per_pixel: float, device: torch.device, workers: int, given: int | None) -> None:
        self._bytes, self._device, self._workers, self._given = bytes_per_pixel, device, workers, given
        self._decided: dict[int, int] = {}

    def of(self, frames: int) -> int:
        """Input pixels."""
        if self._given:
            return self._given
        side = self._decided.get(frames) or tile_side(self._bytes, frames, self._device, self._workers)
        if self._device.type == "cuda":
            self._decided[frames] = side
        return side


def free_bytes(device: torch.device) -> int:
    """Memory that can be had now: the GPU's free memory, or what Linux says is available."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    facts = Path("/proc/meminfo")
    if facts.is_file():
        for line in facts.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 2 << 30


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """Equal spans of at most `tile`, their borders on multiples of 16 where the tile allows."""
    count = math.ceil(length / tile)
    step = math.ceil(length / count / _STEP) * _STEP if tile >= _STEP else tile
    step = min(step, tile)
    for start in range(0, length, step):
        yield start, min(length, start + step)
