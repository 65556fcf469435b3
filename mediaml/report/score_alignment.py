"""How the two files of a score lie against each other in time: the path as a drawing, and where it jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment
from mediaml.decode.alignment.events import Event, events
from mediaml.report import charts
from mediaml.report.cards import Chart
from mediaml.report.score_curves import chart_of
from mediaml.report.text import timecode

_SIDE = 1000  # of the drawing's grid
SHOWN_EVENTS = 40
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AlignmentPath:
    """start, end: the distorted file's time axis, in seconds; top, bottom: the reference's, as timecodes."""

    figure: Markup
    axis: Markup
    lag: Chart
    start: float
    end: float
    top: str
    bottom: str
    events: list[Event]
    more_events: int


def alignment_path(found: Alignment) -> AlignmentPath | None:
    """None where there are fewer than two frames to draw a line through."""
    x, at = found.distorted_pts_seconds, np.flatnonzero(found.reference_index >= 0)
    if len(x) < 2 or len(at) < 2:
        return None
    y = found.reference_pts_seconds[found.reference_index[at]]
    seen = events(found)
    start, end = float(x[0]), float(x[-1])
    low, high = float(found.reference_pts_seconds[0]), float(found.reference_pts_seconds[-1])
    lag = np.round((y - x[at] - found.summary.offset_seconds) * 1000, 3) + 0.0
    about = f"reference time minus distorted time, beyond the offset of {found.summary.offset_seconds:+.3f} s"
    return AlignmentPath(
        _figure(found, at, seen, (start, end), (low, high)),
        charts.axis(start, end),
        chart_of("lag", "ms", about, x[at], lag, start, end, "none"),
        start,
        end,
        timecode(high),
        timecode(low),
        seen[:SHOWN_EVENTS],
        max(0, len(seen) - SHOWN_EVENTS),
    )


def _figure(
    found: Alignment, at: Indices, seen: Sequence[Event], across: tuple[float, float], up: tuple[float, float]
) -> Markup:
    """Time of the reference over time of the distorted file; the parts of the reference that are not shown are shaded."""
    x, y = found.distorted_pts_seconds, found.reference_pts_seconds
    index = found.reference_index
    xs, ys = _scaled(x, across), _SIDE - _scaled(y, up)
    parts = []
    first, last = ys[index[at[0]]], ys[index[at[-1]]]
    if found.summary.reference_head:
        parts.append(f'<rect class="unshown" x="0" y="{first}" width="{_SIDE}" height="{_SIDE - first}"/>')
    if found.summary.reference_tail:
        parts.append(f'<rect class="unshown" x="0" y="0" width="{_SIDE}" height="{last}"/>')
    breaks = np.flatnonzero(np.diff(at) > 1) + 1
    lines = "".join(_line(xs[run], ys[index[run]]) for run in np.split(at, breaks))
    parts.append(f'<path class="line" d="{lines}"/>')
    parts += [_marks(k, [e for e in seen if e.kind == k], xs, ys, index) for k in ("none", "drop", "repeat", "freeze")]
    box = f'viewBox="0 0 {_SIDE} {_SIDE}" preserveAspectRatio="none"'
    return Markup(f'<svg {box} class="plot path" role="img" aria-label="alignment path">{"".join(parts)}</svg>')


def _marks(kind: str, of_kind: Sequence[Event], xs: Indices, ys: Indices, index: Indices) -> str:
    """Dots on the path; for frames without a counterpart a stroke along the foot."""
    if not of_kind:
        return ""
    if kind == "none":
        ends = [(xs[e.frame_index], xs[min(len(xs) - 1, e.frame_index + e.frames)]) for e in of_kind]
        strokes = "".join(f"M{a} {_SIDE}h{max(2, b - a)}" for a, b in ends)
        return f'<path class="mark none" d="{strokes}"/>'
    dots = "".join(dict.fromkeys(f"M{xs[e.frame_index]} {ys[index[e.frame_index]]}h0" for e in of_kind))
    return f'<path class="mark {kind}" d="{dots}"/>'


def _scaled(values: Floats, span: tuple[float, float]) -> Indices:
    length = span[1] - span[0] or 1.0
    return np.rint((values - span[0]) / length * _SIDE).clip(0, _SIDE).astype(np.int64)


def _line(xs: Indices, ys: Indices) -> str:
    """A polyline through the points where it bends."""
    points = np.stack([xs, ys], axis=1)
    keep = np.ones(len(points), bool)
    keep[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
    points = points[keep]
    steps = np.diff(points, axis=0)
    bends = np.ones(len(points), bool)
    bends[1:-1] = (steps[1:] != steps[:-1]).any(axis=1)
    head, *rest = points[bends].tolist()
    return f"M{head[0]} {head[1]}" + "".join(f"L{a} {b}" for a, b in rest or [head])
