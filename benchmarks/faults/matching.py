"""Which findings meet which events, and what that comes to.

Rule: an event and a finding of one of its kinds match where their overlap is at least half of their union (temporal IoU >=
0.5), both widened by a quarter of a second at each end, for detectors of fine detail look twice a second. Each finding
matches at most one event and each event one finding, best overlap first. What matches no event is a false alarm: at the
severity of the event that at least half of it lies in (the event found in part), else at every severity of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.faults.injection import Event

WIDENED_SECONDS = 0.25
LEAST_OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of one file."""

    kind: str
    start: float
    end: float
    severity: float
    confidence: float
    message: str


@dataclass(slots=True)
class Score:
    """Counts of one fault at one severity; false alarms are those of the same files."""

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0

    @property
    def f1(self) -> float:
        whole = 2 * self.hits + self.misses + self.false_alarms
        return 2 * self.hits / whole if whole else 1.0


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Temporal intersection over union of two spans, both widened."""
    starts, ends = (a[0] - WIDENED_SECONDS, b[0] - WIDENED_SECONDS), (a[1] + WIDENED_SECONDS, b[1] + WIDENED_SECONDS)
    shared = min(ends) - max(starts)
    return max(0.0, shared) / (max(ends) - min(starts))


def match(events: Sequence[Event], found: Sequence[Found]) -> tuple[dict[int, int], list[int]]:
    """(event -> finding, findings without an event), by position."""
    pairs = sorted(
        (
            (overlap((e.start, e.end), (f.start, f.end)), i, k)
            for i, e in enumerate(events)
            for k, f in enumerate(found)
        ),
        reverse=True,
    )
    met: dict[int, int] = {}
    taken: set[int] = set()
    for share, i, k in pairs:
        if share >= LEAST_OVERLAP and i not in met and k not in taken:
            met[i] = k
            taken.add(k)
    return met, [k for k in range(len(found)) if k not in taken]


def false_at(extra: Found, events: Sequence[Event]) -> set[str]:
    """The severities that a finding without an event counts against."""
    inside = [
        e.severity
        for e in events
        if min(e.end, extra.end) + WIDENED_SECONDS - max(e.start, extra.start) + WIDENED_SECONDS
        >= LEAST_OVERLAP * (extra.end - extra.start + 2 * WIDENED_SECONDS)
    ]
    return set(inside[:1]) or {e.severity for e in events}
