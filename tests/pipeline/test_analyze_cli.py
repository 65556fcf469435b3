"""`mediaml analyze` as a user types it: exit codes, preview, interruption, a lake that cannot be written."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mediaml import Lake
from mediaml.errors import LakeMissing
from tests.clips import make_clip

ROOT = Path(__file__).parents[2]


HEEDING_INTERRUPTS = """import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("mediaml", run_name="__main__", alter_sys=True)"""
"""`python -m mediaml`; a shell's background job, in which tests may run, ignores SIGINT, and its children would too."""


def start(*arguments: object, **given: object) -> subprocess.Popen[str]:
    environment = os.environ | {"MEDIAML_PLUGINS": "tests.plugins", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-c", HEEDING_INTERRUPTS, *map(str, arguments)]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **given,
    )  # type: ignore[call-overload]


def run(*arguments: object) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def test_exit_codes_and_the_summary_as_json(tmp_path: Path) -> None:
    make_clip(tmp_path / "fine.mp4", 5)
    code, out, _ = run("analyze", tmp_path / "fine.mp4", "-o", tmp_path / "lake", "-a", "test_mean", "-w", 0, "--json")
    assert code == 0
    assert json.loads(out)["frames"] == 5
    code, out, err = run("analyze", tmp_path / "gone.mp4", "-o", tmp_path / "lake", "-a", "test_mean", "-w", 0)
    assert code == 1
    assert "gone.mp4" in out + err
    code, _, err = run("analyze", tmp_path, "-o", tmp_path / "lake", "-a", "test_men")
    assert code == 2
    assert "test_mean" in err and "Traceback" not in err


def test_a_preview_decodes_and_writes_nothing(tmp_path: Path) -> None:
    make_clip(tmp_path / "fine.mp4", 5)
    code, out, _ = run("analyze", tmp_path, "-o", tmp_path / "lake", "-a", "test_mean,test_vector", "--explain")
    assert code == 0
    assert "sequential" in out and "16x16" in out
    code, out, _ = run("analyze", tmp_path, "-o", tmp_path / "lake", "-a", "test_mean", "--dry-run")
    assert code == 0
    assert "test_mean" in out
    assert not (tmp_path / "lake").exists()


def test_interrupting_leaves_a_valid_lake_and_the_next_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    make_clip(folder / "1_fine.mp4", 5)
    make_clip(folder / "2_sleeps.mp4", 6)
    make_clip(folder / "3_fine.mp4", 7)
    process = start("analyze", folder, "-o", tmp_path / "lake", "-a", "test_trouble", "-w", 1, start_new_session=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.3)
        with contextlib.suppress(LakeMissing):
            if Lake.open(tmp_path / "lake").table("media").num_rows == 1:
                break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    lake = Lake.open(tmp_path / "lake")
    assert lake.query("select status from runs")["status"].to_pylist() == ["interrupted"]
    assert lake.table("frames").num_rows == 5
    (folder / "2_sleeps.mp4").rename(folder / "2_wakes.mp4")
    code, _, _ = run("analyze", folder, "-o", tmp_path / "lake", "-a", "test_trouble", "-w", 1)
    assert code == 0
    assert Lake.open(tmp_path / "lake").table("frames").num_rows == 5 + 6 + 7


def test_a_lake_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    make_clip(tmp_path / "fine.mp4", 5)
    (tmp_path / "file").write_text("a file where the lake should be")
    code, _, err = run("analyze", tmp_path / "fine.mp4", "-o", tmp_path / "file", "-a", "test_mean", "-w", 0)
    assert code == 2
    assert "file" in err and "Traceback" not in err


@pytest.mark.slow
def test_names_are_taken_literally(tmp_path: Path) -> None:
    names = ["-dash.mp4", "new\nline 'q' \"qq\".mp4", "%03d.mp4", "ünï.mp4", "[b]x[/b].mp4".replace("/", "_")]
    for i, name in enumerate(names):
        make_clip(tmp_path / "plain.mp4", 5 + i).rename(tmp_path / name)
    raw = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    os.rename(make_clip(tmp_path / "plain.mp4", 20), raw)  # noqa: PTH104
    code, _, err = run("analyze", tmp_path, "-o", tmp_path / "lake", "-a", "test_mean", "-w", 0)
    assert code == 0, err
    assert Lake.open(tmp_path / "lake").table("media").num_rows == len(names) + 1


def test_a_run_says_what_it_did_to_people_and_machines(tmp_path: Path) -> None:
    make_clip(tmp_path / "fine.mp4", 5)
    make_clip(tmp_path / "longer.mp4", 15)
    (tmp_path / "empty.mp4").touch()
    log, metrics = tmp_path / "run.jsonl", tmp_path / "mediaml.prom"
    more = ("--log-json", log, "--metrics-file", metrics, "--no-derive")
    code, _, summary = run("analyze", tmp_path, "-o", tmp_path / "lake", "-a", "test_mean", "-w", 0, *more)
    assert code == 1
    assert "3 files: 2 analyzed, 0 unchanged, 1 failed; 20 frames" in summary
    slowest = next(line for line in summary.splitlines() if line.startswith("slowest: "))
    assert "fine.mp4" in slowest and "longer.mp4" in slowest
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("run_started", "run_ended")
    assert {e["outcome"] for e in events if e["event"] == "file_committed"} == {"analyzed", "failed"}
    assert 'mediaml_files_total{outcome="failed"} 1' in metrics.read_text()
    assert "mediaml_run_active 0" in metrics.read_text()
