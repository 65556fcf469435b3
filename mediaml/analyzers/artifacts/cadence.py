"""Cadence: frames shown twice, frames left out, and the regular repeats of a frame-rate conversion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.motion_jumps import Leaps
from mediaml.analyzers.artifacts.motion_turns import Turns
from mediaml.analyzers.artifacts.small_view import SMALL, Change, grey
from mediaml.frames import FrameBatch
from mediaml.ops.flagged_spans import flagged_spans
from mediaml.spec import Column, Spec, Table

_REPEAT = 0.3  # of the usual change around it: a frame that changes less is a repeat
_NOWHERE = 4.0  # levels: no 8x8 block of a repeat changes its mean by more; lips and hands alone do
_EQUAL, _EQUAL_SHARE = 0.9, 0.12  # a repeat changes less than so many levels, or than this share of the usual change
_MOVING = 1.0  # levels: the least usual change for repeats to show
_STILL = 0.3  # levels: a picture that changes less stands still
_ABRUPT = 2.5  # times a repeat's change that the steps beside it reach: motion that turns pauses gently
_AROUND = 3  # frames looked at on each side for the usual change
_HELD_SHARE = 0.3  # of repeats from which on pictures are drawn on twos or threes, or play at half rate or less
_HELD_WINDOW = 13  # frames
_REGULAR, _LEAST_STEP = 4, 4  # repeats at equal distance that make a pattern, and the least distance in frames
_LEAST_REPEATS = 2  # stalls with repeats in one span: a single one, however uneven, is no finding
_CUT, _CUT_TIMES = 25.0, 2.5  # levels, and times the third largest change around: fast motion is no cut
_LEAST_LEAPS = 2  # in one span: a single leap is also how motion starts, and how a jump cut looks
_UNEVEN = 0.18  # change from step to step, as a logarithm, of motion that leaps by itself
_UNEVEN_SECONDS = 2.0  # looked at on each side
_UNSURE = 0.4  # confidence, below what profiles ask for
_STALLED = 0.6  # of the usual step before it: after a smaller one motion catches up, and nothing is lost
_JOIN_SECONDS, _JOIN_DROPS_SECONDS, _JOIN_SURE_SECONDS = 1.2, 0.9, 1.8


class Cadence(Detector):
    """Repeats: a frame that nowhere differs from the one before while its neighbours move on; motion that turns back pauses
    too (see motion_turns.py). Drops: see motion_jumps.py.

    kinds     "pulldown": repeats at an even distance of four frames or more, at least four of them (24 in 25, 24 in 30, 25
              in 30); "repeated_frames": uneven ones; "dropped_frames": motion leaps. Repeats in every second or third frame
              are animation on twos or threes, or video at a lower rate, and no finding; `repeat_share` tells. Where motion
              leaps by itself (hand-held, flickering), lost frames cannot be told and are not reported
    severity  repeated: a second's share of repeats, 0.3 to 1; dropped: by the frames lost; pulldown: 0.3
    confidence  by the repeats or leaps; of two leaps neither of which the flow is sure of 0.4: a hand makes such, too
    """

    spec = Spec(
        name="cadence",
        version=5,
        summary="repeated and dropped frames, and pull-down patterns",
        outputs=(
            Column(
                "repeat_share", "float64", "1", "share of repeats among the frames of moving pictures; null without motion",
                Table.FILES, minimum=0, maximum=1, nullable=True,
            ),
            Column("frames_lost", "int64", "frames", "frames that the motion says are missing", Table.FILES, minimum=0),
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="FFmpeg mpdecimate and decimate (repeats); Kroeger et al. 2016 (flow)",
        cost_ms=0.3,
        kinds=("repeated_frames", "dropped_frames", "pulldown"),
    )  # fmt: skip

    def reset(self) -> None:
        self._change, self._leaps, self._turns = Change(), Leaps(), Turns()

    def measure(self, batch: FrameBatch) -> Measures:
        change, largest = self._change.measure(batch)
        leaps = [self._leaps.push(frame, value) for frame, value in zip(grey(batch), change.tolist(), strict=True)]
        turned = np.array(
            [self._turns.push(frame, value) for frame, value in zip(grey(batch), change.tolist(), strict=True)]
        )
        lost, sure = np.array([leap.lost for leap in leaps]), np.array([leap.sure for leap in leaps])
        kept = {"change": change, "largest": largest, "turned": turned}
        return kept | {"lost_before_last": lost, "sure_before_last": sure}

    def judge(self, track: Track) -> list[Finding]:
        change = np.nan_to_num(track["change"])
        usual = usual_change(change)
        repeated = _repeated(track, change, usual)
        patterns = regular(np.flatnonzero(repeated))
        uneven = repeated & ~held(repeated)
        for first, stop in patterns:
            uneven[first:stop] = False
        found = [_pulldown(track, first, stop, repeated) for first, stop in patterns]
        groups = track.spans(uneven, join=_JOIN_SECONDS, minimum=0.0)
        slow = flagged_spans((uneven | (change < _STALLED * usual)).tolist(), join=0, minimum=1)
        stalls = np.array([span for span in slow if uneven[slice(*span)].any()], np.intp).reshape(-1, 2)
        enough = [(a, b) for a, b in groups if ((stalls[:, 0] < b) & (stalls[:, 1] > a)).sum() >= _LEAST_REPEATS]
        found += [_repeats(track, a, b, uneven) for a, b in enough]
        lost = _lost(track, change, repeated)
        sure = np.append(track["sure_before_last"][1:], 0.0) > 0
        return found + [_drops(track, a, b, lost, sure=bool(sure[a:b].any())) for a, b in _leap_spans(track, lost)]

    def facts(self, track: Track) -> Mapping[str, Any]:
        change = np.nan_to_num(track["change"])
        usual = usual_change(change)
        moving, repeated = usual >= _MOVING, _repeated(track, change, usual)
        return {
            "repeat_share": int(repeated.sum()) / int(moving.sum()) if moving.any() else None,
            "frames_lost": int(_lost(track, change, repeated).sum()),
        }


def _repeated(track: Track, change: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) repeats, less the pauses in which motion turns back."""
    found = repeats(change, np.nan_to_num(track["largest"]), usual)
    for first, stop in flagged_spans(found.tolist(), join=0, minimum=1):
        found[first:stop] &= not (stop < len(found) and track["turned"][stop])
    return found


