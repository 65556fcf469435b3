"""The fault-injection harness itself: events lie where it says, and the matching rule is the stated one."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks.faults.colour import chroma, luma, to_yuv
from benchmarks.faults.injection import Event, Spot, can_be_seen, spots, write_faulty
from benchmarks.faults.lively import lively
from benchmarks.faults.matching import Found, Score, false_at, match, overlap
from benchmarks.faults.pictorial import PICTORIAL
from benchmarks.faults.places import moves_evenly
from benchmarks.faults.programmes import Programme
from benchmarks.faults.scenes import Scene, moving_scenes
from benchmarks.faults.sources import FPS, Clip, Picture
from benchmarks.faults.temporal import TEMPORAL
from benchmarks.faults.visible import bands_show
from benchmarks.faults.watching import watch
from mediaml.analyzers.artifacts.black import Black
from mediaml.analyzers.artifacts.timing import Timing
from tests.detecting import scene

FAULTS = {f.name: f for f in (*TEMPORAL, *PICTORIAL)}


class Shapes(Clip):
    """A window that moves over drawn shapes."""

    name, width, height = "shapes", 96, 64

    def frame(self, index: float) -> Picture:
        x = round(2 * index) % 90
        picture = np.full((96, 96), 128, np.uint8)
        luma(picture)[:] = scene(64, 96)[:, x : x + 96]
        return picture


def test_black_is_written_where_it_is_said_and_found_there(tmp_path: Path) -> None:
    path = tmp_path / "faulty.mp4"
    events = write_faulty(path, Shapes(), FAULTS["black"], ["middle"])
    assert [(e.start, e.end) for e in events] == [pytest.approx((1.6, 2.6))]
    with av.open(str(path)) as container:
        dark = [
            i for i, f in enumerate(container.decode(video=0)) if luma(np.asarray(f.to_ndarray(), np.uint8)).mean() < 20
        ]
    assert dark == list(range(40, 65))
    (found,) = watch(path, [Black()])[0]["black"]
    assert (found.start, found.end) == pytest.approx((1.6, 2.6))


def test_gaps_in_timestamps_are_written_and_found(tmp_path: Path) -> None:
    path = tmp_path / "faulty.mp4"
    events = write_faulty(path, Shapes(), FAULTS["timestamps"], ["middle", "strong"])
    found = watch(path, [Timing()])[0]["timing"]
    assert [f.kind for f in found] == ["missing_frames", "timestamp_jump"]
    for event, finding in zip(events, found, strict=True):
        assert (finding.start, finding.end) == pytest.approx((event.start, event.end), abs=0.002)


def test_a_freeze_repeats_the_frame_before_it() -> None:
    fault = FAULTS["freeze"]
    where, frames = spots(fault)
    assert [s.severity for s in where] == ["mild", "middle", "strong"] and where[-1].stop < frames
    assert fault.offset is not None
    spot = where[1]
    assert {at + fault.offset(at, spot) for at in range(spot.first, spot.stop)} == {spot.first - 1}


def test_drops_leave_out_three_times_so_many_frames() -> None:
    fault, spot = FAULTS["dropped frames"], Spot(100, 140, "strong")
    assert fault.offset is not None and fault.keeps
    assert fault.offset(139, spot) == 15


def test_matching_is_one_to_one_by_overlap() -> None:
    events = [Event("black", "mild", 1.0, 2.0), Event("black", "strong", 5.0, 7.0)]
    found = [Found("black", a, b, 0.5, 1.0, "") for a, b in ((1.1, 2.1), (0.9, 1.2), (5.9, 6.1), (9.0, 9.5))]
    met, extra = match(events, found)
    assert met == {0: 0} and extra == [1, 2, 3]
    assert overlap((1.0, 2.0), (1.0, 2.0)) == 1.0
    assert overlap((0.0, 0.5), (2.0, 2.5)) == 0.0
    assert overlap((0.0, 1.0), (0.5, 1.5)) == pytest.approx(1.0 / 2.0)
    assert Score(hits=9, misses=1, false_alarms=1).f1 == pytest.approx(0.9)
    assert FPS == 25


def test_a_finding_inside_an_event_counts_against_that_severity_alone() -> None:
    events = [Event("noise", "mild", 1.0, 4.0), Event("noise", "strong", 8.0, 11.0)]
    inside, outside = (Found("noise", a, b, 0.5, 1.0, "") for a, b in ((2.0, 2.5), (5.0, 7.0)))
    assert false_at(inside, events) == {"mild"}
    assert false_at(outside, events) == {"mild", "strong"}


def test_a_fault_is_made_only_where_it_can_be_seen() -> None:
    shapes = Shapes()
    assert can_be_seen(FAULTS["black"], shapes, "mild")
    assert can_be_seen(FAULTS["combing"], shapes, "middle")
    assert not can_be_seen(FAULTS["wrong matrix"], shapes, "strong")  # grey


def test_bands_show_in_gradients_and_not_in_textures() -> None:
    size = (180, 320)
    sky = np.full((270, 320), 128, np.uint8)
    sky[:180] = np.rint(np.linspace(80, 150, 320))
    grass = sky.copy()
    grass[:180] = np.clip(grass[:180] + np.random.default_rng(0).normal(0, 12, size), 16, 235)
    for clean, shows in ((sky, True), (grass, False)):
        faulty = clean.copy()
        faulty[:180] = 16 + np.rint((clean[:180] - 16.0) / 6) * 6
        assert bands_show(clean, faulty) is shows
    assert not bands_show(sky, sky)


def test_chroma_is_the_mean_of_four_pixels() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    y, cb = rgb.astype(float) @ (0.299, 0.587, 0.114), chroma(to_yuv(rgb))[0]
    blue = (rgb[..., 2] - y).reshape(4, 2, 6, 2).mean(axis=(1, 3)) / 1.772 * 224 / 255
    np.testing.assert_allclose(cb, 128 + blue, atol=1.5)


def test_a_programme_cuts_and_dissolves_between_its_clips() -> None:
    clips = [Shapes() for _ in range(12)]
    programme = Programme("held out 0", clips)
    assert len(programme.shots) == 12 and programme.frames == programme.shots[-1].stop
    assert any(s.overlap for s in programme.shots) and not programme.shots[-1].overlap
    for shot, later in zip(programme.shots, programme.shots[1:], strict=False):
        assert later.first == shot.stop - shot.overlap
    assert programme.frame(programme.frames - 1).shape == (96, 96)


def test_scenes_are_a_closed_form_of_their_index_and_lively_programmes_join_them(tmp_path: Path) -> None:
    paths = []
    for seed in range(4):
        rgb = np.random.default_rng(seed).integers(0, 255, (20, 30, 3)).astype(np.uint8)
        paths.append(tmp_path / f"{seed}.png")
        cv2.imwrite(str(paths[-1]), cv2.resize(rgb, (240, 160), interpolation=cv2.INTER_CUBIC))
    one, again = (Scene(paths[:3], 96, 64, seed=5) for _ in range(2))
    assert one.frame(40).shape == (96, 96) and (one.draw(40) == again.draw(40)).all()
    assert all(s.held == 1 for s in moving_scenes(paths, (96, 64)))
    (programme,) = lively(paths, 1.0, (96, 64))
    assert len(programme.shots) == 60 and {j for *_, j in programme.shots} >= {"cut", "dissolve"}
    starts = [first for _, _, first, _, _ in programme.shots]
    assert starts == sorted(starts) and programme.frame(starts[1]).shape == (96, 96)


def test_no_frames_are_dropped_where_the_clip_leaps_by_itself() -> None:
    class Leaping(Shapes):
        name = "leaping"

        def frame(self, index: float) -> Picture:
            return super().frame(index + 4 * (index >= 30))

    assert moves_evenly(Shapes(), 5, 20) and moves_evenly(Leaping(), 5, 20)
    assert not moves_evenly(Leaping(), 10, 40)
