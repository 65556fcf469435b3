"""XPSNR: PSNR whose errors weigh less where the reference is busy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.quality_fr.paired import PairedAnalyzer, each_plane, paired_spec, score
from mediaml.frames import Planes
from mediaml.media import MediaInfo
from mediaml.metrics.xpsnr import HIGHEST, History, xpsnr

_COMMON_RATE = 25.0


class Xpsnr(PairedAnalyzer):
    """Keeps the two reference pictures before; where the size changes, a picture follows black. Chroma is null for grey."""

    spec = paired_spec(
        "xpsnr",
        "XPSNR of Y, U and V",
        tuple(
            score(
                f"xpsnr_{p}",
                "dB",
                f"XPSNR of {p.upper()}, as FFmpeg's filter; 100 for equal; a stream's is of the squared mean root error",
                maximum=HIGHEST,
            )
            for p in "yuv"
        ),
        cite="Helmrich et al. 2020, XPSNR: a low-complexity extension of the perceptually weighted PSNR; FFmpeg vf_xpsnr",
        cost_ms=90.0,
        ordered=True,
    )

    def start(self, media: MediaInfo) -> None:
        video = media.main_video
        self._rate = (video.frame_rate if video is not None else None) or _COMMON_RATE
        self._history = History()

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        last = self._history.last
        if last is not None and (last.shape[2:] != ref.y.shape[2:] or last.dtype != ref.y.dtype):
            self._history = History()
        planes = each_plane(ref, dist)
        refs, dists = zip(*planes.values(), strict=True)
        found = xpsnr(refs, dists, bit_depth=ref.bit_depth, frame_rate=self._rate, history=self._history)
        self._history = self._history.after(ref.y)
        absent = torch.full((len(ref.y),), math.nan, dtype=torch.float64, device=ref.y.device)
        return {f"xpsnr_{p}": absent for p in "yuv"} | {f"xpsnr_{p}": found[:, i] for i, p in enumerate(planes)}
