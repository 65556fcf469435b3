"""Palette of a file: its five dominant colours and their shares."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.analyzers.colour_stats import SMALL_RGB
from mediaml.frames import FrameBatch
from mediaml.ops.colour import lab_to_srgb, srgb_to_lab
from mediaml.spec import Column, Spec, Table, View

COLOURS = 5
_BITS = 5  # of each channel that tell histogram cells apart; the cells keep the exact mean of their pixels
_ROUNDS = 50


class Palette(FrameAnalyzer):
    """k-means in CIE Lab over every pixel of 256x144 views, two a second, through a histogram of 32^3 RGB cells.

    Deterministic and independent of the order of frames: sums are integers, the first centre is the fullest cell, each next
    one the cell with the greatest count times squared distance. A file with fewer than five colours repeats its most frequent
    one with share 0. Memory does not depend on the length of the file.
    """

    spec = Spec(
        name="palette",
        version=3,
        summary="five dominant colours of a file",
        outputs=(
            Column(
                "palette_rgb",
                "float32",
                "sRGB",
                "R, G, B in [0, 1] of five dominant colours, the most frequent first",
                Table.FILES,
                0.0,
                1.0,
                length=3 * COLOURS,
            ),
            Column(
                "palette_share",
                "float32",
                "1",
                "share of all pixels of each colour",
                Table.FILES,
                0.0,
                1.0,
                length=COLOURS,
            ),
        ),
        need=SMALL_RGB,
        groups=("colour",),
        cite="MacQueen 1967 (k-means); CIE 15:2004 (Lab)",
        cost_ms=0.6,
    )

    def __init__(self) -> None:
        self._sums: Tensor | None = None  # (4, cells) int64: pixels, and their R, G, B

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        assert isinstance(SMALL_RGB.view, View)
        pixels = batch.view(SMALL_RGB.view).transpose(0, 1).flatten(1)  # (3, N * H * W) uint8
        red, green, blue = (pixels >> (8 - _BITS)).to(torch.int32)
        cell = (red << 2 * _BITS) | (green << _BITS) | blue
        size = 1 << 3 * _BITS
        found = [torch.bincount(cell, minlength=size)]
        found += [torch.bincount(cell, weights=p.to(torch.float64), minlength=size).to(torch.int64) for p in pixels]
        sums = torch.stack(found)
        self._sums = sums if self._sums is None else self._sums + sums
        return {}

    def finish(self) -> Rows:
        if self._sums is None:
            return {}
        sums, self._sums = self._sums.cpu(), None
        used = sums[:, sums[0] > 0].to(torch.float64)  # (4, cells in use)
        centres, shares = weighted_k_means(srgb_to_lab((used[1:] / used[0] / 255).T), used[0], COLOURS)
        rgb = lab_to_srgb(centres).flatten().tolist()
        return {Table.FILES: {"palette_rgb": [rgb], "palette_share": [shares.tolist()]}}


def weighted_k_means(points: Tensor, weight: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from deterministic seeds: (M, D) points, (M,) weights -> (k, D) centres, (k,) shares, greatest first.

    Where there are fewer than k distinct points the rest are copies of the first centre with share 0.
    """
    centres = _seeds(points, weight, k)
    owner = torch.cdist(points, centres).argmin(dim=1)
    for _ in range(_ROUNDS):
        mass = torch.zeros(len(centres), dtype=points.dtype).index_add_(0, owner, weight)
        moment = torch.zeros_like(centres).index_add_(0, owner, points * weight[:, None])
        centres = torch.where(mass[:, None] > 0, moment / mass.clamp(min=1e-12)[:, None], centres)
        before, owner = owner, torch.cdist(points, centres).argmin(dim=1)
        if torch.equal(before, owner):
            break
    share = torch.zeros(len(centres), dtype=points.dtype).index_add_(0, owner, weight) / weight.sum()
    order = share.argsort(descending=True, stable=True)
    centres, share = centres[order], share[order]
    missing = k - len(centres)
    return torch.cat([centres, centres[:1].expand(missing, -1)]), torch.cat([share, share.new_zeros(missing)])


def _seeds(points: Tensor, weight: Tensor, k: int) -> Tensor:
    chosen = [int(weight.argmax())]
    distance = (points - points[chosen[0]]).square().sum(dim=1)
    while len(chosen) < k and float((weight * distance).max()) > 0:
        chosen.append(int((weight * distance).argmax()))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).square().sum(dim=1))
    return points[chosen]
