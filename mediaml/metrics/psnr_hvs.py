"""PSNR-HVS and PSNR-HVS-M: error of DCT coefficients, weighted by contrast sensitivity and, in the second, masked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair, eight_bit_scale

HIGHEST = 100.0
"""dB for pictures without a visible error, where libvmaf gives infinity."""

BLOCK, STEP = 8, 7
_STRIP = 2048  # blocks whose intermediate results stay in the processor's cache
_MASK_SCALE = 0.3885746225901003  # of the sensitivities, to make the table of masking
_Y = (
    (1.6193873005, 2.2901594831, 2.08509755623, 1.48366094411, 1.00227514334, 0.678296995242, 0.466224900598, 0.3265091542),
    (2.2901594831, 1.94321815382, 2.04793073064, 1.68731108984, 1.2305666963, 0.868920337363, 0.61280991668, 0.436405793551),
    (2.08509755623, 2.04793073064, 1.34329019223, 1.09205635862, 0.875748795257, 0.670882927016, 0.501731932449, 0.372504254596),
    (1.48366094411, 1.68731108984, 1.09205635862, 0.772819797575, 0.605636379554, 0.48309405692, 0.380429446972, 0.295774038565),
    (1.00227514334, 1.2305666963, 0.875748795257, 0.605636379554, 0.448996256676, 0.352889268808, 0.283006984131, 0.226951348204),
    (0.678296995242, 0.868920337363, 0.670882927016, 0.48309405692, 0.352889268808, 0.27032073436, 0.215017739696, 0.17408067321),
    (0.466224900598, 0.61280991668, 0.501731932449, 0.380429446972, 0.283006984131, 0.215017739696, 0.168869545842, 0.136153931001),
    (0.3265091542, 0.436405793551, 0.372504254596, 0.295774038565, 0.226951348204, 0.17408067321, 0.136153931001, 0.109083846276),
)
_CB = (
    (1.91113096927, 2.46074210438, 1.18284184739, 1.14982565193, 1.05017074788, 0.898018824055, 0.74725392039, 0.615105596242),
    (2.46074210438, 1.58529308355, 1.21363250036, 1.38190029285, 1.33100189972, 1.17428548929, 0.996404342439, 0.830890433625),
    (1.18284184739, 1.21363250036, 0.978712413627, 1.02624506078, 1.03145147362, 0.960060382087, 0.849823426169, 0.731221236837),
    (1.14982565193, 1.38190029285, 1.02624506078, 0.861317501629, 0.801821139099, 0.751437590932, 0.685398513368, 0.608694761374),
    (1.05017074788, 1.33100189972, 1.03145147362, 0.801821139099, 0.676555426187, 0.605503172737, 0.55002013668, 0.495804539034),
    (0.898018824055, 1.17428548929, 0.960060382087, 0.751437590932, 0.605503172737, 0.514674450957, 0.454353482512, 0.407050308965),
    (0.74725392039, 0.996404342439, 0.849823426169, 0.685398513368, 0.55002013668, 0.454353482512, 0.389234902883, 0.342353999733),
    (0.615105596242, 0.830890433625, 0.731221236837, 0.608694761374, 0.495804539034, 0.407050308965, 0.342353999733, 0.295530605237),
)
_CR = (
    (2.03871978502, 2.62502345193, 1.26180942886, 1.11019789803, 1.01397751469, 0.867069376285, 0.721500455585, 0.593906509971),
    (2.62502345193, 1.69112867013, 1.17180569821, 1.3342742857, 1.28513006198, 1.13381474809, 0.962064122248, 0.802254508198),
    (1.26180942886, 1.17180569821, 0.944981930573, 0.990876405848, 0.995903384143, 0.926972725286, 0.820534991409, 0.706020324706),
    (1.11019789803, 1.3342742857, 0.990876405848, 0.831632933426, 0.77418706195, 0.725539939514, 0.661776842059, 0.587716619023),
    (1.01397751469, 1.28513006198, 0.995903384143, 0.77418706195, 0.653238524286, 0.584635025748, 0.531064164893, 0.478717061273),
    (0.867069376285, 1.13381474809, 0.926972725286, 0.725539939514, 0.584635025748, 0.496936637883, 0.438694579826, 0.393021669543),
    (0.721500455585, 0.962064122248, 0.820534991409, 0.661776842059, 0.531064164893, 0.438694579826, 0.375820256136, 0.330555063063),
    (0.593906509971, 0.802254508198, 0.706020324706, 0.587716619023, 0.478717061273, 0.393021669543, 0.330555063063, 0.285345396658),
)
SENSITIVITY = {"y": _Y, "u": _CB, "v": _CR}
"""Contrast sensitivity of the 8x8 coefficients, one table a plane, as Xiph's tools and libvmaf have them."""

PLANE_WEIGHTS = (0.8, 0.1, 0.1)


def psnr_hvs(
    ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, plane: str = "y", masking: bool = True
) -> Tensor:
    """(N, 1, H, W) pairs of one plane -> (N,) float64, dB, at most 100.

    plane    "y", "u" or "v": whose sensitivities
    masking  True: PSNR-HVS-M, what libvmaf and Xiph call psnr_hvs; False: PSNR-HVS, without contrast masking

    Blocks of 8x8 every 7 pixels. Integer codes (with `bit_depth`) go through the integer transform of the reference and
    give its values for 8 to 12 bit; float in [0, 1] goes through the exact DCT on the 8-bit scale, and is differentiable.
    Follows libvmaf 3 `psnr_hvs` (Ponomarenko et al. 2007; Egiazarian et al. 2006). Raises InvalidValue (sides under
    8 pixels, NaN, out of range, another plane).
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
    sums = [_strip(x[i : i + rows], y[i : i + rows], csf, depth, masking) for i in range(0, x.shape[0], rows)]
    peak = 255.0 if depth is None else 2.0**depth - 1
    return torch.stack(sums).sum() / (x.numel() * peak**2)


def _blocks(t: Tensor, depth: int | None) -> Tensor:
    """(1, 1, H, W) -> (rows, columns, 8, 8) view of int32 codes, or of float on the 8-bit scale."""
    x = eight_bit_scale(t, None) if depth is None else t.to(torch.int32)
    return x[0, 0].unfold(0, BLOCK, STEP).unfold(1, BLOCK, STEP)


def _strip(ref: Tensor, dist: Tensor, csf: Tensor, depth: int | None, masking: bool) -> Tensor:
    """Blocks (rows, columns, 8, 8) -> () float64, the sum of their weighted squared errors."""
    x, y = (t.permute(2, 3, 0, 1).flatten(2).contiguous() for t in (ref, dist))  # (8, 8, B)
    of_x, of_y = ((transform_integer(t) if depth else transform_float(t)).to(csf.dtype) for t in (x, y))
    error = (of_x - of_y).abs()
    if masking:
        table = (csf * _MASK_SCALE).square()
        allowed = torch.maximum(_threshold(x, of_x, table), _threshold(y, of_y, table)) / table
        allowed[0, 0] = 0.0
        error = (error - allowed).clamp_min(0)
    return (error * csf).square().sum(dtype=torch.float64)


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
