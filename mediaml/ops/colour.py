"""Colour spaces: coded luma, YUV <-> RGB by matrix and range, CIE Lab. Pure tensor functions, on any device."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.ops.transfer import srgb_decode, srgb_encode
from mediaml.spec import View

_LUMA_WEIGHTS: dict[str, tuple[float, float]] = {  # FFmpeg's name of the matrix -> (Kr, Kb), ITU-T H.273 table 4
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
_XYZ_FROM_SRGB = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_D65 = (0.95047, 1.0, 1.08883)
_LAB_DELTA = 6 / 29


class CodeRange(NamedTuple):
    """Code values (ITU-T H.273 equations 20-31): black and white of luma, centre and half width of chroma."""

    black: float
    white: float
    chroma_zero: float
    chroma_half_span: float


def code_range(bit_depth: int, range: Literal["limited", "full"]) -> CodeRange:
    """8-bit limited: luma 16..235, chroma 128 +- 112; full: luma 0..255, chroma 128 +- 127.5; scaled for more bits."""
    step = 2.0 ** (bit_depth - 8)
    if range == "limited":
        return CodeRange(16 * step, 235 * step, 128 * step, 112 * step)
    top = 2.0**bit_depth - 1
    return CodeRange(0.0, top, 128 * step, top / 2)


def luma_weights(matrix: str) -> tuple[float, float, float]:
    """(Kr, Kg, Kb) of FFmpeg's matrix name, summing to 1.

    Raises InvalidValue for matrices that are not luma plus two colour differences (gbr, ycgco, ictcp, bt2020c).
    """
    if matrix not in _LUMA_WEIGHTS:
        raise InvalidValue(f"matrix {matrix!r} has no luma weights; supported: {', '.join(sorted(_LUMA_WEIGHTS))}")
    kr, kb = _LUMA_WEIGHTS[matrix]
    return kr, 1 - kr - kb, kb


def unit_luma(
    y: Tensor, bit_depth: int, range: Literal["limited", "full"], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Coded luma (uint8 or uint16, any shape) -> nominal black 0 to white 1; foot- and headroom are clamped."""
    codes = code_range(bit_depth, range)
    return ((y.to(dtype) - codes.black) / (codes.white - codes.black)).clamp_(0, 1)


def coded_luma(batch: FrameBatch) -> tuple[Tensor, int]:
    """Native luma (N, 1, H, W) uint8 or uint16, and its bit depth.

    Raises InvalidValue for a uint16 luma view without planes: only planes state their bit depth.
    """
    if batch.planes is not None:
        return batch.planes.y, batch.planes.bit_depth
    luma = batch.view(View.luma())
    if luma.dtype != torch.uint8:
        raise InvalidValue(
            "a uint16 luma view does not state its bit depth; deliver it as Planes(y, None, None, bit_depth)"
        )
    return luma, 8


def yuv_to_rgb(planes: Planes, colour: Colour) -> Tensor:
    """Planes -> (N, 3, H, W) float32 R'G'B' in [0, 1] in the primaries and transfer of the planes.

    Chroma is brought to luma's size by bilinear interpolation with centred siting. Grey planes give equal channels.
    Raises InvalidValue as `luma_weights` does; "gbr" planes are taken as G, B, R.
    """
    if colour.matrix == "gbr":
        if planes.u is None or planes.v is None:
            raise InvalidValue("matrix 'gbr' needs three planes, and u or v is None")
        gbr = [unit_luma(p, planes.bit_depth, colour.range) for p in (planes.y, planes.u, planes.v)]
        return torch.cat([gbr[2], gbr[0], gbr[1]], dim=1)
    codes = code_range(planes.bit_depth, colour.range)
    y = (planes.y.to(torch.float32) - codes.black) / (codes.white - codes.black)  # (N, 1, H, W)
    if planes.u is None or planes.v is None:
        return y.clamp(0, 1).expand(-1, 3, -1, -1).contiguous()
    kr, kg, kb = luma_weights(colour.matrix)
    cb, cr = (_full_size_chroma(p, codes, planes.size) for p in (planes.u, planes.v))  # (N, 1, H, W) in [-0.5, 0.5]
    red = y + 2 * (1 - kr) * cr
    blue = y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / kg
    return torch.cat([red, green, blue], dim=1).clamp_(0, 1)


def _full_size_chroma(plane: Tensor, codes: CodeRange, size: tuple[int, int]) -> Tensor:
    chroma = (plane.to(torch.float32) - codes.chroma_zero) / (2 * codes.chroma_half_span)
    if tuple(chroma.shape[2:]) == size:
        return chroma
    return F.interpolate(chroma, size=size, mode="bilinear", align_corners=False)


def rgb_to_yuv(rgb: Tensor, colour: Colour, bit_depth: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 3, H, W) float R'G'B' in [0, 1] -> y, u, v (N, 1, H, W) float code values at full size, not rounded.

    Raises InvalidValue as `luma_weights` does.
    """
    kr, kg, kb = luma_weights(colour.matrix)
    codes = code_range(bit_depth, colour.range)
    red, green, blue = rgb.split(1, dim=1)
    luma = kr * red + kg * green + kb * blue
    span = 2 * codes.chroma_half_span
    cb = (blue - luma) / (2 * (1 - kb)) * span + codes.chroma_zero
    cr = (red - luma) / (2 * (1 - kr)) * span + codes.chroma_zero
    return luma * (codes.white - codes.black) + codes.black, cb, cr


def rgb_luma(rgb: Tensor, matrix: str = "bt709") -> Tensor:
    """(..., 3, H, W) R'G'B' -> (..., 1, H, W) luma in the units of the input."""
    weights = torch.tensor(luma_weights(matrix), dtype=rgb.dtype, device=rgb.device)
    return (rgb * weights.view(3, 1, 1)).sum(dim=-3, keepdim=True)


def srgb_to_lab(rgb: Tensor) -> Tensor:
    """(..., 3) sRGB in [0, 1] -> (..., 3) CIE L*a*b* (L in [0, 100]), white point D65 (CIE 15:2004)."""
    xyz = srgb_decode(rgb) @ rgb.new_tensor(_XYZ_FROM_SRGB).T / rgb.new_tensor(_D65)
    linear = xyz / (3 * _LAB_DELTA**2) + 4 / 29
    f = torch.where(xyz > _LAB_DELTA**3, xyz.clamp(min=_LAB_DELTA**3) ** (1 / 3), linear)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def lab_to_srgb(lab: Tensor) -> Tensor:
    """(..., 3) CIE L*a*b* (D65) -> (..., 3) sRGB, clamped to [0, 1]."""
    lightness, a, b = lab.unbind(-1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=-1)
    xyz = torch.where(f > _LAB_DELTA, f**3, 3 * _LAB_DELTA**2 * (f - 4 / 29)) * lab.new_tensor(_D65)
    linear = xyz @ torch.linalg.inv(lab.new_tensor(_XYZ_FROM_SRGB, dtype=torch.float64)).to(lab.dtype).T
    return srgb_encode(linear)
