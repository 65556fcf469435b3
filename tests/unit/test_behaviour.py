"""Reading behaviour logs: what is refused, what is left out and counted, and where logs come from."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from mediaml.errors import InvalidValue, MediamlError, QueryError, UnknownName
from mediaml.rec.behaviour import EVENT_SCHEMA, BehaviourSettings, Events, read_events
from mediaml.rec.behaviour_features import WindowSettings, add_behaviour_features, parse_duration
from tests.unit.rec_lakes import events

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def log(**columns: list[Any]) -> pa.Table:
    """A log of three events with these columns instead of or beside the plain ones."""
    plain = {"user": ["u", "v", "w"], "title": ["a", "b", "c"], "time": ["2024-05-01T12:00:00Z"] * 3}
    return pa.table(plain | columns)


def kept_rows(found: Events) -> list[int]:
    return found.table.column("event_row").to_pylist()


def test_a_valid_log_comes_out_in_the_schema() -> None:
    found = read_events(
        log(kind=["play", "click", None], dwell_seconds=[1, 2, None], position=[0, 1, 2], rating=[5, 4, 3])
    )
    assert found.table.schema.names == [*EVENT_SCHEMA.names, "rating"]
    assert found.table.schema.types[: len(EVENT_SCHEMA)] == EVENT_SCHEMA.types
    assert found.table.slice(0, 1).to_pylist() == [
        {
            "event_row": 0, "user": "u", "title": "a", "time": MOMENT, "kind": "play", "dwell_seconds": 1.0,
            "position": 0, "propensity": None, "rating": 5,
        }
    ]  # fmt: skip
    assert (found.report.rows_read, found.report.rows_kept, found.report.exclusions) == (3, 3, ())


@pytest.mark.parametrize(
    ("columns", "kept", "reason"),
    [
        ({"user": ["u", None, ""]}, [0], "user is absent"),
        ({"title": [None, "b", " "]}, [1], "title is absent"),
        ({"time": ["2024-05-01T12:00:00Z", "yesterday", None]}, [0], "time is absent, unreadable"),
        ({"dwell_seconds": [1.0, -0.5, math.inf]}, [0], "dwell_seconds is negative or infinite"),
        ({"propensity": [0.0, 0.5, 1.5]}, [1], r"propensity is outside \(0, 1\]"),
        ({"position": [-1.0, 3.0, 1.5]}, [1], "position"),
    ],
)
def test_rows_that_break_the_schema_are_left_out_and_counted(
    columns: dict[str, Any], kept: list[int], reason: str
) -> None:
    found = read_events(log(**columns))
    assert kept_rows(found) == kept
    assert sum(e.rows for e in found.report.exclusions) == 3 - len(kept)
    assert found.report.rows_kept == len(kept)
    with pytest.raises(InvalidValue, match=reason):
        read_events(log(**columns), BehaviourSettings(strict=True))


def test_kinds_can_be_limited() -> None:
    found = read_events(log(kind=["play", "plya", "click"]), BehaviourSettings(kinds=("play", "click")))
    assert kept_rows(found) == [0, 2]
    assert found.report.exclusions[0].example == "'plya'"


def test_nan_is_absent_and_said_so() -> None:
    found = read_events(log(dwell_seconds=[math.nan, 2.0, math.nan]))
    assert found.table.column("dwell_seconds").to_pylist() == [None, 2.0, None]
    assert found.report.notes == ("dwell_seconds: 2 NaN read as absent",)


def test_duplicates() -> None:
    twice = pa.concat_tables([log(rating=[1, 2, 3]), log(rating=[4, 5, 6]).slice(0, 2)])
    found = read_events(twice)
    assert kept_rows(found) == [0, 1, 2]
    assert found.report.exclusions[0].rows == 2
    assert kept_rows(read_events(twice, BehaviourSettings(duplicates="keep"))) == [0, 1, 2, 3, 4]
    with pytest.raises(InvalidValue, match="2 events: same user, title, time and kind"):
        read_events(twice, BehaviourSettings(duplicates="error"))


def test_an_empty_log_and_one_without_a_valid_row_are_errors() -> None:
    with pytest.raises(InvalidValue, match="holds no events"):
        read_events(log().slice(0, 0))
    with pytest.raises(InvalidValue, match="none of 3 events is valid: 3 user is absent"):
        read_events(log(user=[None, None, ""]))


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (
            {"user": "user_id"},
            r"unknown column of events 'user'; did you mean user_id\?; map it with --column user=user_id",
        ),
        ({"title": "item"}, "'title'; .*map it with --column title="),
        ({"rating": "dwel_seconds"}, "unknown column 'dwel_seconds'; did you mean 'dwell_seconds'"),
        ({"rating": "Propensity"}, "unknown column 'Propensity'; did you mean 'propensity'"),
        ({"rating": "event_row"}, "one that reading adds"),
        ({"rating": "user"}, "has column 'user' twice"),
    ],
)
def test_columns_that_are_absent_or_misspelt_are_errors(rename: dict[str, str], message: str) -> None:
    table = log(rating=[1, 2, 3])
    with pytest.raises(MediamlError, match=message):
        read_events(table.rename_columns([rename.get(n, n) for n in table.column_names]))


def test_columns_can_be_mapped() -> None:
    table = log().rename_columns(["uid", "item", "ts"])
    found = read_events(table, BehaviourSettings(columns={"user": "uid", "title": "item", "time": "ts"}))
    assert found.table.column("title").to_pylist() == ["a", "b", "c"]
    with pytest.raises(UnknownName, match="did you mean title"):
        BehaviourSettings(columns={"titel": "item"})


def test_naive_and_mixed_times() -> None:
    mixed = log(time=["2024-05-01T12:00:00Z", "2024-05-01 14:00:00", "2024-05-01T17:45:00+05:45"])
    with pytest.raises(InvalidValue, match="1 of 3 times state no time zone, the first is 2024-05-01 14:00"):
        read_events(mixed)
    found = read_events(mixed, BehaviourSettings(time_zone="Europe/Berlin"))
    assert found.table.column("time").to_pylist() == [MOMENT] * 3
    naive = log(time=pa.array([datetime(2024, 5, 1, 12)] * 3, pa.timestamp("ms")))
    with pytest.raises(InvalidValue, match="3 of 3 times state no time zone"):
        read_events(naive)
    assert read_events(naive, BehaviourSettings(time_zone="UTC")).table.column("time").to_pylist() == [MOMENT] * 3
    with pytest.raises(UnknownName, match="Europe/Berlin"):
        BehaviourSettings(time_zone="Europe/Berlinn")


def test_clock_changes() -> None:
    """The hour that does not exist is left out; of the hour that comes twice the earlier one is taken."""
    found = read_events(
        log(time=["2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-07-01 00:00:00"]),
        BehaviourSettings(time_zone="Europe/Berlin"),
    )
    assert kept_rows(found) == [1, 2]
    assert found.table.column("time")[0].as_py() == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)


def test_numeric_times_need_a_unit() -> None:
    seconds = log(time=[int(MOMENT.timestamp())] * 3)
    with pytest.raises(InvalidValue, match="state their unit"):
        read_events(seconds)
    assert read_events(seconds, BehaviourSettings(time_unit="s")).table.column("time").to_pylist() == [MOMENT] * 3
    floats = log(time=[MOMENT.timestamp() + 0.5, math.nan, 1e30])
    assert read_events(floats, BehaviourSettings(time_unit="s")).table.column("time").to_pylist() == [
        MOMENT + timedelta(seconds=0.5)
    ]


def test_fractional_ids_are_refused_and_whole_ones_become_text() -> None:
    assert read_events(log(title=[1, 2, 3])).table.column("title").to_pylist() == ["1", "2", "3"]
    with pytest.raises(InvalidValue, match="fractional"):
        read_events(log(title=[1.0, 2.0, 3.0]))


def test_every_source_gives_the_same_events(tmp_path: Path) -> None:
    table = log(title=["007", "b", "c"], dwell_seconds=[1.5, None, 3.0])
    pq.write_table(table, tmp_path / "events.parquet")
    pa_csv.write_csv(table, tmp_path / "events.csv")
    with duckdb.connect(str(tmp_path / "events.duckdb")) as db:
        db.register("incoming", table)
        db.execute("CREATE TABLE events AS SELECT * FROM incoming")
    expected = read_events(table).table
    assert read_events(tmp_path / "events.parquet").table == expected
    assert read_events(tmp_path / "events.csv").table == expected
    assert read_events(tmp_path / "events.duckdb", query="SELECT * FROM events").table == expected


@pytest.mark.parametrize(
    ("name", "query", "kind", "message"),
    [
        ("absent.parquet", None, InvalidValue, "no such file"),
        ("events.txt", None, InvalidValue, "not .parquet, .csv"),
        ("broken.parquet", None, InvalidValue, "cannot be read"),
        ("broken.parquet", "SELECT 1", InvalidValue, "a query is for databases"),
        ("events.duckdb", None, InvalidValue, "needs a query"),
        ("events.duckdb", "SELECT * FROM nothing", QueryError, "nothing"),
        ("events.duckdb", "DROP TABLE events", QueryError, "one SELECT"),
    ],
)
def test_sources_that_cannot_be_read(tmp_path: Path, name: str, query: str | None, kind: type, message: str) -> None:
    (tmp_path / "events.txt").write_text("x")
    (tmp_path / "broken.parquet").write_text("not parquet")
    with duckdb.connect(str(tmp_path / "events.duckdb")) as db:
        db.execute("CREATE TABLE events (a INTEGER)")
    with pytest.raises(kind, match=message):
        read_events(tmp_path / name, query=query)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """Address of a server of our own on a Unix socket."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    binary = Path("/usr/lib/postgresql")
    found = sorted(binary.glob("*/bin/initdb")) if binary.is_dir() else []
    if not found or (os.geteuid() == 0 and shutil.which("setpriv") is None):
        pytest.skip("no PostgreSQL server on this machine")
    home = found[-1].parent
    folder = tmp_path / "pg"
    folder.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)
        for above in folder.parents:
            if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)
    subprocess.run(
        [*as_user, home / "initdb", "-D", folder / "db", "-U", "tester", "-A", "trust"], check=True, capture_output=True
    )
    server = [*as_user, home / "pg_ctl", "-D", folder / "db", "-w", "-o", f"-k {folder} -c listen_addresses=''"]
    subprocess.run([*server, "-l", folder / "log", "start"], check=True, capture_output=True)
    yield f"postgresql://tester@/postgres?host={folder}"
    subprocess.run(
        [*as_user, home / "pg_ctl", "-D", folder / "db", "-m", "immediate", "stop"], check=True, capture_output=True
    )


