"""Spans in which the picture stands still although it was moving: freezes; and whole shots that are one picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.arrival import LOOKS_BACK, arrives
from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.motion_jumps import flow
from mediaml.analyzers.artifacts.small_view import SMALL, Bytes, Change, Floats, block_means, grey, histogram
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_EQUAL = 0.35  # levels of mean difference that a repeated frame may keep after a good encode
_EQUAL_STEPS = 3  # in a row, with which a stillness begins
_HELD = 2.5  # levels that any block may move away from the first frame of a freeze
_MOVING = 0.5  # levels of mean difference to the frame before that count as motion
_MINIMUM_SECONDS = 0.4
_STILL_SECONDS = 1.0
_CUT, _CUT_TIMES = 6.0, 2.5  # levels, and times the change before: a cut, after which nothing moves
_RESTS, _RESTS_STEPS = 0.6, 8  # of the usual one of so many steps before: the last two stay below it if motion rests
_SETTLES, _SETTLED = 4, 0.1  # steps after a cut, and a part of it: an encoder takes so many to draw the picture well
_SLOWING = 4
_SLOWS = 0.6, 0.85  # of the flow of the step before: the last step, and the one before it, if motion comes to rest
_FLAT = 4.0  # levels of spread between blocks under which there is no picture that could freeze
_LEAP = 1.5  # times the largest of these steps, that the first step after a freeze is when time was lost meanwhile
_SAME_SCENE = 0.82  # common part of the histograms before and after that step; a cut leaves less
_FULL_SEVERITY_SECONDS = 4.0


class Freeze(Detector):
    """Frames that repeat the picture: nothing moves by more than an encoder's rounding, for at least 0.4 s.

    The median mean difference from frame to frame is at most 0.35 levels of 255 (256x144 luma), and no 8x8 block's mean
    leaves that of the span's first frame by more than 2.5 levels: key frames may pulse, but nothing may move.

    kinds       "freeze": the picture was moving undiminished right up to the first repeated frame, which does not fade in
                (see arrival.py). "still_picture": the picture has stood still since a cut, a fade or dissolve, motion that
                came to rest (and does not go on with a leap) or the file's start, for at least 1 s: a slide, a title or a
                photograph, seldom a fault
    severity    freeze: length / 4 s, at most 1; still_picture: 0.1
    confidence  of a freeze: from 0.5 to 0.75 by the motion before it, and 0.25 more where motion goes on with a leap in the
                same scene: then time was lost. An animation that stops at full speed and holds cannot be told from a freeze
                that goes on where it stopped, or that ends with the shot; the message says which of these it was
    """

    spec = Spec(
        name="freeze",
        version=4,
        summary="frozen pictures, and shots that are one still picture",
        outputs=(
            Column(
                "frame_change", "float32", "8-bit code value",
                "mean absolute luma difference to the frame before, at 256x144; null for the first frame",
                minimum=0, maximum=255, nullable=True,
            ),
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="FFmpeg freezedetect (mean difference from frame to frame)",
        cost_ms=0.1,
        kinds=("freeze", "still_picture"),
    )  # fmt: skip

    def reset(self) -> None:
        self._change = Change()
        self._anchor: Floats | None = None
        self._runs = 0
        self._frames: deque[Bytes] = deque(maxlen=LOOKS_BACK + 1 + _EQUAL_STEPS)
        self._steps: deque[float] = deque(maxlen=1 + _EQUAL_STEPS)

    def measure(self, batch: FrameBatch) -> Measures:
        change, _ = self._change.measure(batch)
        looked = [self._look(frame, step) for frame, step in zip(grey(batch), change.tolist(), strict=True)]
        arrived, goes_on, slows = (np.array(flags) for flags in zip(*looked, strict=True))
        blocks = block_means(batch)
        run = np.empty(len(blocks))
        for i, picture in enumerate(blocks):
            if self._anchor is None or np.abs(picture - self._anchor).max() > _HELD:
                self._anchor, self._runs = picture.copy(), self._runs + 1
            run[i] = self._runs
        spread = blocks.max(axis=(1, 2)) - blocks.min(axis=(1, 2))
        kept = {"arrived": arrived, "goes_on": goes_on, "slows": slows}
        return {"frame_change": change, "run": run, "spread": spread} | kept

    def _look(self, frame: Bytes, step: float) -> tuple[bool, bool, bool]:
        """Whether a stillness that begins three frames before this one has come by a fade or a cut; whether one that ends
        here ends in the same scene; and whether the motion before the first one slows down."""
        self._frames.append(frame)
        self._steps.append(step)
        steps = list(self._steps)
        if len(steps) <= _EQUAL_STEPS:
            return False, False, False
        *_, before, now = self._frames
        if step >= _MOVING and max(steps[:-1]) <= _EQUAL:
            return False, float(np.minimum(histogram(before), histogram(now)).sum()) >= _SAME_SCENE, False
        if not steps[0] > _EQUAL or max(steps[1:]) > _EQUAL:
            return False, False, False
        *earlier, still = list(self._frames)[:-_EQUAL_STEPS]
        return arrives(still, earlier), False, _slows(still, earlier)

    def judge(self, track: Track) -> list[Finding]:
        run, change = track["run"], np.nan_to_num(track["frame_change"], nan=255.0)
        edges = np.flatnonzero(np.diff(run)) + 1
        found = []
        for first, stop in zip([0, *edges], [*edges, len(track)], strict=True):
            seconds = track.end[stop - 1] - track.start[first]
            if seconds < _MINIMUM_SECONDS or np.median(track["spread"][first:stop]) < _FLAT:
                continue
            first = _begin(change, int(first), int(stop))
            if stop - first < 3 or np.median(change[first + 1 : stop]) > _EQUAL:
                continue
            if (finding := _finding(track, change, first, int(stop))) is not None:
                found.append(finding)
        return found


def _begin(change: NDArray[np.float64], first: int, stop: int) -> int:
    """The frame that is repeated: the last one before three in a row that hardly change."""
    for at in range(first, stop - _EQUAL_STEPS):
        if (change[at + 1 : at + 1 + _EQUAL_STEPS] <= _EQUAL).all():
            return at
    return stop


def _finding(track: Track, change: NDArray[np.float64], first: int, stop: int) -> Finding | None:
    start, end = track.start[first], track.end[stop - 1]
    seconds, middle = end - start, (start + end) / 2
    arrived, slows = (bool(track[n][first + 1 : first + 1 + _EQUAL_STEPS].any()) for n in ("arrived", "slows"))
    surely, after = _after(track, change, first, stop)
    stopped = arrived or first < 3 or _is_cut(change, first) or ((slows or _rests(change, first)) and not surely)
    motion = 0.0 if stopped else _motion(change, first)
    if motion >= _MOVING and seconds >= _MINIMUM_SECONDS:
        confidence = 0.5 + 0.25 * ramp(motion, _MOVING, 3.0) + (0.25 if surely else 0.0)
        message = f"the picture freezes for {seconds:.2f} s while in motion; {after}"
        return Finding("freeze", start, end, seconds / _FULL_SEVERITY_SECONDS, confidence, middle, message)
    if seconds >= _STILL_SECONDS:
        return Finding("still_picture", start, end, 0.1, 0.9, middle, f"one still picture for {seconds:.2f} s")
    return None


def _slows(still: Bytes, before: Sequence[Bytes]) -> bool:
    """Whether each of the last two steps into (H, W) `still` is shorter than the one before it: fine texture hides that from
    the change of the picture, not from the flow."""
    if len(before) < 3:
        return False
    shown = [*before[-3:], still]
    speeds = [float(np.hypot(*np.moveaxis(flow(a, b), 2, 0)).mean()) for a, b in pairwise(shown)]
    return speeds[2] <= _SLOWS[0] * speeds[1] and speeds[1] <= _SLOWS[1] * speeds[0]


def _after(track: Track, change: NDArray[np.float64], first: int, stop: int) -> tuple[bool, str]:
    """Whether motion goes on at frame `stop` as it does where time was lost, and the words for what it does.

    No motion that was meant makes more than a step's way in one step.
    """
    same = stop < len(track) and bool(track["goes_on"][stop])
    if same and change[stop] >= _LEAP * change[max(first - _RESTS_STEPS, 0) : first + 1].max():
        return True, "it goes on with a leap: what moved meanwhile is lost"
    if same:
        return False, "it goes on from where it stopped: an animation that holds looks the same"
    return False, "a cut or the end follows: an animation that stops for good looks the same"


def _motion(change: NDArray[np.float64], first: int) -> float:
    """The median of the four steps into `first`: film at a converted rate repeats a frame of its own now and then."""
    return float(np.median(change[first - 3 : first + 1]))


def _is_cut(change: NDArray[np.float64], first: int) -> bool:
    """Whether the step into frame `first` is a cut, or one of the four before it with next to nothing since: what an encoder
    still improves is no motion."""
    for at in range(max(first - _SETTLES, 3), first + 1):
        cut = change[at] > max(_CUT, _CUT_TIMES * float(np.median(change[at - 3 : at])))
        if cut and (at >= first - 1 or change[at + 1 : first + 1].max() <= _SETTLED * change[at]):
            return True
    return False


def _rests(change: NDArray[np.float64], first: int) -> bool:
    """Whether motion slows down to rest: the last two steps into frame `first` are small ones of the motion before, or each
    of the last four is no longer than the one before it and the last at most half of the first of them."""
    steps = change[max(first - _RESTS_STEPS, 0) : first + 1]
    moving = steps[steps > _EQUAL]
    last = steps[-_SLOWING:]
    slows = len(last) == _SLOWING and bool((np.diff(last) <= 0).all()) and float(last[-1]) <= 0.5 * float(last[0])
    return slows or (len(moving) > 0 and float(steps[-2:].max()) <= _RESTS * float(np.median(moving)))
