"""Per-frame scores -> one number a file, a shot, a second.

Conventions are libvmaf's: the harmonic mean is n / sum(1 / (x + 1)) - 1, so that zero is allowed; percentiles interpolate
linearly. Values that are not finite, or null, are left out, and counted. What is 'worst' follows the column's direction:
percentiles count from the bad end, so that p5 is what the worst twentieth of the frames does not reach, of CAMBI as of VMAF.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.spec import Column

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
    """One column pooled over a file. `ignored`: frames without a finite value; percentiles count from the bad end."""

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
    lower_is_better: bool = False

    @property
    def worst(self) -> float:
        return self.max if self.lower_is_better else self.min

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
    levels = np.percentile(kept, [100 - n if lower_is_better else n for n in PERCENTILES])
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
        lower_is_better=lower_is_better,
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


def worst_frames(
    values: Values, pts_seconds: Values, count: int, *, lower_is_better: bool = False, apart_seconds: float = 0.5
) -> list[int]:
    """Rows of the worst values, worst first, no two less than `apart_seconds` from each other."""
    finite = np.where(np.isfinite(values), values, -np.inf if lower_is_better else np.inf)
    order = np.argsort(-finite if lower_is_better else finite, kind="stable")
    chosen: list[int] = []
    for row in order.tolist():
        if len(chosen) == count or not np.isfinite(values[row]):
            break
        if all(abs(pts_seconds[row] - pts_seconds[other]) >= apart_seconds - 1e-6 for other in chosen):
            chosen.append(row)
    return chosen


@dataclass(frozen=True, slots=True)
class Limit:
    """A least value: `vmaf=93` is the mean, `p5:vmaf=85` the fifth percentile, `min:psnr_y=30` the minimum.

    `most`: the bound is the greatest value allowed instead, as for `cambi=5` or `p5:cambi=8`.
    """

    column: str
    method: str
    bound: float
    most: bool = False

    @classmethod
    def parse(cls, text: str, *, most: bool = False) -> tuple[Limit, ...]:
        """Comma-separated limits, all least values or all greatest ones. Raises InvalidValue."""
        return tuple(cls._one(part.strip(), most) for part in text.split(",") if part.strip())

    @classmethod
    def _one(cls, text: str, most: bool) -> Limit:
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
            bound = float(number)
        except ValueError:
            bound = float("nan")
        if not equals or not column or not np.isfinite(bound):
            raise InvalidValue(f"limit {text!r} must be NAME=NUMBER or POOLING:NAME=NUMBER, e.g. vmaf=93 or p5:vmaf=85")
        return cls(column, method, bound, most)

    def __str__(self) -> str:
        return f"{self.method}:{self.column}{'<' if self.most else ''}={self.bound:g}"

    def misses(self, reached: float) -> bool:
        return reached > self.bound if self.most else reached < self.bound


def missed(limits: Sequence[Limit], pooled: dict[str, Pooled]) -> list[tuple[Limit, float | None]]:
    """The limits that the scores break, with what was reached; None where there is no score at all."""
    found: list[tuple[Limit, float | None]] = []
    for limit in limits:
        reached = pooled[limit.column].value(limit.method) if limit.column in pooled else None
        if reached is None or limit.misses(reached):
            found.append((limit, reached))
    return found


def check_limits(limits: Sequence[Limit], columns: Sequence[Column]) -> None:
    """Raises InvalidValue for a least value of a column of which low values are the good ones."""
    lower = {c.name for c in columns if c.better == "lower"}
    for limit in limits:
        if limit.column in lower and not limit.most:
            text = f"{limit.method}:{limit.column}={limit.bound:g}"
            raise InvalidValue(
                f"--fail-under {text}: low values of {limit.column} are the good ones; use --fail-over {text}"
            )
