"""Rules about what probing learns: container, codecs, sizes, rates, flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mediaml.engine.qc.outcome import Judged, beyond, bounds_text, figure
from mediaml.engine.qc.profile import FactRule, Scalar

_RATE_TOLERANCE = 2e-4  # 30000/1001 written as 29.97; 24 and 24000/1001 differ five times as much


def judge_fact(rule: FactRule, media: Mapping[str, Any], streams: Sequence[Mapping[str, Any]]) -> Judged:
    """The file's fact, or that of every stream of the kind: the first one that is not taken breaks the rule."""
    scope, column = rule.fact.split(".", 1)
    rows = [media] if scope == "media" else [s for s in streams if s["type"] == scope and not s["is_attached_picture"]]
    if not rows:
        text = f"the file has no {scope} stream"
        return Judged("broken", text) if rule.required else Judged("not_applicable", text)
    stated = [_value(row, column) for row in rows]
    for value in stated:
        if value is None and rule.required:
            return Judged("broken", f"{rule.fact} is not stated; {_allowed(rule)}")
        if value is not None and not _taken(rule, value):
            return Judged("broken", f"{rule.fact} is {_shown(value)}; {_allowed(rule)}", _number(value))
    values = [v for v in stated if v is not None]
    if not values:
        return Judged("not_applicable", f"{rule.fact} is not stated")
    shown = ", ".join(dict.fromkeys(map(_shown, values)))
    return Judged("pass", f"{rule.fact} is {shown}; {_allowed(rule)}", _number(values[0]))


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column == "resolution":
        return f"{row['width']}x{row['height']}" if row.get("width") else None
    return row.get(column)


def _taken(rule: FactRule, value: Any) -> bool:
    if rule.allow is not None and not any(_same(value, v, rule.fact) for v in rule.allow):
        return False
    if rule.deny is not None and any(_same(value, v, rule.fact) for v in rule.deny):
        return False
    number = _number(value)
    return number is None or not beyond(number, rule.min, rule.max)


def _same(value: Any, listed: Scalar, fact: str) -> bool:
    if isinstance(value, str) and isinstance(listed, str):
        names = {value, *value.split(",")} if fact == "media.container" else {value}
        return listed in names
    if isinstance(value, bool) or isinstance(listed, bool) or isinstance(value, str) or isinstance(listed, str):
        return value is listed
    if isinstance(value, int) and isinstance(listed, int):
        return value == listed
    return abs(value - listed) <= _RATE_TOLERANCE * abs(listed)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return figure(value) if isinstance(value, (int, float)) else str(value)


def _allowed(rule: FactRule) -> str:
    parts = []
    if rule.allow is not None:
        parts.append("allowed: " + ", ".join(map(_shown, rule.allow)))
    if rule.deny is not None:
        parts.append("not allowed: " + ", ".join(map(_shown, rule.deny)))
    if rule.min is not None or rule.max is not None:
        parts.append("allowed: " + bounds_text(rule.min, rule.max))
    return "; ".join(parts) or "it must be stated"
