"""What the lake knows of one file, as far as a profile's rules ask: plain data that rules are judged on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.engine.qc.fixity import Noted, noted_sha256
from mediaml.engine.qc.measures import kinds, measures
from mediaml.engine.qc.profile import FindingRule, FixityRule, MeasureRule, Profile
from mediaml.tables import Lake
from mediaml.tables.rows import ErrorRow

Floats = NDArray[np.float64]
_SPAN_COLUMNS = ("kind", "start_seconds", "end_seconds", "severity", "confidence", "evidence_seconds", "message")


@dataclass(frozen=True, slots=True)
class Finding:
    """A row of `spans`."""

    start_seconds: float
    end_seconds: float
    severity: float
    confidence: float
    evidence_seconds: float | None
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Values over time, (N,) each: value i holds from start to end (s); values are finite."""

    start: Floats
    end: Floats
    value: Floats

    @classmethod
    def samples(cls, times: Floats, values: Floats) -> Timed:
        """Each value holds until the next one; the last for the median distance."""
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        good = np.isfinite(values)
        times, values = times[good], values[good]
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        return cls(times, np.append(times[1:], times[-1:] + step), values)


@dataclass(slots=True, eq=False)
class FileValues:
    """One file. `statuses`: analyzer name -> done, failed or not_applicable; absent where it never ran."""

    media_id: str
    path: str = ""
    media: Mapping[str, Any] = field(default_factory=dict)  # the row of `media`
    streams: Sequence[Mapping[str, Any]] = ()
    statuses: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[ErrorRow] = ()
    files: dict[str, float | None] = field(default_factory=dict)  # measure -> value
    timed: dict[str, Timed] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)  # kind -> in order of time
    noted: Noted | None = None

    @property
    def duration_seconds(self) -> float | None:
        return self.media.get("duration_seconds") if self.media.get("kind") != "image" else None

    @property
    def frame_rate(self) -> float | None:
        return self.media.get("frame_rate")


def read_values(lake: Lake, media_id: str, path: Path, profile: Profile) -> FileValues:
    """Everything that `profile` asks about one content, found at `path`. Reads tables, and a note of its checksum."""
    same = f"media_id = '{media_id}'"
    media = lake.table("media", where=same).to_pylist()
    found = FileValues(
        media_id,
        str(path),
        media[0] if media else {},
        lake.table("streams", where=same).to_pylist(),
        _statuses(lake, media_id),
        lake.standing_errors(path),
    )
    wanted = list(dict.fromkeys(r.measure for r in profile.rules if isinstance(r, MeasureRule)))
    for name in wanted:
        _read_measure(lake, same, name, found)
    wanted_kinds = {r.finding for r in profile.rules if isinstance(r, FindingRule)}
    found.findings = _read_findings(lake, same, {k: kinds()[k].providers for k in wanted_kinds})
    if any(isinstance(r, FixityRule) for r in profile.rules):
        found.noted = noted_sha256(path)
    return found


def _statuses(lake: Lake, media_id: str) -> dict[str, str]:
    """Analyzer name -> status of its newest version."""
    newest: dict[str, tuple[int, str]] = {}
    for key in lake.keys(media_id):
        name, version = key.analyzer.split("@")
        known = newest.get(name, (0, ""))
        better = int(version) > known[0] or (int(version) == known[0] and key.status == "done")
        newest[name] = (int(version), key.status) if better else known
    return {name: status for name, (_, status) in newest.items()}


def _read_measure(lake: Lake, same: str, name: str, found: FileValues) -> None:
    table, column = name.split(".", 1)
    by = f"split_part(analyzer, '@', 1) = '{measures()[name].providers[0]}'"
    if table == "series":
        rows = lake.table("series", ["time_seconds", "value"], f"{same} AND {by} AND series = '{column}'")
        found.timed[name] = Timed.samples(*(_numbers(rows, c) for c in ("time_seconds", "value")))
        return
    if column not in {c.name for c in lake.describe(table)}:  # nobody has given it a row yet
        if table != "files":
            found.timed[name] = Timed(*(np.zeros(0),) * 3)
        return
    if table == "files":
        values = lake.table("files", [column], f"{same} AND {by}").column(0).to_pylist()
        found.files[name] = float(values[0]) if values and values[0] is not None else None
        return
    keys = ["start_seconds", "end_seconds"] if table == "shots" else ["pts_seconds"]
    rows = lake.table(table, [*keys, column], f"{same} AND {by} AND {column} IS NOT NULL")
    arrays = [_numbers(rows, c) for c in (*keys, column)]
    found.timed[name] = Timed(*arrays) if table == "shots" else Timed.samples(*arrays)


def _numbers(rows: Any, column: str) -> Floats:
    return rows.column(column).to_numpy().astype(np.float64)


def _read_findings(lake: Lake, same: str, givers: Mapping[str, tuple[str, ...]]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    if not givers:
        return found
    listed = ", ".join(f"'{k}'" for k in sorted(givers))
    rows = lake.table("spans", ["analyzer", *_SPAN_COLUMNS], f"{same} AND kind IN ({listed})").to_pylist()
    for row in sorted(rows, key=lambda r: (r["start_seconds"], r["end_seconds"])):
        if row.pop("analyzer").split("@")[0] in givers[row["kind"]]:
            found[row.pop("kind")].append(Finding(**row))
    return found
