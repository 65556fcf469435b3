"""The report of a score: what is in it, that the pictures are the frames they claim to be, and what is escaped."""

from __future__ import annotations

import base64
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml import weights
from mediaml.engine.pooling import Limit
from mediaml.engine.score.pair import score
from mediaml.engine.score.result import ScoreResult
from mediaml.errors import InvalidValue, WeightsAbsent
from mediaml.report.score import build_score_report
from mediaml.report.score_alignment import events
from mediaml.report.score_curves import thinned
from mediaml.report.score_pictures import worst_pictures
from tests.clips import Picture, make_clip, solid

HOSTILE = "\"><script>alert(1)</script>'</title><img src=x onerror=alert(2)>.mkv"
SECTIONS = ("figures", "time", "pooled", "shots", "worst", "alignment", "methods", "files")


class Page(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.words = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [a[name] or "" for t, a in self.elements if t == tag and name in a]

    def classes(self, tag: str) -> list[str]:
        return [c for value in self.values(tag, "class") for c in value.split()]


def scene(index: int) -> Picture:
    """Blobs that wander: every frame is unlike the others, and codes well enough to be aligned."""
    y, x = np.mgrid[0:96, 0:128].astype(np.float32)
    picture = np.full((96, 128, 3), 40, np.float32)
    for i in range(5):
        cx, cy = 64 + 50 * np.sin(index * 0.21 + i * 1.7), 48 + 36 * np.cos(index * 0.17 + i * 2.3)
        picture += (170 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 160))[..., None] * np.eye(3)[i % 3]
    return picture.clip(0, 255).astype(np.uint8)


def lossless(path: Path, pictures: list[Picture], pix_fmt: str = "yuv420p") -> Path:
    return make_clip(path, pictures, codec="ffv1", pix_fmt=pix_fmt)


def page_of(result: ScoreResult, folder: Path, **settings: object) -> tuple[str, Page]:
    html = build_score_report(result, folder / "score.html", **settings).read_text(encoding="utf-8")  # type: ignore[arg-type]
    return html, Page(html)


def decoded(uri: str) -> NDArray:
    """(H, W, 3) RGB of a data URI."""
    content = base64.b64decode(uri.split(",", 1)[1])
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ScoreResult:
    """40 of 46 frames: three left out at the head, three in the middle."""
    folder = tmp_path_factory.mktemp("pair")
    reference = lossless(folder / "source.mkv", [scene(i) for i in range(46)])
    kept = [*range(3, 20), *range(23, 46)]
    distorted = make_clip(folder / "encode.mp4", [scene(i) for i in kept], options={"crf": "38"})
    return score(distorted, reference, ["psnr_y", "ssim"], shots=[(0.0, 0.6), (0.6, 1.6)], device="cpu")


def test_every_section_is_there_with_its_figures(result: ScoreResult, tmp_path: Path) -> None:
    _, page = page_of(result, tmp_path)
    assert page.values("section", "id") == list(SECTIONS)
    pooled = result["psnr_y"]
    for value in (pooled.mean, pooled.harmonic_mean, *(pooled.percentiles[n] for n in (1, 5, 10)), pooled.min):
        assert f"{value:.4f}" in page.words
    assert f"{pooled.worst_second.value:.4f} at 0:0{pooled.worst_second.start_seconds:.2f}" in page.words
    assert f"psnr_y, mean {pooled.mean:.2f}" in page.words
    assert "encode.mp4 against source.mkv" in page.words
    for shot, name in product(result.shots, ("psnr_y", "ssim")):
        assert f"{shot.pooled[name].mean:.4f}" in page.words
    assert page.classes("tr").count("worst") == 1
    assert page.classes("article").count("frame") == len(result.worst) == len(page.values("input", "type"))
    assert page.classes("svg").count("histogram") == 2
    assert page.classes("svg").count("plot") == 2 + 2  # the metrics; the path and its lag
    for told in ("psnr@1", "ssim@1", "PSNR of Y; convention libvmaf: capped", "Wang, Bovik"):
        assert told in page.words, told
    assert result.distorted.path in page.words
    for fact in (
        "128 × 96",
        "yuv420p, 8 bit",
        "h264",
        "ffv1",
        "40 of 40 frames aligned",
        "limited, codes 0..255 (8 bit)",
    ):
        assert fact in page.words, fact


