"""An opinion score of user-made video: BRISQUE's features through a regression trained on KoNViD-1k."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.analyzers.quality_nr.brisque import FEATURES, SMALLEST_SIDE, picture_features
from mediaml.frames import FrameBatch
from mediaml.nets.kernel_ridge import KernelRidge
from mediaml.ops.colour import coded_luma, unit_luma
from mediaml.ops.resize import imresize
from mediaml.spec import Column, Need, Spec, Table, View


class BrisqueKonvid(FrameAnalyzer):
    """Mean opinion score, 1 (bad) to 5 (excellent), that viewers would give to a video shot by amateurs.

    The video's score is that of its mean features, as the regression was trained; a picture's is that of its own.
    Features follow the authors' MATLAB release, which the training features come from: antialiased halving, zeros beyond
    the border. Within KoNViD-1k its rank correlation with opinion is 0.66, on another data set 0.17: it knows amateurs'
    video of 2005 to 2015, not encodes of professional material. Null where every picture is flat or has a side below 32
    px.
    """

    spec = Spec(
        name="brisque_konvid",
        version=1,
        summary="predicted opinion of user-made video, 1 to 5 (BRISQUE features, KoNViD-1k)",
        outputs=(
            Column("brisque_konvid", "float32", "MOS", "predicted opinion score of the picture, 1 to 5; null without "
                   "texture", minimum=0, maximum=6, nullable=True, better="higher"),
            Column("brisque_konvid_video", "float32", "MOS", "predicted opinion score of the video, 1 to 5; null without "
                   "texture", Table.FILES, minimum=0, maximum=6, nullable=True, better="higher"),
        ),
        need=Need(View.luma(), fps=0.5),
        weights=("brisque_konvid",),
        groups=("quality", "quality_nr"),
        default=False,
        cite="features: Mittal, Moorthy & Bovik 2012, IEEE TIP 21(12); opinions: Hosu et al. 2017, KoNViD-1k (QoMEX), with "
        "features of Tu et al. 2021, IEEE TIP 30",
        cost_ms=230.0,
    )  # fmt: skip

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._regression = KernelRidge.load(weights.resolve("brisque_konvid"), FEATURES).to(device)
        self._kept: list[Tensor] = []

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        luma, bit_depth = coded_luma(batch)
        pictures = (unit_luma(y, bit_depth, batch.colour.range, torch.float64) * 255 for y in luma.split(1))
        features = torch.stack([_features(p) for p in pictures])  # (N, 36)
        self._kept.append(features)
        return {"brisque_konvid": self._score(features)}

    def finish(self) -> Rows:
        kept = torch.cat(self._kept) if self._kept else torch.empty(0, FEATURES, dtype=torch.float64)
        self._kept = []
        known = kept[kept.isfinite().all(dim=1)]
        score = float(self._score(known.mean(dim=0, keepdim=True))[0]) if len(known) else None
        return {Table.FILES: {"brisque_konvid_video": [score]}}

    def _score(self, features: Tensor) -> Tensor:
        """(N, 36) -> (N,) float32 in 0..6."""
        return self._regression(features).clamp(0, 6).to(torch.float32)


def _features(luma: Tensor) -> Tensor:
    """(1, 1, H, W) on the 0..255 scale -> (36,) float64; NaN where the picture is flat or too small."""
    if min(luma.shape[2:]) < SMALLEST_SIDE or bool(luma.amax() == luma.amin()):
        return luma.new_full((FEATURES,), math.nan)
    return torch.cat([picture_features(luma), picture_features(imresize(luma, scale=0.5))])
