"""Behaviour events: their schema, how a log is read into it, and what is left out and why.

One event is one thing that one user did with one title at one time. Rows that break the schema are excluded, counted and
reported by reason; whatever would make every row doubtful (a column that is absent or probably misspelt, times without a
zone, an empty log) is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.arrow import call, count_true, is_in
from mediaml.rec.sources import read_source
from mediaml.rec.times import UTC_MICROSECONDS, TimeUnit, check_zone, to_utc

Duplicates = Literal["drop", "keep", "error"]
DUPLICATES: tuple[Duplicates, ...] = get_args(Duplicates)
REQUIRED = ("user", "title", "time")
ROW = "event_row"

EVENT_SCHEMA = pa.schema(
    [
        pa.field(ROW, pa.int64(), False, {"unit": "index", "description": "position of the event in the log, from 0"}),
        pa.field("user", pa.string(), False, {"unit": "id", "description": "who"}),
        pa.field("title", pa.string(), False, {"unit": "id", "description": "title_id of titles.csv"}),
        pa.field("time", UTC_MICROSECONDS, False, {"unit": "UTC", "description": "when it happened"}),
        pa.field("kind", pa.string(), True, {"unit": "class", "description": "impression, click, play, complete, ..."}),
        pa.field("dwell_seconds", pa.float64(), True, {"unit": "s", "description": "time spent, at least 0"}),
        pa.field("position", pa.int32(), True, {"unit": "index", "description": "slot in which it was shown, from 0"}),
        pa.field("propensity", pa.float64(), True, {"unit": "1", "description": "probability of being shown, (0, 1]"}),
    ]
)
"""Columns of `Events.table`; columns of the log that are none of these follow as they are."""

COLUMNS: tuple[str, ...] = tuple(n for n in EVENT_SCHEMA.names if n != ROW)


class BehaviourSettings(BaseModel):
    """How to read a log.

    columns     our name -> the log's, where they differ: {"title": "item_id"}
    time_zone   IANA name for times that state none; None refuses such times
    time_unit   of numeric times since 1970
    kinds       kinds that may occur; None for any
    duplicates  rows equal in user, title, time and kind: "drop" all but the first, "keep" them, or "error"
    strict      raise at the first reason for which rows would be excluded
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: Mapping[str, str] = Field(default_factory=dict)
    time_zone: str | None = None
    time_unit: TimeUnit | None = None
    kinds: tuple[str, ...] | None = None
    duplicates: Duplicates = "drop"
    strict: bool = False

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if name not in COLUMNS:
                raise UnknownName("event column", name, COLUMNS)
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else check_zone(value)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Rows left out for one reason; `first_row` is the position in the log of the first, `example` its value."""

    reason: str
    rows: int
    first_row: int
    example: str


@dataclass(frozen=True, slots=True)
class BehaviourReport:
    """What came of reading a log. `notes` say what was read otherwise than it stood there."""

    source: str
    rows_read: int
    rows_kept: int
    exclusions: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people: one line a fact."""
        head = f"{self.source}: {self.rows_kept} of {self.rows_read} events kept"
        left = [f"excluded {e.rows}: {e.reason} (first at row {e.first_row}: {e.example})" for e in self.exclusions]
        return [head, *left, *self.notes]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """A valid log in its own order: columns of `EVENT_SCHEMA`, then the log's others."""

    table: pa.Table
    report: BehaviourReport


def read_events(
    source: str | Path | pa.Table, settings: BehaviourSettings | None = None, *, query: str | None = None
) -> Events:
    """Reads and validates a behaviour log.

    Args:
        source: a Parquet or CSV file, a folder of Parquet files, a DuckDB file, a "postgresql://" address, or a table.
        query: one SELECT; needed for databases.

    Raises:
        InvalidValue: no such file, an empty log, times without a zone, no row left. UnknownName: a column is absent or
            probably misspelt. QueryError: the query fails.
    """
    table = source if isinstance(source, pa.Table) else read_source(source, query)
    return validate(table, settings or BehaviourSettings(), name_of(source))


def name_of(source: str | Path | pa.Table) -> str:
    """How messages call a log: never with a password."""
    if isinstance(source, pa.Table):
        return "events"
    text = str(source)
    return f"{text.split('://')[0]} query" if "://" in text else Path(text).name


