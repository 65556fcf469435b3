"""The Ray engine gives the tables of the local one, and survives the loss of a worker."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kill import commits, contents, state
from mediaml.engine.ray import grouped
from mediaml.engine.settings import Settings
from mediaml.engine.work import FileTask
from mediaml.errors import InvalidValue
from tests.clips import make_clip, sine, solid

ROOT = Path(__file__).parents[2]
ANALYZERS = "test_mean,test_vector,test_peak,test_trouble"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ray") / "media"
    folder.mkdir()
    for i in range(6):
        make_clip(folder / f"{i}.mp4", lambda n, i=i: solid(20 * i + n), 6, audio=sine(0.2, 200.0 + i))
    make_clip(folder / "fails.mp4", lambda n: solid(n), 7)
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no film")
    yield folder


def analyze(media: Path, lake: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MEDIAML_PLUGINS": "tests.plugins", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "mediaml",
        "analyze",
        str(media),
        "-o",
        str(lake),
        "-a",
        ANALYZERS,
        "-q",
        "--no-derive",
    ]
    return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_ray_and_local_give_equal_tables_and_a_lost_worker_costs_nothing(media: Path, tmp_path: Path) -> None:
    local = analyze(media, tmp_path / "local", "-w", "0")
    make_clip(media / "dies_once.mp4", lambda n: solid(200 - n), 9)
    try:
        ray = analyze(media, tmp_path / "ray", "-w", "1", "--engine", "ray")
        assert (media / "dies_once.died").exists(), "the worker did not die"
        again = analyze(media, tmp_path / "local", "-w", "0")
    finally:
        for name in ("dies_once.mp4", "dies_once.died"):
            (media / name).unlink(missing_ok=True)
    assert (local.returncode, ray.returncode, again.returncode) == (1, 1, 1), ray.stderr
    assert state(tmp_path / "ray")["problems"] == []
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert set(commits(tmp_path / "ray").values()) == {1}


def test_small_files_are_grouped_and_the_last_groups_are_small(tmp_path: Path) -> None:
    tasks = []
    for i in range(200):
        (tmp_path / f"{i:03}").write_bytes(b"x" * (200 if i == 50 else 10))
        tasks.append(FileTask(tmp_path / f"{i:03}"))
    groups = [g.tasks for g in grouped(tasks, files=4, size_bytes=100)]
    assert [t for g in groups for t in g] == tasks
    assert max(map(len, groups)) == 4 and len(groups[-1]) == 1
    assert [tasks[50]] in groups


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    for given in ({"engine": "spark"}, {"ray_address": "auto"}, {"engine": "ray", "workers": 0}):
        with pytest.raises(InvalidValue):
            Settings(lake=tmp_path, analyzers=(), **given)  # type: ignore[arg-type]
