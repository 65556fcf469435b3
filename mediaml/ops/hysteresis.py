"""Probabilities on a regular grid to spans, without flicker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mediaml.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """How a probability becomes on and off.

    on, off       a span begins where the value reaches `on`, and lasts until it falls below `off`
    join          spans with at most this many values between them are one
    minimum       of values in a span; shorter ones are dropped (after joining)
    """

    on: float
    off: float
    join: int
    minimum: int

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on < 1:
            raise InvalidValue(f"off {self.off} and on {self.on} must satisfy 0 < off <= on < 1")
        if self.join < 0 or self.minimum < 1:
            raise InvalidValue(f"join {self.join} must not be negative, minimum {self.minimum} at least 1")

    def spans(self, values: ArrayLike) -> list[tuple[int, int]]:
        """(start, stop) of every span, stop exclusive."""
        v: NDArray = np.asarray(values, np.float64)
        high = np.concatenate([[False], v >= self.off, [False]])
        edges = np.flatnonzero(high[1:] != high[:-1]).reshape(-1, 2)
        spans: list[tuple[int, int]] = []
        for start, stop in edges.tolist():
            if v[start:stop].max() < self.on:
                continue
            first = start + int(np.argmax(v[start:stop] >= self.on))
            if spans and first - spans[-1][1] <= self.join:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((first, stop))
        return [(a, b) for a, b in spans if b - a >= self.minimum]
