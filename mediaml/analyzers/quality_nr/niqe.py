"""NIQE: distance of a picture's local statistics from those of natural pictures. No reference, no opinions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer
from mediaml.analyzers.quality_nr.mat5 import read_mat5
from mediaml.errors import WeightsCorrupt
from mediaml.frames import FrameBatch
from mediaml.ops.colour import coded_luma, unit_luma
from mediaml.ops.resize import imresize
from mediaml.ops.statistics import FLAT_MSCN, Moments, aggd, mean_from_scale, mscn, scale_from_rms
from mediaml.spec import Column, Need, Spec, View

BLOCK = 96  # px, at full size; half of it at half size
FEATURES = 36
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
_NEED = Need(View.luma(), fps=0.5)


class _Niqe(FrameAnalyzer):
    """The method, for one natural model: mean and covariance of the features of natural pictures.

    Follows the authors' MATLAB release: native luma on the 0..255 scale (limited range is stretched), cropped to whole blocks
    of 96x96 px, MSCN with replicated borders, antialiased bicubic halving, 18 features a block and scale, pair products
    circular in their block. Differs in one thing: blocks without texture (black bars) are left out. Null where fewer than two
    blocks have texture, so for black and for small pictures. PQ and HLG pictures are scored as coded, unlike the model's.
    """

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        path = weights.resolve(self.spec.weights[0])
        model = read_mat5(path)
        mean = model.get("mu_prisparam", model.get("pop_mu"))
        covariance = model.get("cov_prisparam", model.get("pop_cov"))
        if mean is None or covariance is None or mean.numel() != FEATURES or covariance.shape != (FEATURES, FEATURES):
            raise WeightsCorrupt(f"{path}: no NIQE model of {FEATURES} features; it holds {sorted(model)}")
        self._mean = mean.reshape(FEATURES).to(device)
        self._covariance = covariance.to(device)

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        luma, bit_depth = coded_luma(batch)
        pictures = (unit_luma(y, bit_depth, batch.colour.range, torch.float64) * 255 for y in luma.split(1))
        return {self.spec.outputs[0].name: torch.stack([self._score(p) for p in pictures]).to(torch.float32)}

    def _score(self, luma: Tensor) -> Tensor:
        nothing = luma.new_full((), math.nan)
        rows, columns = luma.shape[2] // BLOCK, luma.shape[3] // BLOCK
        if rows * columns < 2:
            return nothing
        full = luma[..., : rows * BLOCK, : columns * BLOCK]  # (1, 1, H, W)
        half = imresize(full, scale=0.5)
        features = torch.cat([block_features(full, BLOCK), block_features(half, BLOCK // 2)], dim=1)  # (blocks, 36)
        features = features[features.isfinite().all(dim=1)]
        if len(features) < 2:
            return nothing
        away = features.mean(dim=0) - self._mean
        spread = torch.linalg.pinv((torch.cov(features.T) + self._covariance) / 2, hermitian=True)
        return (away @ spread @ away).clamp(min=0).sqrt()


def block_features(luma: Tensor, size: int) -> Tensor:
    """(1, 1, H, W) luma on the 0..255 scale, H and W multiples of `size` -> (blocks, 18) float64; NaN where flat.

    Shape and mean scale of the MSCN coefficients; then shape, mean, left and right scale of their products with the neighbour
    to the right, below, and on both diagonals (equations 4 to 8 of the paper).
    """
    coefficients = mscn(luma, "replicate")[0, 0]
    columns = coefficients.shape[1] // size
    flat, sums = [], [[] for _ in range(1 + len(_SHIFTS))]
    for band in coefficients.split(size):  # a row of blocks: what lies in a core's cache
        blocks = band.view(size, columns, size).transpose(0, 1).contiguous()  # (columns, size, size)
        flat.append(blocks.abs().amax(dim=(1, 2)) <= FLAT_MSCN)
        sums[0].append(Moments.of(blocks.flatten(1)))
        for found, shift in zip(sums[1:], _SHIFTS, strict=True):
            found.append(Moments.of((blocks * torch.roll(blocks, shift, dims=(1, 2))).flatten(1)))
    fits = [aggd(Moments.join(s, add=False), size * size) for s in sums]
    features = [fits[0].alpha, (fits[0].left + fits[0].right) / 2 * scale_from_rms(fits[0].alpha)]
    for fit in fits[1:]:
        scale = scale_from_rms(fit.alpha)
        left, right = fit.left * scale, fit.right * scale
        features += [fit.alpha, (right - left) * mean_from_scale(fit.alpha), left, right]
    return torch.stack(features, dim=1).masked_fill_(torch.cat(flat)[:, None], math.nan)


class Niqe(_Niqe):
    """NIQE with the model of the authors' release: lower is better, good pictures lie near 3.

    Agrees with the MATLAB release on two stills: 3.654922 for 3.654922, and 15.7483 for 15.7536 (a heavily blurred one).
    Not the same as MATLAB's own `niqe` function, whose model differs (2.99 and 7.20 there).
    """

    spec = Spec(
        name="niqe",
        version=1,
        summary="natural image quality, model of the authors' release (lower is better)",
        outputs=(
            Column(
                "niqe",
                "float32",
                "1",
                "NIQE; null without two textured 96 px blocks",
                minimum=0,
                nullable=True,
                better="lower",
            ),
        ),
        need=_NEED,
        weights=("niqe_live_params",),
        groups=("quality",),
        default=False,
        cite="Mittal, Soundararajan & Bovik 2013, IEEE SPL 20(3); LIVE's NIQE release",
        cost_ms=300.0,
    )


class NiqeVbliinds(_Niqe):
    """NIQE with the model of V-BLIINDS, fitted by the same laboratory to frames of natural video: lower is better.

    Its numbers are not those of `niqe` (3.65 there is 4.41 here) but rank pictures alike: Spearman 0.94 with `niqe` over 72
    blurred, noisy and JPEG-coded pictures.
    """

    spec = Spec(
        name="niqe_vbliinds",
        version=1,
        summary="natural video quality: NIQE with V-BLIINDS's model (lower is better)",
        outputs=(
            Column(
                "niqe_vbliinds",
                "float32",
                "1",
                "NIQE distance to V-BLIINDS's natural model; null without two textured 96 px blocks",
                minimum=0,
                nullable=True,
                better="lower",
            ),
        ),
        need=_NEED,
        weights=("niqe_params",),
        groups=("quality",),
        cite="Saad, Bovik & Charrier 2014, IEEE TIP 23(3); Mittal, Soundararajan & Bovik 2013",
        cost_ms=300.0,
    )
