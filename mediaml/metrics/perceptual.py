"""LPIPS and DISTS: distances in the features of a classification network that the user supplies."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue, WeightsCorrupt
from mediaml.nets.checkpoint import read_checkpoint
from mediaml.nets.imagenet_stages import SMALLEST, BackboneName, Stages

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in [-1, 1]
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pictures in [0, 1]
_TINY = 1e-10
_C1 = _C2 = 1e-6


class Lpips(NamedTuple):
    """A backbone and one row of weights a stage, (channels,) each."""

    stages: Stages
    heads: tuple[Tensor, ...]


class Dists(NamedTuple):
    """VGG-16, and the weights of texture (alpha) and structure (beta) for each channel of the picture and five stages."""

    stages: Stages
    alpha: tuple[Tensor, ...]
    beta: tuple[Tensor, ...]


def read_lpips(backbone: Path, heads: Path, name: BackboneName = "alex", device: torch.device | str = "cpu") -> Lpips:
    """From torchvision's state dict of the backbone, and LPIPS v0.1's linear heads (`lin0.model.1.weight`, ...).

    Raises WeightsCorrupt (another network's file, truncated), WeightsError.
    """
    stages, state = Stages.read(name, backbone).to(device), read_checkpoint(heads)
    rows = []
    for i, channels in enumerate(stages.channels):
        found = next((v for k, v in state.items() if k in (f"lin{i}.model.1.weight", f"lins.{i}.model.1.weight")), None)
        if found is None or found.numel() != channels:
            raise WeightsCorrupt(
                f"{heads}: lin{i}.model.1.weight must hold {channels} values for {name}, found "
                f"{'none' if found is None else found.numel()}; LPIPS v0.1's {name}.pth is wanted"
            )
        rows.append(found.detach().float().reshape(-1).to(device))
    return Lpips(stages, tuple(rows))


def read_dists(backbone: Path, weights: Path, device: torch.device | str = "cpu") -> Dists:
    """From torchvision's VGG-16 and the authors' `alpha` and `beta`. Raises WeightsCorrupt, WeightsError."""
    stages, state = Stages.read("vgg", backbone).to(device), read_checkpoint(weights)
    widths = [3, *stages.channels]
    for name in ("alpha", "beta"):
        if name not in state or state[name].numel() != sum(widths):
            raise WeightsCorrupt(f"{weights}: {name} must hold {sum(widths)} values; DISTS's own weights are wanted")
    alpha, beta = (state[n].detach().double().reshape(-1).to(device) for n in ("alpha", "beta"))
    total = alpha.sum() + beta.sum()
    return Dists(stages, (alpha / total).split(widths), (beta / total).split(widths))


def lpips(ref: Tensor, dist: Tensor, net: Lpips) -> Tensor:
    """(N, 3, H, W) R'G'B' pairs in [0, 1] -> (N,) float64, 0 for equal pictures, lower is better.

    LPIPS v0.1 (Zhang, Isola, Efros, Shechtman & Wang 2018) at the pictures' own size. Differentiable, any device that `net`
    is on. Raises InvalidValue (other shapes, sides under 64 pixels for AlexNet or 32 for VGG, NaN, out of range).
    """
    _check(ref, dist, SMALLEST[net.stages.name])
    shift, scale = (ref.new_tensor(v).view(1, 3, 1, 1) for v in (_SHIFT, _SCALE))
    maps = [net.stages((2 * t.float() - 1 - shift) / scale) for t in (ref, dist)]
    total = torch.zeros(len(ref), dtype=torch.float64, device=ref.device)
    for a, b, head in zip(*maps, net.heads, strict=True):
        squares = (_unit(a) - _unit(b)).square()
        total = total + torch.einsum("nchw,c->n", squares, head).double() / (a.shape[2] * a.shape[3])
    return total


def dists(ref: Tensor, dist: Tensor, net: Dists) -> Tensor:
    """(N, 3, H, W) R'G'B' pairs in [0, 1] -> (N,) float64, 0 for equal pictures, lower is better.

    Ding, Ma, Wang & Simoncelli 2020, at the pictures' own size (the authors' demonstration shrinks to 256 lines first).
    Differentiable. Raises InvalidValue as `lpips` does.
    """
    _check(ref, dist, SMALLEST["vgg"])
    mean, deviation = (ref.new_tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _DEVIATION))
    maps = [[t, *net.stages((t.float() - mean) / deviation, _l2_pool)] for t in (ref, dist)]
    alike = torch.zeros(len(ref), dtype=torch.float64, device=ref.device)
    for x, y, alpha, beta in zip(*maps, net.alpha, net.beta, strict=True):
        x, y = x.double(), y.double()
        mean_x, mean_y = x.mean(dim=(2, 3)), y.mean(dim=(2, 3))
        var_x, var_y = (t.var(dim=(2, 3), correction=0) for t in (x, y))
        cov = (x * y).mean(dim=(2, 3)) - mean_x * mean_y
        texture = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
        structure = (2 * cov + _C2) / (var_x + var_y + _C2)
        alike = alike + texture @ alpha + structure @ beta
    return 1 - alike


def _unit(x: Tensor) -> Tensor:
    """Each pixel's features over their length."""
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + _TINY)


def _l2_pool(x: Tensor) -> Tensor:
    """Half size: roots of squares under a 3x3 Hann window."""
    kernel = _hann().to(x).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


@cache
def _hann() -> Tensor:
    line = torch.tensor([0.5, 1.0, 0.5])
    return (line[:, None] * line / 4)[None, None]


def _check(ref: Tensor, dist: Tensor, smallest: int) -> None:
    for name, t in (("ref", ref), ("dist", dist)):
        if t.ndim != 4 or t.shape[1] != 3 or not t.is_floating_point() or len(t) == 0:
            raise InvalidValue(f"{name} must be (N, 3, H, W) float in [0, 1], not {tuple(t.shape)} {t.dtype}")
        if min(t.shape[2:]) < smallest:
            raise InvalidValue(
                f"{name} is {t.shape[3]}x{t.shape[2]}; this metric needs {smallest} pixels a side or more"
            )
        low, high = t.detach().aminmax()
        if not (low >= 0 and high <= 1):  # a NaN compares false
            raise InvalidValue(f"{name} has values in {low.item():g}..{high.item():g}; the range is 0..1 without NaN")
    if ref.shape != dist.shape:
        raise InvalidValue(f"ref is {tuple(ref.shape)}, dist {tuple(dist.shape)}; bring them to one size first")