@pytest.mark.slow
def test_postgresql(postgres: str) -> None:
    import psycopg

    with psycopg.connect(postgres) as db:
        db.execute("CREATE TABLE events (who int, title text, at timestamptz, dwell_seconds numeric)")
        db.execute(
            "INSERT INTO events VALUES (1, 'a', '2024-05-01 12:00Z', 2.5), (2, 'b', '2024-05-01 14:00+02', NULL)"
        )
    found = read_events(
        postgres, query='SELECT who AS "user", title, at AS time, dwell_seconds FROM events ORDER BY who'
    )
    assert found.table.select(["user", "title", "time", "dwell_seconds"]).to_pylist() == [
        {"user": "1", "title": "a", "time": MOMENT, "dwell_seconds": 2.5},
        {"user": "2", "title": "b", "time": MOMENT, "dwell_seconds": None},
    ]
    with pytest.raises(QueryError, match=r"read-only|syntax error"):
        read_events(postgres, query="INSERT INTO events VALUES (3, 'c', now(), 0) RETURNING title")
    with pytest.raises(QueryError, match="PostgreSQL"):
        read_events("postgresql://tester:secret@/postgres?host=/nowhere", query="SELECT 1")


def test_passwords_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(MediamlError) as caught:
        read_events("postgresql://me:secret@/db?host=/nowhere")
    assert "secret" not in str(caught.value)


