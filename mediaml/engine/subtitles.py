"""Transcripts as SRT and WebVTT."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

LINE_CHARACTERS = 42
LONGEST_SECONDS = 7.0
_LONGEST_CHARACTERS = 2 * LINE_CHARACTERS
_PAUSE_SECONDS = 0.7


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle; seconds on the file's timeline, `text` of at most two lines."""

    start: float
    end: float
    text: str


def cues(segments: Iterable[tuple[float, float, str, str]]) -> list[Cue]:
    """(start, end, text, words as JSON) -> cues of at most two lines of 42 characters and 7 s, none overlapping the next.

    Cut between words: at the end of a sentence, at a pause of 0.7 s, or where a cue is full.
    """
    found = [cue for segment in segments for cue in _split(segment)]
    found.sort(key=lambda c: (c.start, c.end))
    out: list[Cue] = []
    for k, cue in enumerate(found):
        end = min(cue.end, found[k + 1].start) if k + 1 < len(found) else cue.end
        start = max(cue.start, 0.0)
        if end - start >= 0.001:
            out.append(Cue(start, end, cue.text))
    return out


def _split(segment: tuple[float, float, str, str]) -> Iterator[Cue]:
    words: list[list[Any]] = json.loads(segment[3])
    if not words:
        yield Cue(segment[0], segment[1], _lines(segment[2]))
        return
    held: list[list[Any]] = []
    for word in words:
        if held and _full(held, word):
            yield _cue(held)
            held = []
        held.append(word)
    yield _cue(held)


def _full(held: list[list[Any]], word: list[Any]) -> bool:
    text = " ".join(w[0] for w in held)
    if len(text) + 1 + len(word[0]) > _LONGEST_CHARACTERS - 6 or word[2] - held[0][1] > LONGEST_SECONDS:
        return True
    return word[1] - held[-1][2] > _PAUSE_SECONDS or (text[-1] in ".?!" and len(text) > LINE_CHARACTERS // 2)


def _cue(held: list[list[Any]]) -> Cue:
    return Cue(held[0][1], held[-1][2], _lines(" ".join(w[0] for w in held)))


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(" ".join(text.split()), LINE_CHARACTERS, break_long_words=False)[:3])


def srt(given: Iterable[Cue]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    blocks = [
        f"{k}\n{_time(c.start, ',')} --> {_time(c.end, ',')}\n{c.text.replace('-->', '->')}\n"
        for k, c in enumerate(given, 1)
    ]
    return "\n".join(blocks)


def vtt(given: Iterable[Cue]) -> str:
    """WebVTT (W3C): header, point before the milliseconds, &, < and > escaped."""
    blocks = ["WEBVTT\n"]
    blocks += [f"{_time(c.start, '.')} --> {_time(c.end, '.')}\n{escape(c.text, quote=False)}\n" for c in given]
    return "\n".join(blocks)


def _time(seconds: float, point: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
