"""Visual information fidelity at four scales, as VMAF uses it (libvmaf's fixed-point `vif`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mediaml.metrics import vif_cpu
from mediaml.metrics.inputs import check_pair, eight_bit_scale
from mediaml.metrics.vif_cpu import CENTRE, NOISE, SATURATION, STEP, TRUNCATION
from mediaml.metrics.wavelet import nearest
from mediaml.ops.filters import separable

SMALLEST = 16
NO_LIMIT = 100.0
_ONE = (1.0,)
_EXACT_FROM = 2  # scale: few pixels from here on, on which a single one shows, so float64

# 16-bit fixed-point Gaussians of 17, 9, 5 and 3 taps, the second half mirrored
_HALVES = (
    (489, 935, 1640, 2640, 3896, 5274, 6547, 7455, 7784),
    (1244, 3663, 7925, 12590, 14692),
    (3571, 16004, 26386),
    (10904, 43728),
)
TAPS = tuple(tuple(t / 65536 for t in (*half, *half[-2::-1])) for half in _HALVES)


def vif(ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, enhancement_gain_limit: float = NO_LIMIT) -> Tensor:
    """(N, 1, H, W) luma pairs -> (N, 4) float64: VIF at scales 0 (finest) to 3, each about [0, 1], above 1 if enhanced.

    Integer codes with `bit_depth`, or float in [0, 1] over the full code range. `enhancement_gain_limit` 1 gives no credit
    for contrast enhancement (VMAF NEG). Differentiable. Follows libvmaf 3 `integer_vif` (Sheikh & Bovik 2006), equal to about
    1e-5. Raises InvalidValue (sides under 16 pixels, NaN, out of range).
    """
    depth = check_pair(ref, dist, bit_depth, smallest=SMALLEST)
    x, y = (eight_bit_scale(t, depth) - CENTRE for t in (ref, dist))
    return vif_scales(x, y, (enhancement_gain_limit,))[0]


def vif_scales(x: Tensor, y: Tensor, limits: Sequence[float]) -> Tensor:
    """(N, 1, H, W) float reference and distorted, 8-bit scale with 128 subtracted -> (L, N, 4), one row a gain limit."""
    if x.device.type == "cpu" and not (x.requires_grad or y.requires_grad):
        pictures = [_on_cpu(a, b, limits) for a, b in zip(x[:, 0], y[:, 0], strict=True)]
        return torch.stack(pictures, dim=1)
    scales: list[Tensor] = []
    for scale, taps in enumerate(TAPS):
        if scale == _EXACT_FROM:
            x, y = x.double(), y.double()
        if scale:
            x, y = (_halved(t, taps) for t in (x, y))
        scales.append(_one_scale(x, y, taps, limits, finest=scale == 0))
    return torch.stack(scales, dim=2)


def _on_cpu(x: Tensor, y: Tensor, limits: Sequence[float]) -> Tensor:
    """(H, W) -> (L, 4)."""
    scales: list[Tensor] = []
    for scale, taps in enumerate(TAPS):
        if scale == _EXACT_FROM:
            x, y = x.double(), y.double()
        if scale:
            x, y = (vif_cpu.halved(t, taps) for t in (x, y))
        scales.append(vif_cpu.information(x, y, taps, limits, rounded=scale > 0))
    return torch.stack(scales, dim=1)


def _halved(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Filtered, then every second pixel; rounded after each direction as 16-bit fixed point does."""
    h, w = (n // 2 * 2 for n in x.shape[2:])
    rows = nearest(separable(x, _ONE, tuple(t * STEP for t in taps))[:, :, :h:2])
    return nearest(separable(rows, taps, _ONE)[..., :w:2]) * (1 / STEP)


def _one_scale(x: Tensor, y: Tensor, taps: tuple[float, ...], limits: Sequence[float], *, finest: bool) -> Tensor:
    """(N, 1, h, w) -> (L, N)."""
    sums = _information(_moments(x, y, taps, finest), limits)  # (L + 1, N)
    return sums[:-1] / sums[-1]


def _moments(x: Tensor, y: Tensor, taps: tuple[float, ...], finest: bool) -> list[Tensor]:
    """Local means of x and y, and of their squares and product; at coarser scales off as libvmaf's are."""
    maps = [separable(t, taps, taps) for t in (x, y, x * x, y * y, x * y)]
    if not finest:
        _shift(maps, _rounding_of_mean(x, taps), _rounding_of_mean(y, taps))
    return maps


def _rounding_of_mean(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """How far libvmaf's local mean, rounded to 1/256 between the two directions, lies from the true one."""
    rows = separable(x.detach(), _ONE, tuple(t * STEP for t in taps))
    return separable(nearest(rows) - rows, tuple(t / STEP for t in taps), _ONE)


def _shift(maps: list[Tensor], off_x: Tensor, off_y: Tensor) -> None:
    """Makes the moments such that the variances are those of means off by so much, in codes without anything subtracted."""
    mu_x, mu_y, xx, yy, xy = maps
    full_x, full_y = mu_x + CENTRE, mu_y + CENTRE
    maps[2] = xx - off_x * (2 * full_x + off_x)
    maps[3] = yy - off_y * (2 * full_y + off_y)
    maps[4] = xy - off_x * (full_y + off_y) - off_y * full_x


def _information(maps: Sequence[Tensor], limits: Sequence[float]) -> Tensor:
    """Local moments of a strip -> (L + 1, N) float64 sums in bits: what the distorted picture keeps, then what there was."""
    mu_x, mu_y, xx, yy, xy = maps
    var_x = torch.addcmul(xx, mu_x, mu_x, value=-1).clamp_min_(NOISE)  # flat places count one bit
    var_y = torch.addcmul(yy, mu_y, mu_y, value=-1).clamp_min_(0)
    cov = torch.addcmul(xy, mu_x, mu_y, value=-1)
    gain = (cov / var_x).clamp_min_(0)
    residue = torch.addcmul(var_y, gain, cov, value=-1).clamp_min_(0).add_(NOISE)
    busy = (var_x > NOISE).to(var_x.dtype)  # sums with a mask of numbers: several times faster than torch.where
    count, flat_count = busy.sum(dim=(1, 2, 3)), (1 - busy).sum(dim=(1, 2, 3))
    in_flat = flat_count - SATURATION * (var_y * (1 - busy)).sum(dim=(1, 2, 3))
    sums = []
    for limit in limits:
        signal = gain.clamp_max(limit).square_() * var_x
        sums.append(((signal / residue).add_(1).log2_() * busy).sum(dim=(1, 2, 3)) + in_flat)
    sums.append((var_x / NOISE).add_(1).log2_().sum(dim=(1, 2, 3)) - TRUNCATION * count)
    return torch.stack(sums).double()
