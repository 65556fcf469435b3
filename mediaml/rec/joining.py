"""Events joined with the title features that were known at their time."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.behaviour import ROW, BehaviourReport, Events
from mediaml.rec.behaviour_features import WindowSettings, add_behaviour_features
from mediaml.rec.features import DEFAULT_SET
from mediaml.tables import Lake
from mediaml.tables.asof import AsOf, AsOfRule, Candidate, Match, Status
from mediaml.tables.attach import Values, write_parquet_stream
from mediaml.tables.reader import literal, quote
from mediaml.tables.schema import COMMON, KEYS

BATCH_ROWS = 16_384
"""Events whose vectors are in memory together; a row group of the output."""

STATUS = "feature_status"
_PLUMBING = {f.name for f in (*COMMON, *KEYS["features"])} | {"digest"}
_TIMES = {"valid_from": "feature_valid_from", "computed_at": "feature_computed_at"}


@dataclass(frozen=True, slots=True)
class JoinReport:
    """statuses     name of a `Status` -> number of events
    present      mask (`has_X`) -> number of events for which it is true
    hint         what to do if hardly anything was joined
    """

    rows_written: int
    statuses: Mapping[str, int]
    present: Mapping[str, int]
    behaviour: BehaviourReport
    hint: str = ""

    def lines(self) -> list[str]:
        """For people: one line a fact."""
        total = sum(self.statuses.values())
        found = [f"{self.rows_written} rows written"]
        found += [f"{count} of {total} events: {_MEANING[name]}" for name, count in self.statuses.items()]
        found += [f"{count} of {total} events have {name.removeprefix('has_')}" for name, count in self.present.items()]
        return [*self.behaviour.lines(), *found, *([self.hint] if self.hint else [])]


_MEANING = {
    "joined": "joined with features",
    "unknown_key": "title is not in the features table",
    "not_yet_valid": "before any content of the title",
    "not_yet_known": "features were computed only after the event",
    "too_old": "newest features older than --max-age",
    "deleted": "title was deleted by then",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one event sees what it sees.

    values   feature -> value (vectors by length and norm)
    sources  modality -> analyzers, number of media, when the newest row was computed
    """

    event: Mapping[str, Any]
    status: str
    candidates: Sequence[Candidate]
    values: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)
    media_ids: Sequence[str] = ()


def read_versions(lake: Lake, feature_set: str = DEFAULT_SET) -> pa.Table:
    """All versions of all titles: title_id, valid_from, computed_at, deleted; in the order that ties are resolved by.

    Raises InvalidValue: the lake has no title features. UnknownName: none of this set.
    """
    sets = lake.query("SELECT DISTINCT feature_set FROM features ORDER BY 1").column("feature_set").to_pylist()
    if not sets:
        raise InvalidValue(
            f"{lake.path}: has no title features; `mediaml features build LAKE --titles titles.csv` makes them"
        )
    if feature_set not in sets:
        raise UnknownName("feature set", feature_set, sets)
    return read_feature_rows(lake, ("title_id", "valid_from", "computed_at", "deleted"), feature_set)


def feature_columns(lake: Lake, feature_set: str = DEFAULT_SET) -> list[str]:
    """Masks and features that the set has any value of, in the lake's order."""
    names = [c.name for c in lake.describe("features") if c.name not in _PLUMBING]
    if not names:
        return []
    counts = ", ".join(f"count({quote(n)}) AS {quote(n)}" for n in names)
    where = f"WHERE feature_set = {literal(feature_set)}"
    row = lake.query(f"SELECT {counts} FROM features {where}").to_pylist()[0]  # noqa: S608
    return [n for n in names if row[n]]


def read_feature_rows(lake: Lake, columns: Sequence[str], feature_set: str) -> pa.Table:
    """Columns of `features`, in the order of `read_versions`."""
    names = ", ".join(map(quote, columns))
    return lake.query(
        f"SELECT {names} FROM features WHERE feature_set = {literal(feature_set)} "  # noqa: S608
        "ORDER BY title_id, valid_from, computed_at, digest"
    )


