"""The report of a file judged without a reference: predicted quality over time, artifacts, worst moments. One HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from mediaml.engine.pooling import Limit
from mediaml.engine.score.single import HIGH, LOW, QUALITY, SCALED, SingleScore
from mediaml.report import charts
from mediaml.report.cards import Chart
from mediaml.report.model import Curve, Span
from mediaml.report.page import write_page
from mediaml.report.score_curves import Timeline, chart_of
from mediaml.report.text import brief, duration

_MARKS = "moments"
SHOWN_ARTIFACTS = 200


def build_single_report(
    result: SingleScore,
    out: str | PathLike[str],
    title: str | None = None,
    *,
    missed: Sequence[tuple[Limit, float | None]] = (),
) -> Path:
    """Writes the HTML report to `out` and returns its path; nothing is decoded. Raises InvalidValue where it cannot be
    written."""
    kinds = list(dict.fromkeys(a.kind for a in result.artifacts))
    by_severity = sorted(result.artifacts, key=lambda a: -a.severity)[:SHOWN_ARTIFACTS]
    context = {
        "title": title or f"{Path(result.media.path).name}: quality without a reference",
        "result": result,
        "tiles": _tiles(result),
        "missed": [(str(limit), "no value" if reached is None else brief(reached)) for limit, reached in missed],
        "timeline": _timeline(result, kinds),
        "kinds": list(enumerate(kinds)),
        "artifacts": sorted(by_severity, key=lambda a: a.start_seconds),
        "more_artifacts": max(0, len(result.artifacts) - SHOWN_ARTIFACTS),
    }
    return write_page(
        Path(out),
        "score_single.html.j2",
        context,
        styles=["style.css", "score.css"],
        scripts=["plots.js"],
        option="--html",
    )


def _tiles(result: SingleScore) -> list[tuple[str, str, str]]:
    low, middle, high = result.mean
    tiles = [("predicted VMAF, mean", f"{middle:.1f}", f"95 % interval {low:.1f} to {high:.1f}")]
    if SCALED in result.pooled:
        tiles.append(("scaled up to 1080 lines", f"{result.pooled[SCALED].mean:.1f}", "predicted VMAF, mean"))
    if result.worst:
        tiles.append(("worst moment", f"{result.worst[0].quality:.1f}", f"at {result.worst[0].pts_seconds:.2f} s"))
    times = result.frames["pts_seconds"]
    tiles.append(("pictures looked at", f"{len(times):,}", f"over {duration(float(times[-1] - times[0]))}"))
    tiles.append(("artifacts", str(len(result.artifacts)), ""))
    return tiles


def _timeline(result: SingleScore, kinds: Sequence[str]) -> Timeline | None:
    """The prediction within its interval; None for a single picture."""
    times = result.frames["pts_seconds"]
    start, end = float(times[0]), max([float(times[-1]), *(a.end_seconds for a in result.artifacts)])
    if len(times) < 2 or end <= start:
        return None
    spans = [
        Span(
            a.kind, a.start_seconds, a.end_seconds, a.severity, a.confidence, a.message, a.analyzer, kinds.index(a.kind)
        )
        for a in result.artifacts
    ]
    bar = charts.shot_bar([], spans, start, end, _MARKS)
    low, middle, high = (np.asarray(result.frames[n], np.float64) for n in (LOW, QUALITY, HIGH))
    curve = Curve(QUALITY, "VMAF points", "predicted VMAF; the band holds the true value of 95 of 100 pictures", times,
                  low, middle, high)  # fmt: skip
    least, greatest = charts.extremes([curve])
    figure = charts.plot([curve], start, end, _MARKS)
    drawn = [Chart(QUALITY, curve.description, curve.unit, figure, brief(greatest), brief(least),
                   [(QUALITY, brief(float(middle.mean())))])]  # fmt: skip
    if SCALED in result.pooled:
        column = next(c for c in result.columns if c.name == SCALED)
        values = np.asarray(result.frames[SCALED], np.float64)
        drawn.append(chart_of(SCALED, column.unit, column.description, times, values, start, end, _MARKS))
    return Timeline(start, end, bar, charts.axis(start, end), drawn, [])
