"""One-dimensional filters as products with small banded matrices: fast on a CPU, most of all where results are skipped.

A block of results depends on a short run of samples, so that it is one product with a small dense matrix; all blocks away
from the borders share theirs, and the linear algebra library behind torch takes them together. Compared with a filter
library that makes every result and has half of them thrown away, decimation costs a quarter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Axis = Literal["rows", "columns"]
Sources = Callable[[int], NDArray[np.int64]]
"""length -> (taps, results): the sample under each tap of each result, borders resolved."""

_BLOCK = {
    ("rows", 1): 16,
    ("rows", 2): 8,
    ("columns", 1): 32,
    ("columns", 2): 16,
}  # results a product, by axis and stride


class _Run(NamedTuple):
    """`blocks` neighbouring blocks with one matrix (samples, results); each begins `step` samples after the one before."""

    blocks: int
    result: int
    sample: int
    step: int
    matrix: Tensor


class Banded:
    """One filter for one length of the axis. `results` is how many it gives."""

    def __init__(self, sources: NDArray[np.int64], taps: tuple[float, ...], axis: Axis, dtype: torch.dtype) -> None:
        self.results = sources.shape[1]
        stride = int(sources[0, -1] - sources[0, -2]) if self.results > 4 else 1
        block = _BLOCK[axis, 2 if stride > 1 else 1]
        each = [_block(sources, taps, at, min(at + block, self.results), dtype) for at in range(0, self.results, block)]
        self._runs: list[_Run] = []
        for run in each:
            last = self._runs[-1] if self._runs else None
            if last is not None and _continues(last, run):
                self._runs[-1] = last._replace(blocks=last.blocks + 1, step=(run.sample - last.sample) // last.blocks)
            else:
                self._runs.append(run)

    def rows(self, x: Tensor, out: Tensor) -> Tensor:
        """(samples, W) -> `out` (results, W); the last dimension of both contiguous."""
        width, line, to = x.shape[1], x.stride(0), out.stride(0)
        for blocks, result, sample, step, matrix in self._runs:
            size, made = matrix.shape
            part = x[sample:].as_strided((blocks, size, width), (step * line, line, 1))
            room = out[result:].as_strided((blocks, made, width), (made * to, to, 1))
            torch.bmm(matrix.T.expand(blocks, made, size), part, out=room)
        return out

    def columns(self, x: Tensor, out: Tensor) -> Tensor:
        """(H, samples) -> `out` (H * results,), block after block, contiguous; `unpacked` puts results in their places."""
        height, line, at = x.shape[0], x.stride(0), 0
        for blocks, _, sample, step, matrix in self._runs:
            size, made = matrix.shape
            part = x[:, sample:].as_strided((blocks, height, size), (step, line, 1))
            room = out[at : at + blocks * height * made].view(blocks, height, made)
            torch.bmm(part, matrix.expand(blocks, size, made), out=room)
            at += room.numel()
        return out

    def unpacked(self, packed: Tensor, out: Tensor) -> Tensor:
        """What `columns` gave -> `out` (H, results), of any dtype; the last dimension contiguous."""
        height, at = out.shape[0], 0
        for blocks, result, _, _, matrix in self._runs:
            made = matrix.shape[1]
            part = packed[at : at + blocks * height * made].view(blocks, height, made)
            out[:, result:].as_strided((blocks, height, made), (made, out.stride(0), 1)).copy_(part)
            at += part.numel()
        return out


def reflected(length: int, taps: int, stride: int = 1) -> NDArray[np.int64]:
    """`Sources` of a centred filter with an odd number of taps, mirrored at borders without repeating the edge sample."""
    at = np.arange(0, length, stride)[None] + np.arange(taps)[:, None] - taps // 2
    period = max(1, 2 * (length - 1))
    at = at % period
    return np.minimum(at, period - at)


@cache
def centred(length: int, taps: tuple[float, ...], stride: int, axis: Axis, dtype: torch.dtype) -> Banded:
    """A centred filter of odd length, `reflected` at borders; every `stride`-th result. Kept for the next picture."""
    return Banded(reflected(length, len(taps), stride), taps, axis, dtype)


def _block(sources: NDArray[np.int64], taps: tuple[float, ...], start: int, stop: int, dtype: torch.dtype) -> _Run:
    at = sources[:, start:stop]
    low = int(at.min())
    matrix = np.zeros((int(at.max()) + 1 - low, stop - start))
    np.add.at(matrix, (at - low, np.arange(stop - start)[None]), np.array(taps)[:, None])
    return _Run(1, start, low, 0, torch.from_numpy(matrix).to(dtype))


def _continues(run: _Run, following: _Run) -> bool:
    step = run.step or following.sample - run.sample
    return (
        run.matrix.shape == following.matrix.shape
        and following.sample == run.sample + run.blocks * step
        and bool(torch.equal(run.matrix, following.matrix))
    )
