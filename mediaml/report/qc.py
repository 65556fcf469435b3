"""The report of a check: every file's verdict, rule by rule, with frames, the waveform, and timecodes. One HTML file.

Everything is read from the result and its lake's tables; nothing is decoded here.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from mediaml.engine.qc.lake import PICTURES_A_RULE
from mediaml.engine.qc.measures import measures
from mediaml.engine.qc.outcome import Place
from mediaml.engine.qc.result import VERDICTS, FileVerdict, QcResult
from mediaml.engine.qc.rules import RuleOutcome
from mediaml.engine.timecode import timecode
from mediaml.report import charts, facts
from mediaml.report.cards import Chart
from mediaml.report.model import Curve, File, Span
from mediaml.report.page import write_page
from mediaml.report.score_curves import POINTS, chart_of
from mediaml.report.text import brief
from mediaml.tables import Lake

SHOWN_PLACES = 8  # of a rule
OPEN_CARDS = 12  # that need a look are open when the page loads
WAVEFORM = ("waveform_low", "waveform_high")
LOUDNESS = "momentary_lufs"
_ORDER = ("fail", "warn", "info", "not_measured", "pass", "not_applicable")
_WORDS = {"not_applicable": "does not apply", "not_measured": "not measured"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame of evidence as a data URI."""

    code: str  # the timecode that it shows
    width: int
    height: int
    uri: str
    text: str


@dataclass(frozen=True, slots=True)
class PlaceRow:
    start: str  # timecodes
    end: str
    text: str
    severity: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class RuleRow:
    outcome: RuleOutcome
    word: str
    places: list[PlaceRow]
    more_places: int
    pictures: list[Picture]


@dataclass(slots=True)
class Card:
    """One file, ready to be printed."""

    number: int
    file: FileVerdict
    name: str
    folder: str
    facts: str
    is_open: bool
    broken: list[RuleRow]
    unmeasured: list[RuleRow]
    kept: list[RuleRow]
    technical: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    bar: Markup | None = None
    axis: Markup | None = None
    charts: list[Chart] = field(default_factory=list)
    kinds: list[tuple[str, int]] = field(default_factory=list)  # kind, colour


