"""Rules about findings: how many, how long, how much of the file."""

from __future__ import annotations

from collections.abc import Sequence

from mediaml.engine.qc.outcome import Judged, Place, beyond, figure
from mediaml.engine.qc.profile import FindingRule
from mediaml.engine.qc.values import Finding


def judge_findings(rule: FindingRule, findings: Sequence[Finding], duration_seconds: float | None) -> Judged:
    """`findings` of the rule's kind against its limits; the first limit that is broken is the one reported."""
    places = counted(rule, findings, duration_seconds)
    lengths = [p.end_seconds - p.start_seconds for p in places]
    longest, total = max(lengths, default=0.0), covered_seconds(places)
    limits: list[tuple[str, float, float | None, str]] = [
        ("findings", float(len(places)), None if rule.max_count is None else float(rule.max_count), ""),
        ("longest", longest, rule.max_seconds, "s"),
        ("in all", total, rule.max_total_seconds, "s"),
    ]
    if rule.max_share is not None:
        if not duration_seconds:
            return Judged("not_applicable", f"{rule.finding}: the file has no duration to take a share of")
        limits.append(("share of the file", total / duration_seconds, rule.max_share, ""))
    stated = [(what, value, limit, unit) for what, value, limit, unit in limits if limit is not None]
    stated = stated or [("findings", float(len(places)), 0.0, "")]
    for what, value, limit, unit in stated:
        if beyond(value, None, limit):
            if what == "longest":
                places = [p for p in places if beyond(p.end_seconds - p.start_seconds, None, limit)]
            return Judged("broken", _text(rule, what, value, limit, unit), value, unit, tuple(places))
    what, value, limit, unit = stated[0]
    return Judged("pass", _text(rule, what, value, limit, unit), value, unit)


def _text(rule: FindingRule, what: str, value: float, limit: float, unit: str) -> str:
    tail = f" {unit}" if unit else ""
    return f"{rule.finding}, {what}: {figure(value)}{tail}; allowed: at most {figure(limit)}{tail}"


def counted(rule: FindingRule, findings: Sequence[Finding], duration_seconds: float | None) -> list[Place]:
    """The findings that count, cut to the part of the file that is judged, the worst first."""
    first = rule.head_seconds
    last = None if duration_seconds is None else duration_seconds - rule.tail_seconds
    found = []
    for f in findings:
        start, end = max(f.start_seconds, first), f.end_seconds
        if last is not None and rule.tail_seconds:
            end = min(end, last)
        if end < start or (end == start and f.end_seconds > f.start_seconds):
            continue
        weak = f.severity < rule.min_severity - 1e-6 or f.confidence < rule.min_confidence - 1e-6
        if weak or beyond(end - start, rule.min_seconds, None):
            continue
        evidence = f.evidence_seconds if f.evidence_seconds is not None else (start + end) / 2
        evidence = min(max(evidence, start), end)
        found.append(Place(start, end, evidence, f.message, f.severity, f.confidence))
    return sorted(found, key=_badness)


def _badness(place: Place) -> tuple[float, float, float]:
    return -(place.severity or 0.0), -(place.end_seconds - place.start_seconds), place.start_seconds


def covered_seconds(places: Sequence[Place]) -> float:
    """Time that at least one of the places covers."""
    total, reached = 0.0, float("-inf")
    for place in sorted(places, key=lambda p: p.start_seconds):
        total += max(0.0, place.end_seconds - max(place.start_seconds, reached))
        reached = max(reached, place.end_seconds)
    return total
