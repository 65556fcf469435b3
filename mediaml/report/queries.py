"""Fills the report's model from a lake, one query a table for all media together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mediaml.report.model import Catalogue, Contribution, File, Measure, Metric, Problem, Shot, Span, Tag
from mediaml.report.pictures import Budget, keyframes
from mediaml.report.source import NUMBERS, Source
from mediaml.report.text import number, unit
from mediaml.report.timelines import frame_curves, frame_means, series_curves
from mediaml.tables import ColumnInfo, Lake
from mediaml.tables.rows import decode_path

_CONTENT = ("media", "streams", "frames", "shots", "spans", "series", "files", "embeddings", "thumbnails", "tags")
_SHOWN_TAGS = 400  # rows of `tags` kept for a file


def read_catalogue(lake: Lake) -> Catalogue:
    """Everything the report shows. Tables that are absent or empty leave their part of the model empty."""
    source = Source(lake)
    given = _given(source)
    files = _files(source, {g.media_id for g in given})
    budget = Budget.for_files(len(files))
    by_id = {f.media_id: f for f in files}
    kinds = _spans(source, by_id)
    _shots(source, by_id)
    _tags(source, by_id)
    own, palettes = _file_values(source, by_id)
    for media_id, curves in frame_curves(source, budget.points, budget.curves).items():
        by_id[media_id].curves += curves
    for media_id, curves in series_curves(source, budget.points, budget.curves).items():
        by_id[media_id].curves += curves
    for media_id, palette in palettes.items():
        by_id[media_id].palette = palette
    for media_id, strip in keyframes(source, {f.media_id: f.shots for f in files}, budget).items():
        by_id[media_id].keyframes = strip
    problems = _problems(source, by_id)
    runs = source.read("runs", _RUN_COLUMNS)
    absent = [t for t in _CONTENT if not source.rows.get(t)]
    return Catalogue(files, [*frame_means(source), *own], problems, runs, _contributions(given), absent, kinds)


_RUN_COLUMNS = (
    "run_id",
    "started_at",
    "finished_at",
    "status",
    "command",
    "mediaml_version",
    "files_total",
    "files_done",
    "files_skipped",
    "files_failed",
)


def _files(source: Source, known: Iterable[str]) -> list[File]:
    """Every media that has rows, in the order of its path. Content that could not be read is among the errors only."""
    paths: dict[str, list[tuple[Any, str]]] = defaultdict(list)
    for row in source.read("paths", ("media_id", "path", "seen_at")):
        paths[row["media_id"]].append((row["seen_at"], decode_path(row["path"])))
    media = {r["media_id"]: r for r in source.read("media", [c.name for c in source.all_columns("media")])}
    files = []
    for media_id in {*media, *known}:
        stored = media.get(media_id, {}).get("path")
        newest_first = [p for _, p in sorted(paths.get(media_id, ()), key=lambda x: x[0], reverse=True)]
        found = newest_first or ([decode_path(stored)] if stored else [])
        files.append(File(media_id, found, media.get(media_id, {})))
    columns = [c.name for c in source.all_columns("streams")]
    streams = _by_media(source.read("streams", columns))
    for file in files:
        file.streams = streams.get(file.media_id, [])
    return sorted(files, key=lambda f: (f.paths[0] if f.paths else "~", f.media_id))


def _by_media(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["media_id"]].append(row)
    return found


def _shots(source: Source, files: Mapping[str, File]) -> None:
    """Shots of one analyzer a file: the one that covers most files, so that cards can be compared."""
    if not source.has("shots", "start_seconds", "end_seconds"):
        return
    rows = _by_media(source.read("shots", ("media_id", "analyzer", "start_seconds", "end_seconds")))
    covered = Counter(a for found in rows.values() for a in {r["analyzer"] for r in found})
    for media_id, found in rows.items():
        best = max({r["analyzer"] for r in found}, key=lambda a: (covered[a], a))
        shots = (Shot(r["start_seconds"], r["end_seconds"]) for r in found if r["analyzer"] == best)
        files[media_id].shots = sorted(shots, key=lambda s: s.start)


def _spans(source: Source, files: Mapping[str, File]) -> list[str]:
    """Fills `File.spans`; the kinds in the order of their colours, the most frequent first."""
    names = ("media_id", "analyzer", "kind", "start_seconds", "end_seconds", "severity", "confidence", "message")
    if not source.has("spans", "kind", "start_seconds", "end_seconds"):
        return []
    rows = source.read("spans", names)
    kinds = [k for k, _ in sorted(Counter(r["kind"] for r in rows).items(), key=lambda x: (-x[1], x[0]))]
    colour = {kind: i for i, kind in enumerate(kinds)}
    for r in rows:
        files[r["media_id"]].spans.append(
            Span(
                r["kind"],
                r["start_seconds"],
                r["end_seconds"],
                r["severity"],
                r["confidence"],
                r["message"] or "",
                r["analyzer"] or "",
                colour[r["kind"]],
            )
        )
    for file in files.values():
        file.spans.sort(key=lambda s: (s.start, s.kind))
    return kinds


def _tags(source: Source, files: Mapping[str, File]) -> None:
    if not source.has("tags", "label"):
        return
    names = ("media_id", "scope", "start_seconds", "end_seconds", "vocabulary", "label", "score", "rank")
    names += ("scale",) if source.has("tags", "scale") else ()
    where = "scope = 'file' OR rank <= 3" if source.has("tags", "scope", "rank") else None
    for media_id, rows in _by_media(source.read("tags", names, where)).items():
        files[media_id].tags = [
            Tag(
                r["scope"] or "file",
                r["start_seconds"],
                r["end_seconds"],
                r["vocabulary"] or "",
                r["label"],
                r["score"],
                r["rank"] or 1,
                r.get("scale") or "",
            )
            for r in rows[:_SHOWN_TAGS]
        ]


Palette = list[tuple[str, float]]


def _file_values(source: Source, files: Mapping[str, File]) -> tuple[list[Metric], dict[str, Palette]]:
    """Measures of every file, the same as metrics of the catalogue, and palettes."""
    columns = source.columns("files")
    rows = source.read("files", ["media_id", *(c.name for c in columns)])
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    palettes: dict[str, Palette] = {}
    for row in rows:
        file = files[row["media_id"]]
        for column in columns:
            value = row[column.name]
            if value is None:
                continue
            if column.dtype in NUMBERS:
                metrics[column.name][file.media_id] = float(value)
            if not isinstance(value, (list, bytes)):
                file.measures.append(_measure(column, value))
        found = _palette(columns, row)
        if found:
            palettes[file.media_id] = found
    described = {c.name: c for c in columns}
    own = [Metric(n, described[n].unit, described[n].description, v) for n, v in metrics.items()]
    return sorted(own, key=lambda m: m.name), palettes


def _measure(column: ColumnInfo, value: Any) -> Measure:
    text = number(float(value)) if column.dtype in NUMBERS else str(value)
    return Measure(column.name, text, unit(column.unit), column.description, column.source)


def _palette(columns: Sequence[ColumnInfo], row: Mapping[str, Any]) -> Palette:
    """Colours from vectors named `palette...`: R, G, B triples in the unit sRGB, and their shares where there are as many."""
    vectors = {c.name: row[c.name] for c in columns if c.name.startswith("palette") and isinstance(row[c.name], list)}
    colours = next((vectors[c.name] for c in columns if c.name in vectors and c.unit == "sRGB"), None)
    if not colours or len(colours) % 3:
        return []
    count = len(colours) // 3
    shares = next((v for v in vectors.values() if len(v) == count), [1 / count] * count)
    triples = [[round(255 * min(1.0, max(0.0, c))) for c in colours[3 * i : 3 * i + 3]] for i in range(count)]
    return [(f"#{bytes(t).hex()}", float(s)) for t, s in zip(triples, shares, strict=True) if s > 0]


def _problems(source: Source, files: Mapping[str, File]) -> list[Problem]:
    problems = []
    for r in source.read("errors", ("media_id", "path", "analyzer", "kind", "message", "computed_at")):
        path = decode_path(r["path"]) if r["path"] else ""
        problem = Problem(
            path, r["analyzer"] or "", r["kind"] or "", r["message"] or "", r["media_id"], r["computed_at"]
        )
        problems.append(problem)
        if r["media_id"] in files:
            files[r["media_id"]].problems.append(problem)
    return problems


@dataclass(frozen=True, slots=True)
class _Given:
    """What one analyzer version gave one media."""

    media_id: str
    analyzer: str
    first: datetime
    last: datetime


def _given(source: Source) -> list[_Given]:
    """Every media and analyzer that some table has rows of."""
    tables = [t for t in _CONTENT if source.has(t, "media_id", "analyzer", "computed_at")]
    if not tables:
        return []
    union = " UNION ALL ".join(f"SELECT media_id, analyzer, computed_at FROM {t}" for t in tables)  # noqa: S608
    found = source.query(
        "SELECT media_id, analyzer, min(computed_at) AS first, max(computed_at) AS last "  # noqa: S608
        f"FROM ({union}) GROUP BY media_id, analyzer ORDER BY media_id, analyzer"
    )
    return [_Given(**row) for row in found.to_pylist()]


def _contributions(given: Sequence[_Given]) -> list[Contribution]:
    """The same by analyzer version."""
    rows: dict[str, list[_Given]] = defaultdict(list)
    for one in given:
        rows[one.analyzer].append(one)
    return [Contribution(a, len(r), min(g.first for g in r), max(g.last for g in r)) for a, r in sorted(rows.items())]