def join_events(
    lake: Lake,
    events: Events,
    out: str | os.PathLike[str],
    rule: AsOfRule | None = None,
    *,
    feature_set: str = DEFAULT_SET,
    columns: Sequence[str] | None = None,
    unmatched: Literal["keep", "drop"] = "keep",
    windows: WindowSettings | None = None,
) -> JoinReport:
    """Writes a training file: each event with the features that it may see, vectors as fixed-size lists.

    An event without features keeps its row, with nulls, false masks and the reason in `feature_status`; `unmatched="drop"`
    leaves it out, counted. Rows stay in the order of the log. Memory: the log, the features, and one batch of rows.

    Args:
        out: Parquet file to write.
        columns: features to take; None for all. Masks always come along.
        windows: behaviour features to add, equally point-in-time.

    Raises:
        InvalidValue: no features, or a column of the log has the name of a feature. UnknownName: no such feature.
    """
    versions = read_versions(lake, feature_set)
    chosen = _chosen(feature_columns(lake, feature_set), columns)
    table = events.table if windows is None else add_behaviour_features(events.table, windows)
    clash = sorted({*chosen, *_TIMES.values(), STATUS} & set(table.column_names))
    if clash:
        raise InvalidValue(f"the log has a column {clash[0]!r}, and so have the features; rename it in the log")
    with AsOf(versions, rule) as asof:
        match = asof.match(table.column("title"), table.column("time"))
    rows = np.arange(len(match.row)) if unmatched == "keep" else np.flatnonzero(match.row >= 0)
    values = Values.of(
        read_feature_rows(lake, (*_TIMES, *chosen), feature_set).rename_columns([*_TIMES.values(), *chosen])
    )
    metadata = {c.name: {"unit": c.unit, "description": c.description} for c in lake.describe("features")}
    schema = pa.schema([*table.schema, pa.field(STATUS, pa.string()), *values.schema(metadata)])
    present: Counter[str] = Counter({n: 0 for n in chosen if n.startswith("has_")})
    written = write_parquet_stream(out, schema, _batches(table, values, match, rows, present))
    counts = {s.label: int((match.status == s).sum()) for s in Status}
    counts = {name: n for name, n in counts.items() if n or name == "joined"}
    return JoinReport(written, counts, present, events.report, _hint(counts, versions))


def _chosen(known: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    if wanted is None:
        return list(known)
    for name in wanted:
        if name not in known:
            raise UnknownName("feature", name, known)
    return [n for n in known if n in wanted or n.startswith("has_")]


def _batches(
    table: pa.Table, values: Values, match: Match, rows: NDArray[np.int64], present: Counter[str]
) -> Iterator[list[pa.Array]]:
    labels = np.array([s.label for s in Status], object)
    whole = len(rows) == table.num_rows
    for start in range(0, len(rows), BATCH_ROWS):
        at = rows[start : start + BATCH_ROWS]
        events = table.slice(start, len(at)) if whole else table.take(pa.array(at))
        found = values.take(match.row[at])
        for i, name in enumerate(values.names):
            if name.startswith("has_"):
                found[i] = found[i].fill_null(False)
                present[name] += found[i].true_count
        status = pa.array(labels[match.status[at]], pa.string())
        yield [*(c.combine_chunks() for c in events.columns), status, *found]


def _hint(counts: Mapping[str, int], versions: pa.Table) -> str:
    total = sum(counts.values())
    late = counts.get("not_yet_known", 0)
    if late * 2 <= total:
        return ""
    first = min(versions.column("computed_at").to_pylist())
    return (
        f"{late} of {total} events lie before their features were computed (first build: {first:%Y-%m-%d %H:%M} UTC). "
        "--asof valid joins them by valid_from alone; use it only where the values could have been had at that time"
    )


def explain(
    lake: Lake, events: Events, row: int, rule: AsOfRule | None = None, feature_set: str = DEFAULT_SET
) -> Explanation:
    """Every version of the title for the event at `row` of the log, the verdict on it, and where the values come from.

    Raises InvalidValue: the log has no such row, or it was excluded.
    """
    table = events.table
    at = np.flatnonzero(table.column(ROW).to_numpy() == row)
    if not len(at):
        raise InvalidValue(
            f"row {row} is none of the {table.num_rows} events kept of {events.report.source}; rows count from 0"
        )
    event = table.slice(int(at[0]), 1)
    versions = read_versions(lake, feature_set)
    with AsOf(versions, rule) as asof:
        match = asof.match(event.column("title"), event.column("time"))
        facts = event.to_pylist()[0]
        moment: datetime = facts["time"]
        candidates = asof.candidates(facts["title"], moment)
    label = Status(int(match.status[0])).label
    if match.row[0] < 0:
        return Explanation(facts, label, candidates)
    names = feature_columns(lake, feature_set)
    chosen = (
        read_feature_rows(lake, ("media_ids", "provenance", *names), feature_set)
        .slice(int(match.row[0]), 1)
        .to_pylist()[0]
    )
    media, sources = json.loads(chosen.pop("media_ids")), json.loads(chosen.pop("provenance"))
    return Explanation(facts, label, candidates, {n: _short(v) for n, v in chosen.items()}, sources, media)


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return f"{len(value)} numbers, norm {float(np.linalg.norm(value)):.4g}"
    return value
