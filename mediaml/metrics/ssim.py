"""Structural similarity, in the conventions of five packages."""

from __future__ import annotations

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair
from mediaml.metrics.ssim_conventions import DEFAULT, SsimConvention, ssim_convention
from mediaml.metrics.windows import Moments, moments, scaled, shrunk

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_LARGE = 1e30


def ssim(ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, convention: str = DEFAULT) -> Tensor:
    """(N, 1, H, W) luma pairs -> (N,) float64 SSIM, [-1, 1], 1 for equal pictures.

    ref, dist   integer codes with `bit_depth` (uint8 needs none), or float in [0, 1] over the full code range
    convention  "libvmaf" (float_ssim), "wang2004", "torchmetrics", "piq" or "pyiqa": see `SsimConvention` for what differs

    Any device; differentiable. Equal to the named software to 1e-5 (libvmaf, float) and 1e-4 (the others). Wang, Bovik,
    Sheikh & Simoncelli 2004. Raises InvalidValue (sides that the window does not fit into, NaN, out of range) and
    UnknownName (a convention, with near matches).
    """
    how = ssim_convention(convention)
    depth = check_pair(ref, dist, bit_depth)
    _check_window(ref, how)
    return torch.stack([_one(x, y, depth, how) for x, y in zip(ref.split(1), dist.split(1), strict=True)])


def _one(ref: Tensor, dist: Tensor, depth: int | None, how: SsimConvention) -> Tensor:
    """(1, 1, H, W) -> ()."""
    x, y = (shrunk(scaled(t, depth, how.scale), how.shrink) for t in (ref, dist))
    return similarity(local_moments(x, y, how), how).mean(dtype=torch.float64)


def local_moments(x: Tensor, y: Tensor, how: SsimConvention) -> Moments:
    """Moments under the convention's window, variances and covariance clamped where it does so."""
    found = moments(x, y, how.window, same_size=how.same_size)
    if how.clamp_variance:
        found = found._replace(var_x=found.var_x.clamp_min(0), var_y=found.var_y.clamp_min(0))
    if how.clamp_covariance:
        lowest = found.var_x * found.var_y * -_LARGE  # 0 where one is flat, else out of reach
        found = found._replace(cov=torch.maximum(found.cov, lowest))
    return found


def luminance(m: Moments) -> Tensor:
    """(2 mx my + C1) / (mx^2 + my^2 + C1)."""
    return (2 * m.mean_x * m.mean_y + C1) / (m.mean_x.square() + m.mean_y.square() + C1)


def contrast_structure(m: Moments, how: SsimConvention) -> Tensor:
    """(2 cov + C2) / (vx + vy + C2), which is the product of contrast and structure."""
    found = (2 * m.cov + C2) / (m.var_x + m.var_y + C2)
    return found.clamp_min(0) if how.clamp_contrast else found


def similarity(m: Moments, how: SsimConvention) -> Tensor:
    """(1, 1, h, w) map of SSIM."""
    return luminance(m) * contrast_structure(m, how)


def smallest(how: SsimConvention) -> int:
    """Pixels a side that the window needs."""
    return len(how.window) // 2 + 1 if how.same_size else len(how.window)


def _check_window(t: Tensor, how: SsimConvention) -> None:
    if min(t.shape[2:]) < smallest(how):
        raise InvalidValue(
            f"SSIM ({how.name}) of {t.shape[3]}x{t.shape[2]}: its window needs {smallest(how)} pixels a side or more"
        )
