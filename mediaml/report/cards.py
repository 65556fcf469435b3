"""What the card template is given: a summary line, charts and lists for every file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from mediaml.report import charts, facts
from mediaml.report.model import Catalogue, Curve, File, Metric, Span, Tag
from mediaml.report.overview import headline_metrics
from mediaml.report.text import brief, duration, first_sentence, unit
from mediaml.report.timelines import is_preferred, rank
from mediaml.report.waveform import NAME as WAVEFORM
from mediaml.report.waveform import with_waveform

SHOWN_SPANS = 60
SHOWN_TAGS = 8  # of a vocabulary
SHOWN_METRICS = 14  # a card's sortable numbers


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
    tags: list[tuple[str, list[Tag]]] = field(default_factory=list)  # by vocabulary
    spans: list[Span] = field(default_factory=list)
    hidden_spans: int = 0
    swatches: Markup | None = None
    technical: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    chapters: list[tuple[str, str]] = field(default_factory=list)


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
    timed = with_waveform([c for c in file.curves if len(c.times) > 1])
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
        main = (
            group[0].name == WAVEFORM
            or is_preferred(group[0].name)
            or (not group[0].description and group[0].unit != "")
        )
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
    low, high = charts.extremes(group)
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


def _file_tags(file: File) -> list[tuple[str, list[Tag]]]:
    """vocabulary -> the file's own tags, best first; without any, the best tags of its shots."""
    own = sorted((t for t in file.tags if t.scope == "file"), key=lambda t: (t.rank, -(t.score or 0)))
    if not own:
        best: dict[tuple[str, str], Tag] = {}
        for tag in file.tags:
            key = tag.vocabulary, tag.label
            if key not in best or (tag.score or 0) > (best[key].score or 0):
                best[key] = tag
        own = sorted(best.values(), key=lambda t: -(t.score or 0))
    grouped: dict[str, list[Tag]] = {}
    for tag in own:
        grouped.setdefault(tag.vocabulary, []).append(tag)
    return [(v, tags[:SHOWN_TAGS]) for v, tags in sorted(grouped.items())]


def _caption(file: File) -> None:
    """The best tag of the shot that a keyframe lies in."""
    best = [t for t in file.tags if t.scope == "shot" and t.rank == 1 and t.start is not None and t.end is not None]
    for i, picture in enumerate(file.keyframes):
        tag = next((t for t in best if (t.start or 0) <= picture.seconds < (t.end or 0)), None)
        if tag is not None:
            file.keyframes[i] = replace(picture, tag=tag.label)
