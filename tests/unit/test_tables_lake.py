"""Keys, replacement, versions, derivations, paths, errors and runs of a lake."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mediaml.errors import (
    ContractBreach,
    InvalidValue,
    LakeError,
    LakeMissing,
    LakeUnwritable,
    LakeVersionError,
    UnknownName,
)
from mediaml.media import MediaInfo
from mediaml.tables import AnalyzerRows, ErrorRow, KeyState, Lake, MediaRows, PathRow, Result, RunRow
from mediaml.tables.schema import KEYS, TABLES
from tests.unit.lakes import LUMA, MOMENT, TALL, frames, luma, media_id, tags, vectors

A, B = media_id("a"), media_id("b")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path / "lake", create=True)


def column(lake: Lake, name: str, table: str = "frames", **options: bool) -> list:
    return lake.table(table, [name], **options).column(0).to_pylist()


def test_an_empty_lake_has_every_table_with_its_key_columns(lake: Lake) -> None:
    assert [(t.name, t.rows, t.parts) for t in lake.tables()] == [(name, 0, 0) for name in TABLES]
    for name in (*TABLES, "frames_wide", "shots_wide", "files_wide"):
        assert lake.table(name).num_rows == 0
        assert lake.query(f"SELECT count(*) AS n FROM {name}").to_pylist() == [{"n": 0}]
    for name, keys in KEYS.items():
        assert [c.name for c in lake.describe(name)][5:] == [k.name for k in keys]
    assert lake.keys(A) == []
    assert lake.known_path("x", 1, 2) is None
    assert lake.vectors().values.shape == (0, 0)


def test_staged_rows_become_visible_by_the_commit_alone(lake: Lake) -> None:
    staged = lake.stage(A, analyzers=[luma()], valid_from=MOMENT, computed_at=MOMENT + timedelta(days=1))
    assert list(lake.path.glob("frames/*/*.parquet"))
    assert lake.table("frames").num_rows == 0
    assert lake.commit([pickle.loads(pickle.dumps(staged))], "run") == 1
    rows = lake.table("frames").to_pylist()
    assert rows[1] == {
        "media_id": A,
        "analyzer": "luma@1",
        "parameters_hash": "",
        "valid_from": MOMENT,
        "computed_at": MOMENT + timedelta(days=1),
        "frame_index": 1,
        "pts_seconds": 0.04,
        "luma_mean": 0.5,
    }
    assert len(rows) == 3
    assert Lake.open(lake.path).table("frames").to_pylist() == rows
    assert pickle.loads(pickle.dumps(lake)).table("frames").to_pylist() == rows


def test_restaging_a_key_replaces_its_rows_and_leaves_the_others_of_the_part(lake: Lake) -> None:
    height = frames(TALL, [1, None, 3], "height@1")
    lake.commit([lake.stage(A, analyzers=[luma(), height]), lake.stage(B, analyzers=[luma()])])
    lake.commit([lake.stage(A, analyzers=[luma(2, value=0.25)])])
    found = lake.query("SELECT analyzer, luma_mean, tall FROM frames WHERE media_id = '" + A + "' ORDER BY ALL")
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("height@1", None, 1),
        ("height@1", None, 3),
        ("height@1", None, None),
        ("luma@1", 0.25, None),
        ("luma@1", 0.25, None),
    ]
    assert lake.table("frames").num_rows == lake.table("frames", all_versions=True).num_rows == 8
    assert next(t.rows for t in lake.tables() if t.name == "frames") == 8
    lake.commit([lake.stage(A, analyzers=[AnalyzerRows("luma@1", status="failed")])])
    assert lake.table("frames", ["analyzer"], f"media_id = '{A}'").column(0).to_pylist() == ["height@1"] * 3
    assert lake.table("frames", ["analyzer"], f"media_id = '{B}'").column(0).to_pylist() == ["luma@1"] * 3


def test_views_show_the_newest_version_that_did_not_fail(lake: Lake) -> None:
    lake.commit([lake.stage(m, analyzers=[luma(value=0.1, version=9)]) for m in (A, B)])
    lake.commit([lake.stage(A, analyzers=[luma(value=0.2, version=10)])])
    assert sorted(set(zip(column(lake, "media_id"), column(lake, "analyzer"), strict=True))) == sorted(
        [(A, "luma@10"), (B, "luma@9")]
    )
    assert sorted(set(column(lake, "analyzer", all_versions=True))) == ["luma@10", "luma@9"]
    assert lake.table("frames", all_versions=True).num_rows == 9
    lake.commit([lake.stage(A, analyzers=[AnalyzerRows("luma@11", status="failed")])])
    assert set(column(lake, "analyzer")) == {"luma@10", "luma@9"}
    lake.commit([lake.stage(A, analyzers=[luma(value=0.3, version=9)])])  # an old version, computed again
    assert set(column(lake, "analyzer")) == {"luma@10", "luma@9"}
    assert lake.table("frames").num_rows == 6


def test_other_parameters_are_another_key(lake: Lake) -> None:
    lake.commit([lake.stage(A, analyzers=[luma(value=0.1, parameters="p1")])])
    lake.commit([lake.stage(A, analyzers=[luma(value=0.2, parameters="p2")])])
    assert set(column(lake, "parameters_hash")) == {"p2"}
    assert set(column(lake, "parameters_hash", all_versions=True)) == {"p1", "p2"}


def test_keys_and_pending(lake: Lake) -> None:
    lake.commit(
        [
            lake.stage(
                A,
                analyzers=[
                    luma(),
                    AnalyzerRows("loudness@1", "h", status="not_applicable"),
                    AnalyzerRows("niqe@1", status="failed"),
                ],
            )
        ]
    )
    expected = [
        KeyState("loudness@1", "h", "not_applicable"),
        KeyState("luma@1", "", "done"),
        KeyState("niqe@1", "", "failed"),
    ]
    for one in (lake, Lake.open(lake.path)):
        assert one.keys(A) == expected
        wanted = [("luma@1", ""), ("luma@2", ""), ("loudness@1", "h"), ("loudness@1", "x"), ("niqe@1", "")]
        assert one.pending(A, wanted) == [("luma@2", ""), ("loudness@1", "x")]
        assert one.pending(A, wanted, retry_failed=True) == [("luma@2", ""), ("loudness@1", "x"), ("niqe@1", "")]
        assert one.pending(B, wanted) == wanted


def test_results_are_what_the_views_show(lake: Lake) -> None:
    lake.commit([lake.stage(A, analyzers=[luma(), AnalyzerRows("niqe@1", "h", status="failed")])])
    lake.commit([lake.stage(A, analyzers=[luma(version=2), vectors(np.ones((1, 2), np.float32), "e@1", "m")])])
    lake.commit([lake.stage(A, analyzers=[AnalyzerRows("luma@3", status="failed")])])
    lake.replace_derived("tags:one", [tags([A], ["cat"])])
    assert lake.results() == [
        Result(A, KeyState("e@1", "", "done"), frozenset({"embeddings"})),
        Result(A, KeyState("luma@2", "", "done"), frozenset({"frames"})),
        Result(A, KeyState("niqe@1", "h", "failed"), frozenset()),
    ]


def test_an_analyzer_without_rows_is_done_and_twice_the_same_is_refused(lake: Lake) -> None:
    lake.commit([lake.stage(A, analyzers=[AnalyzerRows("shots@1")])])
    assert lake.keys(A) == [KeyState("shots@1", "", "done")]
    with pytest.raises(ContractBreach, match="twice"):
        lake.stage(A, analyzers=[luma(), luma()])
    with pytest.raises(InvalidValue, match="media_id"):
        lake.stage(None, analyzers=[luma()])


def test_derived_rows_replace_those_of_their_derivation(lake: Lake) -> None:
    lake.commit([lake.stage(A, analyzers=[luma()]), lake.stage(B, analyzers=[luma()])])
    lake.replace_derived("tags:one", [tags([A, B], ["cat", "dog"])])
    lake.replace_derived("tags:two", [tags([A], ["tree"])])
    assert sorted(column(lake, "label", "tags")) == ["cat", "dog", "tree"]
    lake.replace_derived("tags:one", [tags([B], ["wolf"], "tags@2"), tags([B], ["fox"], "more@1")])
    assert sorted(column(lake, "label", "tags")) == ["fox", "tree", "wolf"]
    lake.replace_derived("tags:two", [])
    for one in (lake, Lake.open(lake.path)):
        assert sorted(column(one, "label", "tags")) == ["fox", "wolf"]
        assert one.table("tags", all_versions=True).num_rows == 2
    assert [k.analyzer for k in lake.keys(B)] == ["luma@1"]


def test_derived_rows_may_bring_their_own_valid_from(lake: Lake) -> None:
    rows = tags([A, B], ["cat", "dog"])
    rows = replace(rows, rows={"tags": {**rows.rows["tags"], "valid_from": [MOMENT, MOMENT + timedelta(days=9)]}})
    lake.replace_derived("tags:one", [rows])
    found = dict(zip(column(lake, "media_id", "tags"), column(lake, "valid_from", "tags"), strict=True))
    assert found == {A: MOMENT, B: MOMENT + timedelta(days=9)}


@pytest.mark.parametrize(
    "path", ["/m/ä\n'\".mp4", "-x.mkv", "/m/bad\udcff\udc80.ts", "C:\\x\\xff.mp4", "/m/=cmd|' /C'!A0"]
)
def test_paths_of_any_bytes_are_found_again(lake: Lake, path: str) -> None:
    lake.commit([lake.stage(A, path=PathRow(path, 10, 20), errors=[ErrorRow("not_media", "bad\udcff\x00", path)])])
    for one in (lake, Lake.open(lake.path)):
        assert one.known_path(path, 10, 20) == A
        assert one.known_path(path, 10, 21) is None
        assert one.known_path(path, 11, 20) is None
        assert [e.path for e in one.standing_errors(path)] == [path]
    assert lake.query("SELECT count(*) AS n FROM paths").to_pylist() == [{"n": 1}]


def test_a_moved_file_is_linked_again_and_a_changed_one_gets_new_content(lake: Lake) -> None:
    lake.commit([lake.stage(A, path=PathRow("/old", 1, 1), analyzers=[luma()])])
    lake.commit([lake.stage(A, path=PathRow("/new", 1, 1))])
    lake.commit([lake.stage(B, path=PathRow("/old", 2, 5))])
    assert (lake.known_path("/new", 1, 1), lake.known_path("/old", 2, 5)) == (A, B)
    assert lake.table("paths", ["media_id", "path"]).to_pylist() == [
        {"media_id": m, "path": p} for m, p in sorted([(A, "/new"), (B, "/old")])
    ]
    head = lake.commit([lake.stage(A, path=PathRow("/new", 1, 1))])
    assert head == 3, "a path that is known already is not written again"
    lake.forget_paths(["/old"])
    assert column(lake, "path", "paths") == ["/new"]
    assert lake.known_path("/old", 2, 5) is None
    assert lake.table("frames").num_rows == 3


def test_errors_hold_until_the_cause_is_committed_again(lake: Lake) -> None:
    broken = lake.stage(None, errors=[ErrorRow("media_unreadable", "no permission", "/b")])
    failed = lake.stage(
        A,
        path=PathRow("/a", 1, 1),
        analyzers=[AnalyzerRows("luma@1", status="failed")],
        errors=[ErrorRow("internal_error", "boom", "/a", "luma@1"), ErrorRow("media_truncated", "ends early", "/a")],
    )
    lake.commit([broken, failed], "r1")
    lake.commit([lake.stage(None, errors=[ErrorRow("media_unreadable", "still no permission", "/b")])], "r2")
    assert sorted(column(lake, "message", "errors")) == ["boom", "ends early", "still no permission"]
    assert lake.table("errors", all_versions=True).num_rows == 4
    assert [e.message for e in lake.standing_errors("/a")] == ["boom", "ends early"]
    lake.commit([lake.stage(B, path=PathRow("/b", 3, 3))])
    lake.commit([lake.stage(A, analyzers=[luma(version=2)])])
    assert column(lake, "message", "errors") == ["ends early"]  # of the file: it holds until the file is probed again
    info = MediaInfo("/a", 1, "video", "mov", "QuickTime", None, None, None, None)
    lake.commit([lake.stage(A, media=MediaRows(info))])
    assert lake.table("errors").num_rows == 0
    assert lake.standing_errors("/a") == []


def test_a_run_is_recorded_and_replaced(lake: Lake) -> None:
    run = RunRow("r1", MOMENT, command="analyze 'x\udcff'", settings={"workers": 2})
    lake.record_run(run)
    lake.record_run(replace(run, status="done", finished_at=MOMENT + timedelta(seconds=5), files_total=7))
    (row,) = lake.table("runs").to_pylist()
    assert (row["status"], row["files_total"], row["settings"]) == ("done", 7, '{"workers": 2}')
    assert row["finished_at"] - row["started_at"] == timedelta(seconds=5)


def test_vectors_of_two_lengths_live_in_one_table(lake: Lake) -> None:
    small = np.arange(6, dtype=np.float32).reshape(3, 2)
    large = np.arange(10, dtype=np.float32).reshape(2, 5) / 10
    lake.commit([lake.stage(A, analyzers=[vectors(small, "small@1", "s"), vectors(large, "large@1", "l")])])
    lake.commit([lake.stage(B, analyzers=[vectors(small + 100, "small@1", "s")])])
    assert lake.query("SELECT DISTINCT len(vector) AS n FROM embeddings ORDER BY n").column("n").to_pylist() == [2, 5]
    found = lake.vectors(analyzer="small")
    assert found.values.dtype == np.float32
    expected = {A: small, B: small + 100}
    order = sorted([A, B])
    np.testing.assert_array_equal(found.values, np.concatenate([expected[m] for m in order]))
    assert found.keys.column("media_id").to_pylist() == [order[0]] * 3 + [order[1]] * 3
    np.testing.assert_array_equal(lake.vectors(model="l", scope="frame").values, large)
    np.testing.assert_array_equal(lake.vectors(analyzer="large@1").values, large)
    with pytest.raises(InvalidValue, match="choose a model: l, s"):
        lake.vectors()
    (part,) = [
        p for p in lake.path.glob("embeddings/*/*.parquet") if pq.read_schema(p).field("vector").type.list_size == 5
    ]
    assert pq.read_table(part).num_rows == 2


def test_the_wide_view_merges_analyzers_by_instant(lake: Lake) -> None:
    height = frames(TALL, [10, 20, 30, 40], "height@1")
    lake.commit([lake.stage(A, analyzers=[luma(2), height])])
    rows = lake.table("frames_wide", ["pts_seconds", "frame_index", "luma_mean", "tall"]).to_pylist()
    assert [tuple(r.values()) for r in rows] == [
        (0.0, 0, 0.5, 10),
        (0.04, 1, 0.5, 20),
        (0.08, 2, None, 30),
        (0.12, 3, None, 40),
    ]


def test_units_ranges_and_sources_are_described(lake: Lake) -> None:
    lake.commit([lake.stage(A, analyzers=[luma(), frames(TALL, [1], "height@1")])])
    described = {c.name: c for c in lake.describe("frames")}
    assert list(described)[-2:] == ["luma_mean", "tall"]
    mean = described["luma_mean"]
    assert (mean.dtype, mean.unit, mean.minimum, mean.maximum) == ("float32", "1", 0, 1)
    assert mean.source == "luma@1 (a test)"
    field = lake.table("frames").schema.field("luma_mean")
    assert field.metadata == {
        b"unit": b"1",
        b"description": b"mean luma",
        b"source": b"luma@1 (a test)",
        b"minimum": b"0",
        b"maximum": b"1",
    }
    part = next(lake.path.glob("frames/*/*.parquet"))
    assert pq.read_schema(part).field("luma_mean").metadata[b"unit"] == b"1"
    with pytest.raises(UnknownName, match="frames"):
        lake.describe("frame")
    with pytest.raises(UnknownName, match="luma_mean"):
        lake.table("frames", ["luma_men"])


def test_a_column_that_changes_its_type_between_versions_can_be_read(lake: Lake) -> None:
    wide = replace(LUMA, name="value", dtype="float64", minimum=None, maximum=None)
    whole = replace(wide, dtype="int32")
    lake.commit([lake.stage(A, analyzers=[frames(whole, [1, 2], "v@1")])])
    lake.commit([lake.stage(B, analyzers=[frames(wide, [0.5], "v@2")])])
    assert sorted(column(lake, "value")) == [0.5, 1.0, 2.0]


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    bodies = []
    for name in ("one", "two"):
        lake = Lake.open(tmp_path / name, create=True)
        order = [luma(), frames(TALL, [1, None], "height@1")]
        staged = lake.stage(A, analyzers=order if name == "one" else order[::-1], valid_from=MOMENT, computed_at=MOMENT)
        bodies.append([(lake.path / p.path).read_bytes() for p in staged.parts])
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("name", ["la[k]e *?", "-lake ü\n'\"", "..lake"])
def test_a_lake_may_have_any_utf8_name(tmp_path: Path, name: str) -> None:
    lake = Lake.open(tmp_path / name, create=True)
    lake.commit([lake.stage(m, analyzers=[luma()]) for m in (A, B)])
    assert lake.compact() == 1
    assert Lake.open(tmp_path / name).table("frames").num_rows == 6


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="UTF-8"):
        Lake.open(tmp_path / "bad\udcff", create=True)


def test_missing_newer_and_unwritable_lakes_are_told_apart(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(LakeMissing, match="mediaml analyze"):
        Lake.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(LakeMissing):
        Lake.open(tmp_path / "file")
    with pytest.raises(LakeUnwritable):
        Lake.open(tmp_path / "file" / "lake", create=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.mp4").write_text("x")
    with pytest.raises(LakeUnwritable, match=r"holiday\.mp4"):
        Lake.open(tmp_path / "other", create=True)
    format_file = lake.path / "manifest" / "format.json"
    format_file.write_text('{"format": 99}')
    with pytest.raises(LakeVersionError, match="99"):
        Lake.open(lake.path)
    format_file.write_text("[]")
    with pytest.raises(LakeError, match="damaged"):
        Lake.open(lake.path)


def test_parts_are_written_a_row_group_at_a_time_across_analyzers(lake: Lake) -> None:
    """Rows of many analyzers share row groups of 131,072, and come back in order with their own key columns."""
    many, few = np.arange(200_000, dtype=np.float32) / 200_000, np.full(3, 0.25, np.float32)
    rows = [
        frames(LUMA, many, "b@1"),
        frames(TALL, np.arange(100_000, dtype=np.int32), "c@1"),
        frames(LUMA, few, "a@1"),
    ]
    lake.commit([lake.stage(A, analyzers=rows, valid_from=MOMENT)], "run")
    (part,) = lake.path.glob("frames/*/*.parquet")
    with pq.ParquetFile(part) as file:
        assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [131_072, 131_072, 37_859]
        read = file.read()
    assert read.column("analyzer").to_pylist()[::50_000] == ["a@1", *["b@1"] * 4, "c@1", "c@1"]
    assert np.array_equal(read.column("luma_mean").to_numpy()[:200_003], np.concatenate([few, many]))
    assert read.column("tall").null_count == 200_003 and read.column("tall").to_pylist()[-1] == 99_999
    assert set(read.column("media_id").to_pylist()) == {A}
