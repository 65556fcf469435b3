"""The path along a clock: the lag between two files stays, but for events that the pictures have to pay for.

What happens to files happens at events: frames are lost (the lag grows by some), repeated (it shrinks), or the picture stands
and then catches up (it stays). Between them one number gives all frames, also where the rates differ: the reference frame
shown at an instant is the newest one at that instant plus the lag. So a state is a lag, in steps of the finest difference
that the two rates can show, or a picture held while time goes on, and a path's cost is what its frames misfit
(alignment/evidence.py) and what its events cost:

    DROP    the lag grows, by any number of frames; SIZE more for each of them
    HOLD    a frame is shown again; HELD for each time. Then the next one follows, or the one that it is time for; a third
            place costs OTHER more

so a freeze is one event however long, and a static scene, where nothing tells of time, has none. Before any picture is
looked at, two files begin and end with the same frames: beginning elsewhere costs `START`, ending before the reference does
`END` (frames beyond its end have a cost of their own).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.anchor import Anchor
from mediaml.decode.alignment.evidence import Lanes, Rows, evidence
from mediaml.decode.alignment.path import Path, Track
from mediaml.decode.alignment.settled import settled_lags
from mediaml.decode.alignment.trace import Trace

DROP, SIZE = 2.0, 0.02
HOLD, HELD, OTHER = 1.6, 0.1, 1.0
PLAIN, INNOVATION = 0.5, 0.5
OUTSIDE = 0.09  # a frame, where the reference has none at that time; below HELD, or a long tail would be a freeze
START = 1.25  # where the two do not begin with the same frame: an offset is an event too
END = 2.0  # where the reference goes on: the same
FROM_EQUAL = 1e-4  # a reference frame more of it
_REACH = 24  # frames of lag to each side of the first path's, where rates are equal
_LEAST_REACH = 8  # where they are not; `_NARROW` where the phase must be found finely
_NARROW = 4
_MANY_SIZES = 30
_RATIOS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 25)
_DRIFTING = 96  # phases, where the rates have no small common multiple, so that every phase occurs
_EXACT = 2e-4
_NEVER = -(1 << 40)

Indices = NDArray[np.int64]
Costs = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Steady:
    """index (M,): below 0 or above the last where the reference has no frame at that time; cost: of the whole path."""

    index: Indices
    cost: float


def steady_path(
    distorted: Track, reference: Track, first: Path, places: NDArray[np.float64], anchor: Anchor | None = None
) -> Steady:
    """The path near `first`. places (M,): where among the reference's frames each distorted frame lies, at some lag."""
    phases = _phases(places)
    reach = _NARROW if phases == _DRIFTING else max(_LEAST_REACH, _REACH // phases)
    lags = settled_lags(distorted, reference, first, places)
    base = _bases(lags, reach)
    slack = 0.5 / phases + 1e-9
    low = np.floor(places + base + slack).astype(np.int64)
    part = places + base + slack - low
    shift = np.diff(base, prepend=base[0]) * phases
    lanes = Lanes(low, part, 2 * reach + 2, 2 * reach * phases, phases, shift)
    search = _Search(lanes, base * phases, len(reference), anchor)
    step = float(np.diff(places).max()) if len(places) > 1 else 1.0
    near = np.clip(np.floor(places + lags + 1e-9).astype(np.int64), 0, len(reference) - 1)
    for rows in evidence(distorted, reference, first, near, search.lanes):
        search.advance(rows)
    return search.path(step, slack)


def places_in(reference: Track, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where among a file's frames times lie, counted in frames and beyond its ends too."""
    times, period = reference.pts_seconds, reference.period_seconds
    inside = np.interp(seconds, times, np.arange(len(times)))
    before, after = np.minimum(0, seconds - times[0]), np.maximum(0, seconds - times[-1])
    return inside + (before + after) / period


def _phases(places: NDArray[np.float64]) -> int:
    """How many lags a frame are to be told apart: n where n distorted frames last a whole number of reference frames."""
    step = float(np.median(np.diff(places))) if len(places) > 1 else 1.0
    return next((n for n in _RATIOS if abs(step * n - round(step * n)) < _EXACT * n), _DRIFTING)


def _bases(lags: NDArray[np.float64], reach: int) -> Indices:
    """(M,) whole lags at which the rows' windows begin; moved only where the first path nears their end."""
    bases = np.empty(len(lags), np.int64)
    middle = round(float(lags[0]))
    for i, lag in enumerate(lags.tolist()):
        if abs(lag - middle) > reach / 2:
            middle = round(lag)
        bases[i] = middle - reach
    return bases


class _Search:
    """The forward pass over lag states (`running`) and held pictures (`held`, by column), and the way back.

    A step back is the state before, in its own row's numbering; -1 - state where it is of the other kind. Kept of it is
    the distance from the state that stays.
    """

    def __init__(self, lanes: Lanes, lags: Indices, references: int, anchor: Anchor | None = None) -> None:
        self.lanes, self._anchor = lanes, anchor
        self._lags, self._last = lags, references - 1
        self._numbers = np.arange(lanes.states)
        self._places = np.arange(lanes.width)
        self._running: Costs = np.zeros(lanes.states)
        self._held: Costs = np.full(lanes.width, np.inf)
        self._since: Indices = np.full(lanes.width, _NEVER, np.int64)  # the lag, in phases, before a picture was held
        self._columns = lanes.columns(0)
        self._trace = Trace()

    def advance(self, rows: Rows) -> None:
        for k in range(len(rows.plain)):
            i = rows.start + k
            columns = self.lanes.columns(i)
            plain = PLAIN * rows.plain[k]
            fits = plain[columns] + self._outside(self.lanes.low[i] + columns)
            if i:
                self._step(i, columns, INNOVATION * rows.running[k], float(rows.still[k]))
                self._held = self._held + plain + INNOVATION * rows.holding[k]
            else:
                first = np.abs(self.lanes.low[i] + columns)
                self._running = START * (first != 0) + FROM_EQUAL * first
                if self._anchor is not None:
                    self._running = self._running + self._anchor.at(self.lanes.low[i] + columns)
            self._running = self._running + fits
            self._columns = columns

    def _outside(self, shown: Indices) -> Costs:
        return np.where((shown < 0) | (shown > self._last), OUTSIDE, 0.0)

    def _step(self, i: int, columns: Indices, innovation: NDArray[np.float32], still: float) -> None:
        up, across = int(self.lanes.shift[i]), int(self.lanes.low[i] - self.lanes.low[i - 1])
        running, held = _moved(self._running, up, np.inf), _moved(self._held, across, np.inf)
        since = _moved(self._since, across, _NEVER)
        stays = running + innovation.astype(np.float64)
        if still:
            before = self.lanes.low[i - 1] + _moved(self._columns, up, 0)
            now, then = (np.clip(frame, 0, self._last) for frame in (self.lanes.low[i] + columns, before))
            stays = stays + still * (now != then)
        best, back = _better(stays, self._numbers + up, *self._grown(up))
        follows = np.maximum(columns - 1, 0)
        some = columns > 0
        best, back = _better(best, back, np.where(some, held[follows], np.inf), -1 - (follows + across))
        least, at = _least_so_far(self._held)
        past = follows + across  # in the row before; beyond its end, anything held lies before
        reached = np.clip(past, 0, len(held) - 1)
        elsewhere = np.where(some & (past >= 0), least[reached] + OTHER, np.inf)
        best, back = _better(best, back, elsewhere, -1 - at[reached])
        if not np.isfinite(best).any():  # the first path went where no step leads: the search begins anew
            best, back = np.full_like(best, self._running.min() + DROP), np.full_like(back, int(self._running.argmin()))
        self._catch_up(i, columns, held, since, across, best, back)
        hold_back = self._hold(i, columns, running, held, since, up, across)
        self._running = best
        self._trace.append(back - self._numbers - up, hold_back - self._places - across)

    def _grown(self, up: int) -> tuple[Costs, Indices]:
        """Each state from the cheapest one of no greater lag."""
        least, at = _least_so_far(self._running)
        from_states = self._numbers + up
        reached = np.clip(from_states, 0, len(at) - 1)
        sizes = np.minimum((from_states - at[reached]) / self.lanes.phases, _MANY_SIZES)
        return np.where(from_states >= 0, least[reached] + DROP + SIZE * sizes, np.inf), at[reached]

    def _catch_up(
        self, i: int, columns: Indices, held: Costs, since: Indices, across: int, best: Costs, back: Indices
    ) -> None:
        """Back to the lag from which a picture was held; changes `best` and `back`."""
        to = since - self._lags[i]
        known = np.flatnonzero((since != _NEVER) & np.isfinite(held) & (to >= 0) & (to < len(best)))
        known = known[columns[to[known]] > known]
        known = known[held[known] < best[to[known]]]
        known = known[np.argsort(-held[known], kind="stable")]  # the cheapest last, so that it stays
        best[to[known]] = held[known]
        back[to[known]] = -1 - (known + across)

    def _hold(
        self, i: int, columns: Indices, running: Costs, held: Costs, since: Indices, up: int, across: int
    ) -> Indices:
        """A picture is held on, or begins to be where the lag would have gone on."""
        states = self._numbers + up
        inside = np.clip(states, 0, len(running) - 1)
        shown = self._columns[inside] - across  # what each lag showed in the row before
        begins = np.flatnonzero((shown >= 0) & (shown < len(held)) & (columns > shown) & np.isfinite(running))
        begins = begins[np.argsort(-running[begins], kind="stable")]
        entered, who = np.full(len(held), np.inf), np.zeros(len(held), np.int64)
        entered[shown[begins]] = running[begins] + HOLD
        who[shown[begins]] = begins
        new = entered < held
        self._held = np.where(new, entered, held) + HELD
        self._since = np.where(new, who + self._lags[i], since)
        return np.where(new, -1 - (who + up), self._places + across)

    def path(self, step: float, slack: float) -> Steady:
        """step: reference frames that the longest distorted one takes; slack: by how much the lanes' places are too great."""
        places = self.lanes.low[-1] + self.lanes.part[-1] + self._numbers / self.lanes.phases - slack
        running, held = (
            costs + END * (self._last + 1 - step - shown > max(1.0, step) - 0.02)
            for costs, shown in ((self._running, places), (self._held, self.lanes.low[-1] + self._places))
        )
        holds = bool(held.min() < running.min())
        totals = held if holds else running
        state, cost = int(np.argmin(totals)), float(totals.min())
        index = np.empty(len(self.lanes.low), np.int64)
        steps = self._trace.backwards()
        for i in range(len(index) - 1, -1, -1):
            column = state if holds else int(self.lanes.columns(i)[state])
            index[i] = self.lanes.low[i] + column
            if i:
                ran, stood = np.split(next(steps), [self.lanes.states])
                moved = int(self.lanes.low[i] - self.lanes.low[i - 1] if holds else self.lanes.shift[i])
                before = state + moved + int((stood if holds else ran)[state])
                holds = holds ^ (before < 0)
                state = -1 - before if before < 0 else before
        return Steady(index, cost)


def _moved(states: NDArray[Any], by: int, fill: float) -> NDArray[Any]:
    """State k of the result is state k + by; `fill` where there is none."""
    if by == 0:
        return states
    moved = np.full_like(states, fill)
    count = len(states)
    if 0 < by < count:
        moved[: count - by] = states[by:]
    elif -count < by < 0:
        moved[-by:] = states[:by]
    return moved


def _least_so_far(costs: Costs) -> tuple[Costs, Indices]:
    """(the least up to each place, where it lies)."""
    least = np.minimum.accumulate(costs)
    return least, np.maximum.accumulate(np.where(costs <= least, np.arange(len(costs)), 0))


def _better(best: Costs, back: Indices, other: Costs, other_back: Indices) -> tuple[Costs, Indices]:
    better = other < best
    return np.where(better, other, best), np.where(better, other_back, back)
