"""The Ray engine gives the tables of the local one, and survives the loss of a worker."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kill import commits, contents, state
from mediaml.analyzers.base import registry
from mediaml.engine.analyze import discover, run_analysis
from mediaml.engine.progress import SilentProgress
from mediaml.engine.ray import grouped
from mediaml.engine.settings import Settings
from mediaml.engine.work import FileTask
from mediaml.errors import InvalidValue
from mediaml.tables import Lake
from tests.clips import make_clip, sine, solid

ROOT = Path(__file__).parents[2]
ANALYZERS = ("test_mean", "test_peak", "test_trouble", "test_vector")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ray") / "media"
    folder.mkdir()
    for i in range(4):
        make_clip(folder / f"{i}.mp4", lambda n, i=i: solid(20 * i + n), 6, audio=sine(0.2, 200.0 + i))
    make_clip(folder / "dies_once.mp4", lambda n: solid(200 - n), 9)
    make_clip(folder / "fails.mp4", lambda n: solid(n), 7)
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no film")
    yield folder


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MEDIAML_PLUGINS", "tests.plugins")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    registry.cache_clear()
    yield
    registry.cache_clear()


def run_local(media: Path, lake: Path) -> int:
    settings = Settings(lake=lake, analyzers=ANALYZERS, workers=0, device="cpu")
    return run_analysis(discover(media), settings, derive=False, progress=SilentProgress())[1].exit_code


def run_on_ray(media: Path, lake: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mediaml", "analyze", str(media), "-o", str(lake), "-a", ",".join(ANALYZERS)]
    more = ["--quiet", "--no-derive", "--workers", "1", "--engine", "ray", "--device", "cpu"]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=800)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_ray_and_local_give_equal_tables_and_a_lost_worker_costs_nothing(media: Path, tmp_path: Path) -> None:
    """Among the files: an empty one, one that is no media, a failing analyzer, and one whose worker is killed once."""
    done = run_on_ray(media, tmp_path / "ray")
    assert (media / "dies_once.died").exists(), done.stderr
    assert (run_local(media, tmp_path / "local"), done.returncode) == (1, 1), done.stderr
    assert state(tmp_path / "ray")["problems"] == []
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert set(commits(tmp_path / "ray").values()) == {1}
    kinds = Lake.open(tmp_path / "ray").table("errors", ["kind"])["kind"].to_pylist()
    assert sorted(kinds) == ["internal_error", "media_empty", "not_media"]


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
