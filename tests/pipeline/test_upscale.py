"""`mediaml upscale` on files: times, copied streams, resuming, refusals."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet
from PIL import Image
from typer.testing import CliRunner

import mediaml.engine.upscale.video as engine
from mediaml.cli import _register, app
from mediaml.engine.upscale.enlarging import AHEAD, waiting
from mediaml.engine.upscale.evaluate import evaluate
from mediaml.engine.upscale.photos import upscale_photos
from mediaml.engine.upscale.plan import UpscaleSettings
from mediaml.engine.upscale.video import upscale
from mediaml.errors import InvalidValue, MediaError, OutputUnwritable, UnknownName
from mediaml.report.upscale import write_upscale_report
from tests.clips import gradient, make_clip, sine
from tests.unit.test_mediaml_sr import saved

Settings = Callable[..., UpscaleSettings]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a small network of the tests' own."""
    path = saved(tmp_path_factory.mktemp("net") / "net.safetensors")
    return lambda **changed: UpscaleSettings(**({"model": str(path), "preset": "ultrafast", "workers": 2} | changed))


def times(path: Path) -> dict[str, list[Fraction]]:
    """Presentation times of every packet, in order, by the type of stream."""
    found: dict[str, list[Fraction]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is not None:
                found.setdefault(packet.stream.type, []).append(packet.pts * packet.time_base)
    return {kind: sorted(values) for kind, values in found.items()}


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray() for f in container.decode(video=0)]


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_twenty_minutes_keep_every_time(tmp_path: Path, settings: Settings) -> None:
    """Zero drift: 20 minutes of sound and irregularly timed pictures come out with the times that went in."""
    rng = np.random.default_rng(0)
    pts = np.cumsum(rng.integers(20, 60, 610)).tolist()  # in 1 / 20 s: 2 s apart on average
    sound = np.tile(sine(1.0, rate=8000, channels=1), (1, 1220))
    source = make_clip(
        tmp_path / "in.mp4", lambda i: gradient(i, 32, 32), 610,
        fps=20, pts=pts, audio=sound, audio_rate=8000, options={"bf": "0", "preset": "ultrafast"},
    )  # fmt: skip
    out = tmp_path / "out.mp4"
    result = upscale(source, out, settings())
    before, after = times(source), times(out)
    assert result.frames == len(before["video"]) == 610
    assert before["video"][-1] > 1180
    assert after == before
    with av.open(str(source)) as a, av.open(str(out)) as b:
        assert a.duration == b.duration
        assert [s.duration * s.time_base for s in a.streams.audio] == [
            s.duration * s.time_base for s in b.streams.audio
        ]
        assert b.streams.video[0].width == 64
    assert leftovers(tmp_path) == []


