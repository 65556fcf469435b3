"""PSNR-HVS-M and PSNR-HVS."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.quality_fr.paired import PairedAnalyzer, each_plane, paired_spec, score
from mediaml.frames import Planes
from mediaml.metrics.psnr_hvs import BLOCK, HIGHEST, psnr_hvs, psnr_hvs_planes
from mediaml.spec import Column

_CITE = "Ponomarenko et al. 2007, On between-coefficient contrast masking of DCT basis functions; libvmaf 3 psnr_hvs"


def _column(name: str, description: str) -> Column:
    return score(name, "dB", f"{description}; 100 where no error is visible", maximum=HIGHEST)


class PsnrHvs(PairedAnalyzer):
    """libvmaf's psnr_hvs, which is PSNR-HVS-M. Null for a plane under 8 pixels in width or height, and for absent chroma."""

    spec = paired_spec(
        "psnr_hvs",
        "PSNR-HVS-M: PSNR with contrast sensitivity and masking",
        (
            *(_column(f"psnr_hvs_{p}", f"PSNR-HVS-M of {p.upper()}, as libvmaf's psnr_hvs") for p in "yuv"),
            _column(
                "psnr_hvs", "PSNR-HVS-M of all planes, errors weighted 0.8 Y + 0.1 U + 0.1 V, as libvmaf's psnr_hvs"
            ),
        ),
        cite=_CITE,
        cost_ms=200.0,
    )
    smallest = BLOCK

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        planes = each_plane(ref, dist)
        if len(planes) == 3 and all(min(a.shape[2:]) >= BLOCK for a, _ in planes.values()):
            refs, dists = zip(*planes.values(), strict=True)
            columns = psnr_hvs_planes(refs, dists, bit_depth=ref.bit_depth).unbind(dim=1)
            return dict(zip(("psnr_hvs_y", "psnr_hvs_u", "psnr_hvs_v", "psnr_hvs"), columns, strict=True))
        absent = torch.full((len(ref.y),), math.nan, dtype=torch.float64, device=ref.y.device)
        luma = psnr_hvs(ref.y, dist.y, bit_depth=ref.bit_depth)
        return {"psnr_hvs_y": luma, "psnr_hvs_u": absent, "psnr_hvs_v": absent, "psnr_hvs": luma}


class PsnrHvsUnmasked(PairedAnalyzer):
    """PSNR-HVS: the same without masking, luma only."""

    spec = paired_spec(
        "psnr_hvs_unmasked",
        "PSNR-HVS of luma: PSNR with contrast sensitivity",
        (_column("psnr_hvs_unmasked", "PSNR-HVS of Y: contrast sensitivity without masking"),),
        cite="Egiazarian et al. 2006, New full-reference quality metrics based on HVS",
        cost_ms=120.0,
    )
    smallest = BLOCK

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        return {"psnr_hvs_unmasked": psnr_hvs(ref.y, dist.y, bit_depth=ref.bit_depth, masking=False)}