def validate(table: pa.Table, settings: BehaviourSettings, name: str = "events") -> Events:
    """Checks a raw log against the schema, column by column, and leaves out the rows that break it."""
    if table.num_rows == 0:
        raise InvalidValue(f"{name}: holds no events; check the file or the query")
    raw, extra = _pick_columns(table, settings, name)
    check = _Check(raw, settings, name)
    kept = check.columns()
    order = pa.array(check.keep)
    columns = [pa.array(range(table.num_rows), pa.int64()), *(kept[n] for n in COLUMNS)]
    full = pa.Table.from_arrays([*columns, *extra.columns], schema=_schema(extra))
    found = full.filter(order)
    if settings.duplicates != "keep":
        found = check.without_duplicates(found)
    if found.num_rows == 0:
        reasons = "; ".join(f"{e.rows} {e.reason}" for e in check.exclusions)
        raise InvalidValue(f"{name}: none of {table.num_rows} events is valid: {reasons}")
    report = BehaviourReport(name, table.num_rows, found.num_rows, tuple(check.exclusions), tuple(check.notes))
    return Events(found, report)


def _schema(extra: pa.Table) -> pa.Schema:
    fields = [f.with_nullable(True) for f in EVENT_SCHEMA]
    return pa.schema([*fields, *extra.schema])


def _pick_columns(
    table: pa.Table, settings: BehaviourSettings, name: str
) -> tuple[dict[str, pa.ChunkedArray], pa.Table]:
    """The log's columns by our names, and the others. Raises UnknownName for what is absent or nearly ours."""
    twice = sorted({n for n in table.column_names if table.column_names.count(n) > 1})
    if twice:
        raise InvalidValue(f"{name}: has column {twice[0]!r} twice; rename one of them")
    theirs = {ours: settings.columns.get(ours, ours) for ours in COLUMNS}
    for ours, column in theirs.items():
        if column not in table.column_names and (ours in REQUIRED or ours in settings.columns):
            near = get_close_matches(column, table.column_names, n=1, cutoff=0.5)
            hint = f"; map it with --column {ours}={near[0] if near else 'NAME'}"
            raise InvalidValue(f"{UnknownName(f'column of {name}', column, table.column_names)}{hint}")
    raw = {ours: table.column(column) for ours, column in theirs.items() if column in table.column_names}
    rest = [n for n in table.column_names if n not in theirs.values()]
    absent = [ours for ours in COLUMNS if ours not in raw]
    for column in rest:
        near = get_close_matches(column.lower(), absent, n=1, cutoff=0.75)
        if near:
            raise InvalidValue(
                f"{name}: unknown column {column!r}; did you mean {near[0]!r}? Map it with --column {near[0]}={column}, "
                "or rename it if it is something else"
            )
        if column == ROW:
            raise InvalidValue(f"{name}: column {ROW!r} is one that reading adds; rename it")
    return raw, table.select(rest)


