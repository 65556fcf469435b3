"""Where in a clip a fault in time can be seen: a freeze or a lost frame needs something that moves, and no cut beside it.

The clean clip alone is looked at, at its own size; never what a detector measures.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.colour import luma
from benchmarks.faults.sources import Clip, Picture

STARTS = range(0, 601, 15)  # frames of a clip that a faulty file may begin with
_LEVELS, _SHARE = 12, 0.01  # a step moves where so large a share of the picture changes by so many levels
_CUT_LEVELS, _CUT_TIMES = (
    20.0,
    3.0,
)  # a cut changes the picture by so much, and so many times as much as the steps around it
_AROUND = 6  # frames
_UNEVEN = 0.2  # median absolute difference of the logarithms of successive changes
_OWN_LEAP = 2.0  # times the change of both steps beside it: a leap, or a cut, of the clip itself
_DARK = 40.0  # coded luma that a place must pass for a black bar to show there


def moves_throughout(clip: Clip, first: int, stop: int) -> bool:
    """Nine of ten steps from frame `first` to `stop - 1` move, and none is a cut; six frames on either side included."""
    shares, means = zip(*(_step(clip, i) for i in range(max(1, first - _AROUND), stop + _AROUND)), strict=True)
    cut = max(_CUT_LEVELS, _CUT_TIMES * float(np.median(means)))
    return float(np.percentile(shares, 10)) >= _SHARE and max(means) < cut


def moves_evenly(clip: Clip, first: int, stop: int) -> bool:
    """It moves throughout, and from step to step by nearly the same: by a fifth more or less at most, in the median.

    No step is twice as large as both beside it. In motion that leaps by itself nobody can tell a frame that was lost.
    """
    changes = [_step(clip, i)[1] for i in range(max(1, first - _AROUND), stop + _AROUND)]
    if any(b >= _OWN_LEAP * max(a, c, 1.0) for a, b, c in zip(changes, changes[1:], changes[2:], strict=False)):
        return False
    uneven = float(np.median(np.abs(np.diff(np.log(np.maximum(changes, 0.1))))))
    return uneven <= _UNEVEN and moves_throughout(clip, first, stop)


def moves_at_both_ends(clip: Clip, first: int, stop: int) -> bool:
    """The picture moves into frame `first` and on from frame `stop`: what lies between is not shown."""
    return moves_throughout(clip, first, first + 1) and moves_throughout(clip, stop + 1, stop + 2)


def is_bright(clip: Clip, first: int, stop: int, bars: tuple[float, float]) -> bool:
    """Something can be seen where the bars, shares of the height and width on each side, will lie and right beside them."""
    rows, columns = round(bars[0] * clip.height), round(bars[1] * clip.width)
    for at in range(first, stop, 6):
        picture = luma(clip.frame(at))
        sides = (
            (picture[: 2 * rows], picture[-2 * rows :])
            if rows
            else (picture[:, : 2 * columns], picture[:, -2 * columns :])
        )
        if min(float(np.percentile(side, 75)) for side in sides) < _DARK:
            return False
    return True


def comb_shows(woven: Picture, clean: Picture) -> bool:
    """On a hundredth of the lower field, lines leave the mean of the lines around by 12 levels more than they did."""
    after, before = (luma(p).astype(np.float32) for p in (woven, clean))
    rise = _teeth(after) - _teeth(before)
    return float((rise >= _LEVELS).mean()) >= _SHARE


def _teeth(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.abs(picture[1:-1:2] - (picture[:-2:2] + picture[2::2]) / 2)


@lru_cache(maxsize=20_000)
def _step(clip: Clip, index: int) -> tuple[float, float]:
    """(share of the picture that changes by twelve levels or more, mean change in levels) from the frame before `index`."""
    change = cv2.absdiff(luma(clip.frame(index)), luma(clip.frame(index - 1)))
    return float((change >= _LEVELS).mean()), float(change.mean())
