"""Pairs of frames: lock-step, common form, conversions, refusals, raw video, bounded memory."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.decode.alignment.anchor import Anchor, anchor_costs
from mediaml.decode.frame_reader import VideoFile, read_frames
from mediaml.decode.kept import KeptFrames, frame_bytes, room_for
from mediaml.decode.pair.format import pair_format, target_size
from mediaml.decode.pair.pictures import Crop
from mediaml.decode.pair.plan import PairPlan, plan_pair
from mediaml.decode.pair.stream import PairStream
from mediaml.decode.raw_video import RawFormat
from mediaml.decode.report import DecodeReport
from mediaml.errors import ColourDiffers, InvalidValue, MediaTruncated, NoStreams, UnknownName
from mediaml.frames import FrameBatch
from tests.clips import gradient, make_clip, sine, texture
from tests.real_clips import write

LOSSLESS = {"qp": "0"}


def video(path: Path) -> VideoFile:
    return VideoFile.of(str(path))


def clip(path: Path, count: int = 12, **given: object) -> VideoFile:
    given.setdefault("options", LOSSLESS)
    return video(make_clip(path, gradient, count, **given))  # type: ignore[arg-type]


def batches(
    distorted: VideoFile,
    reference: VideoFile,
    pairs: list[tuple[int, int]] | None = None,
    crops: tuple[Crop | None, Crop | None] = (None, None),
    **given: object,
) -> list[FrameBatch]:
    numbers = None if pairs is None else np.array(pairs)
    form = pair_format(distorted, reference)
    with PairStream(distorted, reference, form, numbers, crops=crops, **given) as stream:  # type: ignore[arg-type]
        return list(stream)


def test_frames_are_paired_as_asked(tmp_path: Path) -> None:
    a, b = clip(tmp_path / "a.mp4"), clip(tmp_path / "b.mp4")
    pairs = [(0, 2), (1, 2), (4, 3), (5, 9), (11, 11)]
    (batch,) = batches(a, b, pairs)
    assert batch.reference is not None and batch.planes is not None and batch.reference.planes is not None
    assert list(zip(batch.frame_index.tolist(), batch.reference.frame_index.tolist(), strict=True)) == pairs
    assert batch.pts_seconds.tolist() == [i / 25 for i, _ in pairs]
    same = (batch.planes.y == batch.reference.planes.y).flatten(1).all(1).tolist()
    assert same == [False, False, False, False, True]


def test_without_pairs_frame_i_against_frame_i_until_either_ends(tmp_path: Path) -> None:
    a, b = clip(tmp_path / "a.mp4", 12), clip(tmp_path / "b.mp4", 7)
    for first, second in ((a, b), (b, a)):
        (batch,) = batches(first, second)
        assert batch.reference is not None and batch.frame_index.tolist() == list(range(7))
        assert torch.equal(batch.planes.y, batch.reference.planes.y)  # type: ignore[union-attr]


def test_scaling_is_swscales_bicubic(tmp_path: Path) -> None:
    small = video(make_clip(tmp_path / "s.mp4", [gradient(i, 64, 48) for i in range(2)], options=LOSSLESS))
    large = video(make_clip(tmp_path / "l.mp4", [gradient(i, 128, 96) for i in range(2)], options=LOSSLESS))
    (batch,) = batches(small, large)
    with av.open(small.path) as container:
        frame = next(container.decode(video=0))
    expected = frame.reformat(width=128, height=96, interpolation="BICUBIC").to_ndarray()[:96]
    assert batch.planes is not None and np.array_equal(batch.planes.y[0, 0].numpy(), expected)
    assert batch.planes.size == (96, 128)


def test_target_size(tmp_path: Path) -> None:
    small, large = clip(tmp_path / "s.mp4", 1), video(make_clip(tmp_path / "l.mp4", [gradient(0, 128, 96)]))
    assert target_size(small, large, "reference") == (128, 96)
    assert target_size(small, large, "distorted") == (64, 48)
    assert target_size(small, large, "100x80") == (100, 80)
    with pytest.raises(InvalidValue, match="WIDTHxHEIGHT"):
        target_size(small, large, "big")


def test_bit_depths_meet_at_the_greater(tmp_path: Path) -> None:
    eight = clip(tmp_path / "8.mp4", 3)
    ten = clip(tmp_path / "10.mp4", 3, pix_fmt="yuv420p10le")
    (batch,) = batches(eight, ten)
    assert batch.planes is not None and batch.planes.bit_depth == 10 and batch.reference.planes.bit_depth == 10  # type: ignore[union-attr]
    assert set((batch.planes.y.to(torch.int32) % 4).unique().tolist()) == {0}  # shifted up, limited range
    difference = batch.planes.y.to(torch.int32) - batch.reference.planes.y.to(torch.int32)  # type: ignore[union-attr]
    assert difference.abs().max() <= 8


def test_range_is_converted_and_said(tmp_path: Path) -> None:
    limited = clip(tmp_path / "l.mp4", 3, colour={"color_range": 1})
    with av.open(limited.path) as container:
        shown = [f.reformat(format="yuvj420p") for f in container.decode(video=0)]
    full_path = tmp_path / "f.mp4"
    with av.open(str(full_path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options=LOSSLESS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.color_range = 2
        for i, frame in enumerate(shown):
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    full = video(full_path)
    form = pair_format(full, limited)
    assert any("range converted from full to limited" in note for note in form.notes)
    (batch,) = batches(full, limited)
    difference = batch.planes.y.int() - batch.reference.planes.y.int()  # type: ignore[union-attr]
    assert difference.abs().max() <= 2


def test_a_matrix_that_only_one_file_states_is_shared(tmp_path: Path) -> None:
    stated, silent = clip(tmp_path / "a.mp4", 2, colour={"colorspace": 1}), clip(tmp_path / "b.mp4", 2)
    form = pair_format(silent, stated)
    assert form.colour.matrix == form.distorted_colour.matrix == "bt709"
    assert any("states no matrix" in note for note in form.notes)


def test_an_interlaced_file_against_a_whole_one_is_said(tmp_path: Path) -> None:
    whole = clip(tmp_path / "p.mp4", 3)
    woven = clip(tmp_path / "i.mp4", 3, options={"qp": "0", "flags": "+ildct+ilme", "x264-params": "tff=1"})
    assert woven.video.field_order == "tt"
    assert any("distorted file is interlaced" in note for note in pair_format(woven, whole).notes)
    assert any("reference file is interlaced" in note for note in pair_format(whole, woven).notes)
    assert not any("interlaced" in note for note in pair_format(woven, woven).notes)


def test_hdr_against_sdr_is_refused(tmp_path: Path) -> None:
    hdr = clip(tmp_path / "h.mp4", 2, colour={"color_trc": 16, "color_primaries": 9, "colorspace": 9})
    sdr = clip(tmp_path / "s.mp4", 2)
    with pytest.raises(ColourDiffers, match="HDR"):
        pair_format(sdr, hdr)


def test_chroma_is_brought_to_the_references(tmp_path: Path) -> None:
    full, half = clip(tmp_path / "444.mp4", 2, pix_fmt="yuv444p"), clip(tmp_path / "420.mp4", 2)
    (batch,) = batches(full, half)
    assert batch.planes is not None and batch.planes.u is not None and batch.planes.u.shape[2:] == (24, 32)


def test_crops_are_cut_out(tmp_path: Path) -> None:
    whole = video(make_clip(tmp_path / "a.mp4", [gradient(i, 96, 64) for i in range(2)], options=LOSSLESS))
    part = video(make_clip(tmp_path / "b.mp4", [gradient(i, 96, 64)[8:56, 16:80] for i in range(2)], options=LOSSLESS))
    (batch,) = batches(part, part, [(0, 0), (1, 1)])
    form = pair_format(part, part)
    with PairStream(whole, part, form, np.array([[0, 0], [1, 1]]), crops=(Crop(16, 8, 64, 48), None)) as stream:
        (cut,) = list(stream)
    assert torch.equal(cut.planes.y, batch.planes.y)  # type: ignore[union-attr]


def test_odd_sizes(tmp_path: Path) -> None:
    odd = video(make_clip(tmp_path / "o.mkv", [gradient(i, 63, 47) for i in range(2)], codec="ffv1", options={}))
    (batch,) = batches(odd, clip(tmp_path / "e.mp4", 2))
    assert batch.planes is not None and batch.planes.size == (48, 64)
    (batch,) = batches(odd, odd)
    assert batch.planes is not None and batch.planes.size == (47, 63)
    assert torch.equal(batch.planes.u, batch.reference.planes.u)  # type: ignore[union-attr,arg-type]


def test_memory_is_bounded(tmp_path: Path) -> None:
    a = clip(tmp_path / "a.mp4", 120)
    form = pair_format(a, a)
    picture = 64 * 48 * 3 // 2
    with PairStream(a, a, form, None, queue_bytes=3 * picture) as stream:
        seen = sum(len(batch) for batch in stream)
        assert seen == 120
        assert max(side._queue.peak_bytes for side in stream._sides) <= 3 * picture


def test_leaving_early_stops_the_threads(tmp_path: Path) -> None:
    a = clip(tmp_path / "a.mp4", 300)
    with PairStream(a, a, pair_format(a, a), None, queue_bytes=1) as stream:
        next(iter(stream))
    assert not any(side._thread.is_alive() for side in stream._sides)
    assert stream.reports[0].ended_early


def test_sound_alone_is_no_pair(tmp_path: Path) -> None:
    sound = make_clip(tmp_path / "a.mp4", [], audio=sine(0.5))
    with pytest.raises(NoStreams, match="no video stream"):
        video(sound)


def test_raw_video(tmp_path: Path) -> None:
    shown = [np.full((48 * 3 // 2, 64), 40 + i, np.uint16) for i in range(5)]
    path = tmp_path / "a.yuv"
    path.write_bytes(b"".join(p.tobytes() for p in shown))
    raw = RawFormat.parse("64x48", "yuv420p10le", "30000/1001")
    assert raw.frame_bytes == 64 * 48 * 3
    file = VideoFile.of(str(path), raw)
    assert (file.video.frames_header, file.video.bit_depth, file.video.chroma) == (5, 10, "420")
    (batch,) = batches(file, file)
    assert batch.planes is not None and batch.planes.bit_depth == 10
    assert batch.planes.y[:, 0, 0, 0].tolist() == [40, 41, 42, 43, 44]
    assert batch.pts_seconds[1].item() == pytest.approx(1001 / 30000)


def test_raw_video_that_does_not_fit_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.yuv"
    path.write_bytes(bytes(5000))
    with pytest.raises(MediaTruncated, match="not whole pictures of 4608 bytes"):
        VideoFile.of(str(path), RawFormat(64, 48))
    with pytest.raises(InvalidValue, match="WIDTHxHEIGHT"):
        RawFormat.parse("64")
    with pytest.raises(UnknownName, match="did you mean"):
        RawFormat(64, 48, "yuv42p")
    with pytest.raises(InvalidValue, match="frame rate"):
        RawFormat.parse("64x48", "yuv420p", "fast")


def texture_pair(folder: Path) -> tuple[VideoFile, VideoFile]:
    shown = [texture(320, 180, 3 * i) for i in range(8)]
    return video(make_clip(folder / "a.mp4", shown)), video(make_clip(folder / "b.mp4", shown, options=LOSSLESS))


def stream_of(plan: PairPlan) -> list[FrameBatch]:
    with PairStream(plan.distorted, plan.reference, plan.form, plan.pairs, kept=plan.kept) as stream:
        made = list(stream)
        assert [report.frames_decoded for report in stream.reports] == [8, 8]
    return made


def test_a_short_pair_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaml.decode import kept
    from mediaml.decode.pair import stream

    files = texture_pair(tmp_path)
    again = stream_of(plan_pair(*files, keep_bytes=0))
    plan = plan_pair(*files)
    assert plan.kept is not None and all(k.usable for k in plan.kept)
    with monkeypatch.context() as patched:
        for module in (kept, stream):
            patched.setattr(module, "read_frames", None)
        once = stream_of(plan)
    assert not any(k.usable or k.nbytes for k in plan.kept)  # given away: memory fell while they were used
    thrice = stream_of(plan)
    for other in (again, thrice):
        for a, b in zip(once, other, strict=True):
            assert a.planes is not None and b.planes is not None
            assert torch.equal(a.planes.y, b.planes.y) and torch.equal(a.pts_seconds, b.pts_seconds)


def test_frames_are_kept_within_a_budget(tmp_path: Path) -> None:
    files = texture_pair(tmp_path)
    each = 8 * 320 * 180 * 3 / 2
    assert room_for(files, int(2 * each) - 1) is None
    room = room_for(files, int(2.5 * each))
    assert room is not None and [k.limit_bytes for k in room] == [1.25 * each] * 2
    frames = list(read_frames(files[0], DecodeReport()))
    few = KeptFrames(3 * frame_bytes(frames[0].frame))
    for timed in frames[:3]:
        few.add(timed)
    assert few.usable and [t.index for t in few] == [0, 1, 2]
    few.add(frames[3])  # the header said less than there is
    assert not few.usable and few.nbytes == 0 and list(few) == []


def nearly_still(count: int, drift_pixels: float = 0.3) -> list[NDArray[np.uint8]]:
    """(270, 320) yuv420p pictures: fine texture that creeps over a coarse one that stands."""
    rng = np.random.default_rng(0)
    coarse, fine = (
        cv2.resize(rng.normal(size=size).astype(np.float32), (320, 180), interpolation=cv2.INTER_CUBIC)
        for size in ((45, 80), (90, 160))
    )
    made = []
    for i in range(count):
        moved = np.array([[1, 0, drift_pixels * i], [0, 1, 0]], np.float32)
        creeping = cv2.warpAffine(fine, moved, (320, 180), borderMode=cv2.BORDER_REFLECT)
        luma = np.clip(128 + 25 * coarse + 12 * creeping, 16, 235).astype(np.uint8)
        made.append(np.concatenate([luma, np.full((90, 320), 128, np.uint8)]))
    return made


@pytest.mark.parametrize("keep_bytes", [0, 1 << 28])
def test_a_trimmed_start_of_a_still_scene_shows_in_its_first_picture(tmp_path: Path, keep_bytes: int) -> None:
    shown = nearly_still(40)
    source, encode = write(tmp_path / "s.mp4", shown, crf=4), write(tmp_path / "e.mp4", shown[5:], crf=40)
    plan = plan_pair(video(encode), video(source), keep_bytes=keep_bytes)
    assert plan.alignment is not None and plan.alignment.reference_index.tolist() == list(range(5, 40))


def test_an_anchor_counts_in_steps_of_the_reference() -> None:
    pictures = np.stack([np.full((4, 6), float(i), np.float32) for i in (0, 1, 2, 3)])
    anchor = Anchor(7, anchor_costs(pictures[2], pictures))
    assert anchor.at(np.array([0, 7, 8, 9, 10, 99])) == pytest.approx(np.array([4, 4, 1, 0, 1, 1]) / 1.05)
