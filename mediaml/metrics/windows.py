"""Local moments of pairs of pictures, and the box filters and halvings that SSIM's conventions use before them."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.metrics.inputs import eight_bit_scale
from mediaml.metrics.ssim_conventions import LIBVMAF_LOW_PASS, Halving, Scale, Shrink
from mediaml.ops.filters import separable

_CENTRE = 128.0  # subtracted before squaring, so that float32 keeps variances exact enough
_NOMINAL = 256  # pixels of the shorter side that SSIM shrinks to


class Moments(NamedTuple):
    """Local means, variances and covariance, (N, 1, h, w) each."""

    mean_x: Tensor
    mean_y: Tensor
    var_x: Tensor
    var_y: Tensor
    cov: Tensor


def moments(x: Tensor, y: Tensor, taps: tuple[float, ...], *, same_size: bool) -> Moments:
    """Of (N, 1, H, W) float pictures on the 0..255 scale, under a separable window of odd length.

    Without `same_size` only where the window fits. A window that does not quite sum to 1 gives the biased variances that
    it has without subtracting a centre first.
    """
    x, y = x - _CENTRE, y - _CENTRE
    maps = [separable(t, taps, taps) for t in (x, y, x * x, y * y, x * y)]
    if not same_size:
        edge = len(taps) // 2
        maps = [m[:, :, edge:-edge, edge:-edge] for m in maps]
    mean_x, mean_y, xx, yy, xy = maps
    var_x = torch.addcmul(xx, mean_x, mean_x, value=-1)
    var_y = torch.addcmul(yy, mean_y, mean_y, value=-1)
    cov = torch.addcmul(xy, mean_x, mean_y, value=-1)
    weight = sum(taps) ** 2
    if abs(bias := 1 - weight) > 1e-9:
        offset, slope = _CENTRE**2 * weight * bias, _CENTRE * bias
        var_x = var_x + offset + 2 * slope * mean_x
        var_y = var_y + offset + 2 * slope * mean_y
        cov = cov + offset + slope * (mean_x + mean_y)
    return Moments(mean_x + _CENTRE * weight, mean_y + _CENTRE * weight, var_x, var_y, cov)


def scaled(t: Tensor, depth: int | None, scale: Scale) -> Tensor:
    """Codes as float on the 0..255 scale of a convention."""
    x = eight_bit_scale(t, depth)
    if scale == "eight_bit":
        return x
    if depth not in (None, 8):
        x = x * (255 * 2.0 ** (depth - 8) / (2**depth - 1))
    return x + (x.round() - x).detach() if scale == "rounded" else x


def shrunk(x: Tensor, how: Shrink) -> Tensor:
    """(N, 1, H, W) float, downscaled by a box so that the shorter side is about 256 pixels; unchanged below 384."""
    h, w = x.shape[2:]
    ratio = min(h, w) / _NOMINAL
    factor = max(1, round(ratio) if how == "pool" else math.floor(ratio + 0.5))
    if factor == 1 or how == "none":
        return x
    if how == "pool":
        return box(x, factor, 0, h // factor, w // factor)
    if how == "libvmaf":
        return box(x, factor, factor // 2, h // factor + (h & 1), w // factor + (w & 1))
    return box(x, factor, (factor - 1) // 2, -(-h // factor), -(-w // factor))


def halved(x: Tensor, how: Halving) -> Tensor:
    """(N, 1, H, W) float at half the size, as MS-SSIM's conventions do it."""
    h, w = x.shape[2:]
    if how == "wavelet":
        return separable(x, LIBVMAF_LOW_PASS, LIBVMAF_LOW_PASS, "symmetric")[:, :, ::2, ::2]
    if how == "matlab":
        return box(x, 2, 0, -(-h // 2), -(-w // 2))
    if how == "pool":
        return box(x, 2, 0, h // 2, w // 2)
    if how == "pool_padded_left":
        odd = max(h % 2, w % 2)
        return F.avg_pool2d(F.pad(x, (odd, 0, odd, 0), mode="replicate"), 2)
    return F.avg_pool2d(x, 2, padding=(h % 2, w % 2))


def box(x: Tensor, factor: int, before: int, rows: int, columns: int) -> Tensor:
    """(N, 1, H, W) float -> (N, 1, rows, columns): means over factor x factor boxes, the first one `before` pixels above
    and left of the picture; what lies outside is mirrored with the edge pixel repeated."""
    h, w = x.shape[2:]
    below, right = factor * rows - before - h, factor * columns - before - w
    if x.device.type == "cpu" and not x.requires_grad:
        planes = [_box_opencv(p, before, below, right, rows, columns) for p in x[:, 0]]
        return torch.stack(planes)[:, None]
    down, across = _mirrored(h, before, below, x.device), _mirrored(w, before, right, x.device)
    return F.avg_pool2d(x.index_select(2, down).index_select(3, across), factor)


def _box_opencv(plane: Tensor, before: int, below: int, right: int, rows: int, columns: int) -> Tensor:
    """(H, W) -> (rows, columns)."""
    picture = plane.numpy()
    if below < 0 or right < 0:
        picture = picture[: picture.shape[0] + min(below, 0), : picture.shape[1] + min(right, 0)]
    if before or below > 0 or right > 0:
        picture = cv2.copyMakeBorder(picture, before, max(below, 0), before, max(right, 0), cv2.BORDER_REFLECT)
    return torch.from_numpy(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA))


def _mirrored(length: int, before: int, after: int, device: torch.device) -> Tensor:
    at = torch.arange(-before, length + after, device=device).remainder(2 * length)
    return torch.minimum(at, 2 * length - 1 - at)
