"""Fragments of a picture at native size, and the statistics of their local spectra: the first, fixed layers of mediaml_nr.

Compression, blur and upscaling show in how much is left in each band of an 8x8 DCT, how often nothing is left, and how
both vary over the picture; quantisation steps show at block borders. Fragments at native size follow FAST-VQA (Wu et al.
2022, arXiv:2207.02595), spectra of blocks Saad, Bovik & Charrier 2012 (BLIINDS-II).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.frames import Planes
from mediaml.ops.colour import code_range

FRAGMENT = 96  # px of luma, each way
GRID = (3, 4)  # fragments down and across
_BLOCK, _STEP = 8, 4  # px: size of the DCT, and from one to the next
_BANDS = _BLOCK * _BLOCK - 1
_LUMA_STATISTICS = 3 * _BANDS + 2
STATISTICS = 2 * _LUMA_STATISTICS + 2 * _BLOCK + 2 * _BANDS  # of one fragment


def fragments(
    planes: Planes, colour_range: Literal["limited", "full"], corners: Sequence[tuple[int, int]] | None = None
) -> tuple[Tensor, Tensor]:
    """Native planes of N pictures -> luma (N, K, 1, 96, 96) and chroma (N, K, 2, 48, 48), float32, in 8-bit limited code
    values, black and grey at 0.

    K pieces with their top left at `corners` (y, x), multiples of 8; None for `grid_corners`. Smaller pictures are
    continued by their edge; grey ones have chroma 0.
    """
    corners = grid_corners(*planes.size) if corners is None else corners
    pieces = [_piece(planes, colour_range, y, x) for y, x in corners]
    return torch.stack([luma for luma, _ in pieces], dim=1), torch.stack([chroma for _, chroma in pieces], dim=1)


def grid_corners(height: int, width: int) -> list[tuple[int, int]]:
    """Twelve pieces in the middles of the cells of a grid of 3 x 4."""
    return [(y, x) for y in _places(height, GRID[0]) for x in _places(width, GRID[1])]


def _places(size: int, count: int) -> list[int]:
    room = max(0, size - FRAGMENT)
    middles = (math.floor((i + 0.5) * size / count - FRAGMENT / 2) for i in range(count))
    return [min(room, max(0, m)) // _BLOCK * _BLOCK for m in middles]


def _piece(planes: Planes, colour_range: Literal["limited", "full"], y: int, x: int) -> tuple[Tensor, Tensor]:
    """(N, 1, 96, 96) and (N, 2, 48, 48): one fragment."""
    codes = code_range(planes.bit_depth, colour_range)
    luma = planes.y[:, :, y : y + FRAGMENT, x : x + FRAGMENT].to(torch.float32)
    luma = _filled((luma - codes.black) * (219 / (codes.white - codes.black)), FRAGMENT, FRAGMENT)
    half = FRAGMENT // 2
    found = []
    for plane in (planes.u, planes.v):
        if plane is None:
            found.append(torch.zeros_like(luma[:, :, :half, :half]))
            continue
        down, across = (max(1, round(a / b)) for a, b in zip(planes.size, plane.shape[2:], strict=True))
        part = plane[:, :, y // down : (y + FRAGMENT) // down, x // across : (x + FRAGMENT) // across].to(torch.float32)
        part = _filled(
            (part - codes.chroma_zero) * (112 / codes.chroma_half_span), FRAGMENT // down, FRAGMENT // across
        )
        found.append(part if part.shape[2:] == (half, half) else F.adaptive_avg_pool2d(part, half))
    return luma, torch.cat(found, dim=1)


def _filled(part: Tensor, height: int, width: int) -> Tensor:
    missing = (0, width - part.shape[3], 0, height - part.shape[2])
    return F.pad(part, missing, mode="replicate") if max(missing) else part


def statistics(luma: Tensor, chroma: Tensor) -> Tensor:
    """Luma (M, 1, 96, 96) and chroma (M, 2, 48, 48) of fragments -> (M, 524).

    Of luma and of luma at half size: mean and deviation of the log magnitude of each band over the blocks, how often the
    band is empty, mean and deviation of the blocks' levels. Then gradients at each of the 8 columns and rows of a block
    against their mean. Of chroma: mean log magnitude and emptiness of each band.
    """
    both = _bands(chroma.flatten(0, 1)[:, None])[:, 1:]  # (2 M, 63, h, w)
    both = both.reshape(len(chroma), 2, _BANDS, -1).transpose(1, 2).flatten(2).abs()
    return torch.cat(
        [
            _luma_statistics(luma),
            _luma_statistics(F.avg_pool2d(luma, 2)),
            _phases(luma),
            torch.log2(both + 0.5).mean(dim=2),
            torch.exp(-both).mean(dim=2),
        ],
        dim=1,
    )


def _luma_statistics(luma: Tensor) -> Tensor:
    """(M, 191)."""
    found = _bands(luma).flatten(2)  # (M, 64, positions)
    levels, size = found[:, 0] / (_BLOCK * 64), found[:, 1:].abs()
    logs = torch.log2(size + 0.5)
    level = torch.stack([levels.mean(dim=1), levels.std(dim=1)], dim=1)
    return torch.cat([logs.mean(dim=2), logs.std(dim=2), torch.exp(-size).mean(dim=2), level], dim=1)


def _bands(picture: Tensor) -> Tensor:
    """(M, 1, H, W) -> (M, 64, h, w): the orthonormal DCT of blocks that overlap by half."""
    return F.conv2d(picture, _basis().to(picture.device), stride=_STEP)


def _phases(luma: Tensor) -> Tensor:
    """(M, 16): log2 of the mean gradient across each of a block's 8 columns, then rows, less their mean."""
    found = []
    for turned in (luma, luma.transpose(2, 3)):
        steps = (turned[..., 1:] - turned[..., :-1]).abs().mean(dim=(1, 2))  # (M, 95): to the right of column 0, 1, ...
        steps = F.pad(steps, (0, 1), mode="replicate").view(len(luma), -1, _BLOCK).mean(dim=1)
        logs = torch.log2(steps + 0.25)
        found.append(logs - logs.mean(dim=1, keepdim=True))
    return torch.cat(found, dim=1)


@cache
def _basis() -> Tensor:
    """(64, 1, 8, 8): the DCT-II's basis pictures, from low to high vertical frequency, then horizontal."""
    k, n = torch.arange(_BLOCK)[:, None], torch.arange(_BLOCK)[None]
    rows = torch.cos(math.pi * (2 * n + 1) * k / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    rows[0] /= math.sqrt(2)
    return torch.einsum("ai,bj->abij", rows, rows).reshape(_BLOCK * _BLOCK, 1, _BLOCK, _BLOCK)
