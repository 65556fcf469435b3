"""The JSON log and the metrics of a run."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from mediaml.engine.oplog import JsonLog, MetricsFile, Several, listeners, outcome
from mediaml.engine.progress import SilentProgress
from mediaml.engine.work import FileResult, FileTask
from mediaml.errors import InvalidValue
from mediaml.tables.rows import ErrorRow
from mediaml.tables.writer import Staged

FINE = FileResult(Path("/m/a\n.mp4"), Staged("ab"), 25, 0.5, 1.0, 2, analyzer_seconds={"siti": 0.25})
BROKEN = FileResult(Path("/m/b.mp4"), Staged(None), errors=[ErrorRow("not_media", 'say "no"\n', "/m/b.mp4")])
SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"\})? -?[0-9.e+-]+')


def play(listener: object) -> None:
    with listener:  # type: ignore[attr-defined]
        listener.begin(2, 300)  # type: ignore[attr-defined]
        for slot, result in enumerate((FINE, BROKEN)):
            listener.started(slot, FileTask(result.path))  # type: ignore[attr-defined]
            listener.advanced(slot, 3, 0.1)  # type: ignore[attr-defined]
            listener.finished(slot)  # type: ignore[attr-defined]
            listener.committed(result, 150)  # type: ignore[attr-defined]
        listener.note("deriving")  # type: ignore[attr-defined]


def test_outcomes() -> None:
    assert [outcome(r) for r in (FINE, BROKEN, FileResult(Path("c"), Staged("cd")))] == [
        "analyzed",
        "failed",
        "unchanged",
    ]


def test_every_line_of_the_log_is_one_json_object() -> None:
    stream = io.StringIO()
    play(JsonLog(stream))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [e["event"] for e in lines] == [
        "run_started", "file_started", "file_committed", "file_started", "file_committed", "note", "run_ended",
    ]  # fmt: skip
    assert (lines[2]["path"], lines[2]["frames"], lines[2]["outcome"]) == ("/m/a\\n.mp4", 25, "analyzed")
    assert lines[4]["errors"][0]["message"] == 'say "no"\\n'
    assert (lines[-1]["analyzed"], lines[-1]["failed"]) == (1, 1)
    assert all(e["time"].endswith("Z") for e in lines)


def test_a_run_that_fails_says_so_in_its_last_line() -> None:
    stream = io.StringIO()
    with pytest.raises(InvalidValue), JsonLog(stream):
        raise InvalidValue("no")
    assert json.loads(stream.getvalue())["error"] == "InvalidValue: no"


def test_metrics_are_valid_text_and_count(tmp_path: Path) -> None:
    path = tmp_path / "mediaml.prom"
    play(MetricsFile(path, every_seconds=0))
    samples = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples)
    values = dict(line.rsplit(" ", 1) for line in samples)
    assert values['mediaml_files_total{outcome="analyzed"}'] == "1"
    assert values['mediaml_files_total{outcome="unchanged"}'] == "0"
    assert values['mediaml_errors_total{kind="not_media"}'] == "1"
    assert values['mediaml_analyzer_seconds_total{analyzer="siti"}'] == "0.25"
    assert (values["mediaml_frames_total"], values["mediaml_bytes_total"]) == ("25", "300")
    assert (values["mediaml_run_active"], values["mediaml_files_in_hand"]) == ("0", "0")
    assert [p.name for p in tmp_path.iterdir()] == ["mediaml.prom"]


def test_a_metrics_file_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="make it first"):
        MetricsFile(tmp_path / "none" / "x.prom")


def test_listeners_are_put_together(tmp_path: Path) -> None:
    quiet = SilentProgress()
    assert listeners(quiet, None, None, io.StringIO()) is quiet
    both = listeners(quiet, str(tmp_path / "log.jsonl"), tmp_path / "m.prom", io.StringIO())
    assert isinstance(both, Several)
    play(both)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 7
    with pytest.raises(InvalidValue, match="cannot be written"):
        listeners(quiet, str(tmp_path), None, io.StringIO())
