"""The report: what is in it, what is escaped, and what happens where a lake lacks something."""

from __future__ import annotations

import re
import time
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mediaml.errors import InvalidValue, LakeMissing
from mediaml.media import MediaInfo
from mediaml.report import build_report, charts, text
from mediaml.report.model import Curve, Shot
from mediaml.report.pictures import choose
from mediaml.report.queries import read_catalogue
from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows, Lake, MediaRows
from tests.report_lake import NOW, make_lake, make_large_lake, media_id, stage_file, video_info

HOSTILE = "\"><script>alert(1)</script>'</title>\n\x07\u202egp4.<img src=x onerror=alert(2)>.mp4"


class Page(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str, name: str = "") -> int:
        return sum(t == tag and (not name or name in (a.get("class") or "").split()) for t, a in self.elements)


def page_of(lake: Lake, folder: Path, **settings: str) -> tuple[str, Page]:
    html = build_report(lake, folder / "report.html", **settings).read_text(encoding="utf-8")
    return html, Page(html)


def test_a_card_shows_everything_that_is_known(tmp_path: Path) -> None:
    html, page = page_of(make_lake(tmp_path / "lake", 4), tmp_path, title="Season 2")
    words = " ".join(page.texts)
    assert page.count("details", "card") == 4
    assert page.count("svg", "plot") == 4 * 4  # niqe, si, luma_mean, and both loudness series in one
    assert (
        sum(t == "img" and (a.get("src") or "").startswith("data:image/jpeg;base64,/9j/") for t, a in page.elements)
        == 24
    )
    for expected in (
        "Season 2",
        "clip_002.mp4",
        "48.0 s",
        "integrated_lufs",
        "LUFS",
        "8-bit code value",
        "HDR PQ",
        "VFR",
    ):
        assert expected in words, expected
    for expected in ("black picture for 1.0 s", "0:04.00", "meadow", "#1a4d33", "QuickTime / MOV", "MaxCLL 1,000"):
        assert expected in words, expected
    assert "spatial information of ITU-T P.910" in words  # the column's own description
    assert "http" not in re.sub(r'http-equiv="Content', "", html)  # nothing is loaded from anywhere


def test_errors_and_runs_are_shown(tmp_path: Path) -> None:
    _, page = page_of(make_lake(tmp_path / "lake", 2), tmp_path)
    words = " ".join(page.texts)
    assert page.count("tr", "problem") == 2
    for expected in ("/media/show/broken.mp4", "not_media", "no demuxer recognises", "brisque@1", "weights_absent"):
        assert expected in words, expected
    assert "niqe@2" in words
    assert "2026-01-31 18:04 UTC" in words


