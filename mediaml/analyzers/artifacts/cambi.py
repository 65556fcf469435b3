"""CAMBI: how visible banding is. No reference needed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer
from mediaml.frames import FrameBatch
from mediaml.metrics.cambi import SMALLEST, CambiOptions, cambi, fits
from mediaml.ops.colour import coded_luma
from mediaml.spec import Column, Need, Spec, View


class Cambi(FrameAnalyzer):
    """libvmaf's definition at the picture's own size and bit depth; PQ pictures use PQ's thresholds.

    Null where both sides are under 216 pixels, and for pictures so wide and short that the window exceeds 65 pixels.
    """

    spec = Spec(
        name="cambi",
        version=1,
        summary="Banding (CAMBI)",
        outputs=(
            Column(
                "cambi",
                "float64",
                "1",
                "banding, 0 (none) to about 24, annoying from 5 on; convention libvmaf, limited range, BT.1886 or PQ",
                minimum=0.0,
                maximum=1000.0,
                nullable=True,
                better="lower",
            ),
        ),
        need=Need(View.luma(), fps=1.0),
        groups=("artifacts", "quality_nr"),
        default=False,
        cite="Tandon, Afonso, Sole & Krasula 2021, CAMBI: contrast-aware multiscale banding index; libvmaf 3 cambi",
        cost_ms=400.0,
    )

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        luma, bit_depth = coded_luma(batch)
        height, width = luma.shape[2:]
        if max(height, width) < SMALLEST or not fits(height, width):
            return {"cambi": torch.full((len(batch),), math.nan, dtype=torch.float64, device=batch.device)}
        options = CambiOptions(eotf="pq" if batch.colour.transfer == "smpte2084" else "bt1886")
        return {"cambi": cambi(luma, bit_depth=bit_depth, options=options)}
