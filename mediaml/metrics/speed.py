"""SpEED: how much the local information of two pictures differs, as VMAF v1 uses it on chroma (libvmaf's `speed_chroma`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair, eight_bit_scale
from mediaml.ops.filters import gaussian_taps, separable

_CENTRE = 128.0
_STEP = 16  # pictures are looked at in a sixteenth of their width and height
_BLOCK = 5  # pixels a side of a block, there
SMALLEST = _STEP * _BLOCK
_SINGULAR = 1e-6  # eigenvalues below make a picture too flat for the model
_GAUSSIAN_BITS = math.log2(2 * math.pi * math.e)
_OWN_WEIGHT = {  # by weight_var_mode: share of the reference's variance in its own weight, and in the distorted one's
    0: (1.0, 0.0),
    1: (1.0, 1.0),
    2: (0.0, 0.0),
    3: (0.5, 0.5),
    4: (1.0, 0.5),
    5: (1.0, 0.75),
    6: (1.0, 0.25),
}


@dataclass(frozen=True, slots=True)
class SpeedOptions:
    """Settings of libvmaf's extractor, under its option names without the prefix `speed_`.

    kernelscale      of the filters, relative to their size
    sigma_nn         variance of the neural noise
    nn_floor         information less than this share above the noise does not count
    weight_var_mode  0..6: whose variance weighs the distorted picture's information
    max_val          values end there
    prescale         pictures are scaled by that first, 0.1..1 (a greater viewing distance)
    prescale_method  how: "bilinear" (without low-pass); libvmaf's others are not known here
    """

    kernelscale: float = 1.0
    sigma_nn: float = 0.29
    nn_floor: float = 0.0
    weight_var_mode: int = 0
    max_val: float = 1000.0
    prescale: float = 1.0
    prescale_method: str = "nearest"


class _Local(NamedTuple):
    entropy: Tensor  # (N, B) bits of each block
    variance: Tensor  # (N, B) of each block, relative to the picture's covariance
    regular: Tensor  # (N,) whether the covariance can be inverted


def speed_chroma(
    ref: tuple[Tensor, Tensor],
    dist: tuple[Tensor, Tensor],
    *,
    bit_depth: int | None = None,
    options: SpeedOptions | None = None,
) -> Tensor:
    """U and V planes, (N, 1, h, w) each, of reference and distorted -> (N,) float64: 0 where their information is alike.

    The mean of both planes; where one of them is flat, the other alone. Integer codes with `bit_depth`, or float in [0, 1].
    Follows libvmaf 3 `speed_chroma` (Bampis, Gupta, Soundararajan & Bovik 2017), equal to about 1e-4: that one inverts
    covariances in single precision. Raises InvalidValue (sides under 80 pixels after `prescale`, NaN, out of range, an
    option that is not known).
    """
    options = options or SpeedOptions()
    check_options(options)
    (u, flat_u), (v, flat_v) = (_plane_score(a, b, bit_depth, options) for a, b in zip(ref, dist, strict=True))
    mean = torch.where(flat_u & ~flat_v, v, torch.where(flat_v & ~flat_u, u, (u + v) / 2))
    return mean.clamp_max(options.max_val)


def check_options(options: SpeedOptions) -> None:
    """Raises InvalidValue for settings that are not known here."""
    if options.weight_var_mode not in _OWN_WEIGHT:
        raise InvalidValue(f"speed_weight_var_mode {options.weight_var_mode} must lie in 0..6")
    if not 0.1 <= options.prescale <= 1:
        raise InvalidValue(f"speed_prescale {options.prescale:g} must lie in 0.1..1")
    if options.prescale != 1 and options.prescale_method != "bilinear":
        raise InvalidValue(f"speed_prescale_method {options.prescale_method!r}: only bilinear is known here")


def smallest_chroma(options: SpeedOptions) -> int:
    """Pixels a side of U and V that it takes."""
    return math.ceil((SMALLEST - 0.5) / options.prescale)


def _prescaled(x: Tensor, options: SpeedOptions) -> Tensor:
    """(N, 1, H, W) -> (N, 1, round(H * prescale), round(W * prescale))."""
    if options.prescale == 1:
        return x
    size = [int(n * options.prescale + 0.5) for n in x.shape[2:]]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _plane_score(ref: Tensor, dist: Tensor, bit_depth: int | None, options: SpeedOptions) -> tuple[Tensor, Tensor]:
    """Score (N,) of one plane, and whether either picture was too flat for the model (N,)."""
    depth = check_pair(ref, dist, bit_depth, smallest=smallest_chroma(options))
    x, y = (_prescaled(eight_bit_scale(t, depth) - _CENTRE, options) for t in (ref, dist))
    a, b = (_local(_coarse(t, options.kernelscale), options.sigma_nn) for t in (x, y))
    own, other = _OWN_WEIGHT[options.weight_var_mode]
    information = [
        local.entropy * torch.log2(1 + share * a.variance + (1 - share) * b.variance)
        for local, share in ((a, own), (b, other))
    ]
    floor = _BLOCK**2 * (math.log2((1 + options.nn_floor) * options.sigma_nn) + _GAUSSIAN_BITS)
    unseen = (a.entropy < floor) & (b.entropy < floor)
    score = torch.where(unseen, 0, (information[0] - information[1]).abs()).mean(dim=1)
    return torch.where(a.regular == b.regular, score, 0), ~(a.regular & b.regular)


def _coarse(x: Tensor, kernelscale: float) -> Tensor:
    """(N, 1, H, W) -> (N, 1, H / 16, W / 16) without its local mean."""
    size = _odd(9 * kernelscale)
    taps = gaussian_taps(size, 2 * size / 5)
    h, w = (n // _STEP for n in x.shape[2:])
    small = separable(x, taps, taps)[:, :, : h * _STEP : _STEP, : w * _STEP : _STEP].double()
    size = max(3, _odd(2 * kernelscale))
    taps = gaussian_taps(size, size / 5)
    return small - separable(small.contiguous(), taps, taps)


def _odd(length: float) -> int:
    return math.ceil(length) // 2 * 2 + 1


def _local(x: Tensor, noise: float) -> _Local:
    """Blocks of a picture as draws from one Gaussian, each scaled by a variance of its own."""
    h, w = (n // _BLOCK * _BLOCK for n in x.shape[2:])
    x = x[:, :, :h, :w]
    every = F.unfold(x, _BLOCK)  # (N, 25, all positions)
    every = every - every.mean(dim=2, keepdim=True)
    covariance = every @ every.mT / every.shape[2]  # (N, 25, 25)
    values = torch.linalg.eigvalsh(covariance)
    regular = values[:, 0] >= _SINGULAR
    safe = torch.where(regular[:, None, None], covariance, torch.eye(_BLOCK**2, dtype=x.dtype, device=x.device))
    blocks = F.unfold(x, _BLOCK, stride=_BLOCK)  # (N, 25, B)
    variance = (torch.linalg.solve(safe, blocks) * blocks).mean(dim=1) * regular[:, None]
    bits = torch.log2(values.clamp_min(0)[:, :, None] * variance[:, None] + noise).sum(dim=1)
    return _Local(bits + _BLOCK**2 * _GAUSSIAN_BITS, variance, regular)
