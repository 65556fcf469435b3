"""Motion of the reference, as VMAF uses it (libvmaf's fixed-point `motion`)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair, eight_bit_scale
from mediaml.metrics.wavelet import nearest
from mediaml.ops.filters import separable

_TAPS = tuple(t / 65536 for t in (3571, 16004, 26386, 16004, 3571))
_STEP = 256.0  # blurred differences are rounded to 1/256 of an 8-bit code
_SCALED = tuple(t * _STEP for t in _TAPS)


def motion(ref: Tensor, *, bit_depth: int | None = None) -> Tensor:
    """(N, 1, H, W) luma of consecutive pictures -> (N,) float64: how much each differs from the one before.

    The mean absolute value of the blurred difference, in 8-bit codes; 0 for the first. Differentiable. Follows libvmaf 3
    `integer_motion`, equal to 1e-5. Raises InvalidValue (NaN, out of range).
    """
    depth = check_pair(ref, ref, bit_depth)
    x = eight_bit_scale(ref, depth)
    return torch.cat([x.new_zeros(1, dtype=torch.float64), differences(x)])


def differences(x: Tensor) -> Tensor:
    """(N, 1, H, W) float, 8-bit scale -> (N - 1,) float64: motion of each picture but the first."""
    moved = [difference(a, b) for a, b in pairwise(x)]
    return torch.stack(moved) if moved else x.new_zeros(0, dtype=torch.float64)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """Two pictures (1, H, W), float, 8-bit scale -> () float64."""
    moved = nearest(separable((b - a)[None], _SCALED, _TAPS)).abs_()
    return moved.mean().double() / _STEP


def motion2(moved: Tensor) -> Tensor:
    """`motion` of a whole stream, (N,), -> the less of each and the one after it; the last keeps its own.

    NaN stands for pictures without a value; the one before such a picture keeps its own.
    """
    _check_stream(moved)
    following = torch.cat([moved[1:], moved[-1:]])
    return torch.where(following.isnan(), moved, torch.minimum(moved, following))


def motion3(moved: Tensor, *, maximum: float = 10000.0) -> Tensor:
    """As `motion2`, but the first picture takes the motion of the second, and values end at `maximum` (VMAF v1)."""
    _check_stream(moved)
    return motion2(torch.cat([moved[1:2], moved[1:]]) if len(moved) > 1 else moved).clamp_max(maximum)


def _check_stream(moved: Tensor) -> None:
    if moved.ndim != 1 or moved.shape[0] == 0:
        raise InvalidValue(f"motion of a stream must be (N,) with at least one picture, not {tuple(moved.shape)}")
