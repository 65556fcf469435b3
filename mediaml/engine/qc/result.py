"""What a check of files gives: a verdict a file, and how it came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from mediaml.engine.analysis_run import RunSummary
from mediaml.engine.qc.outcome import Place
from mediaml.engine.qc.profile import Profile
from mediaml.engine.qc.rules import RuleOutcome
from mediaml.engine.qc.values import FileValues
from mediaml.engine.timecode import timecode
from mediaml.tables import Lake

Verdict = Literal["pass", "warn", "incomplete", "unreadable", "fail"]
VERDICTS: tuple[Verdict, ...] = ("fail", "unreadable", "incomplete", "warn", "pass")
"""The worst first."""

CSV_COLUMNS = (
    "path",
    "verdict",
    "rule",
    "level",
    "outcome",
    "message",
    "value",
    "unit",
    "places",
    "start_seconds",
    "end_seconds",
    "start_timecode",
    "end_timecode",
    "source",
)


@dataclass(frozen=True, slots=True, eq=False)
class FileVerdict:
    """One file.

    fail         a rule of level fail is broken
    unreadable   nothing of the file, or not all of it, could be read, and no rule names that fault
    incomplete   a rule could not be judged, because an analyzer failed
    warn         a rule of level warn is broken
    pass         none of these; rules of level info never change the verdict
    """

    path: str
    media_id: str | None
    verdict: Verdict
    outcomes: tuple[RuleOutcome, ...]
    errors: tuple[str, ...]
    values: FileValues | None

    @property
    def broken(self) -> tuple[RuleOutcome, ...]:
        """The rules that are broken, fail before warn before info."""
        order = ("fail", "warn", "info")
        return tuple(sorted((o for o in self.outcomes if o.broken), key=lambda o: order.index(o.outcome)))

    @property
    def frame_rate(self) -> float | None:
        return self.values.frame_rate if self.values else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": self.path,
            "media_id": self.media_id,
            "verdict": self.verdict,
            "errors": list(self.errors),
            "rules": [self._rule(o) for o in self.outcomes],
        }

    def _rule(self, outcome: RuleOutcome) -> dict[str, Any]:
        return {
            "rule": outcome.rule.id,
            "level": outcome.level,
            "outcome": outcome.outcome,
            "message": outcome.message,
            "value": outcome.value,
            "unit": outcome.unit,
            "why": outcome.rule.why,
            "source": outcome.rule.source,
            "places": outcome.place_count,
            "evidence": [self.place(p) for p in outcome.places],
        }

    def place(self, place: Place) -> dict[str, Any]:
        """Plain JSON types, with timecodes at the file's rate."""
        return {
            "start_seconds": place.start_seconds,
            "end_seconds": place.end_seconds,
            "evidence_seconds": place.evidence_seconds,
            "start_timecode": timecode(place.start_seconds, self.frame_rate),
            "end_timecode": timecode(place.end_seconds, self.frame_rate),
            "severity": place.severity,
            "confidence": place.confidence,
            "value": place.value,
            "text": place.text,
        }


@dataclass(slots=True, eq=False)
class QcResult:
    """The verdicts of all files, in the order in which they were found. `lake` holds what they rest on.

    analyzers   names of those that the profile needs
    summary     of the decoding that was done for it; None where probing was enough
    """

    profile: Profile
    files: list[FileVerdict]
    lake: Lake
    analyzers: tuple[str, ...] = ()
    summary: RunSummary | None = None
    interrupted: bool = False
    counts: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = Counter(f.verdict for f in self.files)

    @property
    def passed(self) -> bool:
        """Whether every file was read whole and none fails."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """3 a file fails; else 1 a file could not be read or judged whole; else 0. 130 interrupted."""
        if self.interrupted:
            return 130
        if self.counts["fail"]:
            return 3
        return int(bool(self.counts["unreadable"] + self.counts["incomplete"]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "profile": self.profile.id,
            "title": self.profile.title,
            "counts": {v: self.counts[v] for v in VERDICTS},
            "exit_code": self.exit_code,
            "analyzers": list(self.analyzers),
            "lake": str(self.lake.path),
            "files": [f.to_dict() for f in self.files],
        }

    def csv_rows(self) -> Iterator[dict[str, Any]]:
        """A row a rule of every file, with its worst place; an unreadable file has one row without a rule."""
        for file in self.files:
            if not file.outcomes:
                yield {
                    **dict.fromkeys(CSV_COLUMNS, ""),
                    "path": file.path,
                    "verdict": file.verdict,
                    "outcome": "not_measured",
                    "message": "; ".join(file.errors),
                }
            for outcome in file.outcomes:
                worst = file.place(outcome.places[0]) if outcome.places else {}
                yield {
                    "path": file.path,
                    "verdict": file.verdict,
                    "rule": outcome.rule.id,
                    "level": outcome.level,
                    "outcome": outcome.outcome,
                    "message": outcome.message,
                    "value": "" if outcome.value is None else outcome.value,
                    "unit": outcome.unit,
                    "places": outcome.place_count,
                    **{c: worst.get(c, "") for c in CSV_COLUMNS[9:13]},
                    "source": outcome.rule.source,
                }
