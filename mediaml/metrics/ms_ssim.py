"""Multi-scale structural similarity, in the conventions of five packages."""

from __future__ import annotations

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair
from mediaml.metrics.ssim import C2, contrast_structure, local_moments, luminance
from mediaml.metrics.ssim_conventions import DEFAULT, SsimConvention, ssim_convention
from mediaml.metrics.windows import Moments, halved, scaled

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first
SMALLEST = {"libvmaf": 176, "wang2004": 176, "torchmetrics": 176, "piq": 161, "pyiqa": 161}
"""Pixels a side below which the software refuses, or has no room for its window at the coarsest scale."""


def ms_ssim(ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, convention: str = DEFAULT) -> Tensor:
    """(N, 1, H, W) luma pairs -> (N,) float64 MS-SSIM over five scales, [0, 1], 1 for equal pictures.

    ref, dist   integer codes with `bit_depth` (uint8 needs none), or float in [0, 1] over the full code range
    convention  "libvmaf" (float_ms_ssim), "wang2004" (the authors' MATLAB of 2003), "torchmetrics", "piq" or "pyiqa"

    A scale whose mean structure is negative (an inverted picture) makes the whole 0, where libvmaf takes the root of a
    negative number. Any device; differentiable. Wang, Simoncelli & Bovik 2003. Raises InvalidValue (sides under 161 or
    176 pixels, NaN, out of range) and UnknownName (a convention, with near matches).
    """
    how = ssim_convention(convention)
    depth = check_pair(ref, dist, bit_depth)
    if min(ref.shape[2:]) < (smallest := SMALLEST[how.name]):
        raise InvalidValue(
            f"MS-SSIM ({how.name}) of {ref.shape[3]}x{ref.shape[2]}: five scales need {smallest} pixels a side or more"
        )
    return torch.stack([_one(x, y, depth, how) for x, y in zip(ref.split(1), dist.split(1), strict=True)])


def _one(ref: Tensor, dist: Tensor, depth: int | None, how: SsimConvention) -> Tensor:
    """(1, 1, H, W) -> ()."""
    x, y = (scaled(t, depth, how.scale) for t in (ref, dist))
    score = x.new_ones((), dtype=torch.float64)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x, y = halved(x, how.halving), halved(y, how.halving)
        found = local_moments(x, y, how)
        last = scale == len(WEIGHTS) - 1
        for factor in _libvmaf(found, last) if how.name == "libvmaf" else _classic(found, how, last):
            score = score * factor.clamp_min(0) ** weight
    return score


def _libvmaf(m: Moments, last: bool) -> list[Tensor]:
    """Means of contrast and of structure, and of luminance at the coarsest scale."""
    deviations = (m.var_x * m.var_y).sqrt()
    contrast = (2 * deviations + C2) / (m.var_x + m.var_y + C2)
    structure = (m.cov + C2 / 2) / (deviations + C2 / 2)
    return [_mean(t) for t in ([contrast, structure, luminance(m)] if last else [contrast, structure])]


def _classic(m: Moments, how: SsimConvention, last: bool) -> list[Tensor]:
    """Mean of contrast times structure; at the coarsest scale of the whole SSIM."""
    found = contrast_structure(m, how)
    if last:
        return [_mean(found * luminance(m))]
    if how.same_size:
        edge = len(how.window) // 2
        found = found[:, :, edge:-edge, edge:-edge]
    return [_mean(found)]


def _mean(t: Tensor) -> Tensor:
    return t.mean(dtype=torch.float64)
