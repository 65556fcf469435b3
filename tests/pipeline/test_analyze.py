"""The main job on tiny clips, with real worker processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mediaml
from mediaml.analyzers.base import registry
from mediaml.engine.analysis_run import RunSummary
from mediaml.engine.analyze import discover, run_analysis
from mediaml.engine.progress import SilentProgress
from mediaml.engine.settings import Settings
from tests.clips import make_clip, sine, solid

TEST = ("test_mean", "test_vector", "test_trouble", "test_peak")


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test analyzers are registered, here and in worker processes."""
    monkeypatch.setenv("MEDIAML_PLUGINS", "tests.plugins")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    make_clip(folder / "a.mp4", 12, audio=sine(0.5))
    make_clip(folder / "b.mkv", lambda i: solid(10 * i), 8)
    make_clip(folder / "tone.wav", 0, audio=sine(0.2, amplitude=0.5), audio_codec="pcm_s16le")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no film")
    return folder


def run(media: Path, lake: Path, analyzers: tuple[str, ...] = TEST, **given: Any) -> tuple[mediaml.Lake, RunSummary]:
    settings = Settings(lake=lake, analyzers=analyzers, device="cpu", **{"workers": 2, **given})
    return run_analysis(discover(media), settings, derive=False, progress=SilentProgress())


def test_a_directory_becomes_tables_and_errors(media: Path, tmp_path: Path) -> None:
    lake, summary = run(media, tmp_path / "lake")
    assert (summary.files, summary.analyzed, summary.failed, summary.exit_code) == (5, 3, 2, 1)
    means = lake.query(
        "select test_mean from frames where test_mean is not null and media_id in "
        "(select media_id from media where path like '%b.mkv') order by pts_seconds"
    )
    assert np.allclose(means["test_mean"].to_numpy(), [10 * i for i in range(8)], atol=3)
    steps = lake.query("select test_step from frames where frame_index = 0 and analyzer = 'test_mean@1'")
    assert steps["test_step"].null_count == steps.num_rows == 2
    peak = lake.query("select test_peak from files where test_peak is not null order by test_peak")
    assert np.allclose(peak["test_peak"].to_numpy(), [0.25, 0.5], atol=0.03)
    kinds = lake.query("select kind, path from errors order by kind").to_pylist()
    assert [k["kind"] for k in kinds] == ["media_empty", "not_media"]
    assert all(name in row["path"] for name, row in zip(["empty.mp4", "text.mp4"], kinds, strict=True))


def test_a_rerun_computes_nothing_and_still_counts_failures(media: Path, tmp_path: Path) -> None:
    lake, _ = run(media, tmp_path / "lake")
    rows = lake.table("frames").num_rows
    lake, again = run(media, tmp_path / "lake")
    assert (again.analyzed, again.unchanged, again.failed, again.exit_code) == (0, 3, 2, 1)
    assert again.frames == 0
    assert lake.table("frames").num_rows == rows
    assert lake.query("select count(*) as n from errors")["n"][0].as_py() == 2


def test_a_new_analyzer_is_computed_alone(media: Path, tmp_path: Path) -> None:
    lake, _ = run(media, tmp_path / "lake", ("test_mean",))
    before = lake.query("select max(computed_at) as t from frames where analyzer = 'test_mean@1'")["t"][0].as_py()
    lake, second = run(media, tmp_path / "lake", ("test_mean", "test_vector"))
    assert second.analyzed == 3
    assert set(second.analyzer_seconds) == {"test_vector"}
    after = lake.query("select max(computed_at) as t from frames where analyzer = 'test_mean@1'")["t"][0].as_py()
    assert after == before
    assert lake.table("embeddings").num_rows > 0


def test_a_moved_file_is_known_and_a_changed_file_is_new(media: Path, tmp_path: Path) -> None:
    run(media, tmp_path / "lake", ("test_mean",))
    (media / "a.mp4").rename(media / "renamed \u00e9\n.mp4")
    make_clip(media / "b.mkv", lambda i: solid(200 - i), 6)
    lake, summary = run(media, tmp_path / "lake", ("test_mean",))
    assert (summary.analyzed, summary.unchanged) == (1, 2)
    assert lake.query("select count(*) as n from paths where path like '%renamed%'")["n"][0].as_py() == 1


