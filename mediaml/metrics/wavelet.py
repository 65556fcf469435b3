"""The Daubechies-2 wavelet transform of ADM: libvmaf's fixed-point taps, borders and rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LOW = tuple(t / 32768 for t in (15826, 27411, 7345, -4240))  # over samples 2i - 1 .. 2i + 2
HIGH = tuple(t / 32768 for t in (-4240, -7345, 27411, -15826))
Plane = NDArray[Any]  # (H, W) float32 or float64
_ONE = np.ones(1)
# how finely libvmaf keeps results of the vertical and of both passes, in parts of an 8-bit code, at each scale; 0: exactly
_STEPS = ((2.0**7, 2.0**6), (0.0, 2.0**21), (2.0**20, 2.0**19), (2.0**18, 2.0**18))


@dataclass(frozen=True, slots=True)
class Bands:
    """One level: approximation (N, 1, h, w), and the detail bands horizontal, vertical, diagonal as (N, 3, h, w)."""

    low: Tensor
    detail: Tensor


def transform(x: Tensor, scale: int) -> Bands:
    """(N, 1, H, W) float -> one level of half the size (rounded up), in the fixed point of `scale` 0..3."""
    if x.device.type == "cpu" and not x.requires_grad:
        levels = [_transform_opencv(plane, *_STEPS[scale]) for plane in x[:, 0].numpy()]
        return Bands(*(torch.from_numpy(_stacked(parts)) for parts in zip(*levels, strict=True)))
    first, second = _STEPS[scale]
    low, high = _halves(x, 2, first)
    (ll, lh), (hl, hh) = _halves(low, 3, second), _halves(high, 3, second)
    return Bands(ll, torch.cat([hl, lh, hh], dim=1))


def _stacked(parts: Sequence[Plane]) -> Plane:
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def nearest(x: Tensor) -> Tensor:
    """`x` in whole numbers; the gradient passes through unchanged."""
    return x + (x.round() - x).detach() if x.requires_grad else x.round()


def source_indices(length: int) -> NDArray[np.int64]:
    """(4, (length + 1) // 2): the samples under the taps; mirrored before the start, the edge repeated after the end."""
    at = 2 * np.arange((length + 1) // 2) + np.arange(-1, 3)[:, None]
    at = np.where(at >= length, 2 * length - at - 1, np.abs(at))
    return at.clip(0, length - 1)


def _halves(x: Tensor, dim: int, step: float) -> tuple[Tensor, Tensor]:
    taken = [x.index_select(dim, torch.from_numpy(i).to(x.device)) for i in source_indices(x.shape[dim])]
    made = [torch.stack([t * s for t, s in zip(taps, taken, strict=True)]).sum(0) for taps in (LOW, HIGH)]
    return (nearest(made[0] * step) / step, nearest(made[1] * step) / step) if step else (made[0], made[1])


def _transform_opencv(plane: Plane, first: float, second: float) -> tuple[Plane, Plane]:
    low, high = (_split(_rows(plane, taps, first)) for taps in (LOW, HIGH))
    detail = np.stack([_columns(high, LOW, second), _columns(low, HIGH, second), _columns(high, HIGH, second)])
    return _columns(low, LOW, second)[None], detail


def _rows(plane: Plane, taps: tuple[float, ...], step: float) -> Plane:
    """Every second row of the vertical filter's result, contiguous."""
    kernel = np.asarray(taps) * (step or 1)
    full = cv2.sepFilter2D(plane, -1, _ONE, kernel, anchor=(-1, 1), borderType=cv2.BORDER_REFLECT_101)
    last = source_indices(plane.shape[0])[:, -1]
    full[(full.shape[0] - 1) // 2 * 2] = kernel.astype(plane.dtype) @ plane[last]
    if not step:
        return np.ascontiguousarray(full[::2])
    half = np.empty_like(full[::2], order="C")
    np.rint(full[::2], out=half)
    half *= 1 / step
    return half


def _split(half: Plane) -> tuple[Plane, ...]:
    """The columns under each of the four taps, (H, (W + 1) // 2) each; neighbours share their memory."""
    width = half.shape[1]
    at = source_indices(width)
    odd = np.empty((half.shape[0], at.shape[1] + 1), half.dtype)  # columns -1, 1, 3, ...
    even = np.empty_like(odd)  # columns 0, 2, 4, ...
    odd[:, 0], odd[:, 1:-1] = half[:, at[0, 0]], half[:, 1 : 2 * at.shape[1] - 2 : 2]
    odd[:, -1], even[:, -1] = half[:, at[2, -1]], half[:, at[3, -1]]
    even[:, :-1] = half[:, : 2 * at.shape[1] - 1 : 2]
    return odd[:, :-1], even[:, :-1], odd[:, 1:], even[:, 1:]


def _columns(under: tuple[Plane, ...], taps: tuple[float, ...], step: float) -> Plane:
    """Every second column of the horizontal filter's result."""
    out = under[0] * (taps[0] * step)
    for tap, columns in zip(taps[1:], under[1:], strict=True):
        cv2.scaleAdd(columns, tap * step, out, dst=out)
    np.rint(out, out=out)
    out *= 1 / step
    return out