class _Check:
    """Turns raw columns into those of the schema and remembers which rows cannot be kept."""

    def __init__(self, raw: Mapping[str, pa.ChunkedArray], settings: BehaviourSettings, name: str) -> None:
        self._raw, self._settings, self._name = raw, settings, name
        self._rows = len(next(iter(raw.values())))
        self.keep = call("is_valid", pa.chunked_array([pa.array([True] * self._rows)]))
        self.exclusions: list[Exclusion] = []
        self.notes: list[str] = []

    def columns(self) -> dict[str, pa.ChunkedArray]:
        found = {n: self._ids(n) for n in ("user", "title")}
        time = to_utc(
            self._raw["time"], f"{self._name}: column 'time'", self._settings.time_zone, self._settings.time_unit
        )
        self._exclude(
            "time is absent, unreadable or skipped by a clock change", call("is_null", time), self._raw["time"]
        )
        return found | {
            "time": time,
            "kind": self._kind(),
            "dwell_seconds": self._number("dwell_seconds", 0.0, "dwell_seconds is negative or infinite"),
            "position": self._position(),
            "propensity": self._propensity(),
        }

    def _exclude(self, reason: str, bad: pa.ChunkedArray, values: pa.ChunkedArray) -> None:
        """Leaves out the rows where `bad` is true and no other reason has come before."""
        bad = call("and", call("coalesce", bad, pa.scalar(False)), self.keep)
        count = count_true(bad)
        if not count:
            return
        first = call("index", bad, options=pc.IndexOptions(pa.scalar(True))).as_py()
        one = Exclusion(reason, count, first, repr(values[first].as_py()))
        if self._settings.strict:
            raise InvalidValue(f"{self._name}: {count} events: {reason}; the first is row {first}: {one.example}")
        self.exclusions.append(one)
        self.keep = call("and", self.keep, call("invert", bad))

    def _ids(self, name: str) -> pa.ChunkedArray:
        raw = self._raw[name]
        if pa.types.is_floating(raw.type):
            raise InvalidValue(
                f"{self._name}: column {name!r} holds fractional numbers ({raw.type}); ids are text or whole numbers"
            )
        values = raw.cast(pa.string())
        values = call("utf8_trim_whitespace", values)
        empty = call("equal", values, pa.scalar(""))
        self._exclude(
            f"{name} is absent", call("or", call("is_null", values), call("coalesce", empty, pa.scalar(False))), raw
        )
        return values

    def _kind(self) -> pa.ChunkedArray:
        if "kind" not in self._raw:
            return self._absent(pa.string())
        values = self._raw["kind"].cast(pa.string())
        if self._settings.kinds is not None:
            wrong = call("invert", is_in(values, pa.array(self._settings.kinds, pa.string())))
            self._exclude(f"kind is none of {', '.join(self._settings.kinds)}", wrong, values)
        return values

    def _number(self, name: str, minimum: float, reason: str) -> pa.ChunkedArray:
        """A real column: NaN is read as absent (and noted), what is below `minimum` or infinite is excluded."""
        if name not in self._raw:
            return self._absent(pa.float64())
        values = self._as_float(name)
        nan = call("is_nan", values)
        count = count_true(nan)
        if count:
            self.notes.append(f"{name}: {count} NaN read as absent")
            values = call("if_else", nan, pa.scalar(None, pa.float64()), values)
        wrong = call("less", values, pa.scalar(minimum))
        self._exclude(reason, call("or", wrong, call("is_inf", values)), self._raw[name])
        return values

    def _as_float(self, name: str) -> pa.ChunkedArray:
        raw = self._raw[name]
        try:
            return raw.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InvalidValue(f"{self._name}: column {name!r} holds no numbers: {error}") from error

    def _propensity(self) -> pa.ChunkedArray:
        values = self._number("propensity", 0.0, "propensity is outside (0, 1]")
        outside = pc.call_function(
            "or",
            [
                call("less_equal", values, pa.scalar(0.0)),
                call("greater", values, pa.scalar(1.0)),
            ],
        )
        self._exclude("propensity is outside (0, 1]", outside, values)
        return values

    def _position(self) -> pa.ChunkedArray:
        values = self._number("position", 0.0, "position is negative or infinite")
        broken = call("not_equal", call("floor", values), values)
        large = call("greater", values, pa.scalar(float(2**31 - 1)))
        self._exclude("position is not a whole number below 2**31", call("or", broken, large), values)
        whole = call("if_else", self.keep, values, pa.scalar(None, pa.float64()))
        return whole.cast(pa.int32())

    def _absent(self, kind: pa.DataType) -> pa.ChunkedArray:
        return pa.chunked_array([pa.nulls(self._rows, kind)])

    def without_duplicates(self, found: pa.Table) -> pa.Table:
        """All but the first of rows equal in user, title, time and kind."""
        firsts = found.group_by(["user", "title", "time", "kind"]).aggregate([(ROW, "min")]).column(f"{ROW}_min")
        again = call("invert", is_in(found.column(ROW), firsts.combine_chunks()))
        rest = found.filter(again)
        if rest.num_rows == 0:
            return found
        first = rest.column(ROW)[0].as_py()
        example = repr(tuple(rest.column(n)[0].as_py() for n in ("user", "title", "kind")))
        reason = "same user, title, time and kind as an earlier row"
        if self._settings.strict or self._settings.duplicates == "error":
            raise InvalidValue(f"{self._name}: {rest.num_rows} events: {reason}; the first is row {first}: {example}")
        self.exclusions.append(Exclusion(reason, rest.num_rows, first, example))
        return found.filter(call("invert", again))
