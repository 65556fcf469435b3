"""Queries: what they see, and that nothing else on the machine can be reached through them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaml.errors import QueryError
from mediaml.media import MediaInfo
from mediaml.tables import Lake, MediaRows, PathRow
from tests.unit.lakes import luma, media_id

A = media_id("a")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.open(tmp_path / "it's a lake", create=True)
    made.commit([made.stage(A, analyzers=[luma(value=0.25)], path=PathRow("/a'; DROP TABLE frames; --", 1, 1))])
    return made


def test_a_query_gives_an_arrow_table(lake: Lake) -> None:
    found = lake.query("WITH f AS (SELECT * FROM frames) SELECT count(*) AS n, avg(luma_mean) AS mean FROM f")
    assert found.to_pylist() == [{"n": 3, "mean": 0.25}]
    joined = lake.query("SELECT path FROM frames_wide JOIN paths USING (media_id) WHERE pts_seconds > 0.05")
    assert joined.to_pylist() == [{"path": "/a'; DROP TABLE frames; --"}]
    assert {r["name"] for r in lake.query("SHOW TABLES").to_pylist()} >= {"frames", "frames_wide", "paths", "media"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
        "SELECT * FROM read_csv('{lake}/manifest/format.json')",
        "SELECT * FROM read_text('{lake}/../secret.txt')",
        "COPY (SELECT 1) TO '{lake}/out.csv'",
        "COPY frames TO '/tmp/mediaml-test-out.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/out.csv'",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{lake}/out.csv''')",
        "ATTACH '{lake}/x.db'",
        "INSTALL httpfs",
        "LOAD '{lake}/x.so'",
        "SET enable_external_access = true",
        "PRAGMA enable_external_access",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW frames",
        "DELETE FROM paths",
        "EXPORT DATABASE '{lake}/out'",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO '{lake}/out.csv'",
        "",
        "SELECT nothing FROM frames",
        "SELECT * FROM lake",
        "SELEC 1",
    ],
)
def test_what_is_no_select_over_the_tables_is_refused(lake: Lake, sql: str) -> None:
    (lake.path.parent / "secret.txt").write_text("secret")
    with pytest.raises(QueryError):
        lake.query(sql.format(lake=str(lake.path).replace("'", "''")))
    assert not list(lake.path.glob("out*"))
    assert not Path("/tmp/mediaml-test-out.csv").exists()
    assert lake.table("frames").num_rows == 3
    assert lake.table("paths").num_rows == 1


def test_a_part_that_no_commit_names_cannot_be_read(lake: Lake) -> None:
    lake.stage(media_id("b"), analyzers=[luma()])
    orphan = next(p for p in lake.path.glob(f"frames/{media_id('b')[:2]}/*.parquet"))
    quoted = str(orphan).replace("'", "''")
    with pytest.raises(QueryError, match="Permission"):
        lake.query(f"SELECT * FROM read_parquet('{quoted}')")


def test_variables_of_the_program_are_no_tables(lake: Lake) -> None:
    secret = lake.table("frames")  # noqa: F841
    with pytest.raises(QueryError, match="secret"):
        lake.query("SELECT * FROM secret")


def test_a_condition_stays_a_condition(lake: Lake) -> None:
    assert lake.table("frames", ["frame_index"], "frame_index > 0 -- tail").num_rows == 2
    for where in ("frame_index >", "1) UNION SELECT 1 --", "true); DROP VIEW frames; SELECT (1"):
        with pytest.raises(QueryError):
            lake.table("frames", ["frame_index"], where)
    with pytest.raises(QueryError, match="Permission"):
        lake.table("frames", where="(SELECT count(*) FROM read_csv('/etc/passwd')) > 0")


def test_a_query_sees_what_another_process_committed(lake: Lake) -> None:
    other = Lake.open(lake.path)
    assert other.query("SELECT count(*) AS n FROM frames").to_pylist() == [{"n": 3}]
    lake.commit([lake.stage(media_id("b"), analyzers=[luma(5)])])
    assert other.query("SELECT count(*) AS n FROM frames").to_pylist() == [{"n": 8}]


def test_the_media_view_shows_where_the_content_was_last_seen(lake: Lake) -> None:
    info = MediaInfo("/old/é.mp4", 10, "audio", "mp3", "MP3", None, None, 2.5, None, tags={"title": "x"})
    lake.commit([lake.stage(media_id("m"), media=MediaRows(info))])
    where = f"media_id = '{media_id('m')}'"
    assert lake.table("media", ["path"], where).to_pylist() == [{"path": "/old/é.mp4"}]
    lake.commit([lake.stage(media_id("m"), path=PathRow("/new/é.mp4", 10, 1))])
    (row,) = lake.table("media", where=where).to_pylist()
    assert (row["path"], row["duration_seconds"], row["tags"]) == ("/new/é.mp4", 2.5, '{"title": "x"}')
    assert (row["video_streams"], row["video_codec"], row["analyzer"]) == (0, None, "probe@1")


def test_a_query_leaves_nothing_in_the_working_directory(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert Lake.open(lake.path).query("SELECT * FROM frames ORDER BY ALL").num_rows == 3
    assert list(folder.iterdir()) == []