def _lost(track: Track, change: NDArray[np.float64], repeated: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) frames lost before each: not at a repeat or after a stall; in motion that leaps by itself only where the flow
    is sure."""
    lost, sure = (np.append(track[name][1:], 0.0) for name in ("lost_before_last", "sure_before_last"))
    lost[repeated | np.append(repeated[1:], False)] = 0.0
    before = np.lib.stride_tricks.sliding_window_view(np.pad(change, (_AROUND, 0)), _AROUND)[: len(change)]
    lost[before[:, -1] < _STALLED * np.median(before, axis=1)] = 0.0
    lost[_drawings(np.flatnonzero(lost))] = 0.0
    window = track.frames_in(_UNEVEN_SECONDS)
    for at in np.flatnonzero((lost > 0) & (sure == 0)):
        lost[at] *= unevenness(change[max(0, at - window) : at + window]) <= _UNEVEN
    return lost


def _leap_spans(track: Track, lost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """(first, stop) of at least two leaps: within 0.9 s of each other, or 1.8 s where the flow is sure of both."""
    sure = np.append(track["sure_before_last"][1:], 0.0) > 0
    near, far = track.frames_in(_JOIN_DROPS_SECONDS), track.frames_in(_JOIN_SURE_SECONDS)
    groups: list[list[int]] = []
    for at in np.flatnonzero(lost).tolist():
        last = groups[-1][-1] if groups else None
        if last is not None and at - last <= (far if sure[at] and sure[last] else near):
            groups[-1].append(at)
        else:
            groups.append([at])
    return [(group[0], group[-1] + 1) for group in groups if len(group) >= _LEAST_LEAPS]


def _drawings(leaps: NDArray[np.intp]) -> NDArray[np.intp]:
    """Leaps in every second or third frame, three and more: drawings on twos or threes under something else that moves."""
    ways = np.diff(leaps)
    even = (ways[1:] == ways[:-1]) & (ways[1:] <= 3)
    return leaps[np.unique(np.flatnonzero(even)[:, None] + np.arange(3))]


def without_cuts(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) the changes, 0 at cuts: far above all but two of those around, which in drawings on twos are every other one 0."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(change, _AROUND), 2 * _AROUND + 1)
    return np.where(change > np.maximum(_CUT, _CUT_TIMES * np.sort(around, axis=1)[:, -3]), 0.0, change)


def usual_change(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) the change that a frame would show if it were not a repeat: the lesser of the largest on either side, no cuts."""
    padded = np.pad(without_cuts(change), _AROUND)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _AROUND)  # window k holds frames k - 3 .. k - 1
    return np.minimum(windows[: len(change)].max(axis=1), windows[_AROUND + 1 :][: len(change)].max(axis=1))


