"""Kernel ridge regression with an RBF kernel: what a support vector regression does, in closed form."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mediaml.errors import WeightsCorrupt

_NAMES = ("support", "coefficients", "low", "high", "gamma", "mean")


class KernelRidge:
    """f(x) = mean + sum_i a_i exp(-gamma |x' - s_i|^2), x' the features mapped from [low, high] to [-1, 1] (Saunders et
    al. 1998).

    support (M, D), coefficients (M,), low and high (D,), float64.
    """

    def __init__(
        self, support: Tensor, coefficients: Tensor, low: Tensor, high: Tensor, gamma: float, mean: float
    ) -> None:
        self.support, self.coefficients = support.double(), coefficients.double()
        self.low, self.high = low.double(), high.double()
        self.gamma, self.mean = gamma, mean

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (N,) float64. Features outside [low, high] count as its ends; NaN gives NaN."""
        scaled = self._scaled(features.double())
        return self.mean + _rbf(scaled, self.support, self.gamma) @ self.coefficients

    def _scaled(self, features: Tensor) -> Tensor:
        span = (self.high - self.low).clamp(min=1e-12)
        return (2 * (features - self.low) / span - 1).clamp(-1, 1)

    def to(self, device: torch.device) -> KernelRidge:
        support, coefficients = self.support.to(device), self.coefficients.to(device)
        return KernelRidge(support, coefficients, self.low.to(device), self.high.to(device), self.gamma, self.mean)

    @classmethod
    def fit(cls, features: Tensor, targets: Tensor, gamma: float, penalty: float) -> KernelRidge:
        """Least squares in the kernel's space. features (M, D), targets (M,); `penalty` > 0 is added to the diagonal."""
        low, high = features.double().amin(dim=0), features.double().amax(dim=0)
        empty = cls(features, targets, low, high, gamma, float(targets.double().mean()))
        support = empty._scaled(features.double())
        kernel = _rbf(support, support, gamma)
        kernel.diagonal().add_(penalty)
        solved = torch.cholesky_solve((targets.double() - empty.mean)[:, None], torch.linalg.cholesky(kernel))[:, 0]
        return cls(support, solved, low, high, gamma, empty.mean)

    def save(self, path: Path) -> None:
        """float32."""
        numbers = (
            self.support,
            self.coefficients,
            self.low,
            self.high,
            torch.tensor(self.gamma),
            torch.tensor(self.mean),
        )
        save_file({n: t.float().contiguous() for n, t in zip(_NAMES, numbers, strict=True)}, path)

    @classmethod
    def load(cls, path: Path, features: int) -> KernelRidge:
        """Raises WeightsCorrupt where the file is no such regression of so many features."""
        try:
            state = load_file(path)
            support, coefficients, low, high, gamma, mean = (state[n] for n in _NAMES)
        except (SafetensorError, OSError, KeyError) as error:
            raise WeightsCorrupt(f"{path}: not a kernel ridge regression: {error}") from error
        if support.ndim != 2 or support.shape[1] != features or coefficients.shape != support.shape[:1]:
            raise WeightsCorrupt(f"{path}: support of shape {tuple(support.shape)}, need (M, {features})")
        return cls(support, coefficients, low, high, float(gamma), float(mean))


def _rbf(a: Tensor, b: Tensor, gamma: float) -> Tensor:
    return torch.exp(-gamma * torch.cdist(a, b).square())
