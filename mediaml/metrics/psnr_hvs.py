"""PSNR-HVS and PSNR-HVS-M: error of DCT coefficients, weighted by contrast sensitivity and, in the second, masked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.hvs_tables import SENSITIVITY
from mediaml.metrics.inputs import check_pair, eight_bit_scale

HIGHEST = 100.0
"""dB for pictures without a visible error, where libvmaf gives infinity."""

BLOCK, STEP = 8, 7
_MOST_BITS = 12
_STRIP = 2048  # blocks whose intermediate results stay in the processor's cache
_MASK_SCALE = 0.3885746225901003  # of the sensitivities, to make the table of masking
PLANE_WEIGHTS = (0.8, 0.1, 0.1)


def psnr_hvs(
    ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, plane: str = "y", masking: bool = True
) -> Tensor:
    """(N, 1, H, W) pairs of one plane -> (N,) float64, dB, at most 100.

    plane    "y", "u" or "v": whose sensitivities
    masking  True: PSNR-HVS-M, what libvmaf and Xiph call psnr_hvs; False: PSNR-HVS, without contrast masking

    Blocks of 8x8 every 7 pixels. Integer codes of 8 to 12 bit go through the integer transform of the reference and, on the
    CPU, its float32 summation. More bits, and float in [0, 1], go through the exact DCT on the 8-bit scale; float is
    differentiable. Follows libvmaf 3 `psnr_hvs`, equal to 1e-5 (Ponomarenko et al. 2007; Egiazarian et al. 2006). Raises
    InvalidValue (sides under 8 pixels, NaN, out of range, another plane).
    """
    if plane not in SENSITIVITY:
        raise InvalidValue(f"plane {plane!r}; known: y, u, v")
    depth = check_pair(ref, dist, bit_depth, smallest=BLOCK)
    errors = [_error(x, y, depth, plane, masking) for x, y in zip(ref.split(1), dist.split(1), strict=True)]
    return decibel(torch.stack(errors))


def psnr_hvs_planes(
    ref: Sequence[Tensor], dist: Sequence[Tensor], *, bit_depth: int | None = None, masking: bool = True
) -> Tensor:
    """Planes (Y, U, V), each (N, 1, h, w) -> (N, 4) float64, dB: Y, U, V and the whole, whose error is 0.8 Y + 0.1 U + 0.1 V.

    libvmaf's psnr_hvs_y, _cb, _cr and psnr_hvs. Raises InvalidValue as `psnr_hvs`.
    """
    if len(ref) != 3 or len(dist) != 3:
        raise InvalidValue(f"psnr_hvs_planes takes planes Y, U and V; ref has {len(ref)}, dist {len(dist)}")
    depths = [check_pair(a, b, bit_depth, smallest=BLOCK) for a, b in zip(ref, dist, strict=True)]
    columns = []
    for name, xs, ys, depth in zip("yuv", ref, dist, depths, strict=True):
        pairs = zip(xs.split(1), ys.split(1), strict=True)
        columns.append(torch.stack([_error(x, y, depth, name, masking) for x, y in pairs]))
    errors = torch.stack(columns, dim=1)  # (N, 3)
    whole = (errors * errors.new_tensor(PLANE_WEIGHTS)).sum(dim=1, keepdim=True)
    return decibel(torch.cat([errors, whole], dim=1))


def decibel(error: Tensor) -> Tensor:
    """-10 log10, at most `HIGHEST`."""
    return (-10 * error.log10()).clamp_max(HIGHEST)


def _error(ref: Tensor, dist: Tensor, depth: int | None, plane: str, masking: bool) -> Tensor:
    """(1, 1, H, W) -> () float64: mean weighted squared error of the coefficients, of a peak of 1."""
    x, y = (_blocks(t, depth) for t in (ref, dist))
    rows = max(1, _STRIP // x.shape[1]) if x.device.type == "cpu" else x.shape[0]
    dtype = torch.float64 if ref.dtype == torch.float64 else torch.float32
    csf = torch.tensor(SENSITIVITY[plane], dtype=dtype, device=x.device)[..., None]
    squares = [_strip(x[i : i + rows], y[i : i + rows], csf, depth, masking) for i in range(0, x.shape[0], rows)]
    exact = _is_exact(depth)
    peak = 255.0 if depth is None else 2.0**depth - 1 if exact else (2.0**depth - 1) / 2.0 ** (depth - 8)
    if exact and x.device.type == "cpu":
        return torch.tensor(_summed_like_libvmaf(squares) / (x.numel() * peak**2), dtype=torch.float64)
    return torch.stack([s.sum(dtype=torch.float64) for s in squares]).sum() / (x.numel() * peak**2)


def _is_exact(depth: int | None) -> bool:
    """Whether the integer transform takes such codes; it overflows beyond 13 bits."""
    return depth is not None and depth <= _MOST_BITS


def _summed_like_libvmaf(squares: list[Tensor]) -> float:
    """One by one in float32, block by block: for large pictures this moves libvmaf's score by up to 0.0005 dB."""
    total = np.zeros(1, np.float32)
    for part in squares:
        in_order = part.permute(2, 0, 1).reshape(-1).numpy()
        total = np.add.accumulate(np.concatenate((total, in_order)))[-1:]
    return float(total[0])