def unevenness(change: NDArray[np.float64]) -> float:
    """How much (N,) changes differ from one frame to the next: the median absolute difference of their logarithms.

    Even motion has 0.02 to 0.15, whatever frames it lost; hand-held and flickering pictures 0.2 to 0.4. Steps beside
    which the picture stands still are left out.
    """
    moves = np.minimum(change[1:], change[:-1]) > _STILL
    return float(np.median(np.abs(np.diff(np.log(np.maximum(change, _STILL)))[moves]))) if moves.any() else 0.0


def repeats(change: NDArray[np.float64], largest: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) frames that repeat the one before them while the picture moves: (N,) changes, of the picture and of any block."""
    found = (change < _REPEAT * usual) & (change < np.maximum(_EQUAL, _EQUAL_SHARE * usual))
    found &= (usual >= _MOVING) & (largest < _NOWHERE)
    found[:1] = False
    calm = without_cuts(change)
    for first, stop in flagged_spans(found.tolist(), join=0, minimum=1):
        around = min(calm[first - 1], calm[min(stop, len(change) - 1)])
        found[first:stop] &= around >= _ABRUPT * change[first:stop].max()
    return found


def held(repeated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where repeats are so frequent that pictures are held on purpose."""
    padded = np.pad(repeated.astype(np.float64), _HELD_WINDOW // 2)
    share = np.convolve(padded, np.ones(_HELD_WINDOW) / _HELD_WINDOW, mode="valid")
    return share >= _HELD_SHARE


def regular(places: NDArray[np.intp]) -> list[tuple[int, int]]:
    """(first, stop) of stretches of frames with repeats at an even distance of at least four frames.

    One may be unseen; of at least six, one in four may lie between: motion pauses too.
    """
    found: list[tuple[int, int]] = []
    there, at = places.tolist(), 0
    while at < len(there):
        runs = [_run(there, at, then - there[at]) for then in there[at + 1 : at + 3]]
        last, length = max(runs, key=lambda run: run[1], default=(at, 1))
        between = last - at + 1 - length
        if length >= _REGULAR + 2 * (between > 0) and between <= length // _REGULAR:
            found.append((there[at], there[last] + 1))
        else:
            last = at
        at = last + 1
    return found


def _run(there: list[int], at: int, step: int) -> tuple[int, int]:
    """Where the repeats at `step` frames from each other that begin with number `at` end, and how many they are."""
    if step < _LEAST_STEP:
        return at, 1
    slack, last, length = (1 if step > 5 else 0), at, 1
    for number in range(at + 1, len(there)):
        way = there[number] - there[last]
        if way > 2 * step + slack:
            break
        if min(abs(way - step), abs(way - 2 * step)) <= slack:
            last, length = number, length + 1
    return last, length


def _pulldown(track: Track, first: int, stop: int, repeated: NDArray[np.bool_]) -> Finding:
    count = int(repeated[first:stop].sum())
    step = (stop - 1 - first) / max(1, count - 1)
    start, end = track.start[first], track.end[stop - 1]
    message = (
        f"every {step:.3g}th frame is a repeat, {count} times: a lower frame rate was converted by repeating frames"
    )
    return Finding("pulldown", start, end, 0.3, 0.6 + 0.4 * ramp(count, _REGULAR, 12), start, message)


def _repeats(track: Track, first: int, stop: int, repeated: NDArray[np.bool_]) -> Finding:
    count, start, end = int(repeated[first:stop].sum()), track.start[first], track.end[stop - 1]
    times = "once" if count == 1 else f"{count} times"
    message = f"frames shown twice while the picture moves, {times} in {end - start:.2f} s"
    severity = 0.3 + 0.7 * ramp(count / max(end - start, 1.0), 1.0, 8.0)
    return Finding("repeated_frames", start, end, severity, 0.6 + 0.4 * ramp(count, 1, 5), start, message)


def _drops(track: Track, first: int, stop: int, lost: NDArray[np.float64], *, sure: bool) -> Finding:
    """`sure`: the flow is sure of one leap at least. Two leaps of which it is not are what a hand makes now and then."""
    places = int((lost[first:stop] > 0).sum())
    confidence = 0.5 + 0.4 * ramp(places, 1, 4) if sure or places > _LEAST_LEAPS else _UNSURE
    total, start, end = int(lost[first:stop].sum()), track.start[first], track.end[stop - 1]
    message = f"motion leaps {places} time{'s' if places > 1 else ''}: about {total} frames are missing"
    severity = 0.3 + 0.7 * ramp(total, 1, 15)
    return Finding("dropped_frames", start, end, severity, confidence, start, message)
