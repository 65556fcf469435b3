"""The contract of everything that enlarges pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mediaml.frames import Colour, Planes


class Enlarger(ABC):
    """Enlarges by `scale` in both directions. One object may be used by several threads at once.

    name          as asked for, with the weights' identity where it has one
    scale         output pixels an input pixel, each way
    uses_strength whether the strength of compression (quantizer on H.264's scale / 51) changes the result
    """

    name: str
    scale: int
    uses_strength: bool = False
    device: torch.device

    @abstractmethod
    def planes(self, planes: Planes, colour: Colour, siting: str, strength: Tensor) -> Planes:
        """Native planes of N frames -> native planes of the same depth, subsampling and siting, `scale` times as large.

        `siting` is where 4:2:0 chroma samples lie (FFmpeg's names: left, center, topleft, top); `strength` is (N,).
        """

    @abstractmethod
    def rgb(self, frames: Tensor, strength: Tensor) -> Tensor:
        """(N, 3, H, W) float R'G'B' in [0, 1] -> (N, 3, H * scale, W * scale), clamped to [0, 1]."""

    def estimate(self, luma: Tensor) -> Tensor:
        """(N,) strength of compression of (N, 1, H, W) luma in [0, 1]; 0 where the network does not use it."""
        return torch.zeros(len(luma), device=luma.device)
