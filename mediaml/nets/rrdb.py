"""ESRGAN's generator: residual-in-residual dense blocks, then nearest-neighbour enlargement twice.

Wang et al. 2018, ESRGAN, arXiv:1809.00219; weights of Wang et al. 2021, Real-ESRGAN, arXiv:2107.10833.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediaml.nets.srvgg import copy_in_order

_SLOPE = 0.2
_RESIDUAL = 0.2


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each of which sees what all before it gave."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        sizes = [(features + i * growth, growth if i < 4 else features) for i in range(5)]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in sizes)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for convolution in self.convolutions[:-1]:
            seen.append(F.leaky_relu(convolution(torch.cat(seen, dim=1)), _SLOPE))
        return x + _RESIDUAL * self.convolutions[-1](torch.cat(seen, dim=1))


class RrdbNet(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), not clamped."""

    REACH: ClassVar[int] = 32  # pixels; the net could look further, but hardly does
    BYTES_PER_PIXEL: ClassVar[float] = 4 * 64 * 16 * 3

    def __init__(self, blocks: int = 23, features: int = 64, growth: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, features, 3, padding=1)
        self.trunk = nn.ModuleList(
            nn.Sequential(*(DenseBlock(features, growth) for _ in range(3))) for _ in range(blocks)
        )
        self.after_trunk = nn.Conv2d(features, features, 3, padding=1)
        self.up = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in range(2))
        self.high = nn.Conv2d(features, features, 3, padding=1)
        self.last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        y = first
        for block in self.trunk:
            y = y + _RESIDUAL * block(y)
        y = first + self.after_trunk(y)
        for up in self.up:
            y = F.leaky_relu(up(F.interpolate(y, scale_factor=2, mode="nearest")), _SLOPE)
        return self.last(F.leaky_relu(self.high(y), _SLOPE))

    def load_ncnn(self, layers: Sequence[tuple[str, Sequence[Tensor]]]) -> None:
        """Takes the tensors of an ncnn file in the order of its layers. Raises InvalidValue where they do not fit."""
        copy_in_order([m for m in self.modules() if isinstance(m, nn.Conv2d)], layers, type(self).__name__)
