"""BRISQUE: quality of a picture from its local statistics, by a regression trained on opinions. No reference."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer
from mediaml.errors import WeightsCorrupt
from mediaml.frames import FrameBatch
from mediaml.nets.libsvm import read_libsvm
from mediaml.ops.colour import coded_luma, unit_luma
from mediaml.ops.statistics import Aggd, Moments, aggd, mean_from_scale, mscn, scale_from_rms
from mediaml.spec import Column, Need, Spec, View

FEATURES = 36
_STRIP_ROWS = 64  # rows worked on at a time: they stay in a core's cache
SMALLEST_SIDE = 32  # px; below, the half-size picture has too few coefficients for a fit


class Brisque(FrameAnalyzer):
    """BRISQUE with the regression of the PyPI package `brisque` 0.2.0, trained on LIVE: 0 is best, about 100 worst.

    Follows that package: native luma on the 0..255 scale (limited range is stretched), MSCN with zeros beyond the border,
    pair products of the pixels that have the neighbour, halving by bicubic interpolation without antialiasing.
    On two stills it gives 94.80 and 1.00; the package 94.94 and 0.98 (it solves for the shape where the authors search a
    grid); the authors' MATLAB release, whose regression differs, 94.64 and -0.11; MATLAB's own `brisque` 70.68 and -2.36.
    Not bounded: very good or unnatural pictures fall outside 0..100. PQ and HLG pictures are scored as coded, unlike what
    it was trained on. Null where the picture is flat or has a side below 32 px.
    """

    spec = Spec(
        name="brisque",
        version=1,
        summary="blind image quality by natural scene statistics (lower is better)",
        outputs=(
            Column(
                "brisque",
                "float32",
                "1",
                "BRISQUE, nominally 0 (best) to 100; null without texture",
                nullable=True,
                better="lower",
            ),
        ),
        need=Need(View.luma(), fps=0.5),
        weights=("brisque_svr", "brisque_range"),
        groups=("quality",),
        cite="Mittal, Moorthy & Bovik 2012, IEEE TIP 21(12); package brisque 0.2.0",
        cost_ms=220.0,
    )

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._regression = read_libsvm(weights.resolve("brisque_svr"), FEATURES).to(device)
        path = weights.resolve("brisque_range")
        ranges = weights.read_plain_pickle(path)
        try:
            low, high = (torch.tensor(ranges[key], dtype=torch.float64) for key in ("min_", "max_"))
        except (TypeError, KeyError, ValueError) as error:
            raise WeightsCorrupt(f"{path}: no lists 'min_' and 'max_' of {FEATURES} numbers: {error}") from error
        if low.shape != (FEATURES,) or high.shape != (FEATURES,) or not (low < high).all():
            raise WeightsCorrupt(
                f"{path}: ranges of shape {tuple(low.shape)} and {tuple(high.shape)}, need {FEATURES} each"
            )
        self._low, self._span = low.to(device), (high - low).to(device)

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        luma, bit_depth = coded_luma(batch)
        pictures = (unit_luma(y, bit_depth, batch.colour.range, torch.float64) * 255 for y in luma.split(1))
        return {"brisque": torch.stack([self._score(p) for p in pictures]).to(torch.float32)}

    def _score(self, luma: Tensor) -> Tensor:
        if min(luma.shape[2:]) < SMALLEST_SIDE:
            return luma.new_full((), math.nan)
        half = F.interpolate(luma, scale_factor=0.5, mode="bicubic", align_corners=False)
        features = torch.cat([picture_features(luma), picture_features(half)])
        score = self._regression((2 * (features - self._low) / self._span - 1)[None])[0]
        return torch.where(luma.amax() == luma.amin(), math.nan, score)  # the zero border would pass for texture


def picture_features(luma: Tensor) -> Tensor:
    """(1, 1, H, W) luma on the 0..255 scale -> (18,) float64; NaN where the picture is flat.

    Shape and mean variance of the MSCN coefficients; then shape, mean, left and right variance of their products with the
    neighbour to the right, below, and on both diagonals (table I of the paper).
    """
    m = mscn(luma, "zero")[0, 0]
    fit = _fit(m, m)
    found = [fit.alpha, (fit.left**2 + fit.right**2) / 2]
    pairs = ((m[:, :-1], m[:, 1:]), (m[:-1], m[1:]), (m[:-1, :-1], m[1:, 1:]), (m[1:, :-1], m[:-1, 1:]))
    for one, other in pairs:
        fit = _fit(one, other)
        mean = (fit.right - fit.left) * scale_from_rms(fit.alpha) * mean_from_scale(fit.alpha)
        found += [fit.alpha, mean, fit.left**2, fit.right**2]
    return torch.cat(found)


def _fit(one: Tensor, other: Tensor) -> Aggd:
    """Of all products of `one` and `other`, (H, W) each, or of `one` where both are the same; in strips of rows."""
    strips = zip(one.split(_STRIP_ROWS), other.split(_STRIP_ROWS), strict=True)
    parts = (Moments.of((a if one is other else a * b).reshape(1, -1)) for a, b in strips)
    return aggd(Moments.join(parts, add=True), one.numel())
