"""A score's alignment and worst moments as lines for people."""

from __future__ import annotations

import numpy as np

from mediaml.decode.alignment.align import Alignment
from mediaml.decode.alignment.events import events, period_seconds
from mediaml.engine.score.result import ScoreResult
from mediaml.errors import printable

_SHOWN_TIMES = 4
_EVENTS = {"drop": "left out", "repeat": "shown again", "freeze": "lost in freezes that catch up"}
_RATES = {
    "repeats": "by showing frames again",
    "drops": "by leaving frames out",
    "3:2 pull-down": "by 3:2 pull-down",
}


def alignment_line(result: ScoreResult) -> str:
    """One line: how many frames, and how the encode's lie against the source's."""
    found = result.plan.alignment
    if found is None:
        return f"{result.frames_scored} frames, not aligned"
    s = found.summary
    parts = [f"{s.matched_frames} of {s.frames_distorted} frames aligned ({100 * s.matched_share:.1f} %)"]
    parts.append(_offset(found))
    parts += _rates(found)
    parts += _events(found)
    if s.reference_head or s.reference_tail:
        parts.append(f"source frames before the encode's first: {s.reference_head}, after its last: {s.reference_tail}")
    parts.append(f"confidence {s.confidence:.2f}")
    return "; ".join(parts)


def _offset(found: Alignment) -> str:
    """Of the first frame that has a counterpart; less than a frame is the phase of a rate conversion."""
    first = int(np.flatnonzero(found.reference_index >= 0)[0])
    shown = int(found.reference_index[first])
    seconds = float(found.reference_pts_seconds[shown] - found.distorted_pts_seconds[first])
    if first == shown == 0 and abs(seconds) < 0.0005:
        return "no offset"
    if seconds < 0:
        return f"the source begins {-seconds:.3f} s into the encode"
    return f"the encode begins {seconds:.3f} s into the source"


def _rates(found: Alignment) -> list[str]:
    s = found.summary
    was, now = (1 / period_seconds(t) for t in (found.reference_pts_seconds, found.distorted_pts_seconds))
    same = abs(s.rate_ratio - 1) < 0.0005
    if s.cadence == "variable":
        return ["the encode has a variable frame rate"]
    if same:
        return []
    if s.cadence == "same" or abs(s.clock_ratio - s.rate_ratio) < abs(s.clock_ratio - 1):
        return [f"{was:.6g} frames a second are played at {now:.6g}, frame for frame"]
    return [f"{was:.6g} frames a second became {now:.6g} {_RATES[s.cadence]}"]


def _events(found: Alignment) -> list[str]:
    """How many source frames were lost or repeated, and the first places."""
    seen = events(found)
    parts = []
    for kind, what in _EVENTS.items():
        at = [e for e in seen if e.kind == kind]
        if at:
            count = sum(e.frames for e in at)
            times = ", ".join(f"{e.seconds:.2f}" for e in at[:_SHOWN_TIMES]) + (
                " ..." if len(at) > _SHOWN_TIMES else ""
            )
            parts.append(f"{count} source frame{'s' if count != 1 else ''} {what} (at {times} s)")
    return parts


def _intervals(result: ScoreResult) -> list[str]:
    """Mean bounds of the metrics that have an interval a frame."""
    p = result.pooled
    return [
        f"{name}: 95 % interval {p[f'{name}_low'].mean:.4f} to {p[f'{name}_high'].mean:.4f} (mean over the frames)"
        for name in result.headline
        if f"{name}_low" in p and f"{name}_high" in p
    ]


def worst_lines(result: ScoreResult) -> list[str]:
    """The worst frames, and the worst shot where shots are known, by the first metric."""
    name = result.primary
    frames = ", ".join(f"{w.value:.3f} at {w.pts_seconds:.2f} s (frame {w.frame_index})" for w in result.worst)
    lines = [f"worst frames by {name}: {frames}"] if frames else []
    lines += _intervals(result)
    scored = [(s.pooled[name].mean, s) for s in result.shots if name in s.pooled]
    if len(scored) > 1:
        lower = result.pooled[name].lower_is_better
        value, shot = (max if lower else min)(scored, key=lambda pair: pair[0])
        lines.append(f"worst shot by {name}: {value:.3f}, {shot.start_seconds:.2f} to {shot.end_seconds:.2f} s")
    if result.backend != "mediaml":
        lines.append(f"computed by {result.backend}")
    lines.append(f"{printable(result.distorted.path)} against {printable(result.reference.path)}")
    return lines