def test_equal_content_under_two_names_is_analysed_once(media: Path, tmp_path: Path) -> None:
    shutil.copy(media / "a.mp4", media / "copy.mp4")
    lake, summary = run(media, tmp_path / "lake", ("test_mean",))
    assert summary.analyzed == 2 + 1 - 1 + 1  # a, b, tone; the copy is a second path of a
    found = lake.query("select count(*) as n from frames where analyzer = 'test_mean@1'")["n"][0].as_py()
    assert found == 12 + 8


@pytest.mark.parametrize(
    ("name", "kind"), [("fails", "internal_error"), ("breaches", "contract_breach"), ("gives_nan", "contract_breach")]
)
def test_a_failing_analyzer_costs_only_itself(tmp_path: Path, name: str, kind: str) -> None:
    make_clip(tmp_path / f"{name}.mp4", 6)
    lake, summary = run(tmp_path / f"{name}.mp4", tmp_path / "lake", ("test_mean", "test_trouble"), workers=0)
    assert summary.exit_code == 1
    assert [e.kind for e in summary.errors] == [kind]
    assert summary.errors[0].analyzer == "test_trouble@1"
    assert lake.query("select count(*) as n from frames where analyzer = 'test_mean@1'")["n"][0].as_py() == 6


def test_a_dying_worker_costs_the_file_it_held(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("1_fine", "2_dies", "3_fine", "4_fine"):
        make_clip(folder / f"{name}.mp4", lambda i, n=name: solid(len(n) * 3 + i + ord(n[0])), 5)
    _, summary = run(folder, tmp_path / "lake", ("test_trouble",), workers=1)
    assert (summary.analyzed, summary.failed) == (3, 1)
    assert summary.errors[0].kind == "media_crash"
    assert "SIGSEGV" in summary.errors[0].message
    _, again = run(folder, tmp_path / "lake", ("test_trouble",), workers=1)
    assert (again.analyzed, again.failed, again.unchanged) == (0, 1, 3)


def test_a_file_that_overstays_is_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    make_clip(folder / "sleeps.mp4", 5)
    make_clip(folder / "fine.mp4", 6)
    _, summary = run(folder, tmp_path / "lake", ("test_trouble",), workers=1, file_timeout_seconds=4)
    assert (summary.analyzed, summary.failed) == (1, 1)
    assert summary.errors[0].kind == "limit_exceeded"


def test_one_worker_and_many_give_equal_tables(media: Path, tmp_path: Path) -> None:
    columns = "media_id, analyzer, frame_index, pts_seconds, test_mean, test_step"
    tables = []
    for workers in (0, 2):
        lake, _ = run(media, tmp_path / f"lake{workers}", ("test_mean", "test_peak"), workers=workers)
        tables.append(lake.query(f"select {columns} from frames order by media_id, analyzer, frame_index"))
    assert tables[0].equals(tables[1])


def test_the_python_api_needs_no_main_guard(media: Path, tmp_path: Path) -> None:
    lake = mediaml.analyze(media, out=tmp_path / "lake", analyzers=["test_mean"], workers=1, derive=False)
    assert lake.table("frames").num_rows == 20
    assert os.environ["MEDIAML_PLUGINS"]


def test_a_truncated_file_keeps_its_rows_and_stays_an_error(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", 60, options={"crf": "1"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    lake, summary = run(cut, tmp_path / "lake", ("test_mean",), workers=0)
    assert [e.kind for e in summary.errors] == ["media_truncated"]
    assert 0 < lake.table("frames").num_rows < 60
    lake, summary = run(cut, tmp_path / "lake", ("test_mean", "test_vector"), workers=0)
    assert summary.exit_code == 1
    assert lake.query("select kind from errors")["kind"].to_pylist() == ["media_truncated"]