def test_nothing_is_loaded_and_only_our_own_code_runs(result: ScoreResult, tmp_path: Path) -> None:
    html, page = page_of(result, tmp_path)
    assert all(src.startswith("data:image/") for src in page.values("img", "src"))
    assert all(link.startswith("#") for link in page.values("a", "href"))
    policy = next(a["content"] or "" for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    assert all(name != "style" and not name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert len(html) < 2_000_000


def test_the_pictures_are_the_worst_frames(result: ScoreResult, tmp_path: Path) -> None:
    gallery = worst_pictures(result)
    assert gallery.problem == ""
    assert [p.worst for p in gallery.pictures] == result.worst
    for side, path in enumerate((result.distorted.path, result.reference.path)):
        with av.open(path) as container:
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        for p in gallery.pictures:
            number = (p.worst.frame_index, p.worst.reference_index)[side]
            whole = decoded((p.distorted, p.reference)[side])
            errors = [np.abs(whole.astype(int) - f).mean() for f in frames]
            assert int(np.argmin(errors)) == number
            assert errors[number] < 4
            assert (
                np.abs(decoded(p.detail[side]).astype(int) - frames[number]).mean() < 3
            )  # the detail is the whole here


def test_the_error_map_shows_where_and_how_much(tmp_path: Path) -> None:
    pictures = [np.full((200, 400, 3), 100, np.uint8) + scene(i)[:1, :1] // 4 for i in range(12)]
    spoiled = [p.copy() for p in pictures]
    for p in spoiled:
        p[150:170, 300:330] += 60
    files = [lossless(tmp_path / n, f, "yuv420p10le") for n, f in (("d.mkv", spoiled), ("r.mkv", pictures))]
    gallery = worst_pictures(score(*files, ["psnr_y"], align=False, device="cpu"))
    first = gallery.pictures[0]
    assert first.peak_error == pytest.approx(60 * 219 / 255, abs=1.5)  # in 8-bit codes of limited range
    assert first.mean_error == pytest.approx(first.peak_error * 20 * 30 / (200 * 400), rel=0.1)
    assert gallery.gain == 4
    box = first.detail_at
    assert box.x < 300 / 400 < 330 / 400 < box.x + box.width
    assert box.y < 150 / 200 < 170 / 200 < box.y + box.height
    shown = decoded(first.error).astype(int).sum(axis=-1)
    assert shown[155:165, 305:325].mean() > 300 and shown[:100, :200].mean() < 20


def test_hdr_is_shown_tone_mapped(tmp_path: Path) -> None:
    """PQ code 0.58 is 203 cd/m2, the reference white of BT.2408."""
    pq = {"color_trc": 16, "colorspace": 9, "color_primaries": 9}
    settings = {"codec": "ffv1", "pix_fmt": "yuv420p10le", "colour": pq}
    files = [make_clip(tmp_path / n, [solid(level)] * 2, **settings) for n, level in (("d.mkv", 148), ("r.mkv", 140))]
    gallery = worst_pictures(score(*files, ["psnr_y"], align=False, device="cpu"))
    assert decoded(gallery.pictures[0].distorted).mean() > 180


def test_the_pictures_stand_upright(tmp_path: Path) -> None:
    """A turned and a widened file: the page shows them as a player does."""
    reference = lossless(tmp_path / "r.mkv", [scene(i) for i in range(3)])
    result = score(reference, reference, ["psnr_y"], align=False, device="cpu")
    upright = decoded(worst_pictures(result).pictures[0].reference).astype(int)
    video = result.reference.video
    sideways = replace(video, rotation_degrees=90, display_width=96, display_height=256)  # samples half as wide as high
    result.plan = replace(
        result.plan, reference=replace(result.reference, media=replace(result.reference.media, video=(sideways,)))
    )
    picture = worst_pictures(result).pictures[0]
    assert (picture.width, picture.height) == (48, 128)
    shown = cv2.resize(decoded(picture.reference), (96, 128))
    assert np.abs(shown - np.rot90(upright, -1)).mean() < 6


def test_identical_files_give_a_black_map(tmp_path: Path) -> None:
    file = lossless(tmp_path / "a.mkv", [scene(i) for i in range(6)])
    result = score(file, file, ["psnr_y"], device="cpu")
    gallery = worst_pictures(result)
    assert all(p.peak_error == 0 and decoded(p.error).max() < 12 for p in gallery.pictures)
    assert page_of(result, tmp_path)[1].classes("rect").count("k0") == 0  # under a second long: no worst one
    assert page_of(result, tmp_path)[1].values("section", "id") == [s for s in SECTIONS if s != "shots"]


def test_jumps_of_the_alignment_are_listed(result: ScoreResult, tmp_path: Path) -> None:
    found = result.plan.alignment
    assert found is not None
    listed = list(events(found))
    assert sum(e.frames for e in listed if e.kind == "drop") == found.summary.dropped_frames == 3
    assert [e.frame_index for e in listed] == [17]
    _, page = page_of(result, tmp_path)
    assert "3 reference frames left out before it" in page.words
    assert page.classes("svg").count("path") == 1
    assert [c for c in page.classes("path") if c == "drop"] == ["drop"]
    assert page.classes("rect").count("unshown") == 1  # the head of the reference


def test_freezes_repeats_and_unmatched_frames_are_told_apart(result: ScoreResult) -> None:
    found = result.plan.alignment
    assert found is not None
    index = found.reference_index.copy()
    index[5:8] = index[4]
    index[30:34] = -1
    listed = list(events(replace(found, reference_index=index)))
    assert [(e.kind, e.frame_index, e.frames) for e in listed] == [
        ("freeze", 5, 3), ("drop", 17, 3), ("none", 30, 4), ("drop", 34, 4),
    ]  # fmt: skip
    index[8:] -= 2  # the picture stands for three frames and then goes on one frame further: two lost for good
    assert [(e.kind, e.frame_index, e.frames) for e in events(replace(found, reference_index=index))][:2] == [
        ("repeat", 5, 3), ("drop", 8, 1),
    ]  # fmt: skip


def test_one_frame_each(tmp_path: Path) -> None:
    files = [make_clip(tmp_path / n, [scene(0)], options={"crf": c}) for n, c in (("d.mp4", "45"), ("r.mp4", "5"))]
    _, page = page_of(score(*files, ["psnr_y"], device="cpu"), tmp_path)
    assert page.values("section", "id") == ["figures", "pooled", "worst", "alignment", "methods", "files"]
    assert page.classes("article") == ["frame"]
    assert "frames compared 1" in page.words


def test_hostile_names_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "<b>folder"
    folder.mkdir()
    name = HOSTILE.replace("/", "∕")  # a name cannot hold a slash
    files = [lossless(folder / f"{n}{name}", [scene(i) for i in range(3)]) for n in "dr"]
    result = score(*files, ["psnr_y"], align=False, device="cpu")
    result.notes.append(HOSTILE)
    result.failed["evil"] = HOSTILE
    for title in (None, HOSTILE):
        html, page = page_of(result, tmp_path, title=title, limits=Limit.parse("<i>x</i>=3"))
        assert sum(tag == "script" for tag, _ in page.elements) == 1
        assert all(not n.startswith("on") for _, attrs in page.elements for n in attrs)
        assert "<b>folder" not in html and "<i>x" not in html
        assert "<script>alert(1)" in page.words


@pytest.mark.weights
def test_the_model_is_named_with_its_checksum(result: ScoreResult, tmp_path: Path) -> None:
    try:
        scored = score(result.distorted.path, result.reference.path, ["vmaf"], device="cpu")
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")
    html, page = page_of(scored, tmp_path)
    assert weights.describe("vmaf_v0_6_1").sha256 in html
    assert page.classes("tr").count("part") == len(scored.columns) - 1 > 5


def test_limits_are_judged(result: ScoreResult, tmp_path: Path) -> None:
    limits = Limit.parse("psnr_y=1,p5:psnr_y=101,vmaf=30")
    _, page = page_of(result, tmp_path, limits=limits)
    assert "2 of 3 limits missed" in page.words
    assert f"mean of psnr_y at least 1 {result['psnr_y'].mean:.4f} met" in page.words
    assert f"p5 of psnr_y at least 101 {result['psnr_y'].percentiles[5]:.4f} missed" in page.words
    assert "mean of vmaf at least 30 no score missed" in page.words
    assert "limit met" in page_of(result, tmp_path, limits=limits[:1])[1].words


def test_a_file_that_is_gone_leaves_its_pictures_out(result: ScoreResult, tmp_path: Path) -> None:
    moved = Path(result.distorted.path)
    moved.rename(tmp_path / "away.mp4")
    try:
        _, page = page_of(result, tmp_path)
    finally:
        (tmp_path / "away.mp4").rename(moved)
    assert "the pictures could not be read again" in page.words
    assert page.classes("article") == []
    assert page.values("section", "id") == list(SECTIONS)


def test_where_it_cannot_be_written(result: ScoreResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match=r"cannot be written.*--html"):
        build_score_report(result, tmp_path / "file" / "score.html")


def test_thinning_keeps_extremes_and_leaves_nan_out() -> None:
    values = np.arange(10_000.0)
    values[5000] = -7.0
    values[100:200] = np.nan
    curve = thinned("x", "1", "", np.arange(10_000) / 25, values, points=100)
    assert len(curve.times) == 100
    assert curve.low.min() == -7.0 and curve.high.max() == 9999.0
    assert (curve.low <= curve.mean).all() and (curve.mean <= curve.high).all()
    assert (np.diff(curve.times) > 0).all()