def _blocks(t: Tensor, depth: int | None) -> Tensor:
    """(1, 1, H, W) -> (rows, columns, 8, 8) view of int32 codes, or of float on the 8-bit scale."""
    x = t.to(torch.int32) if _is_exact(depth) else eight_bit_scale(t, depth)
    return x[0, 0].unfold(0, BLOCK, STEP).unfold(1, BLOCK, STEP)


def _strip(ref: Tensor, dist: Tensor, csf: Tensor, depth: int | None, masking: bool) -> Tensor:
    """Blocks (rows, columns, 8, 8) -> (8, 8, B), their weighted squared errors."""
    x, y = (t.permute(2, 3, 0, 1).flatten(2).contiguous() for t in (ref, dist))  # (8, 8, B)
    of_x, of_y = ((transform_integer(t) if _is_exact(depth) else transform_float(t)).to(csf.dtype) for t in (x, y))
    error = (of_x - of_y).abs()
    if masking:
        table = (csf * _MASK_SCALE).square()
        allowed = torch.maximum(_threshold(x, of_x, table), _threshold(y, of_y, table)) / table
        allowed[0, 0] = 0.0
        error = (error - allowed).clamp_min(0)
    return (error * csf).square()


def _threshold(block: Tensor, coefficients: Tensor, table: Tensor) -> Tensor:
    """How much error a block hides: its energy without DC, less where its variance sits in one of its quarters. (B,)."""
    x = block.to(table.dtype)
    whole = _spread(x.flatten(0, 1)) * (64 / 63)
    half = BLOCK // 2
    quarters = [x[i : i + half, j : j + half].flatten(0, 1) for i in (0, half) for j in (0, half)]
    parts = torch.stack([_spread(q) for q in quarters]).sum(dim=0) * (16 / 15)
    ratio = torch.where(whole > 0, parts / whole.clamp_min(torch.finfo(whole.dtype).tiny), whole)
    energy = (coefficients.square() * table).flatten(0, 1)[1:].sum(dim=0)
    return (energy * ratio).sqrt() / 32


def _spread(x: Tensor) -> Tensor:
    """Sum of squared deviations from the mean, over the first dimension."""
    return (x - x.mean(dim=0)).square().sum(dim=0)


def transform_float(x: Tensor) -> Tensor:
    """(8, 8, B) -> orthonormal 8x8 DCT-II, (8, 8, B)."""
    k = torch.arange(BLOCK, dtype=torch.float64, device=x.device)
    basis = torch.cos(math.pi / BLOCK * (k[None] + 0.5) * k[:, None]) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    d = basis.to(x.dtype)
    return torch.einsum("ia,jb,abn->ijn", d, d, x)


def transform_integer(x: Tensor) -> Tensor:
    """(8, 8, B) int32 -> the same DCT by integer lifting steps, with the rounding of Daala's transform."""
    across = torch.stack(_lift(x.unbind(0)))  # over rows, as the first pass of the reference takes a column each
    return torch.stack(_lift(across.unbind(1)), dim=1)


def _half(a: Tensor) -> Tensor:
    """a / 2, towards zero."""
    return (a + (a < 0).to(torch.int32)) >> 1


def _turn(a: Tensor, factor: int, bits: int) -> Tensor:
    return (a * factor + (1 << (bits - 1))) >> bits


def _lift(x: Sequence[Tensor]) -> list[Tensor]:
    """Eight int32 samples -> eight coefficients, in order of frequency."""
    t0, t4, t2, t6, t7, t3, t5, t1 = x
    t1 = t0 - t1
    t1h = _half(t1)
    t0 = t0 - t1h
    t4 = t4 + t5
    t4h = _half(t4)
    t5 = t5 - t4h
    t3 = t2 - t3
    t2 = t2 - _half(t3)
    t6 = t6 + t7
    t6h = _half(t6)
    t7 = t6h - t7
    even = _even(t0 + t6h, t2, t4, t4h, t6)
    odd = _odd(t1, t1h, t3, t5, t7)
    return [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]


def _even(t0: Tensor, t2: Tensor, t4: Tensor, t4h: Tensor, t6: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficients 0, 2, 4, 6: a four-point DCT."""
    t6 = t0 - t6
    t2 = t4h - t2
    t4 = t2 - t4
    t0 = t0 - _turn(t4, 13573, 15)
    t4 = t4 + _turn(t0, 11585, 14)
    t0 = t0 - _turn(t4, 13573, 15)
    t6 = t6 - _turn(t2, 21895, 15)
    t2 = t2 + _turn(t6, 15137, 14)
    t6 = t6 - _turn(t2, 21895, 15)
    return t0, t2, t4, t6


def _odd(t1: Tensor, t1h: Tensor, t3: Tensor, t5: Tensor, t7: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficients 1, 3, 5, 7: a four-point DST."""
    t3 = t3 + _turn(t5, 19195, 15)
    t5 = t5 + _turn(t3, 11585, 14)
    t3 = t3 - _turn(t5, 7489, 13)
    t7 = _half(t5) - t7
    t5 = t5 - t7
    t3 = t1h - t3
    t1 = t1 - t3
    t7 = t7 + _turn(t1, 3227, 15)
    t1 = t1 - _turn(t7, 6393, 15)
    t7 = t7 + _turn(t1, 3227, 15)
    t5 = t5 + _turn(t3, 2485, 13)
    t3 = t3 - _turn(t5, 18205, 15)
    t5 = t5 + _turn(t3, 2485, 13)
    return t1, t3, t5, t7
