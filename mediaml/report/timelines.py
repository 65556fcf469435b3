"""Frame columns and series, thinned inside the database so that the report's size does not grow with duration."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.report.model import Curve, Metric
from mediaml.report.source import NUMBERS, Source
from mediaml.tables import ColumnInfo

PREFERRED = ("vmaf", "niqe", "brisque", "si", "ti", "luma_mean", "colourfulness")
"""Columns that come first where a lake has them; the others follow in the order of their names."""

_UNIT_OF_SERIES = re.compile(r"_(lufs|lu|lkfs|dbtp|dbfs|db|hz|percent|ms|bps|mos|probability)$")
_UNITS = {
    "lufs": "LUFS",
    "lu": "LU",
    "lkfs": "LKFS",
    "dbtp": "dBTP",
    "dbfs": "dBFS",
    "db": "dB",
    "hz": "Hz",
    "mos": "MOS",
}


def rank(name: str) -> tuple[int, str]:
    """Sorting key: `PREFERRED` first, exact names before names that begin with one."""
    for i, wanted in enumerate(PREFERRED):
        if name == wanted:
            return 2 * i, name
        if name.startswith(wanted + "_"):
            return 2 * i + 1, name
    return 2 * len(PREFERRED), name


def is_preferred(name: str) -> bool:
    return rank(name)[0] < 2 * len(PREFERRED)


def frame_columns(source: Source) -> list[ColumnInfo]:
    """Every scalar number that some analyzer gives a frame, preferred ones first."""
    own = [c for c in source.columns("frames") if c.dtype in NUMBERS and c.name not in ("frame_index", "pts_seconds")]
    return sorted(own, key=lambda c: rank(c.name))


def frame_curves(source: Source, points: int, limit: int) -> dict[str, list[Curve]]:
    """media_id -> at most `limit` curves of at most `points` points each."""
    columns = frame_columns(source)
    if not columns or not source.has("frames", "media_id", "pts_seconds"):
        return {}
    aggregates = ", ".join(f"min({_q(c.name)}), avg({_q(c.name)}), max({_q(c.name)})" for c in columns)
    found = source.query(_thinned("frames", "pts_seconds", "", aggregates, points))
    result: dict[str, list[Curve]] = {}
    for media_id, rows in _groups(found, 1):
        times = _numbers(found, 2, rows)
        curves: list[Curve] = []
        for i, column in enumerate(columns):
            if len(curves) == limit:
                break
            values = [_numbers(found, 3 + 3 * i + k, rows) for k in range(3)]
            curve = _curve(column.name, column.unit, column.description, times, values)
            curves += [curve] if curve else []
        result[media_id] = curves
    return result


def series_curves(source: Source, points: int, limit: int) -> dict[str, list[Curve]]:
    """media_id -> the curves of the `series` table; the unit is the ending of the series' name."""
    if not source.has("series", "media_id", "series", "time_seconds", "value"):
        return {}
    found = source.query(_thinned("series", "time_seconds", ", series", "min(value), avg(value), max(value)", points))
    result: dict[str, list[Curve]] = defaultdict(list)
    for media_id, rows in _groups(found, 1):
        names = found.column(2).slice(rows.start, rows.stop - rows.start).to_pylist()
        starts = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
        for first, last in zip(starts, [*starts[1:], len(names)], strict=True):
            part = slice(rows.start + first, rows.start + last)
            name, times = names[first], _numbers(found, 3, part)
            curve = _curve(name, _series_unit(name), "", times, [_numbers(found, k, part) for k in (4, 5, 6)])
            if curve and (len(result[media_id]) < limit or name.startswith("waveform_")):
                result[media_id].append(curve)
    return {media_id: _with_waveform(curves) for media_id, curves in result.items()}


def _with_waveform(curves: list[Curve]) -> list[Curve]:
    """The lower and the upper outline of the sound as one band, first."""
    found = {c.name: c for c in curves}
    low, high = found.get("waveform_low"), found.get("waveform_high")
    if low is None or high is None or len(low.times) != len(high.times):
        return curves
    middle = (low.low + high.high) / 2
    band = Curve("waveform", "full scale", "", low.times, low.low, middle, high.high)
    return [band, *(c for c in curves if c not in (low, high))]


def frame_means(source: Source) -> list[Metric]:
    """The mean of every frame column for every media."""
    columns = frame_columns(source)
    if not columns or not source.has("frames", "media_id"):
        return []
    averages = ", ".join(f"avg({_q(c.name)})" for c in columns)
    found = source.query(f"SELECT media_id, {averages} FROM frames GROUP BY media_id ORDER BY media_id")  # noqa: S608
    ids = found.column(0).to_pylist()
    metrics = []
    for i, column in enumerate(columns):
        values = zip(ids, found.column(1 + i).to_pylist(), strict=True)
        metrics.append(Metric(column.name, column.unit, column.description, {m: v for m, v in values if v is not None}))
    return [m for m in metrics if m.values]


def _thinned(table: str, time: str, group: str, aggregates: str, points: int) -> str:
    """One row a media (and series) and time bucket; every name comes from the schema, quoted."""
    same = "media_id, series" if group else "media_id"
    return f"""
        WITH e AS (SELECT media_id{group}, min({time}) AS a, max({time}) AS b FROM {table} GROUP BY ALL)
        SELECT bucket, media_id{group}, avg({time}), {aggregates} FROM (
            SELECT t.*, CASE WHEN b > a THEN least({points - 1}, floor(({time} - a) / (b - a) * {points}))
                ELSE 0 END AS bucket
            FROM {table} t JOIN e USING ({same}))
        GROUP BY media_id{group}, bucket ORDER BY media_id{group}, bucket
    """  # noqa: S608


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _groups(found: pa.Table, column: int) -> Iterator[tuple[str, slice]]:
    """Runs of rows with the same value of a sorted text column."""
    ids = found.column(column).to_pylist()
    start = 0
    for i in range(1, len(ids) + 1):
        if i == len(ids) or ids[i] != ids[start]:
            yield ids[start], slice(start, i)
            start = i


def _numbers(found: pa.Table, column: int, rows: slice) -> NDArray[np.float64]:
    part = found.column(column).slice(rows.start, rows.stop - rows.start)
    return part.to_numpy().astype(np.float64)


def _curve(
    name: str, unit: str, description: str, times: NDArray[np.float64], values: Sequence[NDArray[np.float64]]
) -> Curve | None:
    low, mean, high = values
    there = np.isfinite(mean) & np.isfinite(times)
    if not there.any():
        return None
    return Curve(name, unit, description, times[there], low[there], mean[there], high[there])


def _series_unit(name: str) -> str:
    match = _UNIT_OF_SERIES.search(name)
    return _UNITS.get(match[1], match[1]) if match else ""
