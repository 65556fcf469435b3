"""Separable linear filters: OpenCV on the CPU, torch convolution elsewhere, equal to 1e-5 of the input's scale.

All filters correlate (the kernel is not flipped), keep the picture's size from 1x1 up, and name how pixels beyond the border
are made: "reflect" mirrors without repeating the edge pixel (dcb|abcd|cba; OpenCV's BORDER_REFLECT_101), "symmetric" mirrors
with it (cba|abcd|dcb; MATLAB's imfilter 'symmetric'), "replicate" repeats it (aaa|abcd|ddd; MATLAB's imfilter 'replicate'),
"zero" adds nothing (MATLAB's filter2 'same').
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue

Border = Literal["reflect", "symmetric", "replicate", "zero"]

_CV2_BORDER = {
    "reflect": cv2.BORDER_REFLECT_101,
    "symmetric": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
    "zero": cv2.BORDER_CONSTANT,
}


@cache
def gaussian_taps(size: int, sigma: float) -> tuple[float, ...]:
    """`size` samples (odd) of a Gaussian with `sigma` in pixels, centred, summing to 1.

    The outer product of two of these is MATLAB's fspecial('gaussian', size, sigma).
    """
    if size < 1 or size % 2 == 0 or sigma <= 0:
        raise InvalidValue(f"a Gaussian of size {size} and sigma {sigma} px: size must be odd and sigma positive")
    at = torch.arange(size, dtype=torch.float64) - size // 2
    taps = torch.exp(-(at**2) / (2 * sigma**2))
    return tuple((taps / taps.sum()).tolist())


def separable(
    x: Tensor, horizontal: tuple[float, ...], vertical: tuple[float, ...], border: Border = "reflect"
) -> Tensor:
    """(N, C, H, W) float32 or float64, each plane filtered by `horizontal` along W and `vertical` along H (odd lengths)."""
    if x.dtype not in (torch.float32, torch.float64):
        raise InvalidValue(f"separable filters take float32 or float64, not {x.dtype}")
    if len(horizontal) % 2 == 0 or len(vertical) % 2 == 0:
        raise InvalidValue(f"kernel lengths {len(horizontal)} and {len(vertical)} must be odd")
    if x.device.type == "cpu" and not x.requires_grad:
        return _separable_opencv(x, horizontal, vertical, border)
    return _separable_torch(x, horizontal, vertical, border)


def gaussian_blur(x: Tensor, size: int, sigma: float, border: Border = "reflect") -> Tensor:
    """(N, C, H, W) float, blurred by `gaussian_taps(size, sigma)` in both directions."""
    taps = gaussian_taps(size, sigma)
    return separable(x, taps, taps, border)


def sobel(x: Tensor, border: Border = "reflect") -> tuple[Tensor, Tensor]:
    """Horizontal and vertical 3x3 Sobel responses, each (N, C, H, W); kernels [-1 0 1] x [1 2 1], not normalised."""
    slope, smooth = (-1.0, 0.0, 1.0), (1.0, 2.0, 1.0)
    return separable(x, slope, smooth, border), separable(x, smooth, slope, border)


def _separable_opencv(x: Tensor, horizontal: tuple[float, ...], vertical: tuple[float, ...], border: Border) -> Tensor:
    kx, ky = (np.asarray(k, dtype=np.float64) for k in (horizontal, vertical))
    planes = x.detach().contiguous().numpy().reshape(-1, *x.shape[2:])
    out = np.empty_like(planes)
    for plane, target in zip(planes, out, strict=True):
        cv2.sepFilter2D(plane, -1, kx, ky, dst=target, borderType=_CV2_BORDER[border])
    return torch.from_numpy(out).view(x.shape)


def _separable_torch(x: Tensor, horizontal: tuple[float, ...], vertical: tuple[float, ...], border: Border) -> Tensor:
    n, c, h, w = x.shape
    planes = x.reshape(n * c, 1, h, w)
    padded = pad(planes, len(vertical) // 2, len(horizontal) // 2, border)
    out = F.conv2d(padded, x.new_tensor(horizontal).view(1, 1, 1, -1))
    return F.conv2d(out, x.new_tensor(vertical).view(1, 1, -1, 1)).view(n, c, h, w)


def pad(x: Tensor, rows: int, columns: int, border: Border) -> Tensor:
    """(N, C, H, W) -> (N, C, H + 2 * rows, W + 2 * columns); unlike F.pad it takes pads larger than the picture."""
    if border == "zero":
        return F.pad(x, (columns, columns, rows, rows))
    for dim, amount in ((2, rows), (3, columns)):
        if amount:
            x = x.index_select(dim, _border_index(x.shape[dim], amount, border).to(x.device))
    return x


def _border_index(length: int, amount: int, border: Border) -> Tensor:
    at = torch.arange(-amount, length + amount)
    if border == "replicate" or length == 1:
        return at.clamp(0, length - 1)
    if border == "symmetric":
        at = at.remainder(2 * length)
        return torch.minimum(at, 2 * length - 1 - at)
    period = 2 * (length - 1)
    at = at.remainder(period)
    return torch.minimum(at, period - at)
