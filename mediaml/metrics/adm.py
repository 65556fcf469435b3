"""Detail loss and additive impairment, as VMAF uses them (libvmaf's fixed-point `adm`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mediaml.metrics import adm_cpu
from mediaml.metrics.adm_cpu import COS_1_DEGREE_SQUARED, CSF_STEP, ITSELF, MASK_STEP, NEIGHBOUR
from mediaml.metrics.csf import sensitivities
from mediaml.metrics.inputs import check_pair, eight_bit_scale
from mediaml.metrics.wavelet import nearest, transform
from mediaml.ops.filters import separable

SMALLEST = 16
NO_LIMIT = 100.0
_CENTRE = 128.0
_BORDER = 0.1  # of each side, left out of every sum
_RECIPROCAL = 1 - 1.1e-5  # coarser scales: libvmaf divides by 15-bit reciprocals, this much too small on average
_SQUARE_BIAS = (0.0, 2.0**-12, 2.0**-9, 2.0**-6)  # coarser scales: libvmaf's squares of the reference are rounded up
_TINY = 1e-30  # keeps the cube root's slope finite


@dataclass(frozen=True, slots=True)
class AdmOptions:
    """Settings of libvmaf's extractor, under its option names without the prefix `adm_`.

    enhn_gain_limit     1 gives no credit for contrast enhancement (VMAF NEG); 100 is no limit
    norm_view_dist      viewing distance in display heights
    ref_display_height  in pixels
    csf_mode            0: Watson et al. 1997; 2, 3: blends of Barten and Watson (VMAF v1)
    noise_weight        of the constant that steadies quiet pictures
    dlm_weight          of detail loss against additive impairment in `adm3`
    min_val             least value of `adm3`
    """

    enhn_gain_limit: float = NO_LIMIT
    norm_view_dist: float = 3.0
    ref_display_height: int = 1080
    csf_mode: int = 0
    noise_weight: float = 0.03125
    dlm_weight: float = 0.5
    min_val: float = 0.0


class Adm(NamedTuple):
    """Detail loss `adm2` (N,), the same at each scale (N, 4), impairment `aim` (N,) and their blend `adm3` (N,); float64."""

    adm2: Tensor
    scales: Tensor
    aim: Tensor
    adm3: Tensor


class _Sums(NamedTuple):
    kept: Tensor  # (N, 4): masked detail that survives, one column a scale
    added: Tensor  # (N, 4): masked impairment
    there: Tensor  # (N, 4): detail of the reference


def adm(
    ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, options: AdmOptions | None = None, aim: bool = True
) -> Adm:
    """(N, 1, H, W) luma pairs -> `Adm`: 1 where no detail is lost. Differentiable.

    Integer codes with `bit_depth`, or float in [0, 1] over the full code range. Follows libvmaf 3 `integer_adm` (Li, Zhang,
    Ma & Ngan 2011), equal to 1e-5. `aim=False` saves the time of `aim` and `adm3`, which are then NaN.
    Raises InvalidValue (sides under 16 pixels, NaN, out of range, a setting without a table).
    """
    depth = check_pair(ref, dist, bit_depth, smallest=SMALLEST)
    x, y = (eight_bit_scale(t, depth) - _CENTRE for t in (ref, dist))
    return adm_scores(x, y, (options or AdmOptions(),), aim=aim)[0]


def adm_scores(x: Tensor, y: Tensor, options: Sequence[AdmOptions], *, aim: bool = False) -> list[Adm]:
    """(N, 1, H, W) float reference and distorted, 8-bit scale with 128 subtracted -> one `Adm` for each of `options`."""
    sums: list[list[_Sums]] = [[] for _ in options]
    plain = x.dtype
    for scale in range(4):
        ref, dist = transform(x, scale), transform(y, scale)
        x, y = ref.low, dist.low
        region = _Region(*x.shape[2:])
        inside = region.outer(ref.detail), region.outer(dist.detail)
        if scale == 1:
            inside = inside[0].to(plain), inside[1].to(plain)  # at coarser ones a single coefficient shows
        for found, made in zip(sums, _scale_sums(*inside, region, options, scale, aim), strict=True):
            found.append(made)
    return [_scores(found, wanted, aim) for found, wanted in zip(sums, options, strict=True)]


def _scores(found: Sequence[_Sums], options: AdmOptions, aim: bool) -> Adm:
    kept, added, there = (torch.stack(t, dim=1) for t in zip(*found, strict=True))  # each (N, 4)
    total = there.sum(dim=1)
    adm2 = kept.sum(dim=1) / total
    impairment = added.sum(dim=1) / total if aim else torch.full_like(adm2, math.nan)
    blend = adm2 * options.dlm_weight + (1 - impairment) * (1 - options.dlm_weight)
    return Adm(adm2, kept / there, impairment, blend.clamp_min(options.min_val))


class _Region:
    """The middle of a band, without a tenth on each side; `outer` has one more pixel around it where there is one."""

    def __init__(self, height: int, width: int) -> None:
        self.top, self.left = (max(0, int(n * _BORDER - 0.5)) for n in (height, width))
        self.height, self.width = height - 2 * self.top, width - 2 * self.left

    def outer(self, bands: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, height + 2, width + 2); beyond the picture: mirrored before, the edge repeated after."""
        for dim, start, length in ((2, self.top, self.height), (3, self.left, self.width)):
            if start:
                bands = bands.narrow(dim, start - 1, length + 2)
            else:
                ends = bands.narrow(dim, min(1, length - 1), 1), bands.narrow(dim, length - 1, 1)
                bands = torch.cat([ends[0], bands, ends[1]], dim=dim)
        return bands

    @staticmethod
    def inner(bands: Tensor) -> Tensor:
        return bands[:, :, 1:-1, 1:-1]

    @property
    def area(self) -> int:
        return self.height * self.width


