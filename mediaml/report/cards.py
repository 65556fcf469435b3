"""What the templates are given: a summary line, charts and lists for every file, and the overview of the catalogue."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup

from mediaml.report import charts, facts
from mediaml.report.model import Catalogue, Curve, File, Metric, Span, Tag
from mediaml.report.text import brief, duration, first_sentence, scaled, unit
from mediaml.report.timelines import is_preferred, rank

SHOWN_SPANS = 60
SHOWN_TAGS = 14
SHOWN_METRICS = 14  # a card's sortable numbers
_LOUDNESS = "integrated_lufs"


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    description: str
    unit: str
    figure: Markup
    top: str
    bottom: str
    legend: list[tuple[str, str]]  # curve name, mean


@dataclass(slots=True)
class Card:
    """One file, ready to be printed."""

    file: File
    number: int
    badges: list[tuple[str, str]]
    summary: list[tuple[str, str]]  # label, value
    numbers: str  # JSON of what can be sorted and filtered by
    search: str
    start: float = 0.0  # seconds that the plots span
    end: float = 0.0
    bar: Markup | None = None
    axis: Markup | None = None
    charts: list[Chart] = field(default_factory=list)
    more_charts: list[Chart] = field(default_factory=list)
    values: list[tuple[str, str, str, str]] = field(default_factory=list)  # of one-frame media: name, value, unit, text
    tags: list[Tag] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    hidden_spans: int = 0
    swatches: Markup | None = None
    technical: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    chapters: list[tuple[str, str]] = field(default_factory=list)


def headline_metrics(catalogue: Catalogue) -> list[Metric]:
    """The numbers that stand for quality and loudness: preferred frame columns, then integrated loudness."""
    preferred = [m for m in catalogue.metrics if is_preferred(m.name)]
    best: dict[int, Metric] = {}
    for metric in sorted(preferred, key=lambda m: rank(m.name)):
        best.setdefault(rank(metric.name)[0] // 2, metric)
    loudness = [m for m in catalogue.metrics if m.name == _LOUDNESS] or [
        m for m in catalogue.metrics if m.unit == "LUFS"
    ]
    chosen = [*list(best.values())[:3], *loudness[:1]]
    return chosen or catalogue.metrics[:3]


def cards(catalogue: Catalogue) -> Iterable[Card]:
    """One card a file, made when asked for."""
    headline = headline_metrics(catalogue)
    rest = [m for m in catalogue.metrics if m not in headline]
    shown = [*headline, *sorted(rest, key=lambda m: rank(m.name))][:SHOWN_METRICS]
    for i, file in enumerate(catalogue.files):
        yield _card(file, i, headline, shown)


def sort_choices(catalogue: Catalogue) -> list[str]:
    """Keys of `Card.numbers` that at least one card has."""
    headline = headline_metrics(catalogue)
    rest = sorted((m for m in catalogue.metrics if m not in headline), key=lambda m: rank(m.name))
    fixed = ["duration", "size", "pixels", "findings", "errors"]
    return fixed + [m.name for m in [*headline, *rest][:SHOWN_METRICS]]


def _card(file: File, number: int, headline: Sequence[Metric], shown: Sequence[Metric]) -> Card:
    badges = facts.badges(file)
    card = Card(file, number, badges, _summary(file, headline), _numbers(file, shown), _search(file, badges))
    _draw(card)
    card.tags = _file_tags(file)
    card.spans, card.hidden_spans = file.spans[:SHOWN_SPANS], max(0, len(file.spans) - SHOWN_SPANS)
    card.swatches = charts.swatches(file.palette) if file.palette else None
    card.technical, card.warnings, card.chapters = facts.technical(file), facts.warnings(file), facts.chapters(file)
    _caption(file)
    return card


def _draw(card: Card) -> None:
    file = card.file
    timed = [c for c in file.curves if len(c.times) > 1]
    card.values = [
        (c.name, brief(float(c.mean[0])), unit(c.unit), c.description) for c in file.curves if len(c.times) == 1
    ]
    bounds = [(float(c.times[0]), float(c.times[-1])) for c in timed] + [
        (s.start, s.end) for s in (*file.shots, *file.spans)
    ]
    length = file.duration
    if not length or not bounds or file.media.get("kind") == "image":
        return
    start = min(0.0, *(b[0] for b in bounds))
    end = max(length, *(b[1] for b in bounds))
    card.start, card.end = start, end
    marks = f"m{card.number}"
    card.bar = charts.shot_bar(file.shots, file.spans, start, end, marks)
    card.axis = charts.axis(start, end)
    for group in _grouped(timed):
        main = group[0].description == "" or any(is_preferred(c.name) for c in group)
        target = card.charts if main else card.more_charts
        target.append(_chart(group, start, end, marks))
    if not card.charts:
        card.charts, card.more_charts = card.more_charts[:4], card.more_charts[4:]


def _grouped(curves: Sequence[Curve]) -> list[list[Curve]]:
    """Frame columns alone; series of one unit together, three at most."""
    groups: list[list[Curve]] = []
    by_unit: dict[str, list[Curve]] = {}
    for curve in curves:
        together = by_unit.get(curve.unit) if curve.unit and not curve.description else None
        if together is not None and len(together) < 3:
            together.append(curve)
            continue
        groups.append([curve])
        if not curve.description:
            by_unit[curve.unit] = groups[-1]
    return groups


def _chart(group: Sequence[Curve], start: float, end: float, marks: str) -> Chart:
    low, high = charts.limits(group)
    legend = [(c.name, brief(float(c.mean.mean()))) for c in group]
    text = first_sentence(group[0].description)
    return Chart(
        group[0].name,
        text,
        unit(group[0].unit),
        charts.plot(group, start, end, marks),
        brief(high),
        brief(low),
        legend,
    )


def _summary(file: File, headline: Sequence[Metric]) -> list[tuple[str, str]]:
    media, video = file.media, file.main_video
    width = video.get("display_width") or media.get("display_width")
    height = video.get("display_height") or media.get("display_height")
    size = f"{width} × {height}" if width and height else ""
    codec = video.get("codec") or media.get("video_codec") or media.get("audio_codec") or ""
    if media.get("kind") == "audio":
        size, codec = "sound only", media.get("audio_codec") or ""
    cells = [("length", duration(file.duration) if media.get("kind") != "image" else "still")]
    cells += [("picture", size), ("codec", codec)]
    cells += [(m.name, brief(m.values.get(file.media_id))) for m in headline]
    return cells


def _numbers(file: File, shown: Sequence[Metric]) -> str:
    media, video = file.media, file.main_video
    found: dict[str, float | None] = {
        "duration": file.duration,
        "size": media.get("size_bytes"),
        "pixels": (video.get("width") or 0) * (video.get("height") or 0) or None,
        "findings": len(file.spans),
        "errors": len(file.problems),
    }
    found |= {m.name: m.values.get(file.media_id) for m in shown}
    return json.dumps({k: round(v, 4) for k, v in found.items() if v is not None}, separators=(",", ":"))


def _search(file: File, badges: Sequence[tuple[str, str]]) -> str:
    words = [*file.paths, str(file.media.get("kind") or ""), str(file.media.get("container") or "")]
    words += [str(s.get("codec") or "") for s in file.streams] + [b[0] for b in badges]
    words += sorted({s.kind for s in file.spans}) + list(dict.fromkeys(t.label for t in file.tags))[:12]
    words += sorted({p.kind for p in file.problems})
    return " ".join(w for w in words if w).lower()[:600]


def _file_tags(file: File) -> list[Tag]:
    """The file's own tags, best first; without any, the best tags of its shots."""
    own = sorted((t for t in file.tags if t.scope == "file"), key=lambda t: (t.rank, -(t.score or 0)))
    if not own:
        best: dict[str, Tag] = {}
        for tag in file.tags:
            if tag.label not in best or (tag.score or 0) > (best[tag.label].score or 0):
                best[tag.label] = tag
        own = sorted(best.values(), key=lambda t: -(t.score or 0))
    return own[:SHOWN_TAGS]


