"""Judging one file by one rule. Pure: values in, an outcome with its evidence out.

A limit that is hit exactly is kept. Numbers may differ from it by a millionth (of the limit, or of 1), because tables store
32-bit floats and times are differences of floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mediaml.engine.pooling import pool
from mediaml.engine.qc.facts import judge_fact
from mediaml.engine.qc.findings import judge_findings
from mediaml.engine.qc.measures import measures, providers
from mediaml.engine.qc.outcome import Judged, Place, beyond, bounds_text, figure
from mediaml.engine.qc.profile import AnyRule, FactRule, FaultRule, FindingRule, FixityRule, Level, MeasureRule
from mediaml.engine.qc.values import FileValues, Timed

Outcome = Literal["pass", "fail", "warn", "info", "not_applicable", "not_measured"]
KEPT_PLACES = 20


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What came of a rule. `places` are the worst places first, at most `KEPT_PLACES` of `place_count`."""

    rule: AnyRule
    outcome: Outcome
    message: str
    value: float | None = None
    unit: str = ""
    places: tuple[Place, ...] = ()
    place_count: int = 0

    @property
    def level(self) -> Level:
        return self.rule.level

    @property
    def broken(self) -> bool:
        return self.outcome in ("fail", "warn", "info")


def judge(rule: AnyRule, values: FileValues) -> RuleOutcome:
    """The rule's outcome for a file that was read."""
    if values.media.get("kind", "video") not in rule.applies_to:
        return RuleOutcome(rule, "not_applicable", f"is not about {values.media['kind']} files")
    judged = _unmeasured(rule, values) or _judged(rule, values)
    outcome: Outcome = rule.level if judged.outcome == "broken" else judged.outcome
    return RuleOutcome(
        rule, outcome, judged.message, judged.value, judged.unit, judged.places[:KEPT_PLACES], len(judged.places)
    )


def _judged(rule: AnyRule, values: FileValues) -> Judged:
    if isinstance(rule, MeasureRule):
        return _judge_measure(rule, values)
    if isinstance(rule, FindingRule):
        return judge_findings(rule, values.findings.get(rule.finding, []), values.duration_seconds)
    if isinstance(rule, FactRule):
        return judge_fact(rule, values.media, values.streams)
    return _judge_fault(rule, values) if isinstance(rule, FaultRule) else _judge_fixity(rule, values)


def _unmeasured(rule: AnyRule, values: FileValues) -> Judged | None:
    """Where an analyzer that the rule needs failed, or does not apply to the file."""
    needed = providers(rule)
    states = {name: values.statuses.get(name, "absent") for name in needed}
    for name, state in states.items():
        if state in ("failed", "absent"):
            said = [e.message for e in values.errors if e.analyzer is None or e.analyzer.split("@")[0] == name]
            return Judged("not_measured", f"{name} gave no result: {said[0] if said else 'it did not run to the end'}")
    if needed and all(state == "not_applicable" for state in states.values()):
        why = "the file has no stream that it is about"
        required = isinstance(rule, MeasureRule) and rule.required
        return Judged("broken", why) if required else Judged("not_applicable", why)
    return None


def _judge_measure(rule: MeasureRule, values: FileValues) -> Judged:
    known = measures()[rule.measure]
    unit = "" if known.unit == "1" else known.unit
    timed = values.timed.get(rule.measure)
    value = values.files.get(rule.measure)
    if (timed is None and value is None) or (timed is not None and not len(timed.value)):
        why = f"{rule.measure} has no value for this file"
        return Judged("broken", why) if rule.required else Judged("not_applicable", why)
    if timed is None:
        assert value is not None
        return _against(rule, value, unit, rule.measure, ())
    if rule.pooling == "each":
        return _judge_each(rule, timed, unit)
    pooled = pool(timed.value, timed.start)
    assert pooled is not None
    if rule.pooling in ("mean", "median", "min", "max", "worst_second"):
        value = pooled.value(rule.pooling)
    else:
        value = float(np.percentile(timed.value, float(rule.pooling[1:])))
    return _against(rule, value, unit, f"{rule.pooling} of {rule.measure}", _runs_beyond(rule, timed, unit))


