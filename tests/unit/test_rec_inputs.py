"""Logs and content tables on their way into the evaluation, and the command on top."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mediaml.cli.rec import app
from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.inputs import content_blocks, read_inputs
from tests.unit.rec_worlds import world

START = datetime(2026, 1, 1, tzinfo=UTC)


def events(users: list[str], titles: list[str]) -> pa.Table:
    times = pa.array([START + timedelta(minutes=n) for n in range(len(users))], pa.timestamp("us", tz="UTC"))
    return pa.table({"user": users, "title": titles, "time": times, "kind": ["play"] * len(users)})


def test_titles_are_brought_together_and_the_rest_is_counted() -> None:
    log = events(["a", "a", "b"], ["t1", "t2", "t9"])
    content = pa.table({"title_id": ["t2", "t1", "t7"], "x": [2.0, 1.0, 7.0]})
    made = read_inputs(log, content)
    assert made.titles == ("t1", "t2", "t9")
    block = made.content.blocks[0]
    assert block.present.tolist() == [True, True, False]
    assert block.values[:2, 0].tolist() == [1.0, 2.0]
    assert made.log.item_count == 3
    assert any("1 titles of the log have no content (first: t9)" in n for n in made.notes)
    assert any("1 titles have content but no event" in n for n in made.notes)


def test_columns_become_blocks() -> None:
    table = pa.table(
        {
            "title_id": ["a", "b", "c"],
            "valid_from": [1, 2, 3],
            "parameters_hash": ["h", "h", "h"],
            "has_vision": [True, False, True],
            "vector": pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2)),
            "loudness": [1.0, 2.0, None],
            "peak": [4.0, 5.0, None],
            "length": [1, 2, 3],
            "genre": ["x", "y", "x"],
            "tags": pa.array([["p", "q"], [], None], pa.list_(pa.string())),
        }
    )
    blocks = dict(content_blocks(table))
    assert set(blocks) == {"vector", "loudness and 1 more", "length", "genre", "tags"}
    assert np.isnan(blocks["vector"][1]).all()
    assert blocks["loudness and 1 more"].shape == (3, 2)
    assert blocks["genre"].tolist() == [[1, 0], [0, 1], [1, 0]]
    assert blocks["tags"][:2].tolist() == [[1, 1], [0, 0]]
    assert np.isnan(blocks["tags"][2]).all()


def test_refusals() -> None:
    log = events(["a"], ["t1"])
    with pytest.raises(InvalidValue, match="no title in common"):
        read_inputs(log, pa.table({"title_id": ["z"], "x": [1.0]}))
    with pytest.raises(InvalidValue, match="more than one row"):
        read_inputs(log, pa.table({"title_id": ["t1", "t1"], "x": [1.0, 2.0]}))
    with pytest.raises(InvalidValue, match="no feature column"):
        read_inputs(log, pa.table({"title_id": ["t1"], "valid_from": [1]}))
    with pytest.raises(UnknownName, match="title_id"):
        read_inputs(log, pa.table({"titel_id": ["t1"], "x": [1.0]}))
    with pytest.raises(InvalidValue, match="lengths"):
        read_inputs(log, pa.table({"title_id": ["t1", "t2"], "v": [[1.0], [1.0, 2.0]]}))


def test_command_writes_report_and_figures(tmp_path: Path) -> None:
    log, content = world(1.0, users=60, titles=40)
    pq.write_table(events([f"u{u}" for u in log.users], [f"t{i}" for i in log.items]), tmp_path / "events.parquet")
    rows = content.blocks[0].values
    pq.write_table(
        pa.table({"title_id": [f"t{i}" for i in range(40)], "vector": rows.tolist()}), tmp_path / "content.parquet"
    )
    command = [
        "evaluate",
        "--behaviour",
        str(tmp_path / "events.parquet"),
        "--content",
        str(tmp_path / "content.parquet"),
    ]
    command += ["--splits", "1", "--permutations", "0", "--no-ials"]
    command += ["--html", str(tmp_path / "proof.html"), "--json-out", str(tmp_path / "proof.json")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "proof.html").stat().st_size > 5000
    assert json.loads((tmp_path / "proof.json").read_text())["permutation"] is None
    assert "Recall@10" in result.output
