"""`mediaml probe`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mediaml.cli import probe
from tests.clips import make_clip, sine


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    probe.register(app)
    return app


def test_a_table_for_people(app: typer.Typer, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a [bold] name.mp4", 25, audio=sine(1.0))
    result = CliRunner().invoke(app, ["probe", str(path)])
    assert result.exit_code == 0
    for text in ("[bold] name", "h264", "64x48", "25 fps", "constant", "yuv420p", "48000 Hz", "stereo", "content"):
        assert text in result.stdout


def test_json_of_one_file_is_an_object(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["probe", str(make_clip(tmp_path / "a.mp4", 25)), "--json"])
    record = json.loads(result.stdout)
    assert (result.exit_code, record["kind"], record["video"][0]["frame_rate"]) == (0, "video", 25.0)


def test_a_bad_file_does_not_hide_the_others(app: typer.Typer, tmp_path: Path) -> None:
    good = make_clip(tmp_path / "good.mp4", 5)
    (tmp_path / "bad.mp4").write_text("no media")
    files = [str(tmp_path / "gone.mp4"), str(tmp_path / "bad.mp4"), str(good)]
    result = CliRunner().invoke(app, ["probe", *files])
    assert result.exit_code == 1 and "good.mp4" in result.stdout and "h264" in result.stdout
    assert "gone.mp4: no such file" in result.stderr and "bad.mp4: holds text" in result.stderr
    result = CliRunner().invoke(app, ["probe", "--json", *files])
    records = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [r.get("error", {}).get("kind") for r in records] == ["media_missing", "not_media", None]


def test_names_that_are_not_utf8(app: typer.Typer) -> None:
    assert probe.encodable("a\udcff.mp4") == "a\\udcff.mp4"