# Behaviour features


def test_window_features_see_only_what_came_strictly_before() -> None:
    rows = [("u", "a", MOMENT), ("v", "a", MOMENT), ("u", "b", MOMENT + DAY), ("v", "a", MOMENT + 8 * DAY)]
    table = read_events(
        events(*rows, kind=["play", "complete", "play", "play"], dwell_seconds=[10.0, 30.0, 5.0, 1.0])
    ).table
    found = add_behaviour_features(table, WindowSettings(("7d", "28d"))).to_pydict()
    assert found["title_events_7d"] == [0, 0, 0, 0]
    assert found["title_events_28d"] == [0, 0, 0, 2]
    assert found["title_completion_28d"] == [None, None, None, 1.0]
    assert found["title_dwell_28d"] == [None, None, None, 20.0]
    assert found["user_events_7d"] == [0, 0, 1, 0]
    assert found["title_recency_seconds"] == [None, None, None, 8 * 86_400.0]
    assert found["user_recency_seconds"] == [None, None, 86_400.0, 8 * 86_400.0]


def test_cowatch_counts_what_others_did_before() -> None:
    rows = [
        ("u", "a", MOMENT), ("u", "b", MOMENT + DAY),
        ("v", "a", MOMENT + DAY), ("v", "c", MOMENT + 2 * DAY),
        ("w", "a", MOMENT + 2 * DAY), ("w", "b", MOMENT + 3 * DAY),
    ]  # fmt: skip
    table = read_events(events(*rows)).table
    found = add_behaviour_features(table, WindowSettings(("28d",))).column("cowatch_28d").to_pylist()
    assert found[:3] == [None, 0.0, None]
    assert found[3] == 0.0  # nobody had gone from a to c
    assert found[5] == pytest.approx(1 / 3)  # of the three who had seen a, one had gone on to b


def test_behaviour_features_do_not_change_when_the_future_does() -> None:
    """Point in time: dropping all later events leaves the features of the earlier ones as they are."""
    rows = [(f"u{n % 5}", f"t{n * 7 % 11}", MOMENT + n * timedelta(hours=5)) for n in range(120)]
    table = read_events(events(*rows)).table
    whole = add_behaviour_features(table)
    for cut in (10, 60, 100):
        assert add_behaviour_features(table.slice(0, cut)).equals(whole.slice(0, cut))


@pytest.mark.parametrize("text", ["", "7", "0d", "7y", "-1d", "1.5d", "99999999999w"])
def test_durations_are_checked(text: str) -> None:
    with pytest.raises(InvalidValue, match="duration"):
        parse_duration(text)
