"""A score over time, thinned to what a page shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mediaml.engine.score.result import ScoreResult
from mediaml.report import charts
from mediaml.report.cards import Chart
from mediaml.report.model import Curve, Shot, Span
from mediaml.report.text import brief, first_sentence, unit

POINTS = 480  # of a curve
_MARKS = "moments"  # id of the shot lines and worst moments that every plot shows
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Plots over one time axis, in seconds of the distorted file; `more` are those of the metrics' parts."""

    start: float
    end: float
    bar: Markup
    axis: Markup
    charts: list[Chart]
    more: list[Chart]


def timeline(result: ScoreResult) -> Timeline | None:
    """None where there is only one instant."""
    times = result.frames["pts_seconds"]
    start, end = float(times[0]), max(float(times[-1]), *(s.end_seconds for s in result.shots), float(times[0]))
    if end <= start or len(times) < 2:
        return None
    shots = [Shot(s.start_seconds, s.end_seconds) for s in result.shots]
    bar = charts.shot_bar(shots, _moments(result), start, end, _MARKS)
    drawn = {c.name: c for c in result.columns if c.name in result.pooled}

    def chart(name: str) -> Chart:
        column = drawn[name]
        return chart_of(name, column.unit, column.description, times, result.frames[name], start, end, _MARKS)

    more = [chart(n) for n in drawn if n not in result.headline]
    return Timeline(start, end, bar, charts.axis(start, end), [chart(n) for n in result.headline], more)


def _moments(result: ScoreResult) -> list[Span]:
    """The worst second (colour 0; none where there is but one) and the worst frames (colour 1) by the first metric."""
    second = result.pooled[result.primary].worst_second.start_seconds
    times = result.frames["pts_seconds"]
    longer = float(times[-1] - times[0]) > 1
    spans = [Span("worst second", second, second + 1, 1.0, None, "", "", 0)] if longer else []
    return spans + [Span("worst frame", w.pts_seconds, w.pts_seconds, 1.0, None, "", "", 1) for w in result.worst]


def chart_of(
    name: str, of: str, description: str, times: Floats, values: Floats, start: float, end: float, marks: str
) -> Chart:
    """One curve as a chart; `of` is its unit. At least one value must be finite."""
    curve = thinned(name, of, description, times, values)
    low, high = charts.extremes([curve])
    mean = float(values[np.isfinite(values)].mean())
    figure = charts.plot([curve], start, end, marks)
    about = first_sentence(description)
    return Chart(name, about, unit(of), figure, brief(high), brief(low), [(name, brief(mean))])


def thinned(name: str, of: str, description: str, times: Floats, values: Floats, points: int = POINTS) -> Curve:
    """A curve of at most `points` points, each with the extremes of the frames that it stands for; NaN is left out."""
    good = np.isfinite(values)
    times, values = times[good], values[good]
    if len(values) <= points:
        return Curve(name, of, description, times, values, values, values)
    starts = np.unique(np.arange(points) * len(values) // points)
    counts = np.diff(np.append(starts, len(values)))
    at, mean = (np.add.reduceat(v, starts) / counts for v in (times, values))
    return Curve(
        name, of, description, at, np.minimum.reduceat(values, starts), mean, np.maximum.reduceat(values, starts)
    )
