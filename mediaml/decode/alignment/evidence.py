"""How badly each reference frame fits each distorted one, for a search that follows a steady clock (alignment/steady.py).

Two kinds, both of squared differences of thumbnails, both counted beyond the best of the row and in units of their own:

    plain        the coding error e(i, j) = distorted(i) - reference(j)
    innovation   e(i, j) - rho e(i - 1, j'), where the frame before shows j'. Coding errors are inherited from frame to frame
                 (what is predicted is copied with its error), so what is new at a frame tells of it far more sharply than the
                 error itself, a repeated frame above all. rho is measured on the first path.

Two more facts of how pictures are coded count. A picture that is predicted from earlier ones alone holds nothing of its
source's future: what of its error points towards the next reference frame counts `FORWARD` times more (of B and I pictures
nothing can be said). And a picture that stands where the reference moves (alignment/stillness.py) shows no new frame.

One unit is what neighbouring reference frames differ by hereabouts, or the coding error where that is less, plus a share of
the error that grows as it drowns the difference: in a static scene the coder shows whichever picture was cheapest, which is
no evidence of time. That share is great for innovations, and small for plain errors, which add up over a scene: nine frames
away is plain to see where one is not. But where the error outweighs the motion by far, a coder is late by about a frame
throughout: plain errors count only beyond what `LAGS` steps make. Thumbnails of a part of a picture are interpolated: their
errors are of place as well as of coding, and the great share holds for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.path import CAP, PIXELS, Path, Track, local_motion
from mediaml.decode.alignment.stillness import stillness

THETA, STILL = 0.25, 0.065  # shares of the error that drown motion, in innovations and in plain errors
FORWARD = 1.0
FLOOR = 0.2  # squared codes: the reference's motion below is rounding
LAGS, OVER = 1.0, 4.0  # the steps that a coder may be late by, where its error is more than `OVER` of them
_LEAST = 0.05
_BLOCK = 64
_FAR = 256  # reference frames: a block of rows is cut where the window jumps further
_RHO_OF, _MOST_RHO = 2000, 0.95

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """Where each row of a search looks.

    low      (M,) reference frame in a row's first column; may lie outside the file, which has its end frames there
    part     (M,) where in that frame's time the row's least lag lies, from 0 to 1
    width    columns a row
    states   lags a row, `phases` of them a frame
    shift    (M,) by how many states a row's lags lie above the row's before
    """

    low: Indices
    part: NDArray[np.float64]
    width: int
    states: int
    phases: int
    shift: Indices

    def columns(self, rows: Indices | int) -> Indices:
        """(..., states): the column that each lag state shows."""
        return np.floor(self.part[rows, ..., None] + np.arange(self.states) / self.phases).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows: plain (B, width); running (B, S), innovation of a lag state that stays; holding (B, width), of a column that
    is shown again; still (B,), what it costs to show another one."""

    start: int
    plain: Floats
    running: Floats
    holding: Floats
    still: Floats


def evidence(distorted: Track, reference: Track, first: Path, near: Indices, lanes: Lanes) -> Iterator[Rows]:
    """All rows, block by block; the first row of a block that follows a jump has no innovation."""
    rho = _inheritance(distorted, reference, first)
    motion, still = local_motion(reference, 0.0), stillness(distorted, reference, near)
    breaks = set((np.flatnonzero(np.abs(np.diff(lanes.low)) > _FAR) + 1).tolist())
    edges = sorted({*range(0, len(distorted), _BLOCK), *breaks, len(distorted)})
    for start, stop in pairwise(edges):
        follows = start > 0 and start not in breaks
        yield _block(distorted, reference, first.noise, lanes, motion, rho, still, start, stop, follows)