def test_hostile_text_is_escaped_everywhere(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    tags = {"</script><script>alert(3)</script>": "<b>x</b>"}
    note = (f"odd: {HOSTILE}",)
    lake.commit([stage_file(lake, f"/media/{HOSTILE}", 0, container_long=HOSTILE, tags=tags, warnings=note)])
    span = {
        "kind": [HOSTILE], "start_seconds": [0.0], "end_seconds": [1.0], "severity": [1.0], "confidence": [1.0],
        "evidence_seconds": [None], "message": [HOSTILE],
    }  # fmt: skip
    column = Column("note", "string", "text", HOSTILE, Table.FILES)
    rows = AnalyzerRows("evil@1", "", {Table.FILES: (column,)}, {Table.SPANS: span, Table.FILES: {"note": [HOSTILE]}})
    lake.commit([lake.stage(media_id(0), analyzers=[rows], computed_at=NOW)])
    html, page = page_of(lake, tmp_path, title=HOSTILE)
    assert page.count("script") == 1
    assert page.count("b") < 30 and not any(a.get("onerror") for _, a in page.elements)
    assert all(not name.startswith("on") and name != "style" for _, attrs in page.elements for name in attrs)
    assert sum(t == "img" and not (a.get("src") or "data:").startswith("data:") for t, a in page.elements) == 0
    assert "\\n\\x07\\u202e" in html  # made visible
    assert not set("\x00\x07\u202e") & set(html)


def test_the_policy_allows_only_our_own_style_and_script(tmp_path: Path) -> None:
    html, page = page_of(make_lake(tmp_path / "lake", 1), tmp_path)
    policy = next(a["content"] or "" for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2
    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_an_empty_lake_gives_a_report_that_says_so(tmp_path: Path) -> None:
    _, page = page_of(Lake.open(tmp_path / "lake", create=True), tmp_path)
    assert "No media in this lake yet" in " ".join(page.texts)
    assert page.count("details", "card") == 0


def test_absent_tables_and_columns_are_left_out(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    sound = MediaInfo("/media/song.wav", 10, "audio", "wav", "WAV", None, None, None, None)
    lake.commit([lake.stage(media_id(1), media=MediaRows(sound), computed_at=NOW)])
    still = {"frame_index": [0], "pts_seconds": [0.0], "sharpness": np.array([12.5], np.float32)}
    column = Column("sharpness", "float32", "code value", "variance of the Laplacian", Table.FRAMES)
    rows = AnalyzerRows("sharpness@1", "", {Table.FRAMES: (column,)}, {Table.FRAMES: still})
    lake.commit([lake.stage(media_id(2), analyzers=[rows], computed_at=NOW)])
    _, page = page_of(lake, tmp_path)
    words = " ".join(page.texts)
    assert page.count("details", "card") == 2
    assert page.count("svg", "plot") == 0
    assert "song.wav" in words and media_id(2)[:12] in words
    assert "12.5" in words and "sharpness" in words  # one frame has a value, not a curve
    assert "shots: not computed" in words


def test_unknown_frame_columns_are_charted_from_the_schema(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    column = Column("zebra_index", "float32", "stripes", "stripes a frame. More words", Table.FRAMES)
    rows = {
        "frame_index": range(50),
        "pts_seconds": [i / 25 for i in range(50)],
        "zebra_index": [float(i) for i in range(50)],
    }
    found = AnalyzerRows("zebra@1", "", {Table.FRAMES: (column,)}, {Table.FRAMES: rows})
    lake.commit([lake.stage(media_id(0), media=MediaRows(video_info("/z.mp4", 0, 2.0)), analyzers=[found])])
    _, page = page_of(lake, tmp_path)
    words = " ".join(page.texts)
    assert "zebra_index" in words and "mean 24.5 stripes" in words and "stripes a frame" in words
    assert "More words" not in words


def test_curves_keep_extremes_when_they_are_thinned(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    value = np.full(5000, 10.0, np.float32)
    value[1234] = 99.0
    column = Column("spiky", "float32", "1", "one spike", Table.FRAMES)
    rows = {"frame_index": np.arange(5000), "pts_seconds": np.arange(5000) / 25, "spiky": value}
    found = AnalyzerRows("spiky@1", "", {Table.FRAMES: (column,)}, {Table.FRAMES: rows})
    lake.commit([lake.stage(media_id(0), analyzers=[found])])
    (curve,) = read_catalogue(lake).files[0].curves
    assert len(curve.times) <= 240
    assert curve.high.max() == 99.0
    assert curve.low.min() == 10.0
    assert curve.times[int(curve.high.argmax())] == pytest.approx(1234 / 25, abs=1.0)


def test_numbers_for_sorting_are_the_means_and_facts_of_the_file(tmp_path: Path) -> None:
    _, page = page_of(make_lake(tmp_path / "lake", 2), tmp_path)
    numbers = [a["data-numbers"] or "" for t, a in page.elements if a.get("class") == "card"]
    assert '"duration":12.0' in numbers[0] and '"findings":2' in numbers[0]
    assert '"errors":1' in numbers[0] and '"errors":0' in numbers[1]
    assert '"pixels":921600' in numbers[0] and '"niqe":' in numbers[1]


def test_the_same_content_at_two_paths_is_one_card(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    for name in ("first", "second"):
        lake.commit([stage_file(lake, f"/media/{name}.mp4", 0)])
    _, page = page_of(lake, tmp_path)
    assert page.count("details", "card") == 1
    assert "also at /media/" in " ".join(page.texts)


@pytest.mark.slow
def test_five_hundred_files_are_quick_and_light(tmp_path: Path) -> None:
    lake = make_large_lake(tmp_path / "lake", 500, seconds=20.0, shots=8)
    started = time.process_time()
    out = build_report(lake, tmp_path / "report.html")
    assert time.process_time() - started < 6.0
    assert out.stat().st_size < 20e6
    assert out.read_bytes().count(b'<details class="card"') == 500


def test_an_unwritable_place_and_a_missing_lake_are_named(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidValue, match=r"cannot be written.*--out"):
        build_report(lake, tmp_path / "file" / "report.html")
    with pytest.raises(LakeMissing):
        build_report(tmp_path / "nowhere", tmp_path / "report.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "lake"]


def test_an_old_report_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = make_lake(tmp_path / "lake", 1)
    out = build_report(lake, tmp_path / "report.html")
    before = out.read_bytes()
    monkeypatch.setattr(charts, "plot", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_report(lake, out)
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake", "report.html"]


def test_pictures_stand_for_shots() -> None:
    shots = [Shot(0, 4), Shot(4, 6), Shot(6, 10)]
    assert choose([0.5, 1.9, 3.0, 4.2, 5.1, 9.0], shots, 10) == [1.9, 5.1, 9.0]
    assert choose([0.5, 9.0], shots, 10) == [0.5, 9.0]
    assert choose(list(range(100)), [], 4) == [12, 37, 62, 87]


def test_plots_are_exact_on_their_grid() -> None:
    values = np.array([0.0, 10.0, 5.0])
    curve = Curve("x", "1", "", np.array([0.0, 5.0, 10.0]), values, values, values)
    low, high = charts.limits([curve])
    svg = charts.plot([curve], 0, 10, "m0")
    (points,) = re.findall(r'class="line c0" d="M(-?\d+) (-?\d+)l([^"]+)"', svg)
    x, y = int(points[0]), int(points[1])
    found = [(x, y)]
    steps = [int(n) for n in re.findall(r"-?\d+", points[2])]
    for dx, dy in zip(steps[::2], steps[1::2], strict=True):
        x, y = x + dx, y + dy
        found.append((x, y))
    assert [p[0] for p in found] == [0, 300, 600]
    assert [high - p[1] / 100 * (high - low) for p in found] == pytest.approx([0, 10, 5], abs=0.06)


def test_silence_does_not_flatten_the_loudness_scale() -> None:
    level = np.array([-120.0, -23.0])
    assert charts.limits([Curve("m", "LUFS", "", np.array([0.0, 1.0]), level, level, level)])[0] > -73


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0:00.00"),
        (59.999, "1:00.00"),
        (3661.5, "1:01:01.50"),
        (-1.25, "-0:01.25"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_timecodes(value: float | None, expected: str) -> None:
    assert text.timecode(value) == expected


def test_other_words_for_numbers() -> None:
    assert [text.number(v) for v in (0.12345, 12.0, 1234.5, 0.00001234, None)] == [
        "0.1235",
        "12",
        "1,234",
        "1.23e-05",
        "–",
    ]
    assert [text.brief(v) for v in (0.012345, 5.0, 123.4, -23.04, 0)] == ["0.0123", "5.00", "123", "-23.0", "0"]
    assert [text.scaled(v, "B") for v in (0, 999, 1000, 12_345_678, None)] == ["0 B", "999 B", "1.0 kB", "12.3 MB", "–"]
    assert [text.duration(v) for v in (5.25, 65, 7300)] == ["5.2 s", "1 min 05 s", "2 h 01 min"]
    assert text.moment(datetime(2026, 1, 2, 3, 4)) == "2026-01-02 03:04 UTC"
    assert text.safe("日本語 🎬 é\u3000x") == "日本語 🎬 é\u3000x"
    assert text.safe("a\r\n\u2028\udcff") == "a\\r\\n\\u2028\\udcff"
