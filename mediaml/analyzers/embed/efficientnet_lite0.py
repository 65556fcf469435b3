"""Image embeddings: the pooled features of EfficientNet-Lite0, one vector a second.

Good for "which other pictures look like this one" and as the input of ImageNet labels and of the label space
(`mediaml.derive`), none of which look at a pixel again.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer
from mediaml.frames import FrameBatch
from mediaml.nets.lite0 import DIMENSIONS, SIZE, Lite0
from mediaml.spec import Column, Need, Spec, Table, View

VIEW = View.rgb(SIZE, SIZE, fit="cover")


class Lite0Embedding(FrameAnalyzer):
    """1280-d pooled features before the classifier; not normalised, so that the classifier can still be applied."""

    spec = Spec(
        name="embed_lite0",
        version=3,
        summary="Image embedding a second: EfficientNet-Lite0 pooled features",
        outputs=(
            Column(
                "vector",
                "float32",
                "1",
                "pooled features of the last convolution (after ReLU6); compare by cosine",
                Table.EMBEDDINGS,
                minimum=0.0,
                maximum=6.0,
                length=DIMENSIONS,
            ),
        ),
        need=Need(VIEW, fps=1.0, tolerance_seconds=0.5),
        weights=("efficientnet_lite0",),
        groups=("embeddings",),
        cite="Tan & Le 2019, EfficientNet, arXiv:1905.11946 (Lite0, 2020); ImageNet-1k",
        cost_ms=20.0,
    )

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        state = torch.load(weights.resolve("efficientnet_lite0"), map_location="cpu", weights_only=True)
        self.use(state, device)

    def use(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Takes a state dict of EfficientNet-Lite0 as the network."""
        self.device = device
        self.net = Lite0(state).to(device)

    @torch.inference_mode()
    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        # one frame at a time on the CPU: no slower, and values do not depend on how frames were grouped
        frames = batch.view(VIEW)
        parts = frames.split(1) if frames.device.type == "cpu" else (frames,)
        return {"vector": torch.cat([self.net(part) for part in parts])}
