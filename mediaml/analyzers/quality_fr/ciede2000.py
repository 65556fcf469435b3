"""CIEDE2000 colour difference."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.quality_fr.paired import PairedAnalyzer, each_plane, paired_spec, score
from mediaml.frames import Planes
from mediaml.metrics.ciede2000 import HIGHEST, ciede2000


class Ciede2000(PairedAnalyzer):
    """Null for grey pictures."""

    spec = paired_spec(
        "ciede2000",
        "CIEDE2000 colour difference in dB",
        (
            score(
                "ciede2000",
                "dB",
                "45 - 20 log10 of the mean colour difference; convention libvmaf: every picture is taken for BT.709 "
                "in limited range, chroma is repeated, lightness counts 1 / 0.65 and hue 1 / 4; 100 for equal pictures",
                maximum=HIGHEST,
            ),
        ),
        cite="Sharma, Wu & Dalal 2005; libvmaf 3 ciede (https://github.com/Netflix/vmaf)",
        cost_ms=250.0,
    )

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        planes = each_plane(ref, dist)
        if len(planes) < 3:
            return {"ciede2000": torch.full((len(ref.y),), math.nan, dtype=torch.float64, device=ref.y.device)}
        refs, dists = zip(*planes.values(), strict=True)
        return {"ciede2000": ciede2000(refs, dists, bit_depth=ref.bit_depth)}
