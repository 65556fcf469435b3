"""Point-in-time join: which version of a value an event may see.

A version counts for an event at time t if `valid_from` <= t (the fact was true by then) and, unless only validity is asked
for, `computed_at` <= t (it was known by then). Both times on one side make the join bitemporal (Snodgrass, Developing
Time-Oriented Database Applications in SQL, 1999, chapter 10): a catalogue that is computed again cannot leak into older rows.

Of the versions that count, the one with the latest `valid_from` wins; of those, the latest `computed_at` (a correction
replaces what it corrects); of those, the one that stands last in the table. Both bounds are inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from types import TracebackType
from typing import Literal, get_args

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, UnknownName
from mediaml.tables.catalog import LOCAL_ONLY
from mediaml.tables.storage import private_folder

Mode = Literal["known", "valid"]
MODES: tuple[Mode, ...] = get_args(Mode)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

# Whether a version counts depends on one moment only: when both its times are past. The winner is therefore a staircase
# over those moments, made once; an event then takes the last step before it. Exact for backfilled and late versions too.
_STAIRS = """
CREATE TABLE stairs AS
    WITH ranked AS (
        SELECT row, key, {available} AS available_us,
            row_number() OVER (ORDER BY valid_us, computed_us, row) AS standing
        FROM versions),
    best AS (
        SELECT DISTINCT key, available_us,
            max(standing) OVER (PARTITION BY key ORDER BY available_us) AS standing FROM ranked)
    SELECT best.key, best.available_us, v.row, v.valid_us, v.deleted
    FROM best JOIN ranked USING (key, standing) JOIN versions v ON v.row = ranked.row;
