"""The report of one score: how good, where it is worst, what that looks like, and how it was measured. One HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from markupsafe import Markup

from mediaml import weights
from mediaml.decode.frame_reader import VideoFile
from mediaml.engine.pooling import Limit, Pooled, missed
from mediaml.engine.runner import Runner
from mediaml.engine.score.output import data_range
from mediaml.engine.score.result import ScoreResult, ShotScore
from mediaml.engine.score.text import alignment_line
from mediaml.report import charts, facts
from mediaml.report.model import File
from mediaml.report.page import write_page
from mediaml.report.score_alignment import alignment_path
from mediaml.report.score_curves import timeline
from mediaml.report.score_pictures import worst_pictures
from mediaml.report.text import brief, duration, first_sentence, score, unit
from mediaml.spec import Column, Table
from mediaml.tables.media_rows import media_columns, stream_columns

SHOWN_SHOTS = 150
Row = tuple[str, str]


def build_score_report(
    result: ScoreResult, out: str | PathLike[str], title: str | None = None, *, limits: Sequence[Limit] = ()
) -> Path:
    """Writes the HTML report of one score to `out` and returns its path.

    Both files are decoded once more, up to the last of the worst frames, for their pictures. `limits` are judged at the head.
    A report that is there stays whole if this one fails. Raises InvalidValue where `out` cannot be written.
    """
    files = result.distorted, result.reference
    names = [Path(f.path).name for f in files]
    context = {
        "title": title or f"{names[0]} against {names[1]}",
        "result": result,
        "tiles": _tiles(result),
        "verdicts": _verdicts(result, limits),
        "timeline": timeline(result),
        "summary": alignment_line(result),
        "path": None if result.plan.alignment is None else alignment_path(result.plan.alignment),
        "distributions": _distributions(result),
        "pooled": _pooled(result),
        "shots": _shots(result),
        "more_shots": max(0, len(result.shots) - SHOWN_SHOTS),
        "gallery": worst_pictures(result),
        "moments": [[(n, _at(result, n, w.frame_index)) for n in result.headline] for w in result.worst],
        "methods": [_method(r, result.headline) for r in result.runners],
        "form": _form(result),
        "files": [(role, f.path, _facts(f)) for role, f in zip(("Distorted", "Reference"), files, strict=True)],
    }
    return write_page(
        Path(out),
        "score.html.j2",
        context,
        styles=["style.css", "score.css"],
        scripts=["plots.js", "score.js"],
        option="--html",
    )


def _tiles(result: ScoreResult) -> list[tuple[str, str, str]]:
    """(label, value, remark): the means of the metrics asked for, then how much was compared."""
    tiles = []
    for name in result.headline:
        p = result.pooled[name]
        mean = f"{p.mean:.2f}" if abs(p.mean) >= 10 else score(p.mean)
        tiles.append((f"{name}, mean", mean, f"p5 {brief(p.percentiles[5])} · worst {brief(p.worst)}"))
    times = result.frames["pts_seconds"]
    tiles.append(("frames compared", f"{result.frames_scored:,}", duration(float(times[-1] - times[0]))))
    found = result.plan.alignment
    if found is not None:
        s = found.summary
        tiles.append(("frames matched", f"{100 * s.matched_share:.1f} %", f"offset {s.offset_seconds:+.3f} s"))
    return tiles


def _verdicts(result: ScoreResult, limits: Sequence[Limit]) -> list[tuple[str, str, str, bool]]:
    """(what, the bound, what was reached, whether that is enough) for each limit."""
    short = {limit for limit, _ in missed(limits, result.pooled)}
    rows = []
    for limit in limits:
        there = limit.column in result.pooled
        reached = score(result.pooled[limit.column].value(limit.method)) if there else "no score"
        bound = f"{'at most' if limit.most else 'at least'} {limit.bound:g}"
        rows.append((f"{limit.method} of {limit.column}", bound, reached, limit not in short))
    return rows


@dataclass(frozen=True, slots=True)
class Distribution:
    title: str
    unit: str
    figure: Markup
    left: str
    right: str
    median: str
    frames: int


def _distributions(result: ScoreResult) -> list[Distribution]:
    """Histograms of the metrics asked for; of one frame there is none."""
    found = []
    for column in result.columns:
        values = result.frames[column.name]
        values = values[np.isfinite(values)]
        if column.name in result.headline and len(values) > 1:
            figure, left, right = charts.histogram(values.tolist(), 40)
            median = score(result.pooled[column.name].median)
            found.append(Distribution(column.name, unit(column.unit), figure, left, right, median, len(values)))
    return found


@dataclass(frozen=True, slots=True)
class PooledRow:
    """`main`: asked for by name, not a part of another metric."""

    column: Column
    about: str
    pooled: Pooled
    main: bool


def _pooled(result: ScoreResult) -> list[PooledRow]:
    return [
        PooledRow(c, first_sentence(c.description), result.pooled[c.name], c.name in result.headline)
        for c in result.columns
        if c.name in result.pooled
    ]


@dataclass(frozen=True, slots=True)
class ShotRow:
    number: int
    shot: ShotScore
    means: list[float | None]  # of the metrics asked for
    worst: float | None  # of the first of them
    is_worst: bool


def _shots(result: ScoreResult) -> list[ShotRow]:
    """The shots in order; of very many those with the worst means of the first metric. One shot is the whole file."""
    if len(result.shots) < 2:
        return []
    rows = []
    for number, shot in enumerate(result.shots, 1):
        means = [shot.pooled[n].mean if n in shot.pooled else None for n in result.headline]
        least = shot.pooled[result.primary].worst if result.primary in shot.pooled else None
        rows.append(ShotRow(number, shot, means, least, False))
    lower = result.pooled[result.primary].lower_is_better
    by_mean = sorted((r for r in rows if r.means[0] is not None), key=lambda r: r.means[0] or 0.0, reverse=lower)
    worst = by_mean[0].number if len(by_mean) > 1 else 0
    kept = {r.number for r in (by_mean or rows)[:SHOWN_SHOTS]} if len(rows) > SHOWN_SHOTS else {r.number for r in rows}
    return [ShotRow(r.number, r.shot, r.means, r.worst, r.number == worst) for r in rows if r.number in kept]


def _at(result: ScoreResult, name: str, frame_index: int) -> float | None:
    row = int(np.flatnonzero(result.frames["frame_index"] == frame_index)[0])
    value = float(result.frames[name][row])
    return value if np.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Method:
    """How one analyzer measured: its convention, the settings and the model files that its values depend on."""

    name: str
    summary: str
    columns: list[Row]  # those asked for, with what they are
    source: str
    models: list[Row]  # name, sha256
    settings: str
    failure: str


def _method(runner: Runner, headline: Sequence[str]) -> Method:
    spec = runner.spec
    columns = [(c.name, c.description) for c in spec.columns(Table.FRAMES) if c.name in headline]
    models = [(name, weights.describe(name).sha256) for name in spec.weights]
    settings = ", ".join(f"{k} {v}" for k, v in runner.analyzer.parameters.items())
    failure = "" if runner.error is None else f"{type(runner.error).__name__}: {runner.error}"
    return Method(spec.id, spec.summary, columns, spec.cite, models, settings, failure)


def _form(result: ScoreResult) -> list[Row]:
    """What both pictures were brought to before they were compared."""
    form = result.plan.form
    colour = form.colour
    rows = [
        ("size", f"{form.size[0]} × {form.size[1]}"),
        ("samples", f"{form.pixel_format}, {form.bit_depth} bit"),
        ("colour", f"{colour.primaries} / {colour.transfer} / {colour.matrix}"),
        ("data range", data_range(result)),
    ]
    for name, crop in zip(("distorted crop", "reference crop"), result.plan.crops, strict=True):
        if crop is not None:
            rows.append((name, f"{crop.width} × {crop.height} at {crop.x}, {crop.y}"))
    rows.append(("time taken", f"{duration(result.wall_seconds)}, alignment {duration(result.align_seconds)}"))
    return rows


def _facts(file: VideoFile) -> list[tuple[str, list[Row]]]:
    """Headed groups of facts, as the card of a catalogue shows them."""
    media = {name: values[0] for name, values in media_columns(file.media, file.path).items()}
    columns = stream_columns(file.media)
    streams = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    described = File("", [file.path], media, streams)
    groups = facts.technical(described)
    found = facts.badges(described)
    if found:
        groups.append(("Watch for", [(label, why) for label, why in found]))
    return groups
