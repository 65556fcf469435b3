"""Which plan is chosen, and that every plan delivers what the needs allow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mediaml.decode.plan import Mode, Plan, make_plan
from mediaml.decode.probe import probe
from mediaml.decode.report import DecodeReport
from mediaml.decode.stream import MediaStream
from mediaml.errors import LimitExceeded
from mediaml.media import AudioStream, MediaInfo
from mediaml.spec import AudioView, Need, View
from tests.clips import make_clip
from tests.unit.test_planes import stream

THUMB = View.rgb(16, 12)
AUDIO = AudioStream(1, "aac", None, 48000, 2, "stereo", "fltp", None, None, 0.0, 60.0)
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"


def media(*, codec: str = "h264", gop: float | None = 5.0, container: str = MP4, sound: bool = False) -> MediaInfo:
    """A minute of 1080p at 25 frames/s."""
    video = stream(codec, width=1920, height=1080, frames_header=1500, key_frame_interval_seconds=gop)
    sounds = (AUDIO,) if sound else ()
    return MediaInfo("a.mp4", 1, "video", container, "", None, 0.0, 60.0, None, video=(video,), audio=sounds)


Row = tuple[float, bytes]


def decode(path: Path, needs: Sequence[Need], mode: Mode | None = None) -> tuple[dict[Need, list[Row]], DecodeReport]:
    """Each need's (pts, pixels), by the mode given or the one planned."""
    info = probe(path)
    plan = make_plan(info, needs)
    got: dict[Need, list[Row]] = {need: [] for need in needs}
    with MediaStream(path, info, plan if mode is None else replace(plan, mode=mode)) as decoded:
        for need, batch in decoded:
            pixels = batch.view(need.view)  # type: ignore[union-attr, arg-type]
            got[need] += [
                (batch.pts_seconds[i].item(), pixels[i].contiguous().numpy().tobytes())  # type: ignore[union-attr]
                for i in range(len(batch))
            ]
    return got, decoded.report


@pytest.mark.parametrize(
    ("needs", "facts", "mode"),
    [
        ([Need(THUMB)], {}, "sequential"),
        ([Need(THUMB, 1.0, 9.0), Need(View.luma())], {}, "sequential"),
        ([Need(THUMB, 1.0)], {}, "reference_only"),
        ([Need(THUMB, 1 / 30)], {}, "seek"),
        ([Need(THUMB, 1.0, 3.0)], {}, "key_only"),
        ([Need(THUMB, 1.0, 3.0), Need(THUMB, 1.0)], {}, "reference_only"),
        ([Need(THUMB, 0.1, 1.0)], {}, "seek"),
        ([Need(THUMB, 1.0)], {"codec": "av1"}, "sequential"),
        ([Need(THUMB, 1.0, 3.0)], {"gop": None}, "reference_only"),
        ([Need(THUMB, 1 / 30)], {"container": "mpegts"}, "reference_only"),
        ([Need(THUMB, 1.0)], {"container": "avi"}, "sequential"),
        ([Need(THUMB, 1.0, 3.0)], {"codec": "prores"}, "sequential"),
        ([Need(AudioView())], {"sound": True}, "sequential"),
    ],
)  # fmt: skip
def test_choice(needs: list[Need], facts: dict, mode: str) -> None:
    plan = make_plan(media(**facts), needs)
    assert plan.mode == mode, plan.explain()
    costs = {a.mode: a.cpu_seconds for a in plan.alternatives}
    possible = [c for c in costs.values() if c is not None]
    assert not possible or mode == "sequential" or costs[plan.mode] == min(possible)


def test_equal_needs_share_a_lane() -> None:
    plan = make_plan(media(), [Need(THUMB, 1.0), Need(View.rgb(16, 12), 1.0), Need(THUMB, 2.0)])
    assert [lane.expected_frames for lane in plan.lanes] == [60, 120]


def test_needs_of_absent_streams_are_told() -> None:
    plan = make_plan(media(), [Need(THUMB), Need(AudioView())])
    assert [(str(need), why) for need, why in plan.undelivered] == [
        ("audio at native rate, all channels", "no audio stream")
    ]
    only_sound = MediaInfo("a.wav", 1, "audio", "wav", "", None, 0.0, 1.0, None, audio=(AUDIO,))
    plan = make_plan(only_sound, [Need(THUMB), Need(AudioView(16000, "mono"))])
    assert (plan.video_stream, plan.audio_stream, len(plan.undelivered)) == (None, 1, 1)
    assert plan.lanes[0].expected_bytes == 64000


def test_explain_and_dict() -> None:
    plan = make_plan(media(sound=True), [Need(THUMB, 1.0), Need(View.planes(), 0.5), Need(AudioView())])
    text = plan.explain()
    for part in (
        "reference_only",
        "% of the cost",
        "key frames every 5.00 s",
        "16x12, about 60 frames",
        "CPU s",
        "60.0 s",
    ):
        assert part in text, text
    assert json.loads(json.dumps(plan.to_dict()))["mode"] == "reference_only"
    sizes = {lane.need.view: lane.expected_bytes for lane in plan.lanes}
    assert sizes[View.planes()] == 30 * 1920 * 1080 * 3 // 2
    assert plan.cpu_seconds is not None
    assert 4 < plan.cpu_seconds < 8


