"""Motion of the reference, as VMAF uses it (libvmaf's fixed-point `motion`)."""

from __future__ import annotations

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair, eight_bit_scale
from mediaml.metrics.wavelet import nearest
from mediaml.ops.filters import separable

_TAPS = tuple(t / 65536 for t in (3571, 16004, 26386, 16004, 3571))
_STEP = 256.0  # blurred differences are rounded to 1/256 of an 8-bit code
_SCALED = tuple(t * _STEP for t in _TAPS)


def motion(ref: Tensor, *, bit_depth: int | None = None, step: int = 1) -> Tensor:
    """(N, 1, H, W) luma of consecutive pictures -> (N,) float64: how much each differs from the one `step` before.

    The mean absolute value of the blurred difference, in 8-bit codes; 0 for the first `step`. Differentiable. Follows
    libvmaf 3 `integer_motion` (`step` 2: its five-frame window), equal to 1e-5. Raises InvalidValue (NaN, out of range).
    """
    depth = check_pair(ref, ref, bit_depth)
    x = eight_bit_scale(ref, depth)
    return torch.cat([x.new_zeros(min(step, len(x)), dtype=torch.float64), differences(x, step)])


def differences(x: Tensor, step: int = 1) -> Tensor:
    """(N, 1, H, W) float, 8-bit scale -> (N - step,) float64: motion of each picture that has one `step` before."""
    moved = [difference(a, b) for a, b in zip(x[:-step], x[step:], strict=True)]
    return torch.stack(moved) if moved else x.new_zeros(0, dtype=torch.float64)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """Two pictures (1, H, W), float, 8-bit scale -> () float64."""
    moved = nearest(separable((b - a)[None], _SCALED, _TAPS)).abs_()
    return moved.mean().double() / _STEP


def motion2(moved: Tensor, *, step: int = 1) -> Tensor:
    """`motion` of a whole stream, (N,), -> the less of two; the last keeps its own.

    With `step` 1 of a picture's own and the next one's; with `step` 2 of the one's before and the next one's, where the
    first that has a value takes the next one's. NaN stands for pictures without a value; their neighbours keep their own.
    """
    _check_stream(moved)
    following = torch.cat([moved[1:], moved[-1:]])
    if step == 1:
        found = torch.minimum(moved, following)
    else:
        at = torch.arange(len(moved), device=moved.device)
        before = torch.where(at == step, following, torch.cat([moved[:1], moved[:-1]]))
        found = torch.where((at < step) | (at == len(moved) - 1), moved, torch.minimum(before, following))
    return torch.where(found.isnan(), moved, found)


def motion3(moved: Tensor, *, maximum: float = 10000.0, step: int = 1, average: bool = False) -> Tensor:
    """As `motion2`, but the first `step` pictures take the motion of the one after them, and values end at `maximum`
    (VMAF v1). `average`: with that of the picture before (its models for high frame rates, with `step` 2)."""
    found = motion2(moved, step=step)
    if len(moved) > step:
        found = torch.cat([moved[step : step + 1].expand(step), found[step:]])
    found = found.clamp_max(maximum)
    if average:
        before = torch.cat([found[:1], found[:-1]])
        found = torch.where(before.isnan(), found, (found + before) / 2)
    return found


def _check_stream(moved: Tensor) -> None:
    if moved.ndim != 1 or moved.shape[0] == 0:
        raise InvalidValue(f"motion of a stream must be (N,) with at least one picture, not {tuple(moved.shape)}")
