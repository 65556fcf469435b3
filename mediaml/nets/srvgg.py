"""Real-ESRGAN's compact network (SRVGGNetCompact): 3x3 convolutions with PReLU at the input's size, then a pixel shuffle.

Wang et al. 2021, Real-ESRGAN, arXiv:2107.10833 (the compact variant was published with the code, release v0.2.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediaml.errors import InvalidValue


class SrvggCompact(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), the nearest-neighbour enlargement plus a residual; not clamped."""

    REACH: ClassVar[int] = 18  # 3x3 convolutions
    BYTES_PER_PIXEL: ClassVar[float] = 4 * 64 * 3

    def __init__(self, features: int = 64, convolutions: int = 16, scale: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        self.body = nn.Sequential(*layers, nn.Conv2d(features, 3 * scale**2, 3, padding=1))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        residual = F.pixel_shuffle(self.body(x), self.scale)
        return residual + F.interpolate(x, scale_factor=self.scale, mode="nearest")

    def load_ncnn(self, layers: Sequence[tuple[str, Sequence[Tensor]]]) -> None:
        """Takes the tensors of an ncnn file in the order of its layers. Raises InvalidValue where they do not fit."""
        copy_in_order([m for m in self.body if isinstance(m, (nn.Conv2d, nn.PReLU))], layers, type(self).__name__)


def copy_in_order(modules: Sequence[nn.Module], layers: Sequence[tuple[str, Sequence[Tensor]]], name: str) -> None:
    """Copies each layer's flat tensors into the parameters of the module at the same place."""
    if len(modules) != len(layers):
        raise InvalidValue(f"{name} has {len(modules)} layers with weights, the file {len(layers)}")
    for module, (kind, tensors) in zip(modules, layers, strict=True):
        parameters = list(module.parameters())
        if [p.numel() for p in parameters] != [t.numel() for t in tensors]:
            found = [t.numel() for t in tensors]
            raise InvalidValue(f"{name}: layer {kind} holds {found} values, not {[p.numel() for p in parameters]}")
        with torch.no_grad():
            for parameter, tensor in zip(parameters, tensors, strict=True):
                parameter.copy_(tensor.view(parameter.shape))
