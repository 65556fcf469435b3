"""`imresize`: MATLAB's antialiased resampling, the convention of NIQE, BRISQUE and the super-resolution benchmarks."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from mediaml.errors import InvalidValue

Kernel = Literal["cubic", "linear", "box"]
_LONG = 16  # samples of a line long enough to have a middle
_WIDTH = {"cubic": 4.0, "linear": 2.0, "box": 1.0}


def imresize(
    x: Tensor,
    size: tuple[int, int] | None = None,
    *,
    scale: float | None = None,
    kernel: Kernel = "cubic",
    antialias: bool = True,
) -> Tensor:
    """(N, C, H, W) float -> (N, C, h, w), as MATLAB's imresize(x, scale) or imresize(x, [h w]) for floating-point images.

    Cubic is Keys' kernel with a = -0.5; where the picture shrinks and `antialias` holds, the kernel is stretched by the
    shrinking factor. Pixels beyond the border mirror the picture, edge pixel included. Values are not clamped; cubic
    overshoots. `scale` gives ceil(H * scale) x ceil(W * scale). Rows or columns are done first, whichever shrinks more.
    Raises InvalidValue unless exactly one of `size` and `scale` is given, and positive.
    """
    if not x.is_floating_point():
        raise InvalidValue(f"imresize takes float pictures, not {x.dtype}")
    h, w = x.shape[2:]
    if (size is None) == (scale is None):
        raise InvalidValue(f"imresize takes either size or scale, not size={size} and scale={scale}")
    if scale is not None:
        if scale <= 0:
            raise InvalidValue(f"imresize scale {scale} must be positive")
        size, scales = (math.ceil(h * scale), math.ceil(w * scale)), (scale, scale)
    else:
        assert size is not None
        if min(size) < 1:
            raise InvalidValue(f"imresize size {size} must be at least 1x1")
        scales = (size[0] / h, size[1] / w)
    if scales == (0.5, 0.5) and antialias and h % 2 == w % 2 == 0 and _for_opencv(x):
        return _halved(x, kernel)
    for dim in sorted((2, 3), key=lambda d: scales[d - 2]):
        x = _resize_dim(x, dim, size[dim - 2], scales[dim - 2], kernel, antialias)
    return x


def _for_opencv(x: Tensor) -> bool:
    return x.device.type == "cpu" and not x.requires_grad and x.dtype in (torch.float32, torch.float64)


def _halved(x: Tensor, kernel: Kernel) -> Tensor:
    """Half the size in both directions: taps are the same everywhere, so one filter at full size, then every 2nd sample."""
    index, weight = _taps(2 * _LONG, _LONG, 0.5, kernel, True)
    middle = _LONG // 2  # away from the borders
    taps, anchor = weight[:, middle].numpy(), 2 * middle - int(index[0, middle])
    planes = x.detach().contiguous().numpy().reshape(-1, *x.shape[2:])
    out = np.empty((len(planes), x.shape[2] // 2, x.shape[3] // 2), planes.dtype)
    for plane, target in zip(planes, out, strict=True):
        whole = cv2.sepFilter2D(plane, -1, taps, taps, anchor=(anchor, anchor), borderType=cv2.BORDER_REFLECT)
        target[:] = whole[::2, ::2]
    return torch.from_numpy(out).view(*x.shape[:2], *out.shape[1:])


def _resize_dim(x: Tensor, dim: int, length: int, scale: float, kernel: Kernel, antialias: bool) -> Tensor:
    if length == x.shape[dim] and scale == 1.0:
        return x
    index, weight = _taps(x.shape[dim], length, scale, kernel, antialias)
    index, weight = index.to(x.device), weight.to(x.device, x.dtype)
    shape = [1, 1, 1, 1]
    shape[dim] = length
    out = x.index_select(dim, index[0]) * weight[0].view(shape)
    for tap in range(1, index.shape[0]):
        out.addcmul_(x.index_select(dim, index[tap]), weight[tap].view(shape))
    return out


@lru_cache(maxsize=64)
def _taps(length_in: int, length_out: int, scale: float, kernel: Kernel, antialias: bool) -> tuple[Tensor, Tensor]:
    """Source index (P, length_out) int64 and weight (P, length_out) float64 of every tap."""
    shrink = min(scale, 1.0) if antialias else 1.0
    width = _WIDTH[kernel] / shrink
    centre = (torch.arange(length_out, dtype=torch.float64) + 0.5) / scale - 0.5
    first = torch.floor(centre - width / 2)
    index = first + torch.arange(math.ceil(width) + 2, dtype=torch.float64).view(-1, 1)  # (P, length_out)
    weight = _KERNELS[kernel]((centre - index) * shrink)
    weight = weight / weight.sum(dim=0)
    used = (weight != 0).any(dim=1)
    mirrored = index.long().remainder(2 * length_in)
    mirrored = torch.minimum(mirrored, 2 * length_in - 1 - mirrored)
    return mirrored[used], weight[used]


def _cubic(x: Tensor) -> Tensor:
    a = x.abs()
    near = 1.5 * a**3 - 2.5 * a**2 + 1
    far = -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2
    return torch.where(a <= 1, near, torch.where(a <= 2, far, torch.zeros_like(a)))


def _linear(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _box(x: Tensor) -> Tensor:
    return ((x >= -0.5) & (x < 0.5)).to(x.dtype)


_KERNELS = {"cubic": _cubic, "linear": _linear, "box": _box}
