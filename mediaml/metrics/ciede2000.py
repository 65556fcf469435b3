"""CIEDE2000 colour difference of pictures, on libvmaf's decibel scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair, eight_bit_scale

HIGHEST = 100.0
"""dB for equal pictures, where libvmaf gives infinity; a mean difference of 0.0018 already gives as much."""

_ROWS = 16  # of a strip whose intermediate results stay in the processor's cache
_K_L, _K_H = 0.65, 4.0  # libvmaf's weights of lightness and hue (Yang et al. 2012); that of chroma is 1
_RED_V, _GREEN_U, _GREEN_V, _BLUE_U = (
    1.28033,
    -0.21482,
    -0.38059,
    2.12798,
)  # libvmaf's BT.709 of one-based Y and 224-based U, V
_JOINT = 0.0404482362771082  # where the two parts of the sRGB curve meet; libvmaf changes over at 10/255, with a step of 8e-7
_XYZ = (  # rows X, Y, Z of linear R, G, B, each divided by the D65 white
    (0.4124564390896921 / 0.95047, 0.357576077643909 / 0.95047, 0.18043748326639894 / 0.95047),
    (0.21267285140562248, 0.715152155287818, 0.07217499330655958),
    (0.019333895582329317 / 1.08883, 0.119192025881303 / 1.08883, 0.9503040785363677 / 1.08883),
)
_EPSILON, _KAPPA = 216.0 / 24389.0, 24389.0 / 27.0
_SEVENTH = 25.0**7


def ciede2000(ref: Sequence[Tensor], dist: Sequence[Tensor], *, bit_depth: int | None = None) -> Tensor:
    """Planes (Y, U, V) of reference and distorted -> (N,) float64, dB: 45 - 20 log10 of the mean colour difference.

    Each plane (N, 1, h, w), integer codes with `bit_depth` or float in [0, 1] over the full code range; chroma of any
    subsampling is repeated to luma's size. Follows libvmaf 3 `ciede`, which takes every picture for BT.709 in limited range;
    bring others there first. libvmaf misreads 4:2:2; here it is 4:2:2. Equal pictures give 100. Sharma, Wu & Dalal 2005.
    Raises InvalidValue (not three planes, NaN, out of range).
    """
    if len(ref) != 3 or len(dist) != 3:
        raise InvalidValue(f"CIEDE2000 takes planes Y, U and V; ref has {len(ref)}, dist {len(dist)}")
    depths = [check_pair(a, b, bit_depth) for a, b in zip(ref, dist, strict=True)]
    luma = ref[0]
    if any(p.shape[0] != luma.shape[0] or p.dtype != luma.dtype for p in ref[1:]):
        raise InvalidValue(f"planes Y, U, V differ in number or kind: {[(tuple(p.shape), p.dtype) for p in ref]}")
    pictures = [_one([p[i : i + 1] for p in ref], [p[i : i + 1] for p in dist], depths[0]) for i in range(len(luma))]
    return (45 - 20 * torch.stack(pictures).log10()).clamp_max(HIGHEST)


def _one(ref: Sequence[Tensor], dist: Sequence[Tensor], depth: int | None) -> Tensor:
    """Planes (1, 1, h, w) -> () float64, the mean difference."""
    height, width = ref[0].shape[2:]
    step = max(1, -(-height // ref[1].shape[2]))  # luma rows a chroma row
    rows = _ROWS if ref[0].device.type == "cpu" else height
    total = []
    for top in range(0, height, rows):
        below = min(top + rows, height)
        lab = [
            _lab(*(_strip(p, top, below, (height, width), step if i else 1, depth) for i, p in enumerate(planes)))
            for planes in (ref, dist)
        ]
        total.append(difference(lab[0], lab[1]).sum(dtype=torch.float64))
    return torch.stack(total).sum() / (height * width)


def _strip(plane: Tensor, top: int, below: int, size: tuple[int, int], step: int, depth: int | None) -> Tensor:
    """Rows of luma's raster, repeated from `plane` where it is chroma; (rows, W) float on the 8-bit scale."""
    x = eight_bit_scale(plane[:, :, top // step : -(-below // step)], depth)
    if step > 1 or x.shape[3] != size[1]:
        across = -(-size[1] // x.shape[3])
        x = x.repeat_interleave(step, 2) if step > 1 else x
        x = x.repeat_interleave(across, 3) if across > 1 else x
        first = top - top // step * step
        x = x[:, :, first : first + below - top, : size[1]]
    return x[0, 0]


def _lab(y: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Limited-range codes on the 8-bit scale -> CIE L*, a*, b* under D65."""
    y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    rgb = (y + _RED_V * v, y + _GREEN_U * u + _GREEN_V * v, y + _BLUE_U * u)
    r, g, b = (_linear(c) for c in rgb)
    fx, fy, fz = (_root(kr * r + kg * g + kb * b) for kr, kg, kb in _XYZ)
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _linear(c: Tensor) -> Tensor:
    """The sRGB curve, as the sum of what lies above its joint and what lies below: faster than choosing."""
    return _power((c.clamp_min(_JOINT) + 0.055) / 1.055, 2.4) + (c.clamp_max(_JOINT) - _JOINT) / 12.92


def _root(c: Tensor) -> Tensor:
    """CIE's cube root with its straight part, as such a sum too."""
    return _power(c.clamp_min(_EPSILON), 1 / 3) + (c.clamp_max(_EPSILON) - _EPSILON) * (_KAPPA / 116)


def _power(c: Tensor, exponent: float) -> Tensor:
    return (c.log() * exponent).exp()


def difference(one: tuple[Tensor, Tensor, Tensor], other: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """CIEDE2000 of (L*, a*, b*) pairs, element by element, with libvmaf's weights of lightness, chroma and hue."""
    l1, a1, b1 = one
    l2, a2, b2 = other
    mean_c = (_length(a1, b1) + _length(a2, b2)) / 2
    stretch = 1.5 - 0.5 * _saturation(mean_c)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = _length(a1, b1), _length(a2, b2)
    mean_c = (c1 + c2) / 2
    h1, h2 = torch.atan2(b1, a1), torch.atan2(b2, a2)
    turn = _wrapped(h2 - h1)
    mean_h = h1 + turn / 2
    weight = (
        1
        - 0.17 * torch.cos(mean_h - math.pi / 6)
        + 0.24 * torch.cos(2 * mean_h)
        + 0.32 * torch.cos(3 * mean_h + math.pi / 30)
        - 0.20 * torch.cos(4 * mean_h - 7 * math.pi / 20)
    )
    middle = ((l1 + l2) / 2 - 50).square()
    lightness = (l2 - l1) / (_K_L * (1 + 0.015 * middle / (20 + middle).sqrt()))
    chroma = (c2 - c1) / (1 + 0.045 * mean_c)
    hue = 2 * (c1 * c2).sqrt() * torch.sin(turn / 2) / (_K_H * (1 + 0.015 * mean_c * weight))
    blue = _wrapped(mean_h - math.radians(275)) * (180 / math.pi / 25)
    rotation = -2 * _saturation(mean_c) * torch.sin(math.radians(60) * torch.exp(-blue.square()))
    return (lightness.square() + chroma.square() + hue.square() + rotation * chroma * hue).clamp_min(0).sqrt()


def _wrapped(angle: Tensor) -> Tensor:
    """To [-pi, pi]."""
    return angle - (angle / (2 * math.pi)).round() * (2 * math.pi)


def _length(a: Tensor, b: Tensor) -> Tensor:
    return (a.square() + b.square()).sqrt()


def _saturation(c: Tensor) -> Tensor:
    """sqrt(c^7 / (c^7 + 25^7))."""
    seventh = c.square() * c.square() * c.square() * c
    return (seventh / (seventh + _SEVENTH)).sqrt()