CREATE TABLE firsts AS SELECT key, min(valid_us) AS first_us FROM versions GROUP BY key;
"""
_MATCH = """
SELECT e.event, s.row, s.valid_us, s.deleted, f.first_us
FROM incoming e ASOF LEFT JOIN stairs s ON e.key = s.key AND e.time_us >= s.available_us
LEFT JOIN firsts f ON e.key = f.key
"""


class Status(IntEnum):
    """What became of an event."""

    JOINED = 0
    UNKNOWN_KEY = 1  # no version of this key at all
    NOT_YET_VALID = 2  # the event lies before the key's first valid_from
    NOT_YET_KNOWN = 3  # something was true by then, but computed only later
    TOO_OLD = 4  # the version that counts is older than max_age
    DELETED = 5  # the version that counts says that the key is gone

    @property
    def label(self) -> str:
        """The name in tables and reports: "not_yet_known"."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class AsOfRule:
    """asof     "known": valid_from and computed_at must both be past; "valid": valid_from alone
    max_age  the longest time from the winner's valid_from to the event (inclusive); None for any
    """

    asof: Mode = "known"
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        if self.asof not in MODES:
            raise UnknownName("as-of mode", str(self.asof), MODES)
        if self.max_age is not None and self.max_age <= timedelta(0):
            raise InvalidValue(f"max_age {self.max_age} must be longer than nothing; leave it out for no limit")


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """row     (N,) int64: position of the winner among the versions; -1 where there is none
    status  (N,) int8: values of `Status`
    """

    row: NDArray[np.int64]
    status: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version of a key, judged for one event: `verdict` is "chosen" or why not."""

    row: int
    valid_from: datetime
    computed_at: datetime
    verdict: str


class AsOf:
    """Versions, made ready to be matched with any number of events. A context manager; not for several threads.

    Args:
        versions: columns `key` (text), "valid_from", "computed_at" (timestamps with a zone) and, if some keys can be
            deleted, "deleted" (bool). Nothing in them is null. Other columns are not looked at.
        memory_limit: what DuckDB may use before it spills to the temporary folder.

    Raises:
        InvalidValue: a column is absent, null or has no time zone.
    """

    def __init__(
        self, versions: pa.Table, rule: AsOfRule | None = None, *, key: str = "title_id", memory_limit: str = "1GB"
    ) -> None:
        self.rule = rule or AsOfRule()
        self.versions = len(versions)
        table = pa.table(
            {
                "row": np.arange(len(versions)),
                "key": _keys(versions, key, "versions"),
                "valid_us": utc_microseconds(_column(versions, "valid_from", "versions"), "valid_from"),
                "computed_us": utc_microseconds(_column(versions, "computed_at", "versions"), "computed_at"),
                "deleted": versions.column("deleted").cast(pa.bool_())
                if "deleted" in versions.column_names
                else pa.array(np.zeros(len(versions), bool)),
            }
        )
        spill = str(private_folder(self, "mediaml-asof-"))
        settings = {**LOCAL_ONLY, "temp_directory": spill, "memory_limit": memory_limit}
        self._db = duckdb.connect(":memory:", config=settings)
        self._db.register("incoming", table)
        self._db.execute("CREATE TABLE versions AS SELECT * FROM incoming")
        self._db.unregister("incoming")
        available = "greatest(valid_us, computed_us)" if self.rule.asof == "known" else "valid_us"
        self._db.execute(_STAIRS.format(available=available))

    def __enter__(self) -> AsOf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def match(self, keys: pa.Array | pa.ChunkedArray, times: pa.Array | pa.ChunkedArray) -> Match:
        """The version that each event may see; events in any order, duplicates welcome.

        Args:
            keys: (N,) text.
            times: (N,) timestamps with a zone.
        """
        moments = utc_microseconds(times, "event time")
        events = pa.table({"event": np.arange(len(moments)), "key": _text(keys, "event key"), "time_us": moments})
        self._db.register("incoming", events)
        found = self._db.sql(_MATCH).fetchnumpy()
        self._db.unregister("incoming")
        order = found["event"]
        row = np.full(len(moments), -1, np.int64)
        status = np.full(len(moments), Status.UNKNOWN_KEY, np.int8)
        first, valid, deleted = (np.ma.filled(found[n], 0) for n in ("first_us", "valid_us", "deleted"))
        here, known = ~np.ma.getmaskarray(found["row"]), ~np.ma.getmaskarray(found["first_us"])
        at = moments[order]
        state = np.select(
            [~known, here & (deleted != 0), here & self._too_old(at, valid), here, at < first],
            [Status.UNKNOWN_KEY, Status.DELETED, Status.TOO_OLD, Status.JOINED, Status.NOT_YET_VALID],
            Status.NOT_YET_KNOWN,
        )
        status[order] = state
        joined = state == Status.JOINED
        row[order[joined]] = np.ma.filled(found["row"], -1)[joined]
        return Match(row, status)

    def _too_old(self, at: NDArray[np.int64], valid: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.rule.max_age is None:
            return np.zeros(len(at), bool)
        return at - valid > self.rule.max_age // timedelta(microseconds=1)

    def steps(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(S,) positions of versions and the (S,) microseconds since 1970 UTC from which each wins, by key and time.

        Joining events with the last step before them is the same as `match` without `max_age`; tools with one time column
        can do that.
        """
        found = self._db.sql("SELECT row, available_us FROM stairs ORDER BY key, available_us").fetchnumpy()
        return np.asarray(found["row"], np.int64), np.asarray(found["available_us"], np.int64)

    def candidates(self, key: str, time: datetime) -> list[Candidate]:
        """All versions of a key with the verdict on each for an event at `time`, the strongest first."""
        at = (time - _EPOCH) // timedelta(microseconds=1)
        rows = self._db.execute(
            "SELECT row, valid_us, computed_us, deleted FROM versions WHERE key = ? "
            "ORDER BY valid_us DESC, computed_us DESC, row DESC",
            [key],
        ).fetchall()
        found: list[Candidate] = []
        taken = False
        for row, valid, computed, deleted in rows:
            verdict = self._verdict(at, valid, computed, deleted, taken)
            taken = taken or verdict in _FINAL
            valid_from, computed_at = (_EPOCH + timedelta(microseconds=us) for us in (valid, computed))
            found.append(Candidate(row, valid_from, computed_at, verdict))
        return found

    def _verdict(self, at: int, valid: int, computed: int, deleted: bool, taken: bool) -> str:
        if valid > at:
            return "not yet valid"
        if self.rule.asof == "known" and computed > at:
            return "not yet known"
        if taken:
            return "superseded"
        if deleted:
            return "deleted"
        limit = self.rule.max_age
        return "too old" if limit is not None and at - valid > limit // timedelta(microseconds=1) else "chosen"


_FINAL = ("chosen", "deleted", "too old")


def utc_microseconds(times: pa.Array | pa.ChunkedArray, what: str) -> NDArray[np.int64]:
    """(N,) microseconds since 1970 UTC, finer times rounded down. Raises InvalidValue for nulls and naive times."""
    if not pa.types.is_timestamp(times.type) or times.type.tz is None:
        raise InvalidValue(f"{what} has type {times.type}; it must be a timestamp with a time zone, e.g. UTC")
    if times.null_count:
        raise InvalidValue(f"{what}: {times.null_count} of {len(times)} times are null; leave those rows out")
    raw = times.cast(pa.int64())
    flat = raw.combine_chunks() if isinstance(raw, pa.ChunkedArray) else raw
    ticks = flat.to_numpy(zero_copy_only=False)
    unit = times.type.unit
    return ticks // 1_000 if unit == "ns" else ticks * (1_000_000 // _PER_SECOND[unit])


def _column(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise UnknownName(f"column of {what}", name, table.column_names)
    return table.column(name)


def _keys(table: pa.Table, name: str, what: str) -> pa.ChunkedArray | pa.Array:
    return _text(_column(table, name, what), f"{what}.{name}")


def _text(values: pa.Array | pa.ChunkedArray, what: str) -> pa.ChunkedArray | pa.Array:
    if values.null_count:
        raise InvalidValue(f"{what}: {values.null_count} of {len(values)} keys are null; leave those rows out")
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise InvalidValue(f"{what} has type {values.type}; keys are text")
    return values
