"""Timestamps: frames that are missing from an even sequence, and jumps of the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.small_view import SMALL
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec, Table

_MISSING = 1.6  # times the usual distance: at least one frame is missing
_GAPS_SHARE = 0.2  # of the distances at most that are gaps; more are a rate that varies
_JUMP_SECONDS = 1.0  # a longer gap is a jump of the timeline, not a few lost frames
_EVEN = 0.02  # relative deviation of a distance that still counts as the usual one
_EVEN_SHARE = 0.9  # of the distances that must be the usual one for a constant frame rate
_TICK_SECONDS = 0.0011  # containers that count in milliseconds round distances by as much
_JOIN_SECONDS = 0.5


class Timing(Detector):
    """Gaps between the presentation times of frames.

    At a constant frame rate (nine distances in ten are the usual one, within 2 % or a millisecond) a distance above 1.6 times
    the usual one means missing frames; above a second and five times the usual one, at any rate, a jump. Timestamps that run
    backwards are repaired by the decoder and are spans of `decode`.

    kinds     "missing_frames": gaps up to a second, neighbours within half a second joined; "timestamp_jump": longer ones.
              Start and end: of the gap, from where the frame before it should have ended
    severity  missing: 0.3 for one frame to 0.8 for ten; jump: 0.8
    """

    spec = Spec(
        name="timing",
        version=2,
        summary="missing frames and timestamp jumps",
        outputs=(
            Column("frames_missing", "int64", "frames", "frames missing from an even sequence", Table.FILES, minimum=0),
            Column(
                "frame_interval_deviation", "float64", "s",
                "mean absolute deviation of frame distances from their median; null for one frame", Table.FILES,
                minimum=0, nullable=True,
            ),
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="presentation times as decoded; ISO/IEC 14496-12 and ISO/IEC 13818-1 timelines",
        cost_ms=0.01,
        kinds=("missing_frames", "timestamp_jump"),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:  # noqa: ARG002
        return {}  # presentation times are in every track

    def judge(self, track: Track) -> list[Finding]:
        steps = np.diff(track.start)
        if len(steps) < 4:
            return []
        usual = float(np.median(steps))
        jumps = (steps > _JUMP_SECONDS) & (steps > 5 * usual)
        found = [_jump(track, int(i), usual) for i in np.flatnonzero(jumps)]
        missing = missing_frames(steps, usual)
        groups = track.spans(np.append(missing > 0, False), join=_JOIN_SECONDS, minimum=0.0)
        return found + [_missing(track, a, b, missing, usual) for a, b in groups]

    def facts(self, track: Track) -> Mapping[str, Any]:
        steps = np.diff(track.start)
        if not len(steps):
            return {"frames_missing": 0, "frame_interval_deviation": None}
        usual = float(np.median(steps))
        return {
            "frames_missing": int(missing_frames(steps, usual).sum()) if len(steps) >= 4 else 0,
            "frame_interval_deviation": float(np.abs(steps - usual).mean()),
        }


def missing_frames(steps: NDArray[np.float64], usual: float) -> NDArray[np.int64]:
    """(N - 1,) frames missing within each distance; zero throughout where the rate varies, and at jumps."""
    even = np.abs(steps - usual) <= max(_EVEN * usual, _TICK_SECONDS)
    missing = np.where(
        (steps > _MISSING * usual) & (steps <= max(_JUMP_SECONDS, 5 * usual)), np.rint(steps / usual) - 1, 0
    )
    ordinary = steps <= _MISSING * usual  # gaps themselves do not make a rate vary
    if usual <= 0 or ordinary.mean() < 1 - _GAPS_SHARE or even[ordinary].mean() < _EVEN_SHARE:
        return np.zeros(len(steps), np.int64)
    return missing.astype(np.int64)


def _jump(track: Track, at: int, usual: float) -> Finding:
    start, end = track.start[at] + usual, track.start[at + 1]
    message = f"the timeline jumps from {track.start[at]:.3f} s to {end:.3f} s"
    return Finding("timestamp_jump", start, end, 0.8, 0.95, end, message)


def _missing(track: Track, first: int, stop: int, missing: NDArray[np.int64], usual: float) -> Finding:
    total = int(missing[first:stop].sum())
    start, end = track.start[first] + usual, track.start[stop]
    message = f"{total} frame{'s are' if total > 1 else ' is'} missing: the timestamps leave a gap"
    return Finding("missing_frames", start, end, 0.3 + 0.5 * ramp(total, 1, 10), 0.9, start, message)
