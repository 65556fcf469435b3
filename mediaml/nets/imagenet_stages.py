"""VGG-16 and AlexNet cut into the five stages that perceptual distances look at, with torchvision's names of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import WeightsCorrupt
from mediaml.nets.checkpoint import read_checkpoint

BackboneName = Literal["vgg", "alex"]
Pool = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class _Convolution:
    """`features.<number>` of torchvision's model, followed by a ReLU."""

    number: int
    channels: tuple[int, int]  # in, out
    size: int
    stride: int
    padding: int


def _vgg(first: int, *widths: int) -> tuple[_Convolution, ...]:
    return tuple(_Convolution(first + 2 * i, pair, 3, 1, 1) for i, pair in enumerate(pairwise(widths)))


_STAGES: Mapping[BackboneName, tuple[tuple[_Convolution, ...], ...]] = {
    "vgg": (
        _vgg(0, 3, 64, 64),
        _vgg(5, 64, 128, 128),
        _vgg(10, 128, 256, 256, 256),
        _vgg(17, 256, 512, 512, 512),
        _vgg(24, 512, 512, 512, 512),
    ),
    "alex": (
        (_Convolution(0, (3, 64), 11, 4, 2),),
        (_Convolution(3, (64, 192), 5, 1, 2),),
        (_Convolution(6, (192, 384), 3, 1, 1),),
        (_Convolution(8, (384, 256), 3, 1, 1),),
        (_Convolution(10, (256, 256), 3, 1, 1),),
    ),
}
_POOLED: Mapping[BackboneName, tuple[int, ...]] = {"vgg": (1, 2, 3, 4), "alex": (1, 2)}  # stages that begin with a pool
_POOLS: Mapping[BackboneName, Pool] = {
    "vgg": lambda x: F.max_pool2d(x, 2, 2),
    "alex": lambda x: F.max_pool2d(x, 3, 2),
}
SMALLEST: Mapping[BackboneName, int] = {"vgg": 32, "alex": 64}
"""Pixels a side of pictures that leave something at the last stage."""


class Stages:
    """The backbone without its classifier. `channels` of the five stages."""

    def __init__(self, name: BackboneName, state: Mapping[str, Tensor], source: str) -> None:
        """`state`: torchvision's state dict, or its `features` alone. Raises WeightsCorrupt naming what does not fit."""
        self.name: BackboneName = name
        self.channels = tuple(stage[-1].channels[1] for stage in _STAGES[name])
        self._weights: dict[int, tuple[Tensor, Tensor]] = {}
        for convolution in (c for stage in _STAGES[name] for c in stage):
            wanted = (*reversed(convolution.channels), convolution.size, convolution.size)
            found = [state.get(f"features.{convolution.number}.{part}") for part in ("weight", "bias")]
            weight, bias = found
            if weight is None or bias is None or tuple(weight.shape) != wanted or tuple(bias.shape) != wanted[:1]:
                got = "nothing" if weight is None else f"{tuple(weight.shape)}"
                raise WeightsCorrupt(
                    f"{source}: features.{convolution.number} must be {wanted} with a bias, found {got}; "
                    f"torchvision's {'vgg16' if name == 'vgg' else 'alexnet'} state dict is wanted"
                )
            self._weights[convolution.number] = weight.float(), bias.float()

    @classmethod
    def read(cls, name: BackboneName, path: Path) -> Stages:
        """Raises WeightsCorrupt, WeightsError."""
        return cls(name, read_checkpoint(path), str(path))

    def to(self, device: object) -> Stages:
        """In place."""
        self._weights = {n: (w.to(device), b.to(device)) for n, (w, b) in self._weights.items()}  # type: ignore[call-overload]
        return self

    def __call__(self, x: Tensor, pool: Pool | None = None) -> list[Tensor]:
        """(N, 3, H, W), normalised as the metric wants -> the maps after each stage's last ReLU; `pool` replaces its own."""
        found = []
        for number, stage in enumerate(_STAGES[self.name]):
            if number in _POOLED[self.name]:
                x = (pool or _POOLS[self.name])(x)
            for c in stage:
                x = F.conv2d(x, *self._weights[c.number], stride=c.stride, padding=c.padding).relu_()
            found.append(x)
        return found
