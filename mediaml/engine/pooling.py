"""Per-frame scores -> one number a file, a shot, a second.

Conventions are libvmaf's: the harmonic mean is n / sum(1 / (x + 1)) - 1, so that zero is allowed; percentiles interpolate
linearly. Values that are not finite, or null, are left out, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue

PERCENTILES = (1, 5, 10, 25, 50, 75, 95)
METHODS = ("mean", "harmonic_mean", "min", "max", "median", "worst_second", "pN (percentile N)")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WorstSecond:
    """The second of the timeline with the lowest (or highest, where high is bad) mean."""

    start_seconds: float
    value: float


@dataclass(frozen=True, slots=True)
class Pooled:
    """One column pooled over a file. `ignored`: frames without a finite value."""

    mean: float
    harmonic_mean: float | None  # None where a value is -1 or less
    min: float
    max: float
    median: float
    standard_deviation: float
    percentiles: dict[int, float]
    worst_second: WorstSecond
    frames: int
    ignored: int

    def value(self, method: str) -> float:
        """By name: one of METHODS. Raises InvalidValue; also where the method has no value."""
        found = _PERCENTILE.fullmatch(method)
        if found:
            n = float(found[1])
            if int(n) == n and int(n) in self.percentiles:
                return self.percentiles[int(n)]
            raise InvalidValue(f"percentile {method} is not kept; kept: {', '.join(f'p{n}' for n in self.percentiles)}")
        if method == "worst_second":
            return self.worst_second.value
        if method not in ("mean", "harmonic_mean", "min", "max", "median"):
            raise InvalidValue(f"pooling {method!r} must be one of {', '.join(METHODS)}")
        value = getattr(self, method)
        if value is None:
            raise InvalidValue(f"{method} does not exist: a score is -1 or less")
        return float(value)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON types; percentiles as "p5"."""
        plain = asdict(self)
        plain["percentiles"] = {f"p{n}": v for n, v in self.percentiles.items()}
        return plain


def pool(values: Values, pts_seconds: Values, *, lower_is_better: bool = False) -> Pooled | None:
    """Pools one column, (N,) beside its frames' times; None where no value is finite."""
    values = np.asarray(values, np.float64)
    good = np.isfinite(values)
    kept, times = values[good], np.asarray(pts_seconds, np.float64)[good]
    if not len(kept):
        return None
    levels = np.percentile(kept, PERCENTILES)
    return Pooled(
        mean=float(kept.mean()),
        harmonic_mean=harmonic_mean(kept),
        min=float(kept.min()),
        max=float(kept.max()),
        median=float(np.median(kept)),
        standard_deviation=float(kept.std()),
        percentiles={n: float(v) for n, v in zip(PERCENTILES, levels, strict=True)},
        worst_second=worst_second(kept, times, lower_is_better=lower_is_better),
        frames=len(kept),
        ignored=int((~good).sum()),
    )


def harmonic_mean(values: Values) -> float | None:
    """libvmaf's: n / sum(1 / (x + 1)) - 1; None where a value is -1 or less."""
    if not len(values) or values.min() <= -1:
        return None
    return float(len(values) / np.sum(1 / (values + 1)) - 1)


def worst_second(values: Values, pts_seconds: Values, *, lower_is_better: bool = False) -> WorstSecond:
    """Over all windows of one second that start at a frame and lie inside the timeline; the first of equals.

    Where the whole is under a second, the whole.
    """
    order = np.argsort(pts_seconds, kind="stable")
    times, ordered = pts_seconds[order], values[order]
    stops = np.searchsorted(times, times + 1 - 1e-6)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    starts = np.flatnonzero(times <= times[-1] - 1 + _step(times) + 1e-6)
    starts = starts if len(starts) else np.array([0])
    means = (sums[stops[starts]] - sums[starts]) / (stops[starts] - starts)
    at = int(np.argmax(means) if lower_is_better else np.argmin(means))
    return WorstSecond(float(times[starts[at]]), float(means[at]))


def _step(times: Values) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def worst_frames(values: Values, count: int, *, lower_is_better: bool = False, apart: int = 1) -> list[int]:
    """Rows of the worst values, worst first, no two less than `apart` rows from each other."""
    finite = np.where(np.isfinite(values), values, -np.inf if lower_is_better else np.inf)
    order = np.argsort(-finite if lower_is_better else finite, kind="stable")
    chosen: list[int] = []
    for row in order.tolist():
        if len(chosen) == count or not np.isfinite(values[row]):
            break
        if all(abs(row - other) >= apart for other in chosen):
            chosen.append(row)
    return chosen


@dataclass(frozen=True, slots=True)
class Limit:
    """A least value: `vmaf=93` is the mean, `p5:vmaf=85` the fifth percentile, `min:psnr_y=30` the minimum."""

    column: str
    method: str
    least: float

    @classmethod
    def parse(cls, text: str) -> tuple[Limit, ...]:
        """Comma-separated limits. Raises InvalidValue."""
        return tuple(cls._one(part.strip()) for part in text.split(",") if part.strip())

    @classmethod
    def _one(cls, text: str) -> Limit:
        name, equals, number = text.partition("=")
        method, colon, column = name.rpartition(":")
        method = method if colon else "mean"
        known = method in ("mean", "harmonic_mean", "min", "max", "median", "worst_second")
        percentile = _PERCENTILE.fullmatch(method)
        if not known and not (percentile and float(percentile[1]) in PERCENTILES):
            raise InvalidValue(
                f"limit {text!r}: pooling {method!r} must be mean, harmonic_mean, min, max, median, worst_second or one of "
                f"{', '.join(f'p{n}' for n in PERCENTILES)}"
            )
        try:
            least = float(number)
        except ValueError:
            least = float("nan")
        if not equals or not column or not np.isfinite(least):
            raise InvalidValue(f"limit {text!r} must be NAME=NUMBER or POOLING:NAME=NUMBER, e.g. vmaf=93 or p5:vmaf=85")
        return cls(column, method, least)

    def __str__(self) -> str:
        return f"{self.method}:{self.column}={self.least:g}"


def missed(limits: Sequence[Limit], pooled: dict[str, Pooled]) -> list[tuple[Limit, float | None]]:
    """The limits that the scores fall short of, with what was reached; None where there is no score at all."""
    found: list[tuple[Limit, float | None]] = []
    for limit in limits:
        reached = pooled[limit.column].value(limit.method) if limit.column in pooled else None
        if reached is None or reached < limit.least:
            found.append((limit, reached))
    return found
