"""Small SVG charts. Plots stretch to their box (`preserveAspectRatio="none"`); everything written stands outside them.

Coordinates are whole numbers on a grid of `WIDTH` x `HEIGHT`, and paths are relative, which keeps a curve near 1 kB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from mediaml.report.model import Curve, Shot, Span
from mediaml.report.text import brief, timecode

WIDTH, HEIGHT = 600, 100
_FLOORS = {"LUFS": -70.0, "LKFS": -70.0, "dBTP": -70.0, "dBFS": -70.0}  # silence would flatten everything else
_PLOT = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'


def limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """(bottom, top) of a common scale, never equal."""
    floor = _FLOORS.get(curves[0].unit, -math.inf)
    low = max(floor, min(min(c.low) for c in curves))
    high = max(low, max(max(c.high) for c in curves))
    pad = (high - low) * 0.04 or abs(high) * 0.05 or 0.5
    return low - pad, high + pad


def plot(curves: Sequence[Curve], start: float, end: float, marks: str) -> Markup:
    """The curves over [start, end] seconds; `marks` is the id of the card's shot lines and findings."""
    low, high = limits(curves)
    parts = [f'<svg {_PLOT} class="plot" data-low="{low:.6g}" data-high="{high:.6g}"><use href="#{marks}"/>']
    for i, curve in enumerate(curves):
        xs = [_x(t, start, end) for t in curve.times]
        means = [_y(v, low, high) for v in curve.mean]
        tops = [_y(v, low, high) for v in curve.high]
        bottoms = [_y(v, low, high) for v in curve.low]
        if any(b - t > 2 for t, b in zip(tops, bottoms, strict=True)):
            there, back = list(zip(xs, tops, strict=True)), list(zip(xs, bottoms, strict=True))[::-1]
            parts.append(f'<path class="band c{i}" d="{_path(there + back)}z"/>')
        parts.append(f'<path class="line c{i}" d="{_path(_thin(list(zip(xs, means, strict=True))))}"/>')
        if len(xs) <= 40:
            dots = "".join(f"M{x} {y}h0" for x, y in zip(xs, means, strict=True))
            parts.append(f'<path class="dots c{i}" d="{dots}"/>')
    return Markup("".join(parts) + "</svg>")  # noqa: S704 - numbers and our own class names only


def shot_bar(shots: Sequence[Shot], spans: Sequence[Span], start: float, end: float, marks: str) -> Markup:
    """Shots as alternating blocks, findings as strokes below; also defines the marks that every plot of the card shows."""
    blocks = [_block(s.start, s.end, start, end, 0, 62, f"shot s{i % 2}") for i, s in enumerate(shots)]
    strokes = [_block(s.start, s.end, start, end, 70, 30, f"span k{s.colour % 6}") for s in spans]
    lines = "".join(f"M{_x(s.start, start, end)} 0v{HEIGHT}" for s in shots[1:])
    shades = "".join(_block(s.start, s.end, start, end, 0, HEIGHT, f"shade k{s.colour % 6}") for s in spans[:200])
    defined = f'<defs><g id="{marks}">{shades}<path class="cuts" d="{lines}"/></g></defs>'
    return Markup(f'<svg {_PLOT} class="bar">{defined}{"".join(blocks)}{"".join(strokes)}</svg>')  # noqa: S704


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
    return Markup(f'<svg class="axis" width="100%" height="14">{"".join(written)}</svg>')  # noqa: S704


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
    return Markup(f'<svg {_PLOT} class="histogram">{bars}</svg>'), brief(low), brief(high)  # noqa: S704


def share_bar(share: float) -> Markup:
    """A horizontal bar that is `share` of its box long."""
    length = max(1, round(share * WIDTH))
    return Markup(f'<svg {_PLOT} class="share"><rect width="{length}" height="{HEIGHT}"/></svg>')  # noqa: S704


def swatches(palette: Sequence[tuple[str, float]]) -> Markup:
    """Colours side by side, each as wide as its share."""
    total, x, parts = sum(s for _, s in palette), 0.0, []
    for colour, share in palette:
        width = share / total * WIDTH
        parts.append(f'<rect x="{x:.0f}" width="{width + 1:.0f}" height="{HEIGHT}" fill="{colour}"/>')
        x += width
    return Markup(f'<svg {_PLOT} class="swatches">{"".join(parts)}</svg>')  # noqa: S704


def _x(seconds: float, start: float, end: float) -> int:
    return round(min(1.0, max(0.0, (seconds - start) / (end - start))) * WIDTH)


def _y(value: float, low: float, high: float) -> int:
    return round((1 - min(1.0, max(0.0, (value - low) / (high - low)))) * HEIGHT)


def _block(first: float, last: float, start: float, end: float, y: int, height: int, name: str) -> str:
    left = _x(first, start, end)
    width = max(2, _x(last, start, end) - left)
    return f'<rect class="{name}" x="{left}" y="{y}" width="{width}" height="{height}"/>'


def _thin(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the points that lie between two of the same height."""
    return [
        p for i, p in enumerate(points) if i in (0, len(points) - 1) or not points[i - 1][1] == p[1] == points[i + 1][1]
    ]


def _path(points: Sequence[tuple[int, int]]) -> str:
    x, y = points[0]
    steps = [f"M{x} {y}l" if len(points) > 1 else f"M{x} {y}"]
    for nx, ny in points[1:]:
        dx, dy = str(nx - x), str(ny - y)
        steps.append(
            (dx if dx.startswith("-") or steps[-1].endswith("l") else " " + dx)
            + (dy if dy.startswith("-") else " " + dy)
        )
        x, y = nx, ny
    return "".join(steps)
