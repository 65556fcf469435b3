"""MediaStream: times, sampling, batches, faults, limits, and the thread behind it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from mediaml.decode.handover import Handover, Stopped
from mediaml.decode.instants import Instants
from mediaml.decode.lanes import batch_capacity
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.report import DecodeReport
from mediaml.decode.stream import MediaStream
from mediaml.errors import CodecUnsupported, LimitExceeded, MediaMissing, NothingDecoded
from mediaml.frames import AudioBlock, FrameBatch
from mediaml.spec import AudioView, Need, View
from tests.clips import gradient, make_clip, sine, solid

THUMB = View.rgb(16, 12)


def deliveries(path: Path, needs: Sequence[Need], **options: object) -> tuple[dict[Need, list], DecodeReport]:
    info = probe(path)
    got: dict[Need, list] = {need: [] for need in needs}
    with MediaStream(path, info, make_plan(info, needs), **options) as decoded:  # type: ignore[arg-type]
        for need, batch in decoded:
            got[need].append(batch)
    return got, decoded.report


def frames(path: Path, need: Need) -> tuple[list[FrameBatch], DecodeReport]:
    got, report = deliveries(path, [need])
    return got[need], report


def times(batches: Sequence[FrameBatch]) -> list[float]:
    return [t for b in batches for t in b.pts_seconds.tolist()]


def indices(batches: Sequence[FrameBatch]) -> list[int]:
    return [i for b in batches for i in b.frame_index.tolist()]


def durations(batches: Sequence[FrameBatch]) -> list[float]:
    return [d for b in batches for d in b.duration_seconds.tolist()]


def test_lossless_frames_come_back_in_order(tmp_path: Path) -> None:
    pictures = [solid(10 + 5 * i) for i in range(12)]
    clip = make_clip(tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="gray")
    batches, report = frames(clip, Need(View.luma()))
    luma = torch.cat([b.view(View.luma()) for b in batches])
    assert luma.shape == (12, 1, 48, 64)
    assert luma[:, 0, 0, 0].tolist() == [10 + 5 * i for i in range(12)]
    assert indices(batches) == list(range(12))
    assert report.frames_decoded == report.frames_delivered == 12
    assert len(report.problems) == 0


def test_b_frames_come_in_display_order(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "b.mp4", 40, fps=25, options={"bf": "3", "g": "20"})
    batches, _ = frames(clip, Need(View.planes()))
    assert times(batches) == [k / 25 for k in range(40)]
    assert durations(batches) == pytest.approx([0.04] * 40)
    assert indices(batches) == list(range(40))
    keys = [bool(k) for b in batches for k in b.key_frame.tolist()]
    assert [i for i, key in enumerate(keys) if key] == [0, 20]
    planes = batches[0].planes
    assert planes is not None
    assert planes.u is not None
    assert (planes.y.shape[1:], planes.u.shape[1:], planes.bit_depth) == ((1, 48, 64), (1, 24, 32), 8)


def test_variable_frame_rate(tmp_path: Path) -> None:
    ticks = [0, 1, 4, 5, 9, 20]
    clip = make_clip(tmp_path / "v.mp4", 6, pts=ticks, options={"bf": "2"})
    batches, _ = frames(clip, Need(THUMB))
    assert times(batches) == pytest.approx([t / 25 for t in ticks], abs=1e-9)
    assert durations(batches)[:5] == pytest.approx([0.04, 0.12, 0.04, 0.16, 0.44])
    sampled, _ = frames(clip, Need(THUMB, 5.0))  # instants 0, .2, .4, .6, .8 -> frames shown then
    assert times(sampled) == pytest.approx([0.0, 0.2, 0.36, 0.8])
    assert indices(sampled) == [0, 3, 4, 5]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (10, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]),
        (25, list(range(25))),
        (100, list(range(25))),
        (0.1, [0]),
        (3, [0, 8, 16]),
    ],
)
def test_sampling_of_one_second(tmp_path: Path, fps: float, expected: list[int]) -> None:
    clip = make_clip(tmp_path / "s.mp4", 25, options={"bf": "2"})
    info = probe(clip)
    need = Need(THUMB, fps)
    plan = replace(make_plan(info, [need]), mode="sequential")
    with MediaStream(clip, info, plan) as decoded:
        assert indices([d.batch for d in decoded]) == expected  # type: ignore[misc]


def test_sampling_at_the_own_rate_of_a_millisecond_container_loses_nothing(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "r.mkv", 60, fps=30)
    assert indices(frames(clip, Need(THUMB, 30.0))[0]) == list(range(60))


def test_instants_serve_each_frame_once() -> None:
    walk = Instants(2.0, 1e-9)
    walk.begin(1.0)
    assert not walk.covers(1.1, 1.4)
    assert walk.covers(1.1, 1.6)
    assert [walk.serve(end) for end in (1.1, 1.4, 1.6, 3.0, 3.0, 3.1)] == [True, False, True, True, False, True]
    assert walk.next_seconds == 3.5


def test_needs_of_different_rates_see_the_same_pictures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "n.mp4", 50)
    every, half = Need(THUMB), Need(THUMB, 12.5)
    got, _ = deliveries(clip, [every, half, Need(View.luma(), 5.0)])
    a = torch.cat([b.view(THUMB) for b in got[every]])
    b = torch.cat([b.view(THUMB) for b in got[half]])
    assert torch.equal(a[::2], b)
    assert len(times(got[Need(View.luma(), 5.0)])) == 10


def test_rgb_batches_are_channels_last_and_bounded(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "c.mp4", 150)
    batches, _ = frames(clip, Need(THUMB))
    assert [len(b) for b in batches] == [128, 22]
    view = batches[0].view(THUMB)
    assert view.shape == (128, 3, 12, 16)
    assert view.is_contiguous(memory_format=torch.channels_last)
    assert batch_capacity(3840 * 2160 * 3) == 1
    assert batch_capacity(224 * 224 * 3) == 32


def test_sound_and_pictures_of_one_pass(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "av.mp4", 50, audio=sine(2.0))
    pictures, sound = Need(THUMB, 1.0), Need(AudioView())
    for mode in ("sequential", "reference_only", "seek"):
        info = probe(clip)
        plan = replace(make_plan(info, [pictures, sound]), mode=mode)
        samples, shown = 0, 0
        with MediaStream(clip, info, plan) as decoded:
            for need, batch in decoded:
                if isinstance(batch, AudioBlock):
                    assert (need, batch.start_sample) == (sound, samples)
                shown, samples = (shown, samples + len(batch)) if need == sound else (shown + len(batch), samples)
        assert shown == 2
        assert abs(samples - 96000) <= 2048, mode
        assert decoded.report.samples_decoded == samples


def test_only_sound(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.m4a", [], audio=sine(1.0, channels=1))
    got, report = deliveries(clip, [Need(AudioView()), Need(THUMB)])
    assert sum(len(b) for b in got[Need(AudioView())]) == report.samples_decoded > 47000
    assert got[Need(THUMB)] == []


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"), [("a.png", "png", "rgba"), ("a.jpg", "mjpeg", "yuvj420p"), ("a.bmp", "bmp", "bgr24")]
)
def test_stills_are_one_frame_at_zero(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    picture = av.VideoFrame.from_ndarray(gradient(0), format="rgb24").reformat(format=pix_fmt)
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, pix_fmt
    encoder.time_base = Fraction(1, 25)
    data = b"".join(bytes(p) for p in [*encoder.encode(picture), *encoder.encode(None)])
    path = tmp_path / name
    path.write_bytes(data)
    batches, report = frames(path, Need(View.rgb(), 1.0))
    assert times(batches) == [0.0]
    assert batches[0].view(View.rgb()).shape == (1, 3, 48, 64)
    assert np.abs(batches[0].view(View.rgb())[0].permute(1, 2, 0).numpy().astype(int) - gradient(0)).mean() < 12
    assert report.problems.count == 0


def test_raw_h264_gets_times_from_its_frame_rate(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "raw.h264", 30, fps=25, options={"bf": "2"})
    batches, report = frames(clip, Need(THUMB))
    assert times(batches) == pytest.approx([k / 25 for k in range(30)])
    assert [p.kind for p in report.problems] == ["timestamp_missing"]


def test_concatenated_streams_keep_ascending_times_and_split_native_batches(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "1.ts", 30, options={"bf": "2"})
    second = make_clip(tmp_path / "2.ts", [gradient(i, 96, 64) for i in range(20)])
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    got, report = deliveries(both, [Need(View.planes()), Need(THUMB)])
    native, thumbs = got[Need(View.planes())], got[Need(THUMB)]
    assert times(native) == sorted(set(times(native)))
    assert len(times(native)) == len(times(thumbs)) == 50
    assert {b.planes.size for b in native} == {(48, 64), (64, 96)}
    assert "timestamp_backwards" in {p.kind for p in report.problems}


def test_damaged_packets_are_counted_and_placed(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "d.mp4", 100, options={"g": "10", "bf": "0"})
    with av.open(str(clip)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(clip.read_bytes())
    for pos, size in packets[31:34]:
        data[pos : pos + size] = b"\xff" * size
    clip.write_bytes(data)
    batches, report = frames(clip, Need(THUMB))
    faults = [p for p in report.problems if p.kind == "decode_error"]
    assert faults
    assert all(p.seconds is not None and 1.2 <= p.seconds <= 1.4 for p in faults)
    assert report.problems.count >= len(faults)
    assert 90 <= len(times(batches)) <= 100
    assert times(batches)[-1] == pytest.approx(3.96)


def test_a_truncated_file_gives_what_it_holds(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "t.mp4", 100, options={"movflags": "faststart", "g": "10"})
    with (
        av.open(str(clip)) as source,
        av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as out,
    ):
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    fast = tmp_path / "fast.mp4"
    fast.write_bytes(fast.read_bytes()[: fast.stat().st_size * 6 // 10])
    batches, report = frames(fast, Need(THUMB))
    assert 20 < len(times(batches)) < 90
    assert "ends_early" in {p.kind for p in report.problems}


def test_nothing_decoded(shared_data: Path) -> None:
    path = next(shared_data.rglob("invalid-bitstream.webm"))
    info = probe(path)
    with (
        pytest.raises(NothingDecoded, match="not one frame"),
        MediaStream(path, info, make_plan(info, [Need(THUMB)])) as decoded,
    ):
        list(decoded)


def test_a_file_that_went_away(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "gone.mp4", 3)
    info = probe(clip)
    clip.unlink()
    with pytest.raises(MediaMissing), MediaStream(clip, info, make_plan(info, [Need(THUMB)])) as decoded:
        list(decoded)


def test_larger_pictures_inside_than_the_header_says(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "1.ts", 10)
    large = make_clip(tmp_path / "2.ts", [gradient(i, 128, 96) for i in range(10)])
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    info = probe(both)
    plan = make_plan(info, [Need(THUMB)], max_pixels=64 * 48)
    with pytest.raises(LimitExceeded, match="128x96"), MediaStream(both, info, plan) as decoded:
        list(decoded)


def test_codec_without_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "c.mp4", 3)
    info = probe(clip)
    monkeypatch.setattr("mediaml.decode.passes.has_decoder", lambda stream: False)
    with (
        pytest.raises(CodecUnsupported, match="no decoder for h264"),
        MediaStream(clip, info, make_plan(info, [Need(THUMB)])) as decoded,
    ):
        list(decoded)


def alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "mediaml decode"]


def test_leaving_early_stops_the_thread(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "e.mp4", 300)
    info = probe(clip)
    with MediaStream(clip, info, make_plan(info, [Need(View.planes())]), queue_bytes=1) as decoded:
        for _ in decoded:
            break
    assert alive() == []
    assert decoded.report.ended_early
    assert decoded.report.frames_decoded < 300


def test_errors_of_the_thread_surface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "x.mp4", 10)
    info = probe(clip)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("inside the thread")

    monkeypatch.setattr("mediaml.decode.lanes.Pictures.make", fail)
    with (
        pytest.raises(ZeroDivisionError, match="inside"),
        MediaStream(clip, info, make_plan(info, [Need(THUMB)])) as decoded,
    ):
        list(decoded)
    assert alive() == []


def test_queue_is_bounded_in_bytes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "q.mp4", [gradient(i, 320, 240) for i in range(100)])
    info = probe(clip)
    need = Need(View.rgb(320, 240))
    limit = 16 << 20
    with MediaStream(clip, info, make_plan(info, [need]), queue_bytes=limit) as decoded:
        sizes = [d.batch.nbytes for d in decoded]
    assert sum(sizes) == 100 * 320 * 240 * 3
    assert 0 < decoded.queue_peak_bytes <= limit
    assert alive() == []


def test_handover() -> None:
    queue: Handover[int] = Handover(10)
    queue.put(1, 100)  # alone, whatever its size
    queue.close(KeyError("later"))
    assert queue.get() == 1
    with pytest.raises(KeyError):
        queue.get()
    queue.stop()
    with pytest.raises(Stopped):
        queue.put(2, 1)


def test_iterating_twice_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "2.mp4", 3)
    info = probe(clip)
    with MediaStream(clip, info, make_plan(info, [Need(THUMB)])) as decoded:
        list(decoded)
        with pytest.raises(RuntimeError, match="once"):
            list(decoded)


FILES = {
    "bigbuckbunny.mp4": 132, "nasa_13013.mp4": 390, "h265_10bits.mp4": 30, "av1_video.mkv": 125, "sample.avi": 96,
    "bbb_176x144_128kbps_15fps_h263.3gp": 15, "bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4": 120, "bbb_2500ms.ts": 58,
    "bear-vp9-odd-dimensions.webm": 30, "sample_fragmented.mp4": 30, "sample_rotate_and_reflect.mp4": 30,
    "roadtrip-vp92-10bit.webm": 72, "sample_h265.ts": 30, "hlg10-color-test.mp4": 9,
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_real_files_against_the_ffmpeg_program(shared_data: Path, name: str) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    path = next(shared_data.rglob(name))
    info = probe(path)
    assert info.main_video is not None
    batches, report = frames(path, Need(View.luma()))
    command = [ffmpeg, "-v", "error", "-copyts", "-noautorotate", "-i", str(path), "-map", f"0:{info.main_video.index}"]
    command += ["-fps_mode", "passthrough", "-enc_time_base", "demux", "-c:v", "rawvideo", "-f", "framecrc", "-"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    num, den = next(line.split(": ")[1] for line in lines if line.startswith("#tb")).split("/")
    expected = [int(line.split(",")[2]) * int(num) / int(den) for line in lines if not line.startswith("#")]
    assert len(expected) == FILES[name]
    assert times(batches) == pytest.approx(expected, abs=1e-9)
    assert report.problems.count == 0
