"""Checks of a pair of pictures, and its code values as float on one common scale."""

from __future__ import annotations

import torch
from torch import Tensor

from mediaml.errors import InvalidValue

_FULL = 255.0


def check_pair(ref: Tensor, dist: Tensor, bit_depth: int | None = None, *, smallest: int = 1) -> int | None:
    """Refuses what is not a pair of (N, 1, H, W) pictures of equal kind; gives the bit depth, None for float.

    Raises InvalidValue: shapes, kinds or devices differ, a side is under `smallest` pixels, the bit depth is missing or
    contradicts the kind, a value is NaN, infinite or outside its range.
    """
    for name, t in (("ref", ref), ("dist", dist)):
        if t.ndim != 4 or t.shape[1] != 1 or t.shape[0] == 0:
            raise InvalidValue(f"{name} must be (N, 1, H, W) with at least one picture, not {tuple(t.shape)}")
        if min(t.shape[2:]) < smallest:
            raise InvalidValue(
                f"{name} is {t.shape[3]}x{t.shape[2]}; this metric needs {smallest} pixels a side or more"
            )
    if ref.shape != dist.shape or ref.dtype != dist.dtype or ref.device != dist.device:
        raise InvalidValue(
            f"ref is {tuple(ref.shape)} {ref.dtype} on {ref.device}, dist {tuple(dist.shape)} {dist.dtype} on "
            f"{dist.device}; bring them to one size, kind and device first"
        )
    depth = _depth_of(ref, bit_depth)
    for name, t in (("ref", ref), ("dist", dist)):
        _check_range(name, t, depth)
    return depth


def _depth_of(t: Tensor, bit_depth: int | None) -> int | None:
    if t.dtype == torch.uint8 and bit_depth in (None, 8):
        return 8
    if t.is_floating_point() and bit_depth is None:
        return None
    if t.is_floating_point():
        raise InvalidValue(f"bit_depth {bit_depth} with {t.dtype}: float pictures lie in [0, 1] and take no bit_depth")
    if t.dtype not in (torch.uint16, torch.int16, torch.int32, torch.int64) or bit_depth is None:
        raise InvalidValue(
            f"{t.dtype} pictures with bit_depth {bit_depth}: give uint8, uint16 with bit_depth, or float"
        )
    if not 8 <= bit_depth <= 16:
        raise InvalidValue(f"bit_depth {bit_depth} must lie in 8..16")
    return bit_depth


def _check_range(name: str, t: Tensor, depth: int | None) -> None:
    if t.dtype == torch.uint8 or (t.dtype == torch.uint16 and depth == 16):
        return
    low, high = t.detach().to(torch.int32 if t.dtype == torch.uint16 else t.dtype).aminmax()
    top = 1 if depth is None else 2**depth - 1
    if not (low >= 0 and high <= top):  # a NaN compares false
        raise InvalidValue(f"{name} has values in {low.item():g}..{high.item():g}, the range is 0..{top} without NaN")


def eight_bit_scale(t: Tensor, depth: int | None) -> Tensor:
    """Float with 0..255 spanning 8-bit codes: integers are divided by 2^(depth - 8), [0, 1] is multiplied by 255.

    float32; float64 stays, and is used on CUDA, where convolutions of float32 may be cut to ten bits of mantissa.
    """
    kind = torch.float64 if t.dtype == torch.float64 or t.device.type == "cuda" else torch.float32
    if depth is None:
        return t.to(kind) * _FULL
    if t.dtype == torch.uint16:
        t = t.to(torch.int32)
    return t.to(kind) if depth == 8 else t.to(kind) * 2.0 ** (8 - depth)
