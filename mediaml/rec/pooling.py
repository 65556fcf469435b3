"""From the vectors of shots to one vector a title."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, UnknownName

Pooling = Literal["mean", "gem"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@dataclass(frozen=True, slots=True)
class PoolingSettings:
    """How shots become a title.

    method          "mean": the weighted mean; "gem": the weighted generalized mean (Radenovic et al., Fine-tuning CNN Image
                    Retrieval with No Human Annotation, 2018), which keeps what is strong in a few shots and which credits,
                    black and studio logos dilute far less. Negative elements keep their sign.
    gem_power       1 is the mean, infinity the largest magnitude
    duration_power  shots weigh seconds ** duration_power: 0 counts every shot alike, 1 every second alike
    """

    method: Pooling = "gem"
    gem_power: float = 3.0
    duration_power: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in POOLINGS:
            raise UnknownName("pooling", str(self.method), POOLINGS)
        if not 1 <= self.gem_power <= 16:
            raise InvalidValue(f"gem_power {self.gem_power} must lie in [1, 16]")
        if not 0 <= self.duration_power <= 1:
            raise InvalidValue(f"duration_power {self.duration_power} must lie in [0, 1]")

    @property
    def id(self) -> str:
        """The settings in one word: part of the name of the vectors' space."""
        power = f"gem{self.gem_power:g}" if self.method == "gem" else self.method
        return f"{power}-t{self.duration_power:g}"


def pool(
    vectors: NDArray[np.float32], durations: NDArray[np.float64], settings: PoolingSettings
) -> NDArray[np.float32]:
    """(N, D) shots of one title, N >= 1, and their (N,) seconds -> (D,). What has no duration (a still) counts as 1 s."""
    weights = np.where(durations > 0, durations, 1.0) ** settings.duration_power
    weights = weights / weights.sum()
    values = vectors.astype(np.float64)
    if settings.method == "mean":
        return (weights @ values).astype(np.float32)
    power = settings.gem_power
    mean = weights @ (np.sign(values) * np.abs(values) ** power)
    return (np.sign(mean) * np.abs(mean) ** (1 / power)).astype(np.float32)
