"""Exactly once: runs killed at random moments, two runs at once, a full or read-only disk, a clock that goes backwards."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks import kill
from mediaml.errors import LakeUnwritable
from mediaml.tables import Lake, durable
from mediaml.tables import lake as lake_module

ROOT = Path(__file__).parents[2]
KILLS = 6


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kill.make_media(tmp_path_factory.mktemp("kill") / "media")


@pytest.fixture(scope="module")
def expected(media: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables of an undisturbed run."""
    lake = tmp_path_factory.mktemp("whole") / "lake"
    assert kill.analyze(media, lake) == {"analyzed": kill.FILES, "unchanged": 0, "failed": 1}
    return kill.contents(lake)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_is_finished_by_the_next_exactly_once() -> None:
    command = [sys.executable, "-m", "benchmarks.kill", "--times", str(KILLS), "--commands", "1", "--seed", "11"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert json.loads(done.stdout)["kills"] == KILLS + 1


@pytest.mark.slow
def test_two_runs_into_one_lake_at_once_both_succeed(media: Path, expected: dict[str, str], tmp_path: Path) -> None:
    Lake.open(tmp_path / "lake", create=True)
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=kill.analyze, args=(media, tmp_path / "lake")) for _ in range(2)]
    for process in runs:
        process.start()
    for process in runs:
        process.join()
    assert [p.exitcode for p in runs] == [0, 0]
    assert kill.state(tmp_path / "lake")["problems"] == []
    assert kill.contents(tmp_path / "lake") == expected
    assert len([r for r in Lake.open(tmp_path / "lake").table("runs")["status"].to_pylist() if r == "done"]) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("writes", [1, 12])
def test_a_disk_that_fails_in_the_middle_stops_the_run_and_the_next_one_goes_on(
    media: Path, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, writes: int
) -> None:
    whole, left = durable.write_temp, [writes]

    def failing(root: Path, data: bytes | memoryview, *, sync: bool = True) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        return whole(root, data, sync=sync)

    lake = tmp_path / "lake"
    with monkeypatch.context() as patch:
        patch.setattr(durable, "write_temp", failing)
        with pytest.raises(LakeUnwritable, match=os.strerror(code)):
            kill.analyze(media, lake)
    assert kill.state(lake)["problems"] == []
    kill.analyze(media, lake)
    assert kill.contents(lake) == expected
    assert set(kill.commits(lake).values()) == {1}


def test_a_clock_that_goes_backwards_changes_no_result(
    media: Path, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [datetime(2026, 11, 23, tzinfo=UTC)]

    class Backwards(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            moment[0] -= timedelta(hours=1)
            return moment[0]

    monkeypatch.setattr(lake_module, "datetime", Backwards)
    kill.analyze(media, tmp_path / "lake")
    assert kill.contents(tmp_path / "lake") == expected
    assert kill.analyze(media, tmp_path / "lake") == {"analyzed": 0, "unchanged": kill.FILES, "failed": 1}


def test_the_same_file_gives_the_same_bytes(media: Path, tmp_path: Path) -> None:
    """Two runs: every column of every row but the times, byte by byte; and the parts themselves but for times."""
    for name in "ab":
        kill.analyze(media, tmp_path / name)
    assert kill.contents(tmp_path / "a") == kill.contents(tmp_path / "b")
