"""VIF on the CPU: what `vif` computes, in strips that stay in the processor's cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from mediaml.metrics.wavelet import make_nearest
from mediaml.ops.banded import Banded, centred, reflected

NOISE = 2.0  # variance of the neural noise, in squared 8-bit codes
SATURATION = 4.0 / 255.0**2  # how fast distortion counts where the reference is flat
TRUNCATION = 1.59e-5  # bits: libvmaf looks logarithms up by 16 bits of mantissa, cut off; it cancels in differences
CENTRE = 128.0  # subtracted before squaring: float32 keeps the variances exact enough
STEP = 256.0  # coarser pictures, and means between the two directions of a filter, are kept to 1/256 of a code
_ROWS = 64  # of a strip
_FOLD = 8  # values of at most 2^15 that are multiplied before one logarithm is taken: 2^120 fits into float32


class _Strip(NamedTuple):
    """Rows first..last of the picture under the filter, and the filter that makes the strip's results of them."""

    first: int
    last: int
    rows: Banded


def halved(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """(H, W) float, filtered and every second pixel of both directions kept: (H // 2, W // 2), in steps of 1/256."""
    h, w = x.shape
    rows, columns = (
        _decimating(h, tuple(t * STEP for t in taps), "rows", x.dtype),
        _decimating(w, taps, "columns", x.dtype),
    )
    lines = make_nearest(rows.rows(x, x.new_empty(h // 2, w)))
    packed = make_nearest(columns.columns(lines, x.new_empty(h // 2 * (w // 2)))).mul_(1 / STEP)
    return columns.unpacked(packed, x.new_empty(h // 2, w // 2))


def information(x: Tensor, y: Tensor, taps: tuple[float, ...], limits: Sequence[float], *, rounded: bool) -> Tensor:
    """(H, W) float pictures at one scale -> (L,) float64: the share of information kept, one a gain limit.

    `rounded`: with local means rounded to 1/256 between the two directions of the filter.
    """
    height, width = x.shape
    strips = _strips(height, taps, x.dtype)
    columns = centred(width, taps, 1, "columns", x.dtype)
    lines = x.new_empty(3, max(s.last - s.first for s in strips), width)
    room = x.new_empty(7 + len(limits), -(-min(_ROWS, height) * width // _FOLD) * _FOLD)
    found = []
    for strip in strips:
        pair = x[strip.first : strip.last], y[strip.first : strip.last]
        size = strip.rows.results * width
        used = room[:, : -(-size // _FOLD) * _FOLD]
        _moments(pair, strip.rows, columns, lines, [m[:size] for m in used], rounded=rounded)
        found.append(_sums(list(used[:5]), used[5:], size, limits))
    sums = torch.stack(found).sum(dim=0)
    return sums[:-1] / sums[-1]


def _moments(
    pair: tuple[Tensor, Tensor], rows: Banded, columns: Banded, lines: Tensor, maps: list[Tensor], *, rounded: bool
) -> None:
    """Fills maps: local means of x and y, and of xx, yy and xy such that variances come out as libvmaf's."""
    x, y = pair
    product, between, other = lines[0, : len(x)], lines[1, : rows.results], lines[2, : rows.results]
    for out, (a, b) in zip(maps[2:5], ((x, x), (y, y), (x, y)), strict=True):
        columns.columns(rows.rows(torch.mul(a, b, out=product), between), out)
    for i, t in enumerate(pair):
        rows.rows(t, between)
        if not rounded:
            columns.columns(between, maps[i])
            continue
        make_nearest(torch.mul(between, STEP, out=other)).mul_(1 / STEP)
        columns.columns(other, maps[i])
        off = columns.columns(other.sub_(between), maps[5])
        maps[2 + i].sub_(off, alpha=2 * CENTRE)
        maps[4].sub_(off, alpha=CENTRE)


def _sums(maps: list[Tensor], spare: Tensor, size: int, limits: Sequence[float]) -> Tensor:
    """(L + 1,) float64 bits of one strip: kept, one a limit, and there. Overwrites all: (n,) each, of which `size` count."""
    mean_x, mean_y, var_x, var_y, cov = (m[:size] for m in maps)
    kept, residue = (m[:size] for m in spare[:2])
    torch.addcmul(var_x, mean_x, mean_x, value=-1, out=var_x).clamp_min_(NOISE)  # flat places count one bit
    torch.addcmul(var_y, mean_y, mean_y, value=-1, out=var_y).clamp_min_(0)
    torch.addcmul(cov, mean_x, mean_y, value=-1, out=cov)
    busy, gain = torch.sub(var_x, NOISE, out=mean_x).sign_(), mean_y
    count = float(busy.sum())
    in_flat = float(var_y.sum()) - float(torch.dot(var_y, busy))
    torch.div(cov, var_x, out=gain).clamp_min_(0).mul_(busy)
    torch.mul(gain, cov, out=kept)
    torch.sub(var_y, kept, out=residue).clamp_min_(0).add_(NOISE)
    highest, tops = float(gain.max()), list(spare[2:])
    for limit, top in zip(limits, tops, strict=True):
        if highest > limit:
            torch.clamp_max(gain, limit, out=top[:size]).square_().mul_(var_x).add_(residue)
        else:
            torch.add(kept, residue, out=top[:size])
    var_x.add_(NOISE)
    bottom = _folded(spare[1], size)
    bits = [_bits(_folded(top, size).div_(bottom)) + (size - count - SATURATION * in_flat) for top in tops]
    there = _bits(_folded(maps[2], size)) - size * math.log2(NOISE) - TRUNCATION * count
    return torch.tensor([*bits, there], dtype=torch.float64)


def _folded(t: Tensor, size: int) -> Tensor:
    """(n,) -> (n / 8,), each the product of eight; those from `size` on do not count. Overwrites t."""
    t[size:] = 1
    for half in (len(t) // 2, len(t) // 4, len(t) // 8):
        t[:half].mul_(t[half : 2 * half])
    return t[: len(t) // _FOLD]


def _bits(t: Tensor) -> float:
    return float(t.log2_().sum())


@cache
def _strips(height: int, taps: tuple[float, ...], dtype: torch.dtype) -> tuple[_Strip, ...]:
    sources = reflected(height, len(taps))
    found = []
    for top in range(0, height, _ROWS):
        under = sources[:, top : top + _ROWS]
        first, last = int(under.min()), int(under.max()) + 1
        found.append(_Strip(first, last, Banded(under - first, taps, "rows", dtype)))
    return tuple(found)


@cache
def _decimating(length: int, taps: tuple[float, ...], axis: str, dtype: torch.dtype) -> Banded:
    return Banded(reflected(length, len(taps), 2)[:, : length // 2], taps, axis, dtype)  # type: ignore[arg-type]