def _inheritance(distorted: Track, reference: Track, first: Path) -> float:
    """rho: which part of a frame's coding error the next one has, the median of some frames."""
    rows = np.arange(1, len(distorted))[:: max(1, len(distorted) // _RHO_OF)]
    if not len(rows):
        return 0.0
    now = distorted.vectors(rows) - reference.vectors(first.index[rows])
    before = distorted.vectors(rows - 1) - reference.vectors(first.index[rows - 1])
    shares = (now * before).sum(1) / np.maximum((before * before).sum(1), 1e-6)
    return float(np.clip(np.median(shares), 0, _MOST_RHO))


def _block(
    distorted: Track, reference: Track, noise: float, lanes: Lanes, motion: Floats, rho: float, still: Floats,
    start: int, stop: int, follows: bool,
) -> Rows:  # fmt: skip
    """Rows start ... stop - 1; `follows`: the row before is near enough to be looked at with them."""
    above = start - 1 if follows else start
    low = lanes.low[above:stop]
    least_column, past = int(low.min()), int(low.max()) + lanes.width
    shown = np.clip(np.arange(least_column, past), 0, len(reference) - 1)
    a, b = distorted.vectors(slice(above, stop)), reference.vectors(slice(int(shown[0]), int(shown[-1]) + 1))
    shown = shown - shown[0]
    ab, bb = (a @ b.T)[:, shown], (b @ b.T)[shown][:, shown]
    aa = (a * a).sum(1)
    squares = np.maximum(aa[:, None] + np.diag(bb)[None] - 2 * ab, 0) / np.float32(PIXELS)
    windows = (low - least_column)[:, None] + np.arange(lanes.width)
    found = np.take_along_axis(squares, windows, axis=1)
    nearest = found.argmin(1)
    least = found[np.arange(len(found)), nearest]
    moves = motion[np.clip(low + nearest, 0, len(reference) - 1)]
    error = np.maximum(least, np.float32(noise))
    if distorted.from_past is not None:
        forward = _forward(ab, bb) * distorted.from_past[above:stop, None]
        found = found + np.float32(FORWARD) * np.take_along_axis(forward, windows, axis=1)
        least = found.min(1)
    floored, step = moves + np.float32(FLOOR), moves + np.float32(_LEAST)
    known, drowned = np.minimum(floored, error + np.float32(FLOOR)), error**2 / step
    still_share = STILL if distorted.registered and reference.registered else THETA
    sure, unit = (known + np.float32(theta**2) * drowned for theta in (still_share, THETA))
    late = np.float32(LAGS) * step * error**2 / (error**2 + (np.float32(OVER) * floored) ** 2)
    plain = np.minimum(np.maximum(found - (least + late)[:, None], 0) / sure[:, None], CAP)
    count = stop - start
    running = np.zeros((count, lanes.states), np.float32)
    holding = np.zeros((count, lanes.width), np.float32)
    rows = np.arange(max(above + 1, start), stop)
    if len(rows):
        at = rows - above
        inherited = (a[at] * a[at - 1]).sum(1)
        here = (lanes.low[rows] - least_column)[:, None]
        now = here + lanes.columns(rows)
        states = np.arange(running.shape[1]) + lanes.shift[rows, None]
        inside = (states >= 0) & (states < running.shape[1])
        before = np.take_along_axis(lanes.columns(rows - 1), np.where(inside, states, 0), axis=1)
        before = (lanes.low[rows - 1] - least_column)[:, None] + before

        def innovation(j: Indices, previous: Indices) -> Floats:
            k = at[:, None]
            both = inherited[:, None] - ab[k, previous] - ab[k - 1, j] + bb[j, previous]
            both = both / np.float32(PIXELS)
            return np.maximum(squares[k, j] - 2 * rho * both + rho * rho * squares[k - 1, previous], 0)

        same = here + np.arange(lanes.width)
        run = np.where(inside, innovation(now, before), np.inf)
        hold = innovation(same, same)
        best = np.minimum(run.min(1), hold.min(1))[:, None]
        units = unit[at][:, None]
        running[rows - start] = np.minimum((run - best) / units, CAP)
        holding[rows - start] = np.minimum((hold - best) / units, CAP)
    return Rows(start, plain[start - above :], running, holding, still[start:stop])


def _forward(ab: Floats, bb: Floats) -> Floats:
    """(n, m): how far each error points along the motion of the reference at that frame (half the way from the one before to
    the one after), in squared codes; 0 where it points back, and in the first and last column.

    ab, bb   inner products of distorted and reference vectors, of reference vectors
    """
    found = np.zeros_like(ab)
    steps = np.diag(bb, 1)
    found[:, 1:-1] = np.maximum(ab[:, 2:] - ab[:, :-2] - (steps[1:] - steps[:-1]), 0) / np.float32(2 * PIXELS)
    return found
