"""Small SVG charts. Plots stretch to their box (`preserveAspectRatio="none"`); everything written stands outside them.

Coordinates are whole numbers on a grid of `WIDTH` x `HEIGHT`, and paths are relative, which keeps a curve near 1 kB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mediaml.report.model import Curve, Shot, Span
from mediaml.report.text import brief, timecode

WIDTH, HEIGHT = 600, 100
_FLOORS = {"LUFS": -70.0, "LKFS": -70.0, "dBTP": -70.0, "dBFS": -70.0}  # silence would flatten everything else
_SHADED_FROM = 0.2  # severity; milder findings are strokes in the bar only
_PLOT = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'


def extremes(curves: Sequence[Curve]) -> tuple[float, float]:
    """(least, greatest) value; the floor of a level in decibels where it goes below."""
    floor = _FLOORS.get(curves[0].unit, -math.inf)
    low = max(floor, min(float(c.low.min()) for c in curves))
    high = max(low, *(float(c.high.max()) for c in curves))
    return low, high


def limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """(bottom, top) of a common scale with room around the extremes, never equal."""
    low, high = extremes(curves)
    least = 0.02 * max(abs(low), abs(high)) or 1.0  # what hardly changes is drawn flat
    pad = max((high - low) * 0.04, (least - (high - low)) / 2)
    return low - pad, high + pad


def plot(curves: Sequence[Curve], start: float, end: float, marks: str) -> Markup:
    """The curves over [start, end] seconds; `marks` is the id of the card's shot lines and findings."""
    low, high = limits(curves)
    parts = [f'<svg {_PLOT} class="plot" data-low="{low:.6g}" data-high="{high:.6g}"><use href="#{marks}"/>']
    for i, curve in enumerate(curves):
        xs = _grid((curve.times - start) / (end - start) * WIDTH, WIDTH)
        ys, tops, bottoms = (
            _grid((high - v) / (high - low) * HEIGHT, HEIGHT) for v in (curve.mean, curve.high, curve.low)
        )
        if (bottoms - tops > 2).any():
            outline = _path(np.concatenate([xs, xs[::-1]]), np.concatenate([tops, bottoms[::-1]]))
            parts.append(f'<path class="band c{i}" d="{outline}z"/>')
        bends = np.ones(len(ys), bool)
        bends[1:-1] = (ys[1:-1] != ys[:-2]) | (ys[1:-1] != ys[2:])
        parts.append(f'<path class="line c{i}" d="{_path(xs[bends], ys[bends])}"/>')
        if len(xs) <= 40:
            dots = "".join(f"M{x} {y}h0" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
            parts.append(f'<path class="dots c{i}" d="{dots}"/>')
    return Markup("".join(parts) + "</svg>")


def shot_bar(shots: Sequence[Shot], spans: Sequence[Span], start: float, end: float, marks: str) -> Markup:
    """Shots as alternating blocks, findings as strokes below; also defines the marks that every plot of the card shows."""
    blocks = [_block(s.start, s.end, start, end, 0, 62, f"shot s{i % 2}") for i, s in enumerate(shots)]
    longest_first = sorted(spans, key=lambda s: s.start - s.end)
    strokes = [_block(s.start, s.end, start, end, 70, 30, f"span k{s.colour % 6}") for s in longest_first]
    serious = [s for s in longest_first if s.severity is None or s.severity >= _SHADED_FROM][:200]
    lines = "".join(f"M{_x(s.start, start, end)} 0v{HEIGHT}" for s in shots[1:])
    shades = "".join(_block(s.start, s.end, start, end, 0, HEIGHT, f"shade k{s.colour % 6}") for s in serious)
    defined = f'<defs><g id="{marks}">{shades}<path class="cuts" d="{lines}"/></g></defs>'
    return Markup(f'<svg {_PLOT} class="bar">{defined}{"".join(blocks)}{"".join(strokes)}</svg>')


def axis(start: float, end: float) -> Markup:
    """Timecodes below the plots, at round instants."""
    length = end - start
    step = next((s for s in _STEPS if length / s <= 7), length)
    first = math.ceil(start / step - 1e-9)
    ticks = [k * step for k in range(first, math.floor(end / step + 1e-9) + 1)]
    written = []
    for t in ticks:
        share = (t - start) / length * 100
        anchor = "start" if share < 4 else "end" if share > 96 else "middle"
        label = timecode(t) if step < 1 else timecode(t).rsplit(".", 1)[0]
        written.append(f'<text x="{share:.2f}%" y="11" text-anchor="{anchor}">{label}</text>')
    return Markup(f'<svg class="axis" width="100%" height="14">{"".join(written)}</svg>')


_STEPS = (0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def histogram(values: Sequence[float], bins: int = 24) -> tuple[Markup, str, str]:
    """(chart, label of the left edge, label of the right edge) of a distribution."""
    low, high = min(values), max(values)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts = [0] * bins
    for v in values:
        counts[min(bins - 1, int((v - low) / (high - low) * bins))] += 1
    most, width = max(counts), WIDTH / bins
    bars = "".join(
        f'<rect x="{i * width + 1:.0f}" y="{HEIGHT - h:.0f}" width="{width - 2:.0f}" height="{h:.0f}"/>'
        for i, h in ((i, max(3.0, n / most * HEIGHT)) for i, n in enumerate(counts) if n)
    )
    return Markup(f'<svg {_PLOT} class="histogram">{bars}</svg>'), brief(low), brief(high)


def share_bar(share: float) -> Markup:
    """A horizontal bar that is `share` of its box long."""
    length = max(1, round(share * WIDTH))
    return Markup(f'<svg {_PLOT} class="share"><rect width="{length}" height="{HEIGHT}"/></svg>')


def swatches(palette: Sequence[tuple[str, float]]) -> Markup:
    """Colours side by side, each as wide as its share."""
    total, x, parts = sum(s for _, s in palette), 0.0, []
    for colour, share in palette:
        width = share / total * WIDTH
        parts.append(f'<rect x="{x:.0f}" width="{width + 1:.0f}" height="{HEIGHT}" fill="{colour}"/>')
        x += width
    return Markup(f'<svg {_PLOT} class="swatches">{"".join(parts)}</svg>')


def _x(seconds: float, start: float, end: float) -> int:
    return round(min(1.0, max(0.0, (seconds - start) / (end - start))) * WIDTH)


def _block(first: float, last: float, start: float, end: float, y: int, height: int, name: str) -> str:
    left = _x(first, start, end)
    width = max(2, _x(last, start, end) - left)
    return f'<rect class="{name}" x="{left}" y="{y}" width="{width}" height="{height}"/>'


def _grid(values: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    return np.rint(values.clip(0, limit)).astype(np.int64)


def _path(xs: NDArray[np.int64], ys: NDArray[np.int64]) -> str:
    """A polyline as one absolute point and relative steps."""
    steps = np.diff(np.stack([xs, ys], axis=1), axis=0).ravel().tolist()
    return f"M{xs[0]} {ys[0]}l" + " ".join(map(str, steps)).replace(" -", "-")
