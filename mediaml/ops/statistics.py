"""Natural-scene statistics: mean-subtracted contrast-normalised (MSCN) coefficients and generalised Gaussian fits."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from mediaml.ops.filters import Border, gaussian_blur

WINDOW_SIZE, WINDOW_SIGMA = 7, 7 / 6
FLAT_MSCN = 1e-5
_STRIP_ROWS = 64
_GRID = (0.2, 10.0, 0.001)  # shape parameters searched, as in the authors' releases


def mscn(luma: Tensor, border: Border) -> Tensor:
    """(N, 1, H, W) float luma on the 0..255 scale -> MSCN coefficients (N, 1, H, W) float32 (Ruderman 1994).

    (luma - mean) / (deviation + 1), both weighted by a 7x7 Gaussian of sigma 7/6 px, as in NIQE and BRISQUE. Computed in
    float64: the deviation is a difference of large numbers, and float32 moves NIQE by 0.02. What rounding leaves of flat
    regions lies below `FLAT_MSCN`.
    """
    if luma.device.type != "cpu":
        return _mscn(luma, border).to(torch.float32)
    height, halo = luma.shape[2], WINDOW_SIZE // 2
    result = torch.empty(luma.shape, dtype=torch.float32)
    for top in range(0, height, _STRIP_ROWS):  # few enough rows to stay in a core's cache
        bottom = min(top + _STRIP_ROWS, height)
        first, last = max(top - halo, 0), min(bottom + halo, height)
        result[:, :, top:bottom] = _mscn(luma[:, :, first:last], border)[:, :, top - first : bottom - first]
    return result


def _mscn(luma: Tensor, border: Border) -> Tensor:
    """As `mscn`, in float64."""
    luma = luma.to(torch.float64)
    mean = gaussian_blur(luma, WINDOW_SIZE, WINDOW_SIGMA, border)
    square = gaussian_blur(luma * luma, WINDOW_SIZE, WINDOW_SIGMA, border)
    deviation = square.sub_(mean * mean).abs_().sqrt_()
    return mean.neg_().add_(luma).div_(deviation.add_(1))


class Moments(NamedTuple):
    """Sums over samples, each (B,) float64: how many lie below and above 0, squares of those below and of all, magnitudes.

    Those of parts add up to those of the whole, so that a picture can be summed while it lies in the cache.
    """

    below: Tensor
    above: Tensor
    square_below: Tensor
    square: Tensor
    magnitude: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """(B, M) float32, M below 2**24."""
        negative = x.clamp(max=0)
        below = -negative.sign().sum(dim=1).to(torch.float64)  # counts of up to 2**24 are exact in float32
        difference = x.sign().sum(dim=1).to(torch.float64)
        magnitude = x.sum(dim=1, dtype=torch.float64) - 2 * negative.sum(dim=1, dtype=torch.float64)
        left, both = (torch.linalg.vecdot(t, t).to(torch.float64) for t in (negative, x))
        return cls(below, difference + below, left, both, magnitude)

    @classmethod
    def join(cls, parts: Iterable[Moments], *, add: bool) -> Moments:
        """Of the whole picture that `parts` are parts of, each (1,), with `add`; else rows of all parts below one another."""
        columns = (torch.cat(c) for c in zip(*parts, strict=True))
        return cls(*(c.sum(dim=0, keepdim=True) if add else c for c in columns))


class Aggd(NamedTuple):
    """Asymmetric generalised Gaussian: shape, and root mean square of the negative and of the positive values."""

    alpha: Tensor
    left: Tensor
    right: Tensor


def fit_ggd(x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, M) -> shape and variance of a zero-mean generalised Gaussian, each (B,) float64 (Sharifi & Leon-Garcia 1995).

    Shape lies on the grid 0.2 .. 10 in steps of 0.001. All-zero rows give NaN.
    """
    square = _mean_square(x, x.shape[1])
    absolute = x.abs().mean(dim=1, dtype=torch.float64)
    return _nearest_shape(absolute**2 / square), square


def fit_aggd(x: Tensor) -> Aggd:
    """(B, M) -> asymmetric generalised Gaussian by moment matching, each field (B,) float64 (Lasmar et al. 2009).

    Shape lies on the grid 0.2 .. 10 in steps of 0.001. Rows without a negative or without a positive value give NaN.
    """
    return aggd(Moments.of(x), x.shape[1])


def aggd(moments: Moments, count: int) -> Aggd:
    """`fit_aggd` of rows of `count` samples with these sums."""
    left = torch.sqrt(moments.square_below / moments.below)
    right = torch.sqrt((moments.square - moments.square_below).clamp(min=0) / moments.above)
    ratio = left / right
    shape_ratio = moments.magnitude**2 / (moments.square * count)
    shape_ratio = shape_ratio * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    return Aggd(_nearest_shape(shape_ratio), left, right)


def scale_from_rms(alpha: Tensor) -> Tensor:
    """beta / sigma of a generalised Gaussian of shape alpha: sqrt(gamma(1 / alpha) / gamma(3 / alpha))."""
    return torch.exp(0.5 * (torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha)))


def mean_from_scale(alpha: Tensor) -> Tensor:
    """Mean of an AGGD divided by (beta_right - beta_left): gamma(2 / alpha) / gamma(1 / alpha)."""
    return torch.exp(torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha))


def _mean_square(x: Tensor, count: int) -> Tensor:
    return torch.linalg.vecdot(x, x).to(torch.float64) / count


@cache
def _shape_table() -> tuple[Tensor, Tensor]:
    low, high, step = _GRID
    alpha = low + step * torch.arange(round((high - low) / step) + 1, dtype=torch.float64)
    ratio = torch.exp(2 * torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha))
    return alpha, ratio  # ratio rises with alpha


def _nearest_shape(ratio: Tensor) -> Tensor:
    """The grid's shape whose (E|x|)^2 / E x^2 is nearest to `ratio`; NaN where that is NaN."""
    alpha, table = (t.to(ratio.device) for t in _shape_table())
    above = torch.searchsorted(table, ratio.nan_to_num(0.0)).clamp(1, len(table) - 1)
    nearer_below = (ratio - table[above - 1]).abs() <= (table[above] - ratio).abs()
    found = alpha[torch.where(nearer_below, above - 1, above)]
    return torch.where(ratio.isnan(), ratio, found)
