"""Motion that leaps: between two frames the picture moves as far as it should in two or more.

Frames that were dropped without a trace in the timestamps show only in the motion. A step is looked at where the picture
changes clearly more than at both neighbouring steps, and is a leap by either of two signs:

- everywhere: the median 8x8 block that moves changes at least 1.25 times as much as at either neighbouring step, and the
  picture 1.4 times, while its histogram stays (a cut's does not). Holds for motion of any kind and speed.
- along the flow: dense flow (Kroeger et al. 2016, "Fast optical flow using dense inverse search") explains the change,
  keeps the direction of the flow around it, and is more than 1.55 times as long. Finds slow, smooth motion.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.small_view import BLOCKS, Bytes

SUSPECT = 1.15  # times the change of both neighbours
EVERYWHERE, WHOLE = 1.15, 1.3  # times, of the median moving block and of the picture
_BLOCK_MOVES, _MOVING_BLOCKS = 1.0, 0.05  # levels of change; share of blocks that must move
_SAME_SCENE = 0.82  # common part of the histograms before and after
_BINS = 32
LEAP = 1.55  # times the motion before and after
_ALONG = 0.75  # cosine between the leap and the motion around it
_UNEXPLAINED = 0.72  # of the change that may be left after following the motion
_MOVING = 0.2  # px of 256x144 a frame: slower motion is not measured well enough
_SAME_DIFFERENCE = 0.8  # cosine between successive differences of a fade
_FADE_UNEXPLAINED = 0.6
_FADE_UNSHIFTED = 0.82  # the same where each block may shift: fades leave 0.83 and more, motion mostly less
_SHIFTED = 16  # px of a block that is shifted as one
_FAST_PERCENTILE = 80  # the motion of a picture is that of its faster parts

Flow = NDArray[np.float32]  # (H, W, 2) px


class Leaps:
    """Feed frames in order; each call judges the step into the frame before the last one fed."""

    def __init__(self) -> None:
        self._frames: deque[Bytes] = deque(maxlen=4)
        self._changes: deque[float] = deque(maxlen=3)

    def push(self, frame: Bytes, change: float) -> float:
        """Frames missing before the frame pushed last but one; 0 for none. `change`: mean difference to the frame before."""
        self._frames.append(frame)
        self._changes.append(change)
        if len(self._frames) < 4:
            return 0.0
        before, suspect, after = self._changes
        if not suspect > SUSPECT * max(before, after, 0.3) or min(before, after) < 0.3:
            return 0.0
        a, b, c, d = self._frames
        if suspect > WHOLE * max(before, after) and (lost := leaps_everywhere(a, b, c, d)):
            return lost
        return missing_between(a, b, c, d)


def leaps_everywhere(a: Bytes, b: Bytes, c: Bytes, d: Bytes) -> float:
    """Frames missing between `b` and `c` of four consecutive (H, W) frames, at least, by the change of blocks; 0 for none."""
    first, leap, last = (_block_change(one, other) for one, other in ((a, b), (b, c), (c, d)))
    usual = np.maximum(first, last)
    moves = usual > _BLOCK_MOVES
    if moves.mean() < _MOVING_BLOCKS:
        return 0.0
    times = float(np.median(leap[moves] / usual[moves]))
    if times < EVERYWHERE or np.minimum(_histogram(b), _histogram(c)).sum() < _SAME_SCENE:
        return 0.0
    return max(1.0, round(times) - 1.0)


def _block_change(one: Bytes, other: Bytes) -> NDArray[np.float32]:
    """(18, 32) mean absolute difference of 8x8 blocks."""
    change = cv2.absdiff(one, other).astype(np.float32)
    return np.asarray(cv2.resize(change, (BLOCKS[1], BLOCKS[0]), interpolation=cv2.INTER_AREA), np.float32)


def _histogram(frame: Bytes) -> NDArray[np.float64]:
    """(32,) shares of levels, each shared with its neighbours."""
    counts = np.bincount(frame.ravel() >> 3, minlength=_BINS)
    return np.convolve(counts, (0.25, 0.5, 0.25), "same") / frame.size


def missing_between(a: Bytes, b: Bytes, c: Bytes, d: Bytes) -> float:
    """Frames missing between `b` and `c` of four consecutive (H, W) frames, by their flow; 0 for none."""
    first, leap, last = (_flow(one, other) for one, other in ((a, b), (b, c), (c, d)))
    speeds = [float(np.percentile(np.hypot(f[..., 0], f[..., 1]), _FAST_PERCENTILE)) for f in (first, leap, last)]
    usual = max(speeds[0], speeds[2], _MOVING)
    around = first + last
    along = float((leap * around).sum() / (np.sqrt((leap**2).sum() * (around**2).sum()) + 1e-9))
    if speeds[1] < LEAP * usual or along < _ALONG:
        return 0.0
    if unexplained(b, c, leap) > _UNEXPLAINED:
        return 0.0
    return max(1.0, round(2 * speeds[1] / max(speeds[0] + speeds[2], 2 * _MOVING)) - 1.0)


def unexplained(one: Bytes, other: Bytes, flow: Flow) -> float:
    """Share of the difference between two (H, W) frames that is left after following `flow`."""
    y, x = np.indices(one.shape, np.float32)
    followed = cv2.remap(other, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
    left, change = (float(cv2.absdiff(picture, one).mean()) for picture in (followed, other))
    return left / change if change > 0 else 0.0


def is_fade(a: Bytes, b: Bytes, c: Bytes) -> bool:
    """Whether three consecutive (H, W) frames are part of a fade: the same difference twice, which no motion explains."""
    first, second = (cv2.subtract(later, sooner, dtype=cv2.CV_32F).ravel() for sooner, later in ((a, b), (b, c)))
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    if size == 0 or float(first @ second) < _SAME_DIFFERENCE * size:
        return False
    return unexplained(b, c, _flow(b, c)) > _FADE_UNEXPLAINED and _beyond_shift(b, c) > _FADE_UNSHIFTED


def _beyond_shift(one: Bytes, other: Bytes) -> float:
    """Share of the difference that is left once each 16x16 block may shift by part of a pixel (Lucas & Kanade 1981).

    Slow motion is a fraction of a pixel a frame, which dense flow misses.
    """
    picture, change = one.astype(np.float32), cv2.subtract(other, one, dtype=cv2.CV_32F)
    gx, gy = (cv2.Sobel(picture, cv2.CV_32F, *axis, ksize=3, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    size = (one.shape[1] // _SHIFTED, one.shape[0] // _SHIFTED)
    products = ((gx, gx), (gx, gy), (gy, gy), (gx, change), (gy, change), (change, change))
    xx, xy, yy, xt, yt, tt = (cv2.resize(p * q, size, interpolation=cv2.INTER_AREA) for p, q in products)
    determinant = np.maximum(xx * yy - xy * xy, 1e-3)
    explained = (yy * xt * xt - 2 * xy * xt * yt + xx * yt * yt) / determinant
    return float(np.sqrt(np.clip(tt - explained, 0, None).sum() / max(float(tt.sum()), 1e-9)))


def _flow(one: Bytes, other: Bytes) -> Flow:
    return np.asarray(_finder().calc(one, other, None), np.float32)  # type: ignore[call-overload]


@lru_cache(maxsize=1)
def _finder() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
