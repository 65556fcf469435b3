"""`Lake.rows_of` reads some media's parts and gives what `table` gives of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaml.errors import QueryError, UnknownName
from mediaml.tables import Lake
from tests.unit.lakes import luma, media_id, tags

COLUMNS = ["media_id", "analyzer", "frame_index", "luma_mean"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.open(tmp_path / "lake", create=True)
    for name in "abcd":
        made.commit([made.stage(media_id(name), analyzers=[luma(3)])])
    made.commit([made.stage(media_id("b"), analyzers=[luma(2, version=2, value=0.75)])])  # hides version 1
    made.commit([made.stage(media_id("c"), analyzers=[luma(4, value=0.25)])])  # replaces it
    made.replace_derived("tags:test", [tags([media_id("a"), media_id("b")], ["x", "y"])])
    return made


def rows(found: list[dict]) -> list[tuple]:
    return sorted(tuple(r.values()) for r in found)


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("names", ["a", "bc", "dcba", "z", ""])
def test_the_rows_are_those_of_the_table(lake: Lake, names: str, compacted: bool) -> None:
    if compacted:
        assert lake.compact() > 0
    ids = [media_id(n) for n in names]
    wanted = [r for r in lake.table("frames", COLUMNS).to_pylist() if r["media_id"] in ids]
    assert rows(lake.rows_of("frames", ids, COLUMNS).to_pylist()) == rows(wanted)
    labels = [r for r in lake.table("tags", ["media_id", "label"]).to_pylist() if r["media_id"] in ids]
    assert rows(lake.rows_of("tags", ids, ["media_id", "label"]).to_pylist()) == rows(labels)


def test_a_condition_narrows_and_a_new_commit_is_seen(lake: Lake) -> None:
    b = media_id("b")
    assert lake.rows_of("frames", [b], ["frame_index"], "frame_index > 0 -- a comment").num_rows == 1
    assert lake.rows_of("frames", [b], ["frame_index"]).num_rows == 2
    lake.commit([lake.stage(b, analyzers=[luma(7, version=3)])])
    assert lake.rows_of("frames", [b], ["frame_index"]).num_rows == 7


def test_only_the_parts_of_the_media_are_read(lake: Lake) -> None:
    """Another media's part may be gone."""
    (part,) = [p for p in lake.path.rglob("frames/**/*.parquet") if p.name.startswith(media_id("d")[:16])]
    part.unlink()
    assert lake.rows_of("frames", [media_id("a")], COLUMNS).num_rows == 3
    with pytest.raises(QueryError):
        lake.rows_of("frames", [media_id("d")], COLUMNS)


def test_wrong_names_and_conditions(lake: Lake) -> None:
    with pytest.raises(UnknownName, match="did you mean luma_mean"):
        lake.rows_of("frames", [media_id("a")], ["luma_meen"])
    with pytest.raises(QueryError):
        lake.rows_of("frames", [media_id("a")], ["frame_index"], "frame_index >")


def test_the_state_tells_commits_apart(lake: Lake, tmp_path: Path) -> None:
    before = lake.state()
    assert before == Lake.open(lake.path).state()
    lake.commit([lake.stage(media_id("e"), analyzers=[luma(1)])])
    assert lake.state() != before
    other = Lake.open(tmp_path / "other", create=True)
    assert other.state() != before and other.state() == Lake.open(tmp_path / "third", create=True).state()
