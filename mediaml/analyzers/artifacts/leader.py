"""What stands before a programme: colour bars and slates."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track
from mediaml.analyzers.artifacts.small_view import HEIGHT, SMALL, WIDTH, Bytes, Change, grey, pictures
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_ORDER = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0))
# R', G', B' of white, yellow, cyan, green, magenta, red, blue, black
_LAYOUTS = (
    (0.0, 1.0, 8),
    (0.0, 1.0, 7),
    (0.125, 0.875, 7),
)  # left and right end, bars: EBU, SMPTE, ARIB STD-B28 / RP 219
_ROWS = slice(round(0.1 * HEIGHT), round(0.55 * HEIGHT), 5)
_EVEN = 14.0  # levels: deviation within a bar
_HIGH, _CONTRAST = 110.0, 80.0  # levels of a lit channel, and its distance to the unlit ones
_STILL = 0.35  # levels of change from frame to frame
_GROUND_SHARE, _GROUND_LEVELS = 0.55, 8  # of a slate's picture in one level, within so many
_BLANK_ROW = 0.01  # of a row between lines of text that may leave the ground
_TEXT_CONTRAST = 50  # levels between text and ground
_TEXT_ROW, _TURNS = 0.01, 6  # share of text samples in a row of text; changes between text and ground along it
_LINES = 4  # of text
_BARS_SECONDS, _SLATE_SECONDS = 0.3, 1.0


class Leader(Detector):
    """kinds "colour_bars": seven or eight vertical bars in descending luminance (EBU, SMPTE, ARIB), 75 or 100 %; "slate": a
    still picture of at least four lines of text on one even ground, for at least a second.

    severity  0.3: right at the head of a master, wrong in what is published
    """

    spec = Spec(
        name="leader",
        version=2,
        summary="colour bars and slates",
        outputs=(
            Column("colour_bars", "bool", "1", "the picture shows colour bars"),
            Column(
                "text_lines",
                "int32",
                "lines",
                "rows of text on an even ground; 0 for other pictures",
                minimum=0,
                maximum=72,
            ),
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="colour bars: ITU-R BT.471-1, SMPTE EG 1, SMPTE RP 219 and ARIB STD-B28",
        cost_ms=0.3,
        kinds=("colour_bars", "slate"),
    )

    def reset(self) -> None:
        self._change = Change()
        self._lines = 0

    def measure(self, batch: FrameBatch) -> Measures:
        change, _ = self._change.measure(batch)
        still = np.nan_to_num(change) <= _STILL
        lines = np.zeros(len(still), np.int32)
        for i, picture in enumerate(grey(batch)):
            if not (still[i] and self._lines):  # a still picture has the lines of the one before
                self._lines = text_lines(picture)
            lines[i] = self._lines
        return {"colour_bars": shows_bars(pictures(batch)), "text_lines": lines, "still": still}

    def judge(self, track: Track) -> list[Finding]:
        found = []
        bars = track["colour_bars"] > 0
        for first, stop in track.spans(bars, join=0.2, minimum=_BARS_SECONDS):
            found.append(_finding(track, "colour_bars", first, stop, "colour bars"))
        slate = (track["text_lines"] >= _LINES) & (track["still"] > 0) & ~bars
        slate[:-1] |= slate[1:] & (track["text_lines"][:-1] >= _LINES)  # the first frame of a still
        for first, stop in track.spans(slate, join=0.2, minimum=_SLATE_SECONDS):
            lines = int(np.median(track["text_lines"][first:stop]))
            found.append(_finding(track, "slate", first, stop, f"a slate: {lines} lines of text on an even ground"))
        return found


def shows_bars(rgb: Bytes) -> NDArray[np.bool_]:
    """(N,) whether each of (N, 144, 256, 3) pictures shows colour bars."""
    strip = rgb[:, _ROWS].astype(np.float32)  # (N, rows, 256, 3)
    columns, spread = strip.mean(axis=1), strip.std(axis=1).max(axis=2)
    found = np.zeros(len(rgb), bool)
    for left, right, bars in _LAYOUTS:
        edges = np.linspace(left * WIDTH, right * WIDTH, bars + 1)
        inner = [slice(round(a + 0.25 * (b - a)), round(a + 0.75 * (b - a))) for a, b in pairwise(edges)]
        even = np.stack([spread[:, s].mean(axis=1) + columns[:, s].std(axis=1).max(axis=1) for s in inner]).max(axis=0)
        colour = np.stack([columns[:, s].mean(axis=1) for s in inner], axis=1)  # (N, bars, 3)
        lit = np.array(_ORDER[:bars], bool)
        lowest = np.where(lit, colour, 255).min(axis=(1, 2))
        highest = np.where(lit, 0, colour).max(axis=(1, 2))
        found |= (even <= 2 * _EVEN) & (lowest >= _HIGH) & (lowest - highest >= _CONTRAST)
    return found


def text_lines(picture: Bytes) -> int:
    """Rows of text on an even ground in a (144, 256) luma picture; 0 where there is no such ground."""
    counts = np.bincount(picture.ravel(), minlength=256)
    ground = int(counts.argmax())
    if counts[max(0, ground - _GROUND_LEVELS) : ground + _GROUND_LEVELS + 1].sum() < _GROUND_SHARE * picture.size:
        return 0
    distance = np.abs(picture.astype(np.int16) - ground)
    ink = distance > _TEXT_CONTRAST
    turns = (ink[:, 1:] != ink[:, :-1]).sum(axis=1)
    written = (ink.mean(axis=1) >= _TEXT_ROW) & (turns >= _TURNS)
    blank = (distance > _GROUND_LEVELS).mean(axis=1) <= _BLANK_ROW
    places = np.flatnonzero(written | blank)
    return int((written[places[1:]] & blank[places[:-1]]).sum()) if len(places) else 0


def _finding(track: Track, kind: str, first: int, stop: int, what: str) -> Finding:
    start, end = float(track.start[first]), float(track.end[stop - 1])
    confidence = 0.95 if kind == "colour_bars" else 0.7
    return Finding(kind, start, end, 0.3, confidence, (start + end) / 2, f"{what}, {end - start:.2f} s")
