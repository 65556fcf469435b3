"""What a picture loses where it is spoiled once more: how well its content hides the loss that it has already had.

The VIF between a picture and itself quantised again stands for the VIF between its unknown source and the picture, because
both are losses in the same content: pseudo references, as Min et al. 2018 (blind quality by multiple pseudo reference
images) use them. The picture is quantised at about the step of its own bitstream, on a grid of blocks that lies across the
codec's, and is blurred and made smaller and larger again, which no bitstream needs to tell.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.nets.nr_statistics import FRAGMENT

OCTAVES = (-1.0, 0.0, 1.0)  # of the bitstream's step
QUANTISED = 4 * len(OCTAVES)  # numbers that need the step
CONTENT = 4 * 4  # numbers about the content itself
PLAIN = 4 * 3 + CONTENT  # numbers that do not need the step: three other losses, and those
_BLOCK = 8
_DEAD_ZONE = 1 / 3  # added before rounding down, as encoders do
_SMALLER = (64, 40)  # px a fragment is scaled to and back
_DEVIATION = 1.0  # px, of the blur
_WINDOWS = (8, 4, 4, 2)  # px a side of a block of local variance, at scales 0 to 3; about as wide as VIF's Gaussians
_NOISE, _SATURATION = 2.0, 400.0  # of VIF: libvmaf's, rounded
_ROOM = 1.02  # the log of the loss stays finite


def probes(luma: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Fragments (N, K, 1, 96, 96) in 8-bit codes and log2 of the quantiser's step (N,) -> (N, 12) and (N, 28) float32.

    log2 of what VIF loses at four scales where the picture is quantised at half, one and two times its step (NaN where the
    step is NaN); and where it is blurred, or scaled to 2/3 and 0.42 and back, then for each scale: the share of blocks
    that VIF counts as busy, bits a block, mean and deviation of the log variance.
    """
    found = [_one(picture[:, 0], float(s)) for picture, s in zip(luma, step, strict=True)]
    return torch.stack([q for q, _ in found]), torch.stack([p for _, p in found])


def _one(x: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """(K, 96, 96) -> (12,), (28,)."""
    losses = [_blurred(x), *(_smaller(x, size) for size in _SMALLER)]
    if math.isfinite(step):
        losses = _quantised(x, [2 ** (step + octave) for octave in OCTAVES]) + losses
    lost, content = _vif_lost(x, torch.stack(losses))
    quantised = lost[: -len(_SMALLER) - 1].flatten() if math.isfinite(step) else lost.new_full((QUANTISED,), math.nan)
    return quantised, torch.cat([lost[-len(_SMALLER) - 1 :].flatten(), content])


def _quantised(x: Tensor, steps: list[float]) -> list[Tensor]:
    """(K, 96, 96) quantised in the DCT of 8x8 blocks, whose borders lie in the middles of a codec's."""
    half = _BLOCK // 2
    padded = F.pad(x[:, None], (half, half, half, half), mode="reflect")[:, 0]
    count, across = len(x), padded.shape[1] // _BLOCK
    blocks = padded.view(count, across, _BLOCK, across, _BLOCK).transpose(2, 3)
    basis = _dct().to(x.device)
    bands = basis @ blocks @ basis.T
    size, sign = bands.abs(), bands.sign()
    found = []
    for step in steps:
        kept = (size / step + _DEAD_ZONE).floor_().mul_(step).mul_(sign)
        kept[..., 0, 0] = (bands[..., 0, 0] / step).round_() * step
        back = (basis.T @ kept @ basis).transpose(2, 3).reshape(padded.shape)
        found.append(back[:, half:-half, half:-half])
    return found


def _blurred(x: Tensor) -> Tensor:
    taps = torch.exp(-torch.arange(-3.0, 4.0, device=x.device).square() / (2 * _DEVIATION**2))
    taps = taps / taps.sum()
    padded = F.pad(x[:, None], (3, 3, 3, 3), mode="reflect")
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0]


def _smaller(x: Tensor, size: int) -> Tensor:
    small = F.interpolate(x[:, None], size=(size, size), mode="bilinear", antialias=True)
    return F.interpolate(small, size=(FRAGMENT, FRAGMENT), mode="bicubic", align_corners=False)[:, 0]


def _vif_lost(x: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """(K, 96, 96) and P spoiled ones (P, K, 96, 96) -> (P, 4) log2 of 1 - VIF a scale, and (16,) about x.

    VIF (Sheikh & Bovik 2006) as VMAF has it, but of blocks that do not overlap, pooled over the fragments.
    """
    lost, content = [], []
    x = x[None]
    for scale, window in enumerate(_WINDOWS):
        if scale:
            x, losses = F.avg_pool2d(x, 2), F.avg_pool2d(losses, 2)
        mean_x, mean_y = F.avg_pool2d(x, window), F.avg_pool2d(losses, window)
        var_x = (F.avg_pool2d(x * x, window) - mean_x * mean_x).clamp_(min=0)
        var_y = (F.avg_pool2d(losses * losses, window) - mean_y * mean_y).clamp_(min=0)
        cov = F.avg_pool2d(x * losses, window) - mean_x * mean_y
        busy = (var_x > _NOISE).float()
        least = var_x.clamp(min=_NOISE)
        gain = (cov / least).clamp_(min=0)
        residue = (var_y - gain * cov).clamp_(min=0) + _NOISE
        kept = torch.log2(1 + gain * gain * least / residue) * busy + (1 - busy) * (1 - var_y / _SATURATION)
        there = torch.log2(1 + least / _NOISE)  # one bit where it is flat
        share = (kept.sum(dim=(1, 2, 3)) / there.sum()).clamp(0, 1)
        lost.append(torch.log2(_ROOM - share))
        levels = torch.log2(1 + var_x)
        content += [busy.mean(), there.mean(), levels.mean(), levels.std()]
    return torch.stack(lost, dim=1), torch.stack(content)


@cache
def _dct() -> Tensor:
    """(8, 8): the orthonormal DCT-II."""
    k, n = torch.arange(_BLOCK)[:, None], torch.arange(_BLOCK)[None]
    rows = torch.cos(math.pi * (2 * n + 1) * k / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    rows[0] /= math.sqrt(2)
    return rows
