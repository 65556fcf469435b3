"""The head of the report: counts, shares and distributions over all files, and the numbers that stand for quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mediaml.report import charts
from mediaml.report.model import Catalogue, File, Metric
from mediaml.report.text import brief, duration, first_sentence, scaled, unit
from mediaml.report.timelines import is_preferred, rank

_LOUDNESS = "integrated_lufs"


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
