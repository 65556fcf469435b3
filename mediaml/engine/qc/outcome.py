"""What every kind of rule gives, and the comparison and wording that all share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TOLERANCE = 1e-6  # of a limit, or of 1 where the limit is smaller


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule is broken: seconds on the file's timeline, the instant that shows it, what is there in words."""

    start_seconds: float
    end_seconds: float
    evidence_seconds: float
    text: str
    severity: float | None = None
    confidence: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule's outcome before its level is applied; `places` are the worst first."""

    outcome: Literal["pass", "broken", "not_applicable", "not_measured"]
    message: str
    value: float | None = None
    unit: str = ""
    places: tuple[Place, ...] = ()


def beyond(value: float, low: float | None, high: float | None) -> bool:
    """Whether a value lies outside [low, high] by more than the tolerance."""
    under = low is not None and value < low - TOLERANCE * max(1.0, abs(low))
    over = high is not None and value > high + TOLERANCE * max(1.0, abs(high))
    return under or over


def figure(value: float) -> str:
    """Five significant digits, whole numbers whole."""
    return f"{int(value)}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.5g}"


def bounds_text(low: float | None, high: float | None, unit: str = "") -> str:
    """ "-24 to -22 LUFS", "at most 0.5 s", "at least 25"."""
    tail = f" {unit}" if unit else ""
    if low is not None and high is not None:
        return f"{figure(low)}{tail}" if low == high else f"{figure(low)} to {figure(high)}{tail}"
    return f"at least {figure(low)}{tail}" if low is not None else f"at most {figure(high or 0.0)}{tail}"
