"""Times of foreign logs to UTC. A time without a zone is never guessed."""

from __future__ import annotations

from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.arrow import call

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
TimeUnit = Literal["s", "ms", "us"]
TIME_UNITS: tuple[TimeUnit, ...] = get_args(TimeUnit)
_PER_UNIT: dict[str, int] = {"s": 1_000_000, "ms": 1_000, "us": 1}
_OFFSET = r"([zZ]|[+-]\d{2}(:?\d{2})?| UTC)$"


def check_zone(name: str) -> str:
    """`name`, if it is a time zone of the IANA database. Raises UnknownName with near matches."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownName("time zone", name, available_timezones()) from None
    return name


def to_utc(values: pa.ChunkedArray, what: str, zone: str | None, unit: TimeUnit | None) -> pa.ChunkedArray:
    """(N,) timestamps in UTC, null where a value is absent, cannot be read or does not exist in the zone.

    Args:
        values: timestamps, dates, ISO 8601 text, or numbers since 1970.
        zone: of times that state none. An hour that a clock change repeats is taken as the earlier one, so that an event
            never sees more than it could have.
        unit: of numbers.

    Raises:
        InvalidValue: a time has no zone and `zone` is None, or a number has no `unit`; `what` is named.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return to_utc(values.cast(kind.value_type), what, zone, unit)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _floor(values.cast(pa.timestamp(kind.unit, tz="UTC")))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        naive = values if pa.types.is_timestamp(kind) else values.cast(pa.timestamp("us"))
        return _in_zone(naive, what, zone, len(values) - values.null_count)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _from_text(values.cast(pa.string()), what, zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_numbers(values, what, unit)
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(values), UTC_MICROSECONDS)])
    raise InvalidValue(f"{what} has type {kind}; times are timestamps, ISO 8601 text or numbers since 1970")


def _from_numbers(values: pa.ChunkedArray, what: str, unit: TimeUnit | None) -> pa.ChunkedArray:
    if unit is None:
        example = next((v.as_py() for v in values if v.is_valid), None)
        raise InvalidValue(f"{what} holds numbers such as {example}; state their unit since 1970: s, ms or us")
    flat = values.cast(pa.float64())
    scaled = call("multiply", flat, pa.scalar(float(_PER_UNIT[unit])))
    sane = call("less", call("abs", scaled), pa.scalar(2.5e17))  # NaN compares false
    whole = values if pa.types.is_integer(values.type) else None
    kept = call("if_else", sane, scaled if whole is None else whole, None)
    if whole is None:
        return call("floor", kept).cast(pa.int64()).cast(UTC_MICROSECONDS)
    exact = call("multiply", kept.cast(pa.int64()), pa.scalar(_PER_UNIT[unit]))
    return exact.cast(UTC_MICROSECONDS)


def _from_text(values: pa.ChunkedArray, what: str, zone: str | None) -> pa.ChunkedArray:
    """ISO 8601, each value with its own offset or without."""
    trimmed = call("utf8_trim_whitespace", values)
    with duckdb.connect(":memory:") as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("incoming", pa.table({"i": range(len(values)), "t": trimmed}))
        found = db.sql(
            "SELECT CASE WHEN regexp_matches(t, ?) THEN try_cast(t AS TIMESTAMPTZ) END AS stated, "
            "CASE WHEN NOT regexp_matches(t, ?) THEN try_cast(t AS TIMESTAMP) END AS naive FROM incoming ORDER BY i",
            params=[_OFFSET, _OFFSET],
        ).to_arrow_table()
    naive = found.column("naive").cast(pa.timestamp("us"))
    stated = found.column("stated").cast(UTC_MICROSECONDS)
    count = len(naive) - naive.null_count
    if count == 0:
        return stated
    return call("coalesce", stated, _in_zone(naive, what, zone, count))


def _in_zone(naive: pa.ChunkedArray, what: str, zone: str | None, count: int) -> pa.ChunkedArray:
    if count == 0:
        return pa.chunked_array([pa.nulls(len(naive), UTC_MICROSECONDS)])
    if zone is None:
        first = next(v.as_py() for v in naive if v.is_valid)
        raise InvalidValue(
            f"{what}: {count} of {len(naive)} times state no time zone, the first is {first}; "
            "say which one they are in, e.g. --time-zone UTC"
        )
    exact = _floor(naive)
    return _drop_nonexistent(exact, check_zone(zone))


def _drop_nonexistent(naive: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    """Local times to UTC; those that a clock change skips become null."""

    def assume(nonexistent: Literal["earliest", "latest"]) -> pa.ChunkedArray:
        found = call(
            "assume_timezone",
            naive,
            options=pc.AssumeTimezoneOptions(zone, ambiguous="earliest", nonexistent=nonexistent),
        )
        return found.cast(UTC_MICROSECONDS)

    early, late = assume("earliest"), assume("latest")
    return call("if_else", call("equal", early, late), early, None)


def _floor(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """To microseconds, finer times rounded down: an event must not move into the future."""
    kind = times.type
    if kind.unit == "ns":
        whole = call("divide", times.cast(pa.int64()), pa.scalar(1_000))  # towards zero
        above = call("greater", call("multiply", whole, pa.scalar(1_000)), times.cast(pa.int64()))
        times = call("subtract", whole, above.cast(pa.int64()))
        return times.cast(pa.timestamp("us", tz=kind.tz))
    return times.cast(pa.timestamp("us", tz=kind.tz))
