"""From the vectors of shots to one vector a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, UnknownName

Pooling = Literal["mean", "duration", "gem", "distinct"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@dataclass(frozen=True, slots=True)
class PoolingSettings:
    """How shots become a title.

    method             "mean": arithmetic mean of shots; "duration": weighted by duration ** duration_power;
                       "gem": generalized mean of the weighted shots (Radenovic et al., Fine-tuning CNN Image Retrieval with
                       No Human Annotation, 2018), for vectors that are nowhere negative, else as "duration";
                       "distinct": as "duration", each shot also weighted by how little it resembles the background
    duration_power     0 counts every shot alike, 1 every second alike
    gem_power          1 is the mean, infinity the maximum
    distinct_sharpness exponent of the distinctiveness
    """

    method: Pooling = "distinct"
    duration_power: float = 0.5
    gem_power: float = 2.0
    distinct_sharpness: float = 2.0

    def __post_init__(self) -> None:
        if self.method not in POOLINGS:
            raise UnknownName("pooling", str(self.method), POOLINGS)
        if not 0 <= self.duration_power <= 1:
            raise InvalidValue(f"duration_power {self.duration_power} must lie in [0, 1]")
        if self.gem_power < 1 or self.distinct_sharpness < 0:
            raise InvalidValue("gem_power must be at least 1 and distinct_sharpness must not be negative")

    @property
    def id(self) -> str:
        """The settings that matter for the method, for the name of the vectors' space."""
        parts: dict[Pooling, Sequence[float]] = {
            "mean": (),
            "duration": (self.duration_power,),
            "gem": (self.duration_power, self.gem_power),
            "distinct": (self.duration_power, self.distinct_sharpness),
        }
        return ":".join([self.method, *(f"{v:g}" for v in parts[self.method])])


def pool(
    vectors: NDArray[np.float32],
    durations: NDArray[np.float64],
    settings: PoolingSettings,
    background: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """(N, D) shots of one title, N >= 1 -> (D,).

    Args:
        durations: (N,) seconds; what has none (a still) counts as one second.
        background: (B, D) shots of other titles, for "distinct"; without one every shot is as distinct as any.
    """
    values = vectors.astype(np.float64)
    if settings.method == "mean":
        return values.mean(0).astype(np.float32)
    weights = np.where(durations > 0, durations, 1.0) ** settings.duration_power
    if settings.method == "distinct" and background is not None and len(background):
        weights = weights * distinctiveness(vectors, background) ** settings.distinct_sharpness
    weights = weights / weights.sum()
    if settings.method == "gem" and values.min() >= 0:
        return ((weights @ values**settings.gem_power) ** (1 / settings.gem_power)).astype(np.float32)
    return (weights @ values).astype(np.float32)


def distinctiveness(vectors: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, D), (B, D) -> (N,) in (0, 1]: one minus the mean cosine with the nearest tenth of the background.

    Credits, black and studio logos are near to something in every other title, so they weigh little. Cosines are taken
    about the background's mean, without which all vectors of one network point nearly the same way.
    """
    centre = background.mean(0)
    a, b = _unit(vectors - centre), _unit(background - centre)
    nearest = max(1, len(b) // 10)
    cosines = a @ b.T
    top = np.partition(cosines, len(b) - nearest, axis=1)[:, -nearest:].mean(1)
    return np.clip((1.0 - top.astype(np.float64)) / 2, 1e-3, 1.0)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)
