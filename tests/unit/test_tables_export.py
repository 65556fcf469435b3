"""Export to JSON, CSV and Parquet, and the `mediaml tables` commands."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mediaml.cli.tables import _show, app
from mediaml.errors import InvalidValue, LakeMissing, QueryError, UnknownName
from mediaml.media import AudioStream, HdrInfo, MediaInfo, OtherStream, VideoStream
from mediaml.tables import Lake, MediaRows, PathRow
from mediaml.tables.export import ExportFormat, dump, export
from tests.unit.lakes import luma, media_id

HOSTILE = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\tx", 'say "hi",\nthere', "plain", None]


@pytest.fixture
def table() -> pa.Table:
    return pa.table(
        {
            "text": HOSTILE,
            "number": pa.array([-1.5, float("nan"), float("inf"), None, 0.1, 1.0, 2.0, 3.0]),
            "when": pa.array([datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)] * 8, pa.timestamp("us", "UTC")),
            "vector": pa.array([[1.0, 2.0]] * 8, pa.list_(pa.float32(), 2)),
            "raw": pa.array([b"\xff\x00"] * 8),
            "=header": list(range(8)),
        }
    )


def written(table: pa.Table, format: str) -> bytes:
    out = io.BytesIO()
    dump(table, out, format)  # type: ignore[arg-type]
    return out.getvalue()


def test_csv_is_safe_to_open_in_a_spreadsheet(table: pa.Table) -> None:
    rows = list(csv.reader(io.StringIO(written(table, "csv").decode(), newline="")))
    assert rows[0] == ["text", "number", "when", "vector", "raw", "'=header"]
    safe = ["'=cmd|' /C calc'!A0", "'+1", "'-2+3", "'@SUM(A1)", "'\tx", 'say "hi",\nthere', "plain", ""]
    assert [r[0] for r in rows[1:]] == safe
    assert [r[1] for r in rows[1:]] == ["-1.5", "", "", "", "0.1", "1.0", "2.0", "3.0"]
    assert rows[1][2:] == ["2024-01-02T03:04:05Z", "[1.0, 2.0]", "/wA=", "0"]


def test_json_is_valid_and_whole(table: pa.Table) -> None:
    rows = json.loads(written(table, "json"))
    assert [r["text"] for r in rows] == HOSTILE
    assert [r["number"] for r in rows[:4]] == [-1.5, None, None, None]
    assert (rows[0]["when"], rows[0]["vector"], rows[0]["raw"]) == ("2024-01-02T03:04:05Z", [1.0, 2.0], "/wA=")
    assert json.loads(written(table.slice(0, 0), "json")) == []


def test_parquet_keeps_types_and_units(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    lake.commit([lake.stage(media_id("a"), analyzers=[luma()])])
    found = lake.table("frames")
    export(found, tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").equals(found, check_metadata=True)


def test_a_file_that_cannot_be_written_is_named(table: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="nowhere"):
        export(table, tmp_path / "nowhere" / "x.csv")
    with pytest.raises(InvalidValue, match="'xlsx' must be one of json, csv, parquet"):
        export(table, tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.open(tmp_path / "lake", create=True)
    name = "/a\n[bold]\x1b[31m.mp4"
    made.commit([made.stage(media_id("a"), analyzers=[luma(value=0.125)], path=PathRow(name, 1, 1))])
    return made


@pytest.fixture
def call(lake: Lake) -> Callable[..., Result]:
    def run(command: str, *more: str) -> Result:
        return CliRunner().invoke(app, [command, str(lake.path), *more], env={"COLUMNS": "200"})

    return run


def test_list_and_describe(call: Callable[..., Result]) -> None:
    listed = {t["name"]: t for t in json.loads(call("list", "--json").stdout)}
    assert (listed["frames"]["rows"], listed["frames"]["parts"], listed["shots"]["rows"]) == (3, 1, 0)
    assert "embeddings" in call("list").stdout
    described = {c["name"]: c for c in json.loads(call("describe", "frames", "--json").stdout)}
    assert described["luma_mean"] == {
        "name": "luma_mean",
        "dtype": "float32",
        "unit": "1",
        "minimum": 0,
        "maximum": 1,
        "description": "mean luma",
        "source": "luma@1 (a test)",
    }
    assert "0..1" in call("describe", "frames").stdout


def test_query_and_export(call: Callable[..., Result], tmp_path: Path) -> None:
    assert json.loads(call("query", "SELECT count(*) AS n FROM frames", "-f", "json").stdout) == [{"n": 3}]
    assert call("export", "frames", "-c", "luma_mean", "-f", "csv").stdout.splitlines() == ["luma_mean", *["0.125"] * 3]
    limited = call("query", "SELECT pts_seconds FROM frames ORDER BY 1", "--limit", "2")
    assert limited.stdout.split() == ["pts_seconds", "0", "0.04"]
    target = tmp_path / "out.parquet"
    assert call("export", "frames", "--where", "frame_index > 0", "-o", str(target)).exit_code == 0
    assert pq.read_table(target).num_rows == 2


def test_foreign_text_cannot_steer_the_terminal(call: Callable[..., Result]) -> None:
    shown = call("export", "paths", "-c", "path").stdout
    assert "\x1b" not in shown
    assert "[bold]" in shown


@pytest.mark.parametrize("format", ["csv", "json"])
def test_what_programs_read_cannot_steer_a_terminal_either(
    format: ExportFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    _show(pa.table({"path": ["a\x1b[31mb\x9b2Jc", "d"]}), format)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x9b" not in shown
    assert "[31mb" in shown and len(shown.splitlines()) > 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["query", "COPY frames TO 'x'"], QueryError),
        (["describe", "frame"], UnknownName),
        (["export", "frames", "-f", "table", "-o", "x"], InvalidValue),
    ],
)
def test_bad_use_is_a_typed_error(call: Callable[..., Result], arguments: list[str], error: type) -> None:
    assert isinstance(call(*arguments).exception, error)


def test_no_lake_says_how_to_make_one(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["list", str(tmp_path / "none")])
    assert isinstance(found.exception, LakeMissing)


def test_probed_facts_become_media_and_stream_rows(tmp_path: Path) -> None:
    primaries = ((0.7, 0.3), (0.2, 0.8), (0.1, 0.05), (0.31, 0.33))
    video = VideoStream(
        index=1,
        codec="hevc",
        profile="Main 10",
        level=153,
        width=3840,
        height=2160,
        display_width=2160,
        display_height=3840,
        sample_aspect_ratio=Fraction(4, 3),
        rotation_degrees=90,
        mirrored=False,
        field_order="progressive",
        frame_rate=float("inf"),
        frame_rate_nominal=25.0,
        variable_frame_rate=None,
        pixel_format="yuv420p10le",
        bit_depth=10,
        chroma="420",
        has_alpha=False,
        matrix="bt2020nc",
        range="limited",
        transfer="smpte2084",
        primaries="bt2020",
        chroma_location=None,
        hdr=HdrInfo(max_cll=1000.0, mastering_primaries=primaries),
        bitrate_bps=None,
        start_seconds=0.0,
        duration_seconds_header=None,
        frames_header=None,
        key_frame_interval_seconds=None,
        default=True,
    )
    audio = AudioStream(0, "aac", "LC", 48000, 2, "stereo", "fltp", None, 128_000, 0.0, None)
    text = OtherStream(2, "subtitle", "subrip", "de")
    info = MediaInfo("/f", 9, "video", "mov", "QuickTime", 1, 0.0, None, 4.5, (video,), (audio,), (text,))
    lake = Lake.open(tmp_path / "lake", create=True)
    lake.commit([lake.stage(media_id("f"), media=MediaRows(info))])
    (media,) = lake.table("media").to_pylist()
    assert (media["video_codec"], media["display_height"], media["channels"], media["other_streams"]) == (
        "hevc",
        3840,
        2,
        1,
    )
    rows = lake.table("streams").to_pylist()
    assert [(r["stream_index"], r["type"], r["codec"]) for r in rows] == [
        (0, "audio", "aac"),
        (1, "video", "hevc"),
        (2, "subtitle", "subrip"),
    ]
    assert rows[1]["sample_aspect_ratio"] == pytest.approx(4 / 3)
    assert (rows[1]["frame_rate"], rows[1]["max_cll"], rows[1]["is_default"]) == (None, 1000.0, True)
    assert json.loads(rows[1]["mastering_primaries"])[0] == [0.7, 0.3]
    assert (rows[0]["layout"], rows[0]["width"], rows[2]["language"]) == ("stereo", None, "de")
    assert lake.keys(media_id("f"))[0].analyzer == "probe@1"