def test_limit_is_checked_before_anything_is_opened() -> None:
    with pytest.raises(LimitExceeded, match=r"1920x1080 \(2073600 pixels\) exceed the limit of 1000000"):
        make_plan(media(), [Need(THUMB)], max_pixels=1_000_000)
    assert isinstance(make_plan(media(sound=True), [Need(AudioView())], max_pixels=1), Plan)


@pytest.fixture(scope="module")
def long_gop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 s, a key frame every 2.4 s, B-pyramids."""
    options = {"g": "60", "keyint_min": "60", "bf": "3", "sc_threshold": "0", "preset": "veryfast"}
    return make_clip(tmp_path_factory.mktemp("plan") / "gop.mp4", 200, options=options)


@pytest.fixture(scope="module")
def open_gop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key frames whose leading pictures need the group before; variable frame rate; Matroska."""
    options = {"x264-params": "open-gop=1:keyint=20:bframes=3:scenecut=0"}
    times = [i + i // 7 * 3 for i in range(120)]
    return make_clip(tmp_path_factory.mktemp("plan") / "open.mkv", 120, pts=times, options=options)


@pytest.mark.parametrize("clip", ["long_gop", "open_gop"])
@pytest.mark.parametrize("mode", ["reference_only", "seek"])
def test_tolerance_zero_equals_sequential_exactly(clip: str, mode: Mode, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(clip)
    needs = [Need(View.luma(), 2.0), Need(THUMB, 0.7), Need(THUMB, 12.5)]
    expected, everything = decode(path, needs, "sequential")
    got, report = decode(path, needs, mode)
    assert report.mode == mode
    assert got == expected
    assert all(rows for rows in got.values())
    if mode == "reference_only":
        assert report.frames_decoded < everything.frames_decoded


def test_sparse_seeking_decodes_little(long_gop: Path) -> None:
    needs = [Need(THUMB, 0.3)]
    expected, everything = decode(long_gop, needs, "sequential")
    got, report = decode(long_gop, needs, "seek")
    assert got == expected
    assert report.frames_decoded < everything.frames_decoded / 2


@pytest.mark.parametrize("clip", ["long_gop", "open_gop"])
@pytest.mark.parametrize("tolerance", [0.1, 0.5, 1.3, 4.0])
@pytest.mark.parametrize("mode", ["seek", "key_only"])
def test_frames_lie_within_the_tolerance(
    clip: str, tolerance: float, mode: Mode, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(clip)
    exact, _ = decode(path, [Need(THUMB, None)], "sequential")
    times = [pts for pts, _ in next(iter(exact.values()))]
    needs = [Need(THUMB, 2.0, tolerance), Need(View.luma(), 0.4, tolerance)]
    got, report = decode(path, needs, mode)
    assert report.mode in (mode, "seek")
    for need in needs:
        assert need.fps is not None
        chosen = [pts for pts, _ in got[need]]
        assert chosen == sorted(set(chosen))
        assert set(chosen) <= set(times)
        instants = [times[0] + k / need.fps for k in range(1000) if times[0] + k / need.fps <= times[-1]]
        for instant in instants:
            shown = max(t for t in times if t <= instant + 0.0011)  # what was shown then is always right
            assert min(abs(pts - instant) for pts in chosen) <= tolerance + 0.0011 or shown in chosen


def test_key_frames_too_far_apart_fall_back_to_seeking(long_gop: Path) -> None:
    _, near = decode(long_gop, [Need(THUMB, 2.0, 0.5)], "key_only")
    _, far = decode(long_gop, [Need(THUMB, 2.0, 1.3)], "key_only")
    assert (near.mode, far.mode) == ("seek", "key_only")
    assert far.frames_decoded == 4


def test_real_files_keep_tolerance_zero(shared_data: Path) -> None:
    for name in ("nasa_13013.mp4", "h265_video.mp4", "bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4"):
        path = next(shared_data.rglob(name))
        needs = [Need(View.luma(), 1.0), Need(THUMB, 0.4)]
        expected, _ = decode(path, needs, "sequential")
        for mode in ("reference_only", "seek"):
            assert decode(path, needs, mode)[0] == expected, (name, mode)


def test_a_stream_of_unknown_size_can_be_planned() -> None:
    """Damaged headers leave the size at 0x0 until something is decoded."""
    info = media()
    unknown = replace(info, video=(replace(info.video[0], width=0, height=0),))
    for view in (View.rgb(32, 32, "cover"), View.rgb(32, 32, "contain"), View.rgb(), View.planes()):
        assert make_plan(unknown, [Need(view)]).lanes[0].size is not None