def build_qc_report(result: QcResult, out: str | PathLike[str], title: str | None = None) -> Path:
    """Writes the HTML report of a check to `out` and returns its path.

    Pictures and waveforms are there where the check was made with `pictures`. A report that is there stays whole if this one
    fails. Raises InvalidValue where `out` cannot be written.
    """
    context = {
        "title": title or f"{result.profile.title}: {_counted(len(result.files), 'file')}",
        "result": result,
        "verdicts": [(v, result.counts[v]) for v in VERDICTS if result.counts[v]],
        "files": list(enumerate(result.files)),
        "cards": _cards(result),
    }
    return write_page(
        Path(out), "qc.html.j2", context, styles=["style.css", "qc.css"], scripts=["plots.js"], option="--html"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _cards(result: QcResult) -> Iterator[Card]:
    """One card a file, made when it is printed; files that need a look are open, the first few at least."""
    opened = 0
    for number, file in enumerate(result.files):
        is_open = file.verdict != "pass" and opened < OPEN_CARDS
        opened += is_open
        yield _card(result, file, number, is_open=is_open or len(result.files) == 1)


def _card(result: QcResult, file: FileVerdict, number: int, *, is_open: bool) -> Card:
    pictures = _Pictures(result, file)
    rows = sorted((_rule_row(file, o, pictures) for o in file.outcomes), key=lambda r: _ORDER.index(r.outcome.outcome))
    values = file.values
    described = (
        File(file.media_id or "", [file.path], dict(values.media), [dict(s) for s in values.streams])
        if values
        else None
    )
    card = Card(
        number,
        file,
        described.name if described else Path(file.path).name,
        str(Path(file.path).parent),
        _facts(file),
        is_open,
        [r for r in rows if r.outcome.broken],
        [r for r in rows if r.outcome.outcome == "not_measured"],
        [r for r in rows if r.outcome.outcome in ("pass", "not_applicable")],
        facts.technical(described) if described else [],
    )
    if values is not None:
        _draw(card, result.lake)
    return card


def _rule_row(file: FileVerdict, outcome: RuleOutcome, pictures: _Pictures) -> RuleRow:
    rate = file.frame_rate
    places = [
        PlaceRow(timecode(p.start_seconds, rate), timecode(p.end_seconds, rate), p.text, p.severity, p.confidence)
        for p in outcome.places[:SHOWN_PLACES]
    ]
    shown = [p for place in outcome.places[:PICTURES_A_RULE] if (p := pictures.of(place)) is not None]
    word = _WORDS.get(outcome.outcome, outcome.outcome)
    return RuleRow(outcome, word, places, outcome.place_count - len(places), shown if outcome.broken else [])


class _Pictures:
    """The frames of evidence of one file, by time."""

    def __init__(self, result: QcResult, file: FileVerdict) -> None:
        self._rate = file.frame_rate
        self._rows: list[dict[str, Any]] = []
        if file.media_id is not None and file.values is not None:
            where = f"media_id = '{file.media_id}' AND analyzer = '{result.profile.spec_id}'"
            found = result.lake.table("thumbnails", ["pts_seconds", "width", "height", "jpeg"], where)
            self._rows = sorted(found.to_pylist(), key=lambda r: r["pts_seconds"])
        self._times = [r["pts_seconds"] for r in self._rows]

    def of(self, place: Place) -> Picture | None:
        """The frame shown at the place's instant; None where it was not decoded."""
        at = bisect_right(self._times, place.evidence_seconds + 1e-3)
        if not self._rows:
            return None
        row = self._rows[max(at - 1, 0)]
        uri = "data:image/jpeg;base64," + base64.b64encode(row["jpeg"]).decode("ascii")
        code = timecode(place.evidence_seconds, self._rate)
        return Picture(code, row["width"], row["height"], uri, place.text)


def _facts(file: FileVerdict) -> str:
    """One line: length, picture, codecs."""
    if file.values is None:
        return ""
    media = file.values.media
    size = f"{media['display_width']} × {media['display_height']}" if media.get("display_width") else ""
    rate = f"{brief(media['frame_rate'])} frame/s" if media.get("frame_rate") and media["kind"] == "video" else ""
    length = timecode(media["duration_seconds"], file.frame_rate) if file.values.duration_seconds else media["kind"]
    parts = [length, size, rate, media.get("video_codec"), media.get("audio_codec")]
    return " · ".join(str(p) for p in parts if p)


def _draw(card: Card, lake: Lake) -> None:
    """The findings, the waveform, the loudness and what the rules measure over time."""
    values = card.file.values
    assert values is not None
    length = values.duration_seconds
    if not length:
        return
    colours = {kind: i for i, kind in enumerate(sorted(k for k, found in values.findings.items() if found))}
    spans = [
        Span(kind, f.start_seconds, f.end_seconds, f.severity, f.confidence, f.message, "", colour)
        for kind, colour in colours.items()
        for f in values.findings[kind]
    ]
    card.kinds = list(colours.items())
    card.start, card.end = 0.0, max([length, *(s.end for s in spans)])
    marks = f"m{card.number}"
    card.bar = charts.shot_bar((), spans, card.start, card.end, marks)
    card.axis = charts.axis(card.start, card.end)
    series = _series(lake, values.media_id)
    if all(len(series.get(n, ((), ()))[0]) > 1 for n in WAVEFORM):
        card.charts.append(_waveform(series, card.start, card.end, marks))
    timed = {n: (t.start, t.value) for n, t in values.timed.items() if n != f"series.{LOUDNESS}"}
    if LOUDNESS in series:
        timed = {f"series.{LOUDNESS}": series[LOUDNESS], **timed}
    for name, (times, found) in timed.items():
        if len(times) > 1:
            known = measures()[name]
            column = name.split(".", 1)[1]
            unit = "LUFS" if known.unit == "lufs" else known.unit
            about = "" if name.startswith("series.") else known.description
            card.charts.append(chart_of(column, unit, about, times, found, card.start, card.end, marks))


Series = Mapping[str, tuple[np.ndarray, np.ndarray]]


def _series(lake: Lake, media_id: str) -> Series:
    """Name -> (times, values) of what the page draws."""
    listed = ", ".join(f"'{n}'" for n in (*WAVEFORM, LOUDNESS))
    rows = lake.table(
        "series", ["series", "time_seconds", "value"], f"media_id = '{media_id}' AND series IN ({listed})"
    )
    names = np.array(rows.column("series").to_pylist(), object)
    times, values = (rows.column(c).to_numpy().astype(np.float64) for c in ("time_seconds", "value"))
    return {str(n): (times[names == n], values[names == n]) for n in dict.fromkeys(names.tolist())}


def _waveform(series: Series, start: float, end: float, marks: str) -> Chart:
    times, low = series[WAVEFORM[0]]
    high = series[WAVEFORM[1]][1]
    firsts: Sequence[int] = np.unique(np.arange(POINTS) * len(times) // POINTS).tolist()
    low, high = np.minimum.reduceat(low, firsts), np.maximum.reduceat(high, firsts)
    curve = Curve("waveform", "", "", times[firsts], low, (low + high) / 2, high)
    figure = charts.plot([curve], start, end, marks)
    peak = max(float(high.max()), -float(low.min()))
    return Chart("waveform", "all channels, share of full scale", "", figure, brief(float(high.max())),
                 brief(float(low.min())), [("waveform", f"peak {brief(peak)}")])  # fmt: skip