def _caption(file: File) -> None:
    """The best tag of the shot that a keyframe lies in."""
    best = [t for t in file.tags if t.scope == "shot" and t.rank == 1 and t.start is not None and t.end is not None]
    for i, picture in enumerate(file.keyframes):
        tag = next((t for t in best if (t.start or 0) <= picture.seconds < (t.end or 0)), None)
        if tag is not None:
            file.keyframes[i] = replace(picture, tag=tag.label)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram of the overview."""

    title: str
    unit: str
    description: str
    figure: Markup
    left: str
    right: str
    median: str
    count: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The head of the report."""

    tiles: list[tuple[str, str, str]]  # label, value, remark
    shares: list[tuple[str, list[tuple[str, int, Markup]]]]
    distributions: list[Distribution]
    notes: list[str]


def overview(catalogue: Catalogue) -> Overview:
    """Counts, shares and distributions over all files."""
    files = catalogue.files
    kinds = Counter(str(f.media.get("kind") or "unknown") for f in files)
    total = sum(f.duration or 0 for f in files if f.media.get("kind") != "image")
    size = sum(f.media.get("size_bytes") or 0 for f in files)
    unread = {p.path for p in catalogue.problems if p.media_id is None or not p.analyzer}
    tiles = [
        ("files", f"{len(files):,}", ", ".join(f"{n} {k}" for k, n in kinds.most_common())),
        ("total length", duration(total), f"{sum(len(f.shots) for f in files):,} shots"),
        ("size", scaled(size, "B") if size else "–", ""),
        (
            "findings",
            f"{sum(len(f.spans) for f in files):,}",
            f"{len(catalogue.kinds)} kind{'s' * (len(catalogue.kinds) != 1)}",
        ),
        (
            "errors",
            f"{len(catalogue.problems):,}",
            f"{len(unread)} file{'s' * (len(unread) > 1)} at fault" if unread else "of analyzers",
        ),
    ]
    if not catalogue.problems:
        tiles[-1] = ("errors", "0", "")
    shares = (
        []
        if len(files) < 2
        else [
            ("Codecs", _shares(f.main_video.get("codec") or f.media.get("audio_codec") for f in files)),
            ("Picture height", _shares(_lines(f) for f in files)),
        ]
    )
    metrics = [m for m in headline_metrics(catalogue) if len(m.values) > 1]
    notes = [f"{t}: not computed" for t in catalogue.absent if t in ("media", "frames", "shots", "series", "tags")]
    return Overview(tiles, [s for s in shares if s[1]], [_distribution(m) for m in metrics], notes)


def _shares(values: Iterable[Any]) -> list[tuple[str, int, Markup]]:
    counts = Counter(str(v) for v in values if v)
    top = counts.most_common(6)
    other = sum(counts.values()) - sum(n for _, n in top)
    rows = [*top, ("other", other)] if other else top
    most = max((n for _, n in rows), default=1)
    return [(name, n, charts.share_bar(n / most)) for name, n in rows]


def _lines(file: File) -> str | None:
    height = file.main_video.get("display_height") or file.media.get("display_height")
    return f"{height} px" if height and file.media.get("kind") != "audio" else None


def _distribution(metric: Metric) -> Distribution:
    values = sorted(metric.values.values())
    figure, left, right = charts.histogram(values)
    text = first_sentence(metric.description)
    return Distribution(
        metric.name, unit(metric.unit), text, figure, left, right, brief(values[len(values) // 2]), len(values)
    )
