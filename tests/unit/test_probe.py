"""`probe` on clips whose facts are known because the test made them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from mediaml.decode import packet_scan
from mediaml.decode.probe import probe
from mediaml.decode.timing import varies
from mediaml.errors import MediaTruncated, NoStreams
from mediaml.media import AudioStream, MediaInfo, VideoStream
from tests.clips import gradient, make_clip, sine


def video_of(media: MediaInfo) -> VideoStream:
    assert media.main_video is not None
    return media.main_video


def audio_of(media: MediaInfo) -> AudioStream:
    assert media.main_audio is not None
    return media.main_audio


def test_every_fact_of_a_plain_clip(tmp_path: Path) -> None:
    colour = {"colorspace": 1, "color_trc": 1, "color_primaries": 1, "color_range": 1}
    options = {"bf": "2", "g": "10"}
    path = make_clip(tmp_path / "a.mp4", 50, fps=Fraction(30000, 1001), colour=colour, options=options, audio=sine(1.0))
    media = probe(path)
    assert (media.path, media.size_bytes, media.kind) == (str(path), path.stat().st_size, "video")
    assert media.container.startswith("mov") and media.warnings == ()
    assert media.duration_seconds_header == pytest.approx(50 * 1001 / 30000, abs=1e-3)
    assert media.duration_seconds_content == pytest.approx(50 * 1001 / 30000, abs=1e-3)
    v = video_of(media)
    assert (v.codec, v.width, v.height, v.display_width, v.display_height) == ("h264", 64, 48, 64, 48)
    assert (v.sample_aspect_ratio, v.rotation_degrees, v.mirrored, v.field_order) == (1, 0, False, "progressive")
    assert (v.frames_header, v.variable_frame_rate, v.frame_rate) == (50, False, pytest.approx(30000 / 1001))
    assert v.frame_rate_nominal == pytest.approx(30000 / 1001)
    assert v.key_frame_interval_seconds == pytest.approx(10 * 1001 / 30000, abs=1e-4)
    assert (v.pixel_format, v.bit_depth, v.chroma, v.has_alpha) == ("yuv420p", 8, "420", False)
    assert (v.matrix, v.transfer, v.primaries, v.range) == ("bt709", "bt709", "bt709", "limited")
    assert v.hdr is None and not v.is_attached_picture and v.level is not None
    a = audio_of(media)
    assert (a.codec, a.sample_rate, a.channels, a.layout) == ("aac", 48000, 2, "stereo")
    assert a.duration_seconds_header == pytest.approx(1.0, abs=0.03)
    assert media.to_dict()["video"][0]["sample_aspect_ratio"] == "1/1"


def test_variable_frame_rate_is_seen_in_the_timestamps(tmp_path: Path) -> None:
    steady, uneven = list(range(20)), [n + 5 * (n > 9) for n in range(20)]
    for name in ("a.mp4", "a.mkv"):
        assert video_of(probe(make_clip(tmp_path / name, 20, pts=steady))).variable_frame_rate is False
        assert video_of(probe(make_clip(tmp_path / name, 20, pts=uneven))).variable_frame_rate is True


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 33, 67, 100, 133, 167], False),  # 30 fps in whole milliseconds
        ([0, 40, 80, 160], True),
        ([0, 120, 160, 200, 240, 280, 320, 360, 400], False),  # cut at an open group of pictures
        ([0, 40, 80, 81, 120, 160, 200, 240, 280], False),  # a picture that is never shown
        ([0, 40], None),
        ([], None),
    ],
)
def test_varies(times: list[int], expected: bool | None) -> None:
    assert varies(times, Fraction(1, 1000)) is expected


@pytest.mark.parametrize(("pixel_format", "depth", "chroma"), [("yuv420p10le", 10, "420"), ("yuv444p", 8, "444")])
def test_bit_depth_and_chroma(tmp_path: Path, pixel_format: str, depth: int, chroma: str) -> None:
    v = video_of(probe(make_clip(tmp_path / "a.mkv", 3, pix_fmt=pixel_format)))
    assert (v.pixel_format, v.bit_depth, v.chroma) == (pixel_format, depth, chroma)


def test_grey_chroma_is_400(tmp_path: Path) -> None:
    v = video_of(probe(make_clip(tmp_path / "a.mkv", 3, codec="ffv1", pix_fmt="gray")))
    assert (v.chroma, v.bit_depth) == ("400", 8)


def mp4_with(path: Path, setup: Callable[[av.VideoStream], None]) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        setup(stream)
        for i in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(i), format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("clockwise", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_orientation(tmp_path: Path, clockwise: int, mirrored: bool) -> None:
    """Writing [a b; c d] = mirror left to right, then turn clockwise, gives back just that."""
    cosine, sine_ = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    flip, one = -1 if mirrored else 1, 1 << 16
    matrix = [flip * cosine * one, flip * sine_ * one, 0, -sine_ * one, cosine * one, 0, 0, 0, 1 << 30]
    v = video_of(probe(mp4_with(tmp_path / "a.mp4", lambda s: s.set_display_matrix(matrix))))
    assert (v.rotation_degrees, v.mirrored) == (clockwise, mirrored)
    assert (v.display_width, v.display_height) == ((48, 64) if clockwise % 180 else (64, 48))


def test_an_oblique_display_matrix_is_a_warning(tmp_path: Path) -> None:
    media = probe(mp4_with(tmp_path / "a.mp4", lambda s: s.set_display_rotation(-30)))
    assert video_of(media).rotation_degrees == 0
    assert any("no multiple of 90 degrees" in w for w in media.warnings)


def test_sample_aspect_ratio_widens_the_picture(tmp_path: Path) -> None:
    def anamorphic(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    v = video_of(probe(mp4_with(tmp_path / "a.mp4", anamorphic)))
    assert (v.sample_aspect_ratio, v.display_width, v.display_height) == (Fraction(4, 3), 85, 48)


def test_interlaced_field_order(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", 3, options={"x264-params": "tff=1"})
    assert video_of(probe(path)).field_order == "tt"


def test_hdr10_metadata(tmp_path: Path) -> None:
    params = (
        "log-level=none:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    )
    v = video_of(
        probe(make_clip(tmp_path / "a.mp4", 3, codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": params}))
    )
    assert (v.transfer, v.primaries, v.matrix) == ("smpte2084", "bt2020", "bt2020nc")
    assert v.hdr is not None and v.hdr.mastering_primaries is not None
    assert (v.hdr.max_cll, v.hdr.max_fall) == (1000, 400)
    assert (v.hdr.mastering_max_luminance, v.hdr.mastering_min_luminance) == (1000, 0.005)
    assert v.hdr.mastering_primaries[0] == pytest.approx((0.68, 0.32))
    assert v.hdr.mastering_primaries[3] == pytest.approx((0.3127, 0.329))
    assert v.hdr.dolby_vision_profile is None and not v.hdr.hdr10_plus


def test_a_file_without_a_duration_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "live.mkv"
    with av.open(str(path), "w", options={"live": "1"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(i), format="rgb24")))
        out.mux(stream.encode(None))
    media = probe(path)
    assert media.duration_seconds_header is None
    assert media.duration_seconds == media.duration_seconds_content == pytest.approx(1.0, abs=2e-3)
    assert media.warnings == ("no duration in the header",)


def faststart(path: Path, seconds: int) -> Path:
    clip = make_clip(path.with_name("plain.mp4"), 25 * seconds, options={"g": "25"})
    with av.open(str(clip)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path


@pytest.mark.parametrize("whole_bytes", [packet_scan.WHOLE_BYTES, 0], ids=["demuxed whole", "head and tail only"])
def test_truncated_movie(tmp_path: Path, whole_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_scan, "WHOLE_BYTES", whole_bytes)
    monkeypatch.setattr(packet_scan, "_HEAD_PICTURES", 10)
    path = faststart(tmp_path / "a.mp4", 8)
    assert probe(path).duration_seconds_content == pytest.approx(8.0, abs=1e-3)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    media = probe(path)
    assert media.duration_seconds_header == pytest.approx(8.0, abs=1e-3)
    assert media.duration_seconds_content is not None and 3.0 < media.duration_seconds_content < 5.0
    assert media.warnings[0].startswith("truncated: its index points past the end")


def test_truncated_matroska(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", 100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    media = probe(path)
    assert f"truncated: {len(data)} bytes at least are announced, the file has {len(data) // 2}" in media.warnings
    assert media.duration_seconds_content is not None and 0.5 < media.duration_seconds_content < 3.5


def test_truncated_transport_stream(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", 100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 - 77])
    media = probe(path)
    assert media.kind == "video" and media.duration_seconds is not None and 0.5 < media.duration_seconds < 3.5


def test_a_movie_that_ends_inside_its_index_keeps_no_stream(tmp_path: Path) -> None:
    data = make_clip(tmp_path / "a.mp4", 5).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") + 60])
    with pytest.raises(MediaTruncated, match="inside its index"):
        probe(tmp_path / "cut.mp4")


def test_a_codec_without_a_decoder_is_described_and_warned_of(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", 5, audio=sine(0.2))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    media = probe(path)
    v = media.video[0]
    assert (v.codec, v.width, v.height, v.pixel_format) == ("zzzz", 64, 48, None)
    assert media.warnings[0] == "stream 0: no decoder for codec 'zzzz'; its pictures cannot be analysed"
    assert audio_of(media).codec == "aac"


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    media = probe(make_clip(tmp_path / "a.mp4", 1))
    assert (media.kind, video_of(media).frames_header, video_of(media).variable_frame_rate) == ("video", 1, None)
    assert video_of(media).pixel_format == "yuv420p" and media.warnings == ()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tiff", "a.webp", "a.gif", "a.avif"])
def test_still_pictures(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(gradient(0, 33, 17)).save(path)
    media = probe(path)
    v = video_of(media)
    assert (media.kind, media.duration_seconds, v.width, v.height) == ("image", None, 33, 17)
    assert (v.frame_rate, v.variable_frame_rate, v.frames_header) == (None, None, None)


def test_the_smallest_and_a_large_picture(tmp_path: Path) -> None:
    for width, height in ((1, 1), (7680, 4320)):
        Image.fromarray(np.zeros((height, width), np.uint8)).save(tmp_path / "a.png")
        assert (video_of(probe(tmp_path / "a.png")).width, video_of(probe(tmp_path / "a.png")).height) == (
            width,
            height,
        )


def test_a_picture_of_impossible_size_allocates_nothing(tmp_path: Path) -> None:
    Image.fromarray(gradient(0)).save(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[18:26] = (60000).to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(data)
    media = probe(tmp_path / "a.bmp")
    assert media.kind == "image" and video_of(media).hdr is None
    assert len(media.warnings) == 1 and media.warnings[0].startswith("stream 0: ")


def test_moving_pictures_in_still_formats_are_video(tmp_path: Path) -> None:
    frames = [Image.fromarray(gradient(i)) for i in range(4)]
    for name in ("a.gif", "a.png", "a.avif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100)
        media = probe(tmp_path / name)
        assert media.kind == "video", name
        assert media.duration_seconds == pytest.approx(0.4, abs=0.01), name


def test_exif_orientation_of_a_photograph(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise for display
    Image.fromarray(gradient(0)).save(tmp_path / "a.jpg", exif=exif)
    v = video_of(probe(tmp_path / "a.jpg"))
    assert (v.rotation_degrees, v.display_width, v.display_height) == (90, 48, 64)


def test_cover_art_is_not_video(tmp_path: Path) -> None:
    Image.fromarray(gradient(0)).save(tmp_path / "cover.jpg")
    path = tmp_path / "a.mp3"
    sound = sine(0.5)
    with av.open(str(tmp_path / "cover.jpg")) as cover, av.open(str(path), "w") as out:
        audio = out.add_stream("libmp3lame", rate=48000, layout="stereo")
        picture = out.add_stream_from_template(cover.streams.video[0])
        picture.disposition = 1 << 10
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        for packet in cover.demux(video=0):
            if packet.size:
                packet.stream = picture
                out.mux(packet)
        out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    media = probe(path)
    assert media.kind == "audio" and audio_of(media).codec == "mp3"
    assert [v.is_attached_picture for v in media.video] == [True]
    assert media.duration_seconds == pytest.approx(0.5, abs=0.1)


def test_pcm_bits_and_flac_bits(tmp_path: Path) -> None:
    for codec, name, bits in (("pcm_s24le", "a.wav", 24), ("pcm_f32le", "f.wav", 32), ("flac", "a.flac", 16)):
        with av.open(str(tmp_path / name), "w") as out:
            stream = out.add_stream(codec, rate=8000, layout="mono")
            stream.format = {"pcm_s24le": "s32", "pcm_f32le": "flt", "flac": "s16"}[codec]
            pcm = np.zeros((1, 8000), {"pcm_s24le": np.int32, "pcm_f32le": np.float32, "flac": np.int16}[codec])
            frame = av.AudioFrame.from_ndarray(pcm, format=stream.format.name, layout="mono")
            frame.sample_rate = 8000
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        media = probe(tmp_path / name)
        assert (media.kind, audio_of(media).bits_per_sample, audio_of(media).layout) == ("audio", bits, "mono")
        assert media.duration_seconds_content == pytest.approx(1.0, abs=1e-3)


def test_chapters_subtitles_languages_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        out.metadata.update({"title": "Film\x07 № 1", "comment": "x" * 5000})
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["language"] = "fra"
        for i in range(10):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(i), format="rgb24")))
        out.mux(stream.encode(None))
    media = probe(path)
    assert [(c.start_seconds, c.end_seconds, c.title) for c in media.chapters] == [(0.0, 0.4, "One")]
    assert video_of(media).language == "fra"
    tags = {k.lower(): v for k, v in media.tags.items()}
    assert tags["title"] == "Film\x07 № 1" and len(tags["comment"]) == 1024


def test_subtitles_alone_are_no_media(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", 2)
    data = path.read_bytes().replace(b"vide", b"meta").replace(b"avc1", b"mett")
    path.write_bytes(data)
    with pytest.raises(NoStreams):
        probe(path)


def test_a_long_file_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_scan, "WHOLE_BYTES", 0)
    path = make_clip(tmp_path / "a.mp4", 3000, options={"g": "50"})
    with av.open(str(path)) as container:
        seen = packet_scan.scan(container, path.stat().st_size, b"")
    times = seen.streams[0]
    assert seen.ended and not seen.whole and times.packets < 500
    assert times.end is not None and float(times.end * Fraction(1, 12800)) == pytest.approx(120.0, abs=0.01)
    started = time.perf_counter()
    media = probe(path)
    assert media.duration_seconds_content == pytest.approx(120.0, abs=0.01)
    assert video_of(media).variable_frame_rate is False
    assert time.perf_counter() - started < 1.0


def test_a_png_with_a_colour_profile_does_not_end_the_process(tmp_path: Path) -> None:
    """PyAV frees an ICC profile's metadata twice once the picture's side data was looked at; run apart, it would kill us."""
    picture = tmp_path / "profile.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (32, 24), (200, 30, 90)).save(picture, icc_profile=profile)
    program = (
        f"import gc; from mediaml.decode.probe import probe; probe({str(picture)!r}); gc.collect(); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "alive", done.stderr[-500:]
