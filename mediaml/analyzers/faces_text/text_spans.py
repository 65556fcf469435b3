"""From lines read in pictures to spans of time: how long each text stands in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from mediaml.analyzers.artifacts.findings import Finding

ALIKE = 0.75
"""Least similarity (difflib's ratio) of two readings of one text."""
Line = tuple[str, float]
"""Text as read, and its score."""


@dataclass(slots=True)
class _Standing:
    """A text that is in the picture, by its surest reading so far."""

    start: float
    end: float
    text: str
    score: float
    surest: float  # seconds


def text_spans(looks: Sequence[tuple[float, Sequence[Line]]], period: float) -> list[Finding]:
    """One finding of kind "text" for each text, from the first look that shows it to the first that does not.

    `looks` are (seconds, lines) in order of time, those without lines among them; `period` is the usual time between them.
    A text that moves (rolling credits) stays one text. Two equal lines in one picture are two texts.
    """
    done: list[_Standing] = []
    standing: list[_Standing] = []
    for index, (at, lines) in enumerate(looks):
        following = looks[index + 1][0] if index + 1 < len(looks) else at + period
        end = min(following, at + 1.5 * period)
        left, now = list(standing), []
        for text, score in lines:
            same = _most_alike(text, left)
            if same is None:
                same = _Standing(at, end, text, score, at)
            else:
                left.remove(same)
                same.end = end
                if score > same.score:
                    same.text, same.score, same.surest = text, score, at
            now.append(same)
        done += left
        standing = now
    found = sorted(done + standing, key=lambda s: (s.start, s.text))
    return [Finding("text", s.start, s.end, 0.0, s.score, s.surest, s.text) for s in found]


def _most_alike(text: str, among: Sequence[_Standing]) -> _Standing | None:
    likeness = [(SequenceMatcher(None, text, s.text, autojunk=False).ratio(), s) for s in among]
    best = max(likeness, key=lambda pair: pair[0], default=(0.0, None))
    return best[1] if best[0] >= ALIKE else None
