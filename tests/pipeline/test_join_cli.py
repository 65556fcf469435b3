"""`mediaml features`, `join` and `export` as a user runs them, and docs/recommenders.md line by line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mediaml.cli.export import export
from mediaml.cli.features import build, builds, drift
from mediaml.cli.join import join
from mediaml.errors import InvalidValue, LakeMissing, MediamlError, UnknownName
from tests.unit.rec_lakes import events, make_lake, shot_vectors, stage_title, write_titles

ROOT = Path(__file__).resolve().parents[2]
SOON = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with lake/, titles.csv and events.parquet; the current one."""
    make_lake(tmp_path)
    write_titles(tmp_path, "tt001,clip_0.mp4,2024-03-01,", "tt002,clip_1.mp4,2024-03-05T20:15:00+01:00,")
    rows = [("u", "tt001", SOON), ("u", "tt002", SOON), ("v", "tt001", SOON - timedelta(days=1)), ("v", "other", SOON)]
    pq.write_table(events(*rows, rating=[5, 4, 3, 2]), tmp_path / "events.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "mediaml", *arguments], capture_output=True, text=True, env=environment
    )


@pytest.mark.slow
def test_the_walk_through_does_what_it_says(place: Path) -> None:
    """Every command and every line of Python of docs/recommenders.md but the analysis, for which a lake is given."""
    text = (ROOT / "docs" / "recommenders.md").read_text()
    shell, code = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("sh", "python"))
    assert shell is not None and code is not None
    commands = [line.split() for line in shell[1].splitlines()]
    assert commands[0][:2] == ["mediaml", "analyze"]
    assert len(commands) + len([line for line in code[1].splitlines() if line]) <= 10, "ten lines"
    outputs = []
    for command in commands[1:]:
        done = run(*command[1:])
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert "2 of 4 events: joined with features" in outputs[1]
    assert "embed_test_pooled@1" in outputs[2]
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert names["x"].shape == (2, 4)
    assert names["x"][:, 0].tolist() == [1.0, 2.0]
    assert names["train"].column("rating").to_pylist() == [5, 4]
    assert (place / "items" / "items.safetensors").is_file()


def test_the_titles_of_the_page_are_a_valid_file(place: Path) -> None:
    text = (ROOT / "docs" / "recommenders.md").read_text()
    block = re.search(r"```\n(title_id.*?)```", text, re.DOTALL)
    assert block is not None
    (place / "titles.csv").write_text(block[1])
    build(Path("lake"), Path("titles.csv"))
    assert (place / "lake").is_dir()


def test_join_reports_and_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(Path("lake"), Path("titles.csv"), as_json=True)
    assert json.loads(capsys.readouterr().out)["written"] == 2
    join(Path("lake"), "events.parquet", Path("train.parquet"), as_json=True, windows="7d", max_age="5000d")
    found = json.loads(capsys.readouterr().out)
    assert found["statuses"] == {"joined": 2, "unknown_key": 1, "not_yet_known": 1}
    table = pq.read_table("train.parquet")
    assert table.column("title_events_7d").to_pylist() == [1, 0, 0, 0]
    assert table.column("feature_status").to_pylist() == ["joined", "joined", "not_yet_known", "unknown_key"]


def test_valid_joins_by_validity_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(Path("lake"), Path("titles.csv"))
    join(Path("lake"), "events.parquet", Path("train.parquet"), asof="valid", drop_unmatched=True)
    assert "3 of 4 events: joined with features" in capsys.readouterr().out
    assert pq.read_metadata("train.parquet").num_rows == 3


def test_explain_as_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(Path("lake"), Path("titles.csv"))
    capsys.readouterr()
    join(Path("lake"), "events.parquet", explain=2, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["versions"][0]["verdict"]) == ("not_yet_known", "not yet known")
    assert found["event"]["title"] == "tt001"


@pytest.mark.slow
def test_drift_and_builds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mediaml.tables import Lake

    build(Path("lake"), Path("titles.csv"))
    lake = Lake.open("lake")
    lake.commit([stage_title(lake, 0, shot_vectors(0, shift=2.0), computed_at=datetime.now(UTC))])
    build(Path("lake"), Path("titles.csv"))
    capsys.readouterr()
    builds(Path("lake"), as_json=True)
    assert len(json.loads(capsys.readouterr().out)) == 2
    drift(Path("lake"), as_json=True)
    changed = {d["feature"]: d["changed"] for d in json.loads(capsys.readouterr().out)}
    vector = next(n for n in changed if n.startswith("vector_"))
    assert changed[vector] == 0.5
    assert changed["duration_seconds"] == 0.0
    drift(Path("lake"))
    assert "cosine" in capsys.readouterr().out
    with pytest.raises(InvalidValue, match="no time zone"):
        drift(Path("lake"), before="2024-01-01 10:00")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        ({"out": None}, InvalidValue, "either --out FILE"),
        ({"asof": "knwon"}, UnknownName, "did you mean known"),
        ({"max_age": "90"}, InvalidValue, "duration '90'"),
        ({"column": ["title"]}, InvalidValue, "OURS=THEIRS"),
        ({"time_unit": "ns"}, UnknownName, "time unit 'ns'"),
        ({"behaviour": "absent.parquet"}, InvalidValue, "no such file"),
        ({"lake": Path("nowhere")}, LakeMissing, "no lake"),
    ],
)
def test_bad_use_is_one_clear_error(place: Path, call: dict[str, Any], kind: type[MediamlError], message: str) -> None:
    plain: dict[str, Any] = {"lake": Path("lake"), "behaviour": "events.parquet", "out": Path("train.parquet")}
    with pytest.raises(kind, match=message):
        join(**plain | call)
    assert not Path("train.parquet").exists()


def test_a_lake_of_an_older_version_without_features(place: Path) -> None:
    done = run("join", "lake", "--behaviour", "events.parquet", "--out", "train.parquet")
    assert done.returncode == 2
    assert "has no title features; `mediaml features build" in done.stderr
    assert "Traceback" not in done.stderr


def test_export_for_mmrec(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(Path("lake"), Path("titles.csv"))
    export(Path("lake"), "mmrec", Path("out"), behaviour="events.parquet")
    assert "1 events left out" in capsys.readouterr().out
    assert np.load("out/image_feat.npy").shape == (2, 4)
    with pytest.raises(UnknownName, match="did you mean mmrec"):
        export(Path("lake"), "mmrek", Path("out2"))
