"""Features of behaviour itself by time window: popularity, recency, completion, co-watch.

Each is what the log said strictly before the event: an event never sees itself nor anything of the same instant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa

from mediaml.errors import InvalidValue
from mediaml.rec.behaviour import ROW
from mediaml.tables.catalog import LOCAL_ONLY

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+)([mhdw])")


def parse_duration(text: str) -> timedelta:
    """ "90d", "12h", "30m" or "4w". Raises InvalidValue."""
    match = _DURATION.fullmatch(text.strip())
    if not match or int(match[1]) == 0:
        raise InvalidValue(f"duration {text!r} must be a whole number above 0 with m, h, d or w, e.g. 90d")
    try:
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise InvalidValue(f"duration {text!r} is too long") from None


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """windows         lengths, as `parse_duration` reads them; they become part of the names
    complete_kind      the kind of event that says a title was seen to its end
    start_kind         the kind that says it was begun: completion = completions / starts
    history            how many of the user's previous titles co-watch looks at
    """

    windows: tuple[str, ...] = ("7d", "28d")
    complete_kind: str = "complete"
    start_kind: str = "play"
    history: int = 10

    def __post_init__(self) -> None:
        if not self.windows or len(set(self.windows)) < len(self.windows):
            raise InvalidValue(f"windows {self.windows} must be some different lengths, e.g. 7d,28d")
        for window in self.windows:
            parse_duration(window)
        if not 1 <= self.history <= 100:
            raise InvalidValue(f"history {self.history} must lie in [1, 100]")


def add_behaviour_features(events: pa.Table, settings: WindowSettings | None = None) -> pa.Table:
    """`events` (of `Events.table`, in its order) with these columns for each window W:

    title_events_W      events of the title in [time - W, time)
    title_completion_W  completions / starts of the title in the window; null without a start
    title_dwell_W       mean dwell of the title in the window, in seconds; null without any
    user_events_W       events of the user in the window
    cowatch_W           of the user's previous titles in the window, the mean share of their events after which users went on
                        to this title within W (itself not counted); null without a previous title

    and title_recency_seconds, user_recency_seconds: since the last event before; null for the first.
    """
    chosen = settings or WindowSettings()
    with duckdb.connect(":memory:", config=LOCAL_ONLY) as db:
        db.register("incoming", events.select([ROW, "user", "title", "time", "kind", "dwell_seconds"]))
        db.execute(
            f"CREATE TABLE e AS SELECT {ROW} AS row, user AS u, title AS i, epoch_us(time) AS t, dwell_seconds, "  # noqa: S608
            "coalesce(kind = ?, false) AS complete, coalesce(kind = ?, false) AS started FROM incoming",
            [chosen.complete_kind, chosen.start_kind],
        )
        found = db.sql(_windows_sql(chosen)).to_arrow_table()
        cowatch = [_cowatch(db, window, chosen.history) for window in chosen.windows]
    for name in found.column_names[1:]:
        events = events.append_column(name, found.column(name))
    for window, column in zip(chosen.windows, cowatch, strict=True):
        events = events.append_column(f"cowatch_{window}", column)
    return events


def _windows_sql(settings: WindowSettings) -> str:
    columns, frames = [], []
    for k, window in enumerate(settings.windows):
        span = parse_duration(window) // timedelta(microseconds=1)
        between = f"ORDER BY t RANGE BETWEEN {span} PRECEDING AND 1 PRECEDING"
        frames += [f"i{k} AS (PARTITION BY i {between})", f"u{k} AS (PARTITION BY u {between})"]
        columns += [
            f'count(*) OVER i{k} AS "title_events_{window}"',
            f"(count(*) FILTER (complete) OVER i{k})::DOUBLE / nullif(count(*) FILTER (started) OVER i{k}, 0) "
            f'AS "title_completion_{window}"',
            f'round(avg(dwell_seconds) OVER i{k}, 9) AS "title_dwell_{window}"',
            f'count(*) OVER u{k} AS "user_events_{window}"',
        ]
    before = "ORDER BY t RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    columns += [
        f"(t - max(t) OVER (PARTITION BY i {before})) / 1e6 AS title_recency_seconds",
        f"(t - max(t) OVER (PARTITION BY u {before})) / 1e6 AS user_recency_seconds",
    ]
    return f"SELECT row, {', '.join(columns)} FROM e WINDOW {', '.join(frames)} ORDER BY row"  # noqa: S608


def _cowatch(db: duckdb.DuckDBPyConnection, window: str, history: int) -> pa.ChunkedArray:
    """One value an event, in the order of the log.

    A pair (from, to) happens when a user who had an event of `from` has one of `to` within the window, `from` being among the
    user's last `history` titles. Counts over time are running totals, so each event looks up two of them a previous title.
    """
    span = parse_duration(window) // timedelta(microseconds=1)
    db.execute(f"""
        CREATE OR REPLACE TABLE pairs AS
            SELECT a.row, a.u, a.i AS target, b.i AS source, a.t, max(b.t) AS seen
            FROM (SELECT *, row_number() OVER (PARTITION BY u ORDER BY t, row) AS n FROM e) a
            JOIN (SELECT *, row_number() OVER (PARTITION BY u ORDER BY t, row) AS n FROM e) b
                ON a.u = b.u AND b.n BETWEEN a.n - {history} AND a.n - 1
            WHERE b.t < a.t AND b.t >= a.t - {span} AND a.i <> b.i
            GROUP BY ALL;
        CREATE OR REPLACE TABLE went AS
            SELECT source, target, t, sum(count(*)) OVER (PARTITION BY source, target ORDER BY t) AS total
            FROM pairs GROUP BY source, target, t;
        CREATE OR REPLACE TABLE came AS
            SELECT i AS source, t, sum(count(*)) OVER (PARTITION BY i ORDER BY t) AS total FROM e GROUP BY i, t;
    """)  # noqa: S608
    score = f"""
        WITH looked AS (
            SELECT p.row, coalesce(w1.total, 0) - coalesce(w0.total, 0) AS went,
                coalesce(c1.total, 0) - coalesce(c0.total, 0) AS came
            FROM (SELECT *, t - {span} AS since FROM pairs) p
            ASOF LEFT JOIN went w1 ON w1.source = p.source AND w1.target = p.target AND p.t > w1.t
            ASOF LEFT JOIN went w0 ON w0.source = p.source AND w0.target = p.target AND p.since > w0.t
            ASOF LEFT JOIN came c1 ON c1.source = p.source AND p.t > c1.t
            ASOF LEFT JOIN came c0 ON c0.source = p.source AND p.since > c0.t)
        SELECT v.score FROM e LEFT JOIN
            (SELECT row, round(avg(least(went / greatest(came, 1), 1.0)), 9) AS score FROM looked GROUP BY row) v USING (row)
        ORDER BY e.row
    """  # noqa: S608
    return db.sql(score).to_arrow_table().column("score")