def _scale_sums(
    o: Tensor, t: Tensor, region: _Region, options: Sequence[AdmOptions], scale: int, aim: bool
) -> list[_Sums]:
    """Detail bands (N, 3, h, w) of reference and distorted at one scale -> for each of `options` sums over the region."""
    plain = [sensitivities(w.csf_mode, w.norm_view_dist, w.ref_display_height, scale) for w in options]
    csf = [_fixed_point(p, w) if scale == 0 else p for p, w in zip(plain, options, strict=True)]
    settings = [adm_cpu.Setting(c, w.enhn_gain_limit, aim) for c, w in zip(csf, options, strict=True)]
    how = adm_cpu.Scale(scale == 0, 1.0 if scale == 0 else _RECIPROCAL, _SQUARE_BIAS[scale])
    if o.device.type == "cpu" and not (o.requires_grad or t.requires_grad):
        area = region.height, region.width
        pictures = [adm_cpu.sums_of_cubes(a, b, area, settings, how) for a, b in zip(o, t, strict=True)]
        there = torch.stack([p[1] for p in pictures])  # (N, 3)
        cubes = [torch.stack([p[0][i] for p in pictures], dim=1) for i in range(len(settings))]  # each (2, N, 3)
    else:
        there, cubes = _there(o, how), [_cubes(o, t, s, how) for s in settings]
    found = []
    for (kept, added), weights, wanted in zip(cubes, plain, options, strict=True):
        steady = 3 * (region.area * wanted.noise_weight) ** (1 / 3)
        weighted = there * there.new_tensor(weights) ** 3
        found.append(_Sums(_cube_root(kept) + steady, _cube_root(added), _cube_root(weighted) + steady))
    return found


def _there(o: Tensor, how: adm_cpu.Scale) -> Tensor:
    detail = _Region.inner(o).abs()
    return (detail * (detail * detail + how.square_bias)).sum(dim=(2, 3)).double()


def _cubes(o: Tensor, t: Tensor, setting: adm_cpu.Setting, how: adm_cpu.Scale) -> tuple[Tensor, Tensor]:
    """Masked detail kept and impairment added, (N, 3) each."""
    csf = o.new_tensor(setting.csf).view(1, 3, 1, 1)
    restored = _restored(o, t, setting.limit, how.reciprocal)
    loss = t - restored
    kept = _masked(_Region.inner(restored), loss, csf, how.finest)
    return kept, _masked(_Region.inner(loss), restored, csf, how.finest) if setting.aim else torch.zeros_like(kept)


def _restored(o: Tensor, t: Tensor, limit: float, reciprocal: float) -> Tensor:
    """What is left of detail `o`: `t` between 0 and `o`; beyond `o` where only contrast grew (within 1 degree)."""
    if limit > 1:
        (oh, ov), (th, tv) = o[:, :2].unbind(1), t[:, :2].unbind(1)
        dot, oo, tt = (
            (a * b + c * d).float().to(o.dtype) for a, b, c, d in ((oh, th, ov, tv), (oh, oh, ov, ov), (th, th, tv, tv))
        )
        same = (dot >= 0) & (dot * dot >= COS_1_DEGREE_SQUARED * oo * tt)
        o = torch.where(same[:, None], o * limit, o)
        t = torch.where(same[:, None], t, t * reciprocal) if reciprocal != 1 else t
    elif reciprocal != 1:
        t = t * reciprocal
    return torch.minimum(torch.maximum(t, o.clamp_max(0)), o.clamp_min(0))


def _masked(signal: Tensor, masker: Tensor, csf: Tensor, finest: bool) -> Tensor:
    """Weighted signal (N, 3, h, w) above the threshold that the masker (N, 3, h + 2, w + 2) sets -> (N, 3) sums of cubes."""
    if finest:
        codes = nearest((masker * (csf * CSF_STEP)).abs_())
        near = nearest(codes * NEIGHBOUR).sum(dim=1, keepdim=True)
        here = nearest(codes * ITSELF).sum(dim=1, keepdim=True)
        threshold = (_box(near) + _Region.inner(here - near)) / MASK_STEP
    else:
        near = (masker * csf).abs_().sum(dim=1, keepdim=True)
        threshold = (_box(near) + _Region.inner(near)) / 30
    visible = (signal * csf).abs_().sub_(threshold).clamp_min_(0)
    return (visible * visible * visible).sum(dim=(2, 3)).double()


def _box(x: Tensor) -> Tensor:
    """Sum over each pixel's 3x3 neighbourhood; (N, 1, h + 2, w + 2) -> (N, 1, h, w)."""
    return _Region.inner(separable(x, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)))


def _cube_root(sums: Tensor) -> Tensor:
    """(N, 3) sums of cubes -> (N,): cube roots added over the bands."""
    return sums.clamp_min(_TINY).pow(1 / 3).sum(dim=1)


def _fixed_point(csf: tuple[float, float, float], options: AdmOptions) -> tuple[float, float, float]:
    """The finest scale's weights as the 16-bit integers that libvmaf uses."""
    if options.csf_mode == 0 and math.isclose(options.norm_view_dist * options.ref_display_height, 3240):
        return 36453 / 2**21, 36453 / 2**21, 49417 / 2**23
    return int(csf[0] * 2**21) / 2**21, int(csf[1] * 2**21) / 2**21, int(csf[2] * 2**23) / 2**23
