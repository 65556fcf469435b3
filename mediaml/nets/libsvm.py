"""Support vector regression from libsvm's text format, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mediaml.errors import WeightsCorrupt

_LARGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class RbfRegression:
    """f(x) = sum_i coefficient_i exp(-gamma |x - vector_i|^2) - rho.

    vectors       (V, F) float64
    coefficients  (V,) float64
    """

    vectors: Tensor
    coefficients: Tensor
    gamma: float
    rho: float

    def __call__(self, x: Tensor) -> Tensor:
        """(N, F) float64 -> (N,)."""
        distance = (x[:, None, :] - self.vectors).square().sum(dim=2)  # (N, V)
        return torch.exp(-self.gamma * distance) @ self.coefficients - self.rho

    def to(self, device: torch.device) -> RbfRegression:
        return RbfRegression(self.vectors.to(device), self.coefficients.to(device), self.gamma, self.rho)


def read_libsvm(path: Path, features: int) -> RbfRegression:
    """The regression in a file of libsvm's svm-train (epsilon_svr or nu_svr, rbf kernel) over `features` inputs.

    Raises WeightsCorrupt where the file is damaged or holds another kind of model.
    """
    if (size := path.stat().st_size) > _LARGEST:
        raise WeightsCorrupt(f"{path}: {size} bytes, a libsvm model may have {_LARGEST}")
    try:
        return parse_libsvm(path.read_text(encoding="ascii"), features)
    except ValueError as error:
        raise WeightsCorrupt(f"{path}: {error}") from error


def parse_libsvm(text: str, features: int) -> RbfRegression:
    """The regression in libsvm's text; raises ValueError where it is damaged or another kind of model."""
    try:
        head, _, body = text.partition("\nSV\n")
        facts = dict(line.split(maxsplit=1) for line in head.splitlines())
        if facts["svm_type"] not in ("epsilon_svr", "nu_svr") or facts["kernel_type"] != "rbf":
            raise ValueError(f"{facts['svm_type']} with {facts['kernel_type']} kernel, expected a regression with rbf")
        rows = [line.split() for line in body.splitlines()]
        if len(rows) != int(facts["total_sv"]):
            raise ValueError(f"{len(rows)} support vectors, the head says {facts['total_sv']}")
        vectors = torch.zeros(len(rows), features, dtype=torch.float64)
        for row, vector in zip(rows, vectors, strict=True):
            for entry in row[1:]:
                index, _, value = entry.partition(":")
                if not 1 <= int(index) <= features:
                    raise ValueError(f"feature {index} outside 1..{features}")
                vector[int(index) - 1] = float(value)
        coefficients = torch.tensor([float(row[0]) for row in rows], dtype=torch.float64)
        return RbfRegression(vectors, coefficients, float(facts["gamma"]), float(facts["rho"]))
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"not a libsvm regression: {error}") from error
