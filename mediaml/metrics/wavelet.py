"""The Daubechies-2 wavelet transform of ADM: libvmaf's fixed-point taps, borders and rounding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.ops.banded import Axis, Banded

LOW = tuple(t / 32768 for t in (15826, 27411, 7345, -4240))  # over samples 2i - 1 .. 2i + 2
HIGH = tuple(t / 32768 for t in (-4240, -7345, 27411, -15826))
# how finely libvmaf keeps results of the vertical and of both passes, in parts of an 8-bit code, at each scale; 0: exactly
_STEPS = ((2.0**7, 2.0**6), (0.0, 2.0**21), (2.0**20, 2.0**19), (2.0**18, 2.0**18))

_ROWS = 32  # of a strip whose intermediate results stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Bands:
    """One level: approximation (N, 1, h, w), and the detail bands horizontal, vertical, diagonal as (N, 3, h, w)."""

    low: Tensor
    detail: Tensor


def transform(x: Tensor, scale: int) -> Bands:
    """(N, 1, H, W) float -> one level of half the size (rounded up), in the fixed point of `scale` 0..3.

    The second level's approximation and all of the coarser ones are float64; the rest is as x.
    """
    if x.device.type == "cpu" and not x.requires_grad:
        low, detail = zip(*(_transform_banded(plane, scale) for plane in x[:, 0]), strict=True)
        return Bands(_stacked(low), _stacked(detail))
    x = x.double() if scale else x
    first, second = _STEPS[scale]
    low, high = _halves(x, 2, first)
    (ll, lh), (hl, hh) = _halves(low, 3, second), _halves(high, 3, second)
    return Bands(ll, torch.cat([hl, lh, hh], dim=1))


def _stacked(planes: tuple[Tensor, ...]) -> Tensor:
    return planes[0][None] if len(planes) == 1 else torch.stack(planes)


def nearest(x: Tensor) -> Tensor:
    """`x` in whole numbers, halves upwards as libvmaf's shifts have it; the gradient passes through unchanged."""
    return x + ((x + 0.5).floor() - x).detach() if x.requires_grad else (x + 0.5).floor_()


def make_nearest(x: Tensor) -> Tensor:
    """`nearest` in place."""
    return x.add_(0.5).floor_()


def source_indices(length: int) -> NDArray[np.int64]:
    """(4, (length + 1) // 2): the samples under the taps; mirrored before the start, the edge repeated after the end."""
    at = 2 * np.arange((length + 1) // 2) + np.arange(-1, 3)[:, None]
    at = np.where(at >= length, 2 * length - at - 1, np.abs(at))
    return at.clip(0, length - 1)


def _halves(x: Tensor, dim: int, step: float) -> tuple[Tensor, Tensor]:
    taken = [x.index_select(dim, torch.from_numpy(i).to(x.device)) for i in source_indices(x.shape[dim])]
    made = [torch.stack([t * s for t, s in zip(taps, taken, strict=True)]).sum(0) for taps in (LOW, HIGH)]
    return (nearest(made[0] * step) / step, nearest(made[1] * step) / step) if step else (made[0], made[1])


def _transform_banded(plane: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """(H, W) -> (1, h, w) and (3, h, w). In float64, as 32 bits hold no product of code and tap, but strip by strip."""
    (height, width), steps = plane.shape, _STEPS[scale]
    columns = [_columns(width, taps, steps[1]) for taps in (LOW, HIGH)]
    low = plane.new_empty(1, (height + 1) // 2, (width + 1) // 2, dtype=torch.float64 if scale else plane.dtype)
    detail = plane.new_empty(3, *low.shape[1:], dtype=torch.float64 if scale > 1 else plane.dtype)
    outs = ((detail[0], 1, 0), (detail[1], 0, 1), (detail[2], 1, 1), (low[0], 0, 0))
    lines = plane.new_empty(2, _ROWS, width, dtype=torch.float64)
    packed = plane.new_empty(_ROWS * low.shape[2], dtype=torch.float64)
    for strip in _strips(height, steps[0]):
        under, count = plane[strip.first : strip.last].double(), strip.stop - strip.start
        for rows, out in zip(strip.rows, lines, strict=True):
            _kept(rows.rows(under, out[:count]), steps[0])
        for out, of, taps in outs:
            made = _kept(columns[taps].columns(lines[of, :count], packed[: count * low.shape[2]]), steps[1])
            columns[taps].unpacked(made, out[strip.start : strip.stop])
    return low, detail


class _Strip(NamedTuple):
    """Results start..stop of both filters over the rows, from the samples first..last."""

    start: int
    stop: int
    first: int
    last: int
    rows: tuple[Banded, Banded]


def _kept(x: Tensor, step: float) -> Tensor:
    """Whole numbers of 1 / step, back in codes; as it is for a step of 0. In place."""
    return make_nearest(x).mul_(1 / step) if step else x


@cache
def _strips(height: int, step: float) -> tuple[_Strip, ...]:
    sources, found = source_indices(height), []
    for start in range(0, sources.shape[1], _ROWS):
        under = sources[:, start : start + _ROWS]
        first, last = int(under.min()), int(under.max()) + 1
        filters = (_banded(under - first, taps, step or 1.0, "rows") for taps in (LOW, HIGH))
        found.append(_Strip(start, start + under.shape[1], first, last, (next(filters), next(filters))))
    return tuple(found)


@cache
def _columns(width: int, taps: tuple[float, ...], step: float) -> Banded:
    return _banded(source_indices(width), taps, step, "columns")


def _banded(sources: NDArray[np.int64], taps: tuple[float, ...], step: float, axis: Axis) -> Banded:
    return Banded(sources, tuple(t * step for t in taps), axis, torch.float64)
