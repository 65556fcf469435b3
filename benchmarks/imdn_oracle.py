"""IMDN (Hui et al. 2019, arXiv:1909.11856) for comparison: reads the authors' state dict; its weights state no licence."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SLOPE = 0.05


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_du = nn.Sequential(nn.Conv2d(64, 4, 1), nn.ReLU(), nn.Conv2d(4, 64, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        contrast = ((x - mean) ** 2).mean(dim=(2, 3), keepdim=True).sqrt()
        return x * self.conv_du(contrast + mean)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(48, 64, 3, padding=1)
        self.c3, self.c4 = nn.Conv2d(48, 64, 3, padding=1), nn.Conv2d(48, 16, 3, padding=1)
        self.c5, self.cca = nn.Conv2d(64, 64, 1), _Attention()

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = [], x
        for convolution in (self.c1, self.c2, self.c3):
            distilled, rest = F.leaky_relu(convolution(rest), _SLOPE).split([16, 48], dim=1)
            kept.append(distilled)
        return x + self.c5(self.cca(torch.cat([*kept, self.c4(rest)], dim=1)))


class Imdn(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, 2H, 2W)."""

    def __init__(self) -> None:
        super().__init__()
        self.fea_conv = nn.Conv2d(3, 64, 3, padding=1)
        for i in range(1, 7):
            setattr(self, f"IMDB{i}", _Block())
        self.c = nn.Sequential(nn.Conv2d(384, 64, 1), nn.LeakyReLU(_SLOPE))
        self.LR_conv = nn.Conv2d(64, 64, 3, padding=1)
        self.upsampler = nn.Sequential(nn.Conv2d(64, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        first = self.fea_conv(x)
        outputs, y = [], first
        for i in range(1, 7):
            y = getattr(self, f"IMDB{i}")(y)
            outputs.append(y)
        return self.upsampler(self.LR_conv(self.c(torch.cat(outputs, dim=1))) + first)


def load_imdn(path: Path) -> Imdn:
    net = Imdn()
    state = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    return net.eval().requires_grad_(False)