def _against(rule: MeasureRule, value: float, unit: str, what: str, places: Sequence[Place]) -> Judged:
    text = f"{what} is {figure(value)}{f' {unit}' if unit else ''}; allowed: {bounds_text(rule.min, rule.max, unit)}"
    if not beyond(value, rule.min, rule.max):
        return Judged("pass", text, value, unit)
    return Judged("broken", text, value, unit, tuple(places))


def _judge_each(rule: MeasureRule, timed: Timed, unit: str) -> Judged:
    """Every value on its own; `seconds` and `share` say how much may be beyond."""
    places = _runs_beyond(rule, timed, unit)
    allowed = bounds_text(rule.min, rule.max, unit)
    if rule.share is not None:
        lengths = timed.end - timed.start
        out = np.array([beyond(v, rule.min, rule.max) for v in timed.value.tolist()], bool)
        total = float(lengths.sum())
        share = float(lengths[out].sum()) / total if total > 0 else float(out.mean())
        text = (
            f"{rule.measure} is beyond {allowed} for {100 * share:.3g} % of the time; allowed: {100 * rule.share:.3g} %"
        )
        return Judged("broken" if beyond(share, None, rule.share) else "pass", text, share, "1", places)
    if rule.seconds is not None:
        longest = max((p.end_seconds - p.start_seconds for p in places), default=0.0)
        text = f"{rule.measure} is beyond {allowed} for {longest:.2f} s at a stretch; allowed: {figure(rule.seconds)} s"
        kept = tuple(p for p in places if beyond(p.end_seconds - p.start_seconds, None, rule.seconds))
        return Judged("broken" if kept else "pass", text, longest, "s", kept)
    worst = max(timed.value.tolist(), key=lambda v: _excess(v, rule))
    return _against(rule, worst, unit, f"the worst value of {rule.measure}", places)


def _excess(value: float, rule: MeasureRule) -> float:
    """How far beyond the limits; negative within them."""
    low = rule.min - value if rule.min is not None else -np.inf
    high = value - rule.max if rule.max is not None else -np.inf
    return float(max(low, high))


def _runs_beyond(rule: MeasureRule, timed: Timed, unit: str) -> tuple[Place, ...]:
    """Stretches of values beyond the limits, the furthest beyond first."""
    out = np.array([beyond(v, rule.min, rule.max) for v in timed.value.tolist()], bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], out, [False]]).astype(np.int8)))
    found: list[tuple[float, Place]] = []
    for first, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        excess = [_excess(v, rule) for v in timed.value[first:stop].tolist()]
        at = first + int(np.argmax(excess))
        value = float(timed.value[at])
        text = f"{rule.measure.split('.', 1)[1]} {figure(value)}{f' {unit}' if unit else ''}"
        place = Place(float(timed.start[first]), float(timed.end[stop - 1]), float(timed.start[at]), text, value=value)
        found.append((max(excess), place))
    return tuple(p for _, p in sorted(found, key=lambda f: (-f[0], f[1].start_seconds)))


def _judge_fault(rule: FaultRule, values: FileValues) -> Judged:
    said = [e.message for e in values.errors if e.analyzer is None and e.kind == rule.fault]
    return Judged("broken", f"{rule.fault}: {said[0]}") if said else Judged("pass", f"no {rule.fault}")


def _judge_fixity(rule: FixityRule, values: FileValues) -> Judged:
    noted = values.noted
    if noted is None:
        text = "no sha256 is noted beside the file"
        return Judged("broken", text) if rule.required else Judged("not_applicable", text)
    if noted.sha256 == values.media_id:
        return Judged("pass", f"the content's sha256 is the one noted in {noted.where}")
    return Judged("broken", f"the content's sha256 is {values.media_id}, {noted.where} notes {noted.sha256}")


def unreadable(rule: AnyRule, message: str) -> RuleOutcome:
    """The outcome for a file of which nothing could be read."""
    return RuleOutcome(rule, "not_measured", message)
