"""Motion that leaps: between two frames the picture moves as far as it should in two or more.

Frames that were dropped without a trace in the timestamps show only in the motion. A step is looked at where the picture
changes clearly more than at both neighbouring steps (or a little more, where texture moves by more than its own size already
and cannot change by much more), and no cut is just before it (encoders take some frames to settle). It is a leap by either of
two signs:

- everywhere: the median 8x8 block that moves changes more than at either neighbouring step: 1.3 times as much, or 1.15 times
  where the flow leaps with it, while the picture's histogram stays (a cut's does not). Holds for motion of any kind that is
  too fast to follow; slower motion must be longer by the flow too, or an encoder has drawn the picture anew (a key frame).
- along the flow: dense flow (Kroeger et al. 2016, "Fast optical flow using dense inverse search") keeps the direction of the
  flow around it, is more than 1.55 times as long, and either explains the change or agrees with the flow before and after.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.small_view import BLOCKS, Bytes, histogram

SUSPECT = 1.15  # times the change of both neighbours
_SATURATED, _SATURATED_SUSPECT = 12.0, 1.03  # levels of change from which on that many times the change is suspect
_STILL = 0.3  # levels: smaller changes tell nothing
_SETTLED = 4  # steps after a cut in which encoders settle
_CUT_TIMES = 3.5  # times the change of the steps around it that a cut changes the picture
EVERYWHERE, WHOLE = 1.3, 1.3  # times, of the median moving block and of the picture
_EVERYWHERE_ALONG = 1.15  # the same of the median block, where the flow leaps too
_BLOCK_MOVES, _MOVING_BLOCKS = 1.0, 0.05  # levels of change; share of blocks that must move
_SAME_SCENE = 0.82  # common part of the histograms before and after
LEAP = 1.55  # times the motion before and after
_ALONG = 0.7  # cosine between the leap and the motion around it
_UNEXPLAINED = 0.72  # of the change that may be left after following the motion
_STEADY, _STEADY_ALONG = 0.8, 0.9  # cosines: of the motion before and after, and of the leap with both
_STEADY_LEAP, _STEADY_SPEED = 1.8, 1.0  # times; px of 256x144 a frame
_SURE_LEAP, _SURE_ALONG, _SURE_UNEXPLAINED = 2.0, 0.75, 0.72
_CLEAR_LEAP, _CLEAR_COSINE, _CLEAR_UNEXPLAINED = 1.65, 0.93, 0.35  # of flow that explains nearly all
_LONGER, _FAST = (
    1.3,
    4.0,
)  # times that motion must be longer for any leap; px a frame beyond which flow is not to be trusted
_MOVING = 0.2  # px of 256x144 a frame: slower motion is not measured well enough
_FAST_PERCENTILE = 80  # the motion of a picture is that of its faster parts

Flow = NDArray[np.float32]  # (H, W, 2) px


@dataclass(frozen=True, slots=True)
class Leap:
    """Frames missing before a frame, 0 for none; `sure` where the flow is twice as long and explains some of the change."""

    lost: float
    sure: bool


NONE = Leap(0.0, False)


class Leaps:
    """Feed frames in order; each call judges the step into the frame before the last one fed."""

    def __init__(self) -> None:
        self._frames: deque[Bytes] = deque(maxlen=4)
        self._changes: deque[float] = deque(maxlen=3 + _SETTLED)

    def push(self, frame: Bytes, change: float) -> Leap:
        """The leap into the frame pushed last but one. `change`: mean difference to the frame before, NaN for the first."""
        self._frames.append(frame)
        self._changes.append(change)
        if len(self._frames) < 4:
            return NONE
        *earlier, before, suspect, after = self._changes
        least = _SATURATED_SUSPECT if suspect >= _SATURATED else SUSPECT
        if not suspect > least * max(before, after, _STILL) or min(before, after) < _STILL:
            return NONE
        if any(step > _CUT_TIMES * suspect for step in earlier):
            return NONE
        return leap_between(*self._frames, times=suspect / max(before, after))


@dataclass(frozen=True, slots=True)
class _Motion:
    """The flow of three steps: `times` the middle one is longer, cosines, px a frame, the share of the change it leaves."""

    times: float
    along: float
    steady: float
    speed: float
    lost: float
    unexplained: float

    @property
    def goes_on(self) -> bool:
        return self.times >= LEAP and self.along >= _ALONG

    @property
    def agrees(self) -> bool:
        steady = self.steady >= _STEADY and self.along >= _STEADY_ALONG
        return steady and self.times >= _STEADY_LEAP and self.speed >= _STEADY_SPEED

    @property
    def leaps(self) -> bool:
        return self.goes_on and (self.unexplained <= _UNEXPLAINED or self.agrees)

    @property
    def may_leap(self) -> bool:
        return self.times >= _LONGER or self.speed >= _FAST

    @property
    def is_sure(self) -> bool:
        long = self.times >= _SURE_LEAP and self.along >= _SURE_ALONG and self.unexplained <= _SURE_UNEXPLAINED
        clear = min(self.along, self.steady) >= _CLEAR_COSINE and self.unexplained <= _CLEAR_UNEXPLAINED
        return long or (clear and self.times >= _CLEAR_LEAP)


def leap_between(a: Bytes, b: Bytes, c: Bytes, d: Bytes, times: float) -> Leap:
    """The leap from `b` to `c` of four consecutive (H, W) frames; `times`: the change of that step over its neighbours'."""
    motion = _motion(a, b, c, d)
    if motion.leaps if times > SUSPECT else motion.agrees:
        return Leap(motion.lost, motion.is_sure)
    if times <= WHOLE or not motion.may_leap or (times > _CUT_TIMES and not motion.goes_on):
        return NONE
    if np.minimum(histogram(b), histogram(c)).sum() < _SAME_SCENE:
        return NONE
    blocks = _times_everywhere(a, b, c, d)
    if blocks >= (_EVERYWHERE_ALONG if motion.goes_on else EVERYWHERE):
        return Leap(max(1.0, round(blocks) - 1.0), False)
    return NONE