def rich_source(path: Path) -> Path:
    """Video, sound with a language, subtitles, a chapter, an attachment, a title, anamorphic pixels, bt2020 PQ 10-bit."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=none:pools=1"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p10le"
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        video.codec_context.colorspace, video.codec_context.color_trc = 9, 16
        video.codec_context.color_primaries, video.codec_context.color_range = 9, 1
        sound: Any = out.add_stream("flac", rate=48000, layout="stereo")
        sound.metadata["language"] = "fin"
        out.metadata["title"] = "A title"
        out.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font")
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(gradient(i), format="rgb24").reformat(format="yuv420p10le")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 4096), np.int16), format="s16", layout="stereo")
        block.sample_rate, block.pts, block.time_base = 48000, 0, Fraction(1, 48000)
        out.mux(sound.encode(block))
        out.mux(sound.encode(None))
    return path


def test_everything_beside_the_picture_is_kept(tmp_path: Path, settings: Settings) -> None:
    source, out = rich_source(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    upscale(source, out, settings(codec="libx265"))
    with av.open(str(source)) as a, av.open(str(out)) as b:
        assert [s.type for s in b.streams] == [s.type for s in a.streams]
        assert b.metadata["title"] == "A title"
        assert b.streams.audio[0].metadata["language"] == "fin"
        assert [c["metadata"]["title"] for c in b.chapters()] == ["One"]
        assert next(s for s in b.streams if s.type == "attachment").data == b"not really a font"
        context = b.streams.video[0].codec_context
        assert (context.width, context.height, context.pix_fmt) == (128, 96, "yuv420p10le")
        assert context.sample_aspect_ratio == Fraction(4, 3)
        frame = next(b.decode(video=0))
        assert (frame.colorspace, frame.color_trc, frame.color_primaries, frame.color_range) == (9, 16, 9, 1)
    assert times(out) == times(source)


def captioned(path: Path) -> Path:
    """Ten pictures and two lines of 3GPP timed text, in German."""
    line = "0,0,Default,,0,0,0,,{words}"
    header = av.CodecContext.create("subrip", "r")
    header.open()
    with av.open(str(make_clip(path.with_name("plain.mp4"), 10))) as clip, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(clip.streams.video[0])
        text: Any = out.add_stream("mov_text")
        text.metadata["language"] = "deu"
        text.codec_context.subtitle_header = header.subtitle_header  # type: ignore[attr-defined]
        for packet in clip.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for start, words in ((40, r"Grüße {\b1}laut{\b0}\N你好"), (240, "Ende")):
            shown = SubtitleSet.create(line.format(words=words).encode(), 0, 120, start)
            packet = av.Packet(bytes(text.codec_context.encode_subtitle(shown)))
            packet.pts, packet.dts, packet.duration, packet.time_base = start, start, 120, Fraction(1, 1000)
            packet.stream = text
            out.mux(packet)
    return path


def test_subtitles_become_the_new_containers_text(tmp_path: Path, settings: Settings) -> None:
    """MP4's timed text in Matroska, and from there in MP4 again."""
    source = captioned(tmp_path / "in.mp4")
    matroska, again = tmp_path / "out.mkv", tmp_path / "again.mp4"
    upscale(source, matroska, settings())
    upscale(matroska, again, settings())
    shown: dict[str, list[tuple[float, float, str]]] = {".mkv": [], ".mp4": []}
    for path in (matroska, again):
        with av.open(str(path)) as container:
            stream = container.streams.subtitles[0]
            assert stream.metadata["language"] == "deu"
            for packet in container.demux(stream):
                for part in stream.decode(packet) if packet.size > 2 else ():
                    at = float(packet.pts * packet.time_base), float(packet.duration * packet.time_base)
                    shown[path.suffix].append((*at, part.ass.decode().split(",", 8)[-1]))
    assert [(s, d) for s, d, _ in shown[".mkv"]] == [(0.04, 0.12), (0.24, 0.12)]
    assert [w for *_, w in shown[".mkv"]] == ["Grüße {\\b1}laut{\\b0}\\N你好", "Ende"]
    assert [(s, d, w.replace(r"{\r}", r"{\b0}")) for s, d, w in shown[".mp4"]] == shown[".mkv"]


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SEGMENT_FRAMES", 10)
    source, out = make_clip(tmp_path / "in.mp4", 35, options={"bf": "2"}), tmp_path / "out.mp4"
    whole = tmp_path / "whole.mp4"
    upscale(source, whole, settings())

    def stop(done: int, _total: int | None) -> None:
        if done == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(source, out, settings(), progress=stop)
    assert not out.exists()
    result = upscale(source, out, settings())
    assert (result.frames, result.frames_resumed) == (35, 20)
    assert times(out) == times(source)
    for one, other in zip(pictures(out), pictures(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    assert leftovers(tmp_path) == []


def test_an_interruption_keeps_the_segment_that_is_being_finished(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SEGMENT_FRAMES", 10)
    finish, slow = engine.SegmentWriter.finish, threading.Event()

    def finish_late(writer: engine.SegmentWriter) -> None:
        slow.wait(5)
        finish(writer)

    monkeypatch.setattr(engine.SegmentWriter, "finish", finish_late)
    source, out = make_clip(tmp_path / "in.mp4", 15), tmp_path / "out.mp4"

    def stop(done: int, _total: int | None) -> None:
        if done == 12:
            slow.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(source, out, settings(), progress=stop)
    result = upscale(source, out, settings())
    assert (result.frames, result.frames_resumed) == (15, 10)
    assert times(out) == times(source)


def test_large_pictures_do_not_pile_up() -> None:
    assert waiting((1280, 720)) == AHEAD
    assert waiting((7680, 4320)) == 2
    assert waiting((15360, 8640)) == 1


def test_other_settings_begin_anew(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SEGMENT_FRAMES", 5)
    source, out = make_clip(tmp_path / "in.mp4", 12), tmp_path / "out.mp4"

    def stop(done: int, _total: int | None) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(source, out, settings(), progress=stop)
    assert upscale(source, out, settings(crf=30.0)).frames_resumed == 0


def test_a_full_disk_keeps_what_is_done_and_nothing_under_the_name(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = make_clip(tmp_path / "in.mp4", 6), tmp_path / "out.mp4"
    monkeypatch.setattr(
        engine, "join", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
    )
    with pytest.raises(OutputUnwritable, match="disk is full; 6 frames are kept"):
        upscale(source, out, settings())
    assert not out.exists()
    monkeypatch.undo()
    assert upscale(source, out, settings()).frames_resumed == 6
    assert len(times(out)["video"]) == 6


def test_where_no_segment_was_finished_nothing_is_left(tmp_path: Path, settings: Settings) -> None:
    def stop(_done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    source = make_clip(tmp_path / "in.mp4", 3)
    with pytest.raises(KeyboardInterrupt):
        upscale(source, tmp_path / "out.mp4", settings(), progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("scale", [2, 4])
def test_one_odd_sized_frame(tmp_path: Path, settings: Settings, scale: int) -> None:
    source = make_clip(tmp_path / "in.mkv", [gradient(0, 33, 21)], codec="ffv1", pix_fmt="yuv444p")
    upscale(source, tmp_path / "out.mkv", settings(codec="ffv1", scale=scale, preset=None))
    (shown,) = pictures(tmp_path / "out.mkv")
    assert shown.shape == (3, 21 * scale, 33 * scale)


def test_interlaced_video_is_refused_or_made_whole(tmp_path: Path, settings: Settings) -> None:
    source = make_clip(tmp_path / "in.mp4", 8, options={"x264-params": "tff=1", "flags": "+ildct+ilme"})
    with pytest.raises(InvalidValue, match="--deinterlace"):
        upscale(source, tmp_path / "out.mp4", settings())
    result = upscale(source, tmp_path / "out.mp4", settings(deinterlace=True))
    assert result.frames == 8
    assert times(tmp_path / "out.mp4") == times(source)


def test_what_cannot_be_is_refused_before_the_first_frame(tmp_path: Path, settings: Settings) -> None:
    source = make_clip(tmp_path / "in.mp4", 3)
    refusals: list[tuple[str, dict[str, Any], type[Exception], str]] = [
        ("out.mp4", {"codec": "libnothing"}, OutputUnwritable, "no encoder 'libnothing'"),
        ("out.mp4", {"codec": "aac"}, OutputUnwritable, "not video"),
        ("out.webm", {}, OutputUnwritable, "webm cannot hold h264"),
        ("out.xyz", {}, OutputUnwritable, "suffix '.xyz'"),
        ("none/out.mp4", {}, OutputUnwritable, "does not exist"),
        ("in.mp4", {}, InvalidValue, "source itself"),
        ("out.mp4", {"crf": 99.0}, InvalidValue, "0 to 51 for libx264"),
        ("out.mp4", {"scale": 3}, InvalidValue, "must be 2 or 4"),
        ("out.mp4", {"model": "nothing"}, UnknownName, "nothing"),
    ]
    for name, changed, kind, message in refusals:
        with pytest.raises(kind, match=message):
            upscale(source, tmp_path / name, settings(**changed))
    text = tmp_path / "text.mp4"
    text.write_text("no media")
    with pytest.raises(MediaError):
        upscale(text, tmp_path / "out.mp4", settings())
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("in.mp4", "text.mp4")] == []


def test_a_stream_that_the_container_cannot_hold_is_named(tmp_path: Path, settings: Settings) -> None:
    source = make_clip(tmp_path / "in.mkv", 3, audio=sine(0.2), audio_codec="wavpack")
    begun: list[int] = []
    with pytest.raises(OutputUnwritable, match=r"cannot hold the source's audio stream 1 \(wavpack\).*mkv"):
        upscale(source, tmp_path / "out.mp4", settings(), progress=lambda done, _total: begun.append(done))
    assert not begun  # before the first frame
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_pictures_of_a_directory(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(gradient(1, 20, 14)).save(folder / "a.jpg")
    Image.fromarray(gradient(2, 9, 9)).convert("RGBA").save(folder / "b.png")
    (folder / "c.png").write_bytes(b"broken")
    outcomes = list(upscale_photos(folder, tmp_path / "out", settings()))
    assert [o.error is None for o in outcomes] == [True, True, False]
    with Image.open(tmp_path / "out" / "a.jpg") as jpeg:
        assert jpeg.size == (40, 28)
    with Image.open(tmp_path / "out" / "b.png") as png:
        assert (png.size, png.mode) == ((18, 18), "RGBA")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "b.png"]


def test_the_evaluation_scores_beside_bicubic_and_lanczos(tmp_path: Path, settings: Settings) -> None:
    source = make_clip(tmp_path / "in.mp4", lambda i: gradient(i, 288, 272), 3)
    result = evaluate(source, settings(), 2)
    assert result.frames == 2
    assert list(result.scores) == ["bicubic", "Lanczos", "net.safetensors"]
    assert all(10 < s["PSNR"] < 60 and 0 < s["SSIM"] <= 1 for s in result.scores.values())
    page = write_upscale_report(result, tmp_path / "page.html").read_text("utf-8")
    assert page.count("data:image/png") == 6
    assert "http" not in page
    with pytest.raises(InvalidValue, match="--frames 0"):
        evaluate(source, settings(), 0)


def test_the_command_line(tmp_path: Path, settings: Settings) -> None:
    _register()
    source, out = make_clip(tmp_path / "in.mp4", 4), tmp_path / "out.mkv"
    model = ["--model", settings().model, "--device", "cpu"]
    dry = CliRunner().invoke(app, ["upscale", str(source), str(out), *model, "--dry-run"])
    assert dry.exit_code == 0
    assert "128x96" in dry.output
    assert not out.exists()
    done = CliRunner().invoke(app, ["upscale", str(source), str(out), *model])
    assert done.exit_code == 0, done.output
    assert len(times(out)["video"]) == 4
