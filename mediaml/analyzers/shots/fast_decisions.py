"""Differences of frames -> transitions: the thresholds of the fast shot detector, chosen on `benchmarks.shots --tune`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.shots.differences import BACK, SPANS
from mediaml.analyzers.shots.transitions import Transition, runs

CUT_STEP = 0.055
"""Least motion-compensated difference of a cut, of full scale."""
CUT_RATIO = 2.0
"""A cut differs so many times more than any of the frames around it."""
CUT_STAYS = 0.6
"""The picture after a cut keeps that share of the difference to the one before it."""
MIX_ENDS, MIX_CHANGED, BEND = 0.11, 0.6, 0.25
"""Dissolves and fades: how far the ends differ, over which share of the picture; how far the middle may leave a mix."""
WIPE_ENDS, WIPE_CHANGED, ONCE = 0.12, 0.8, 0.16
"""Wipes: the same, and how far the middle's pixels may lie from the nearer end."""
ABRUPT = 0.35
"""A gradual transition has no single step of that share of the ends' difference."""
MOVING = 0.4
"""A transition's first and last frame change by that share of its greatest change."""
NEIGHBOURS = 3
JOINED = 6
"""Frames between a fade out and the fade in that follows it."""

Values = Mapping[str, NDArray[np.float32]]


def find_changes(values: Values) -> list[Transition]:
    """Per-frame columns of `differences.FEATURES`, each (N,) -> transitions in order, none overlapping."""
    cuts = _cuts(values)
    graduals = _graduals(values, cuts)
    found = [Transition(c - 1, c - 1, c - 1, c - 1, 1.0) for c in cuts] + graduals
    return sorted(found, key=lambda t: t.first)


def _cuts(values: Values) -> list[int]:
    """Indices of the first frames of new shots."""
    step, back = values["step"], values["back"]
    count = len(step)
    found: list[int] = []
    for i in np.flatnonzero(step[1:] > CUT_STEP) + 1:
        around = np.concatenate([step[max(1, i - NEIGHBOURS) : i], step[i + 1 : i + 1 + NEIGHBOURS]])
        usual = float(around.max()) if len(around) else 0.0
        after = back[i : min(i + BACK, count)].min()
        if step[i] > CUT_RATIO * usual and after > CUT_STAYS * values["plain_step"][i]:
            found.append(int(i))
    return [c for n, c in enumerate(found) if n == 0 or c - found[n - 1] > 2]


def _graduals(values: Values, cuts: list[int]) -> list[Transition]:
    """Stretches that lead from one picture to another without a cut, the best span first."""
    count = len(values["step"])
    candidates: list[tuple[float, int, int]] = []
    for span in SPANS:
        ends, bend, once = (values[f"{n}_{span}"] for n in ("ends", "bend", "once"))
        changed = values[f"changed_{span}"]
        mixes = (ends > MIX_ENDS) & (changed > MIX_CHANGED) & (bend < BEND * ends)
        wipes = (ends > WIPE_ENDS) & (changed > WIPE_CHANGED) & (once < ONCE * ends)
        good = mixes | wipes
        good[:span] = False
        for first, last in runs(good):
            best = first + int(np.argmax(ends[first : last + 1]))
            candidates.append((float(ends[best]), best - span, best))
    taken = np.zeros(count, bool)
    for cut in cuts:
        taken[max(0, cut - 1) : cut + 1] = True
    found = []
    for height, start, end in sorted(candidates, reverse=True):
        steps = values["plain_step"][start + 1 : end + 1]
        if taken[start : end + 1].any() or steps.max() > ABRUPT * height:
            continue
        taken[start : end + 1] = True
        moving = np.flatnonzero(steps > MOVING * steps.max()) + start + 1
        first, last = int(moving[0]), int(moving[-1])
        found.append(Transition(max(first - 1, 0), last, first, last, 1.0))
    return _merged(sorted(found, key=lambda t: t.first))


def _merged(found: list[Transition]) -> list[Transition]:
    """A fade out and the fade in that follows it are one transition."""
    out: list[Transition] = []
    for t in found:
        if out and t.first - out[-1].last <= JOINED:
            before = out.pop()
            t = Transition(before.first, t.last, before.extent_first, t.extent_last, 1.0)
        out.append(t)
    return out