def _times_everywhere(a: Bytes, b: Bytes, c: Bytes, d: Bytes) -> float:
    """How much more the median moving block changes from `b` to `c` than before and after; 0 where too few move."""
    first, leap, last = (_block_change(one, other) for one, other in ((a, b), (b, c), (c, d)))
    usual = np.maximum(first, last)
    moves = usual > _BLOCK_MOVES
    return float(np.median(leap[moves] / usual[moves])) if moves.mean() >= _MOVING_BLOCKS else 0.0


def _block_change(one: Bytes, other: Bytes) -> NDArray[np.float32]:
    """(18, 32) mean absolute difference of 8x8 blocks."""
    change = cv2.absdiff(one, other).astype(np.float32)
    return np.asarray(cv2.resize(change, (BLOCKS[1], BLOCKS[0]), interpolation=cv2.INTER_AREA), np.float32)


def _motion(a: Bytes, b: Bytes, c: Bytes, d: Bytes) -> _Motion:
    before, leap, after = (flow(one, other) for one, other in ((a, b), (b, c), (c, d)))
    speeds = [float(np.percentile(np.hypot(f[..., 0], f[..., 1]), _FAST_PERCENTILE)) for f in (before, leap, after)]
    usual = (speeds[0] + speeds[2]) / 2
    return _Motion(
        times=speeds[1] / max(speeds[0], speeds[2], _MOVING),
        along=cosine(leap, before + after),
        steady=cosine(before, after),
        speed=speeds[1],
        lost=max(1.0, round(speeds[1] / max(usual, _MOVING)) - 1.0),
        unexplained=_unexplained(b, c, leap),
    )


def cosine(one: Flow, other: Flow) -> float:
    """Between two (H, W, 2) flows, -1 to 1: whether they go the same way."""
    return float((one * other).sum() / (np.sqrt((one**2).sum() * (other**2).sum()) + 1e-9))


def _unexplained(one: Bytes, other: Bytes, moved: Flow) -> float:
    """Share of the difference between two (H, W) frames that is left after following `moved`."""
    y, x = np.indices(one.shape, np.float32)
    followed = cv2.remap(other, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR)
    left, change = (float(cv2.absdiff(picture, one).mean()) for picture in (followed, other))
    return left / change if change > 0 else 0.0


def flow(one: Bytes, other: Bytes) -> Flow:
    """Where each sample of (H, W) `one` is in `other`: (H, W, 2) px."""
    return np.asarray(_finder().calc(one, other, None), np.float32)  # type: ignore[call-overload]


@lru_cache(maxsize=1)
def _finder() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
