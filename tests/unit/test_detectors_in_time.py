"""Black, freeze, letterbox, cadence, timing, exposure, leader: each sees its fault and leaves its look-alike alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.black import Black
from mediaml.analyzers.artifacts.cadence import Cadence, without_cuts
from mediaml.analyzers.artifacts.exposure import Exposure
from mediaml.analyzers.artifacts.freeze import Freeze
from mediaml.analyzers.artifacts.leader import Leader
from mediaml.analyzers.artifacts.letterbox import Letterbox
from mediaml.analyzers.artifacts.motion_jumps import NONE, leap_between
from mediaml.analyzers.artifacts.timing import Timing
from tests.detecting import kinds, panning, small_spans


def noisy(rgb: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    return np.clip(rgb + rng.normal(0, sigma, rgb.shape), 0, 255).astype(np.uint8)


def test_black_is_found_to_the_frame_and_a_dark_scene_is_not_black() -> None:
    rgb = panning(50)
    rgb[20:30] = noisy(np.zeros_like(rgb[20:30]) + 4, 1.0)
    (found,) = small_spans(Black(), rgb)
    assert (found["start_seconds"], found["end_seconds"]) == pytest.approx((0.8, 1.2))
    assert found["confidence"] > 0.9
    dark = (panning(50) * 0.08).astype(np.uint8)
    assert dark.max() < 20 and small_spans(Black(), dark) == []


def test_a_freeze_begins_in_motion_and_a_slide_is_a_still_picture() -> None:
    frozen = panning(75, indices=[*range(30), *[29] * 25, *range(55, 75)])
    (found,) = small_spans(Freeze(), frozen)
    assert found["kind"] == "freeze"
    assert (found["start_seconds"], found["end_seconds"]) == pytest.approx((29 / 25, 55 / 25))
    slide = np.concatenate([panning(30), panning(40, seed=9, step=0.0), panning(30)])
    (found,) = small_spans(Freeze(), slide)
    assert found["kind"] == "still_picture"
    assert (found["start_seconds"], found["end_seconds"]) == pytest.approx((30 / 25, 70 / 25))


@pytest.mark.parametrize(
    ("after", "words", "sure"),
    [(range(55, 75), "leap", True), (range(30, 50), "animation that holds", False), ((), "cut or the end", False)],
)
def test_a_freeze_is_sure_where_time_was_lost(after: Sequence[int], words: str, sure: bool) -> None:
    """An animation that stops at full speed goes on from where it stopped, or ends: it cannot be told from a freeze."""
    rgb = panning(1, step=3.0, indices=[*range(30), *[29] * 25, *after])
    (found,) = small_spans(Freeze(), rgb)
    assert found["kind"] == "freeze" and words in found["message"]
    assert (found["confidence"] > 0.9) == sure and found["confidence"] >= 0.5
    cut = np.concatenate([rgb[:55], np.clip(panning(20, seed=9).astype(int) // 3 + 160, 0, 255).astype(np.uint8)])
    (found,) = small_spans(Freeze(), cut)
    assert "cut or the end" in found["message"]


def test_a_dissolve_into_a_slide_is_no_freeze() -> None:
    one, other = panning(1)[0].astype(float), panning(1, seed=9)[0].astype(float)
    fade = [np.rint((1 - a) * one + a * other).astype(np.uint8) for a in np.linspace(0, 1, 21)]
    rgb = np.stack([one.astype(np.uint8)] * 5 + fade + [other.astype(np.uint8)] * 40)
    assert kinds(small_spans(Freeze(), rgb)) == ["still_picture"]


@pytest.mark.parametrize("frames", [5, 10, 25])
def test_a_dissolve_out_of_motion_into_a_still_shot_is_no_freeze(frames: int) -> None:
    moving, still = panning(80).astype(float), panning(1, seed=9)[0].astype(float)
    shares = np.clip((np.arange(80) - 20) / (frames + 1), 0, 1)[:, None, None, None]
    rgb = np.rint((1 - shares) * moving + shares * still).astype(np.uint8)
    (found,) = small_spans(Freeze(), rgb)
    assert found["kind"] == "still_picture" and found["start_seconds"] == pytest.approx((21 + frames) / 25, abs=0.05)


def test_a_cut_out_of_fast_motion_into_a_still_shot_is_no_freeze() -> None:
    still = np.clip(panning(40, seed=9, step=0.0).astype(int) // 2 + 100, 0, 255).astype(np.uint8)
    fast = panning(30, step=30.0)
    assert kinds(small_spans(Freeze(), np.concatenate([fast, still]))) == ["still_picture"]
    frozen = panning(70, step=30.0, indices=[*range(30), *[29] * 40])
    assert kinds(small_spans(Freeze(), frozen)) == ["freeze"]


def test_motion_that_slows_down_to_rest_is_no_freeze() -> None:
    """A title that glides into place; and what an encoder improves after a cut into a still shot."""
    places = np.concatenate([np.arange(20), 19 + np.cumsum([0.8, 0.6, 0.4, 0.3, 0.2, 0.1]), np.full(30, 21.4)])
    far = [panning(1, step=8.0, indices=[float(p)])[0] for p in places]
    assert kinds(small_spans(Freeze(), np.stack(far))) == ["still_picture"]
    still = panning(40, seed=9, step=0.0)
    still[0] = np.clip(still[0].astype(int) + 2, 0, 255)
    assert kinds(small_spans(Freeze(), np.concatenate([panning(30), still]))) == ["still_picture"]


def test_a_pan_that_eases_into_rest_over_fine_texture_is_no_freeze() -> None:
    """The change of fine texture hardly falls while the pan slows down; the flow does."""
    eased = np.concatenate([np.arange(12), 11 + np.cumsum([0.8, 0.65, 0.5, 0.35, 0.2]), np.full(30, 13.5)])
    rng = np.random.default_rng(5)
    fine = np.repeat(rng.integers(60, 190, (144, 400, 1)), 3, axis=2)
    fine = (fine + np.roll(fine, 1, axis=1) + np.roll(fine, 1, axis=0)) / 3

    def shown(places: Sequence[float]) -> NDArray[np.uint8]:
        at = [8 * p for p in places]
        whole = [(1 - x % 1) * np.roll(fine, -int(x), axis=1) + x % 1 * np.roll(fine, -int(x) - 1, axis=1) for x in at]
        return np.stack([np.rint(w[:, :256]).astype(np.uint8) for w in whole])

    assert kinds(small_spans(Freeze(), shown(eased.tolist()))) == ["still_picture"]
    assert kinds(small_spans(Freeze(), shown([*range(16), *[15] * 30]))) == ["freeze"]


def test_noise_on_a_still_scene_is_no_freeze() -> None:
    still = np.concatenate([panning(10), noisy(panning(50, step=0.0), 2.0)])
    assert small_spans(Freeze(), still) == []


def test_bars_that_come_and_go() -> None:
    rgb = panning(150)
    rgb[50:100, :18] = rgb[50:100, -18:] = 0
    (found,) = small_spans(Letterbox(), rgb)
    assert found["kind"] == "letterbox" and found["severity"] > 0.5
    assert (found["start_seconds"], found["end_seconds"]) == pytest.approx((2.0, 4.0))
    rgb[:, :, :32] = rgb[:, :, -32:] = 0
    assert sorted(kinds(small_spans(Letterbox(), rgb))) == ["letterbox", "pillarbox"]


def test_a_dark_edge_is_no_bar() -> None:
    rgb = panning(60).astype(np.float32)
    rgb *= (
        np.clip(np.linspace(0, 6, 144), 0, 1)[None, :, None, None]
        * np.clip(np.linspace(6, 0, 144), 0, 1)[None, :, None, None]
    )
    assert small_spans(Letterbox(), rgb.astype(np.uint8)) == []


def test_repeats_drops_and_patterns() -> None:
    uneven = list(range(60))
    for at in (20, 27, 31, 42):
        uneven[at] = uneven[at - 1]
    (found,) = small_spans(Cadence(), panning(60, indices=uneven))
    assert found["kind"] == "repeated_frames"
    assert (found["start_seconds"], found["end_seconds"]) == pytest.approx((20 / 25, 43 / 25))
    film = [i - i // 5 for i in range(60)]
    assert kinds(small_spans(Cadence(), panning(60, indices=film))) == ["pulldown"]
    on_twos = [i - i % 2 for i in range(60)]
    assert small_spans(Cadence(), panning(60, indices=on_twos)) == []
    leaps = [i + 3 * (i >= 30) + 3 * (i >= 45) for i in range(60)]
    (found,) = small_spans(Cadence(), panning(60, indices=leaps))
    assert found["kind"] == "dropped_frames" and found["start_seconds"] == pytest.approx(30 / 25)
    assert small_spans(Cadence(), panning(60, indices=[i + 3 * (i >= 30) for i in range(60)])) == []
    assert small_spans(Cadence(), panning(60)) == []


def test_a_cut_is_no_leap() -> None:
    cut = np.concatenate([panning(30), panning(30, seed=9)])
    assert small_spans(Cadence(), cut) == []


def test_frames_that_settle_after_a_cut_are_no_leaps() -> None:
    """Encoders spread what a cut costs over some frames: the picture changes in turn by little and by much."""
    shot = panning(30, seed=9, step=1.0).astype(int)
    shot[2:4] += 3
    shot[4:] += 6
    assert small_spans(Cadence(), np.concatenate([panning(30), np.clip(shot, 0, 255).astype(np.uint8)])) == []


def test_a_mouth_that_moves_in_a_still_frame_makes_no_repeats() -> None:
    rgb = panning(60)
    for at in (20, 27, 31, 42):
        rgb[at] = rgb[at - 1]
        rgb[at, 100:108, 96:112] ^= 0x30
    assert small_spans(Cadence(), rgb) == []


def test_repeats_are_seen_in_fast_motion() -> None:
    """Steps as large as a cut's, one after another, are motion."""
    film = [i - i // 5 for i in range(60)]
    fast = panning(60, step=30.0, indices=film)
    assert np.median(np.abs(np.diff(fast.astype(int), axis=0)).mean(axis=(1, 2, 3))) > 25
    assert kinds(small_spans(Cadence(), fast)) == ["pulldown"]


def test_leaps_of_motion_too_fast_for_flow() -> None:
    leaps = [i + 2 * (i >= 15) + 2 * (i >= 30) for i in range(45)]
    slow = panning(1)[0, :, :, 0]
    assert leap_between(slow, slow, slow, slow, times=2.0) == NONE
    (found,) = small_spans(Cadence(), panning(45, step=5.0, indices=leaps))
    assert found["kind"] == "dropped_frames"
    assert small_spans(Cadence(), panning(45, step=5.0)) == []


def test_a_picture_that_is_drawn_anew_is_no_leap() -> None:
    """Key frames change all of a picture by as much as motion does, but nothing moves further."""
    rgb = panning(60, step=1.0).astype(int)
    grain = np.random.default_rng(2).integers(-14, 15, (5, *rgb.shape[1:]))
    rgb += grain[np.arange(60) // 12]
    assert small_spans(Cadence(), np.clip(rgb, 0, 255).astype(np.uint8)) == []
    lost = [i + 3 * (i >= 30) + 3 * (i >= 45) for i in range(60)]
    assert kinds(small_spans(Cadence(), panning(60, step=1.0, indices=lost))) == ["dropped_frames"]


def test_motion_that_catches_up_after_a_stall_has_lost_nothing() -> None:
    places = np.cumsum([2.0] * 20 + [0.8, 3.2] + [2.0] * 12 + [0.8, 3.2] + [2.0] * 20) / 2
    assert small_spans(Cadence(), panning(1, indices=places.tolist())) == []


def test_motion_that_turns_back_pauses_without_repeats() -> None:
    there, back = [1.0] * 10 + [0.0], [-1.0] * 10 + [0.0]
    swings = np.cumsum([*there, *back, *there, *back, 1.0]).tolist()
    assert small_spans(Cadence(), panning(1, step=3.0, indices=swings)) == []
    onward = np.cumsum([*there, *there, *there, *there, 1.0]).tolist()
    assert "pulldown" in kinds(small_spans(Cadence(), panning(1, step=3.0, indices=onward)))


def test_one_uneven_stall_is_no_finding() -> None:
    """A hand that comes nearly to rest, drifts, and goes on: two frames that hardly change, of one pause."""
    once = [1.0] * 15 + [0.0, 0.45, 0.0] + [1.0] * 15
    assert small_spans(Cadence(), panning(1, step=3.0, indices=np.cumsum(once).tolist())) == []
    twice = [1.0] * 15 + [0.0, 1.0, 0.0] + [1.0] * 15
    assert kinds(small_spans(Cadence(), panning(1, step=3.0, indices=np.cumsum(twice).tolist()))) == ["repeated_frames"]


def test_drawings_on_threes_under_a_dissolve_leap_evenly() -> None:
    """Every third step is larger than those beside it, again and again: no frames are lost."""
    held = panning(1, step=1.0, indices=[3.0 * (i // 3) for i in range(60)]).astype(float)
    moving = panning(60, seed=9, step=1.0).astype(float)
    rgb = np.rint((held + moving) / 2).astype(np.uint8)
    assert [f for f in small_spans(Cadence(), rgb) if f["kind"] == "dropped_frames"] == []


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_timestamps(batch: int) -> None:
    rgb = panning(60)
    even = [i / 25 for i in range(60)]
    assert small_spans(Timing(), rgb, pts=even, batch=batch) == []
    gap = [t + 0.12 * (i >= 30) for i, t in enumerate(even)]
    (found,) = small_spans(Timing(), rgb, pts=gap, batch=batch)
    assert found["kind"] == "missing_frames" and found["message"].startswith("3 frames")
    assert (found["start_seconds"], found["end_seconds"]) == pytest.approx((1.2, 1.32))
    jump = [t + 5 * (i >= 30) for i, t in enumerate(even)]
    assert kinds(small_spans(Timing(), rgb, pts=jump, batch=batch)) == ["timestamp_jump"]
    limping = np.cumsum([0.0] + [0.0167, 0.05] * 29 + [0.0167]).tolist()  # frames in pairs are a rate, not gaps
    assert small_spans(Timing(), rgb, pts=limping, batch=batch) == []
    varying = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.09, 60)).tolist()
    assert small_spans(Timing(), rgb, pts=varying, batch=batch) == []


def test_exposure() -> None:
    rgb = panning(60)
    over = np.clip(rgb * 2.4, 0, 255).astype(np.uint8)
    assert kinds(small_spans(Exposure(), np.concatenate([rgb, over]))) == ["over_exposed"]
    under = (rgb * 0.25).astype(np.uint8)
    assert kinds(small_spans(Exposure(), under)) == ["under_exposed"]
    worse = np.concatenate([under, rgb[:20] // 8])
    (found,) = small_spans(Exposure(), worse)
    assert found["evidence_seconds"] >= 60 / 25  # its worst picture, not its middle
    night = under.copy()
    night[:, 60:72, 100:120] = 240  # a lamp
    assert small_spans(Exposure(), night) == []
    slide = np.full_like(rgb, 255)
    slide[:, 40:100, 60:200] = 30
    assert small_spans(Exposure(), slide) == []


def test_colour_bars_and_slates() -> None:
    import cv2

    bars = (
        np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]], np.uint8)
        * 191
    )
    rgb = panning(90)
    rgb[20:45] = bars[np.arange(256) * 8 // 256]
    slate = np.full((144, 256, 3), 20, np.uint8)
    for line in range(5):
        cv2.putText(
            slate,
            f"EPISODE {line} TAKE {3 * line}",
            (20, 28 + 22 * line),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            (230, 230, 230),
        )
    rgb[50:85] = slate
    found = small_spans(Leader(), rgb)
    assert kinds(found) == ["colour_bars", "slate"]
    assert (found[0]["start_seconds"], found[0]["end_seconds"]) == pytest.approx((0.8, 1.8))
    assert (found[1]["start_seconds"], found[1]["end_seconds"]) == pytest.approx((2.0, 3.4))
    assert small_spans(Leader(), panning(60, step=0.0)) == []


def test_drawings_on_twos_in_fast_motion_are_no_cuts() -> None:
    twos = np.tile([28.0, 0.0], 10)
    assert np.array_equal(without_cuts(twos)[3:-3], twos[3:-3])
    cut = np.full(15, 3.0)
    cut[7] = 40.0
    assert without_cuts(cut).tolist() == np.where(cut == 40, 0, cut).tolist()
