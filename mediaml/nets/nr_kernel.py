"""The half of mediaml_nr that remembers: a kernel ridge regression over training encodes (Saunders et al. 1998)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STATED, GAMMA, PENALTY = (
    8.0,
    0.001,
    0.1,
)  # weight of facts and size against components; the kernel; what is added to its diagonal


class Kernel(nn.Module):
    """quality = middle + sum_i a_i exp(-gamma |x - x_i|^2), x the stretched components, the facts and the size.

    points (M, D) half precision, coefficients (M,), stretch (C,), middle ().
    """

    points: Tensor
    coefficients: Tensor
    stretch: Tensor
    middle: Tensor

    def __init__(self, count: int, components: int, facts: int) -> None:
        super().__init__()
        self.register_buffer("points", torch.zeros(count, components + facts + 1, dtype=torch.float16))
        self.register_buffer("coefficients", torch.zeros(count))
        self.register_buffer("stretch", torch.ones(components))
        self.register_buffer("middle", torch.zeros(()))

    def _inputs(self, looks: Tensor, facts: Tensor, size: Tensor) -> Tensor:
        stated = torch.cat([facts.nan_to_num(0.0).clamp(-5, 5), size], dim=1)
        return torch.cat([looks * self.stretch, STATED * stated], dim=1)

    def forward(self, looks: Tensor, facts: Tensor, size: Tensor) -> Tensor:
        """(N, C), (N, F), (N, 1) -> (N,)."""
        x = self._inputs(looks, facts, size)
        return self.middle + _rbf(x.double(), self.points.double()).float() @ self.coefficients

    @torch.no_grad()
    def fit(self, looks: Tensor, facts: Tensor, size: Tensor, quality: Tensor) -> None:
        """Least squares in the kernel's space, at the points as they are stored. One row an encode and size."""
        self.points = self._inputs(looks, facts, size).half()
        points = self.points.double()
        kernel = _rbf(points, points)
        kernel.diagonal().add_(PENALTY)
        self.middle = quality.mean()
        wanted = (quality - self.middle).double()[:, None]
        self.coefficients = torch.cholesky_solve(wanted, torch.linalg.cholesky(kernel))[:, 0].float()


def _rbf(a: Tensor, b: Tensor) -> Tensor:
    return torch.exp(-GAMMA * torch.cdist(a, b).square())
