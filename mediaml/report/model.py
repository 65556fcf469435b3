"""What the report shows, as plain data: filled by `queries`, drawn by `charts`, laid out by the templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One column over time, thinned to a few hundred points; `low` and `high` are the extremes within each point."""

    name: str
    unit: str
    description: str
    times: NDArray[np.float64]  # seconds, ascending
    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of a whole file."""

    name: str
    text: str
    unit: str
    description: str
    source: str


@dataclass(frozen=True, slots=True)
class Shot:
    start: float  # seconds
    end: float


@dataclass(frozen=True, slots=True)
class Span:
    """One finding in time; `colour` numbers its kind among all kinds of the lake."""

    kind: str
    start: float  # seconds
    end: float
    severity: float | None
    confidence: float | None
    message: str
    analyzer: str
    colour: int


@dataclass(frozen=True, slots=True)
class Tag:
    scope: str
    start: float | None  # seconds
    end: float | None
    vocabulary: str
    label: str
    score: float | None
    rank: int
    scale: str = ""  # what the score is: probability, softmax, contrast, cosine; "" in tables of an early version


@dataclass(frozen=True, slots=True)
class Keyframe:
    """One picture of the strip, as a data URI."""

    seconds: float
    width: int
    height: int
    uri: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of `errors`."""

    path: str
    analyzer: str
    kind: str
    message: str
    media_id: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Metric:
    """One number a file that the catalogue can be compared and sorted by: a frame column's mean, or a file's value."""

    name: str
    unit: str
    description: str
    values: Mapping[str, float]  # media_id -> value


@dataclass(slots=True)
class File:
    """Everything the card of one media shows; absent tables leave their fields empty."""

    media_id: str
    paths: list[str]
    media: dict[str, Any] = field(default_factory=dict)
    streams: list[dict[str, Any]] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    keyframes: list[Keyframe] = field(default_factory=list)
    palette: list[tuple[str, float]] = field(default_factory=list)  # "#rrggbb", share of the picture
    problems: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.paths[0].rsplit("/", 1)[-1] if self.paths else self.media_id[:12]

    @property
    def folder(self) -> str:
        return self.paths[0].rpartition("/")[0] if self.paths else ""

    @property
    def duration(self) -> float | None:
        """Seconds; None where nothing has a time."""
        stated = self.media.get("duration_seconds")
        ends = [float(c.times[-1]) for c in self.curves if len(c.times) > 1] + [
            s.end for s in (*self.shots, *self.spans)
        ]
        return stated or max(ends, default=None)

    @property
    def main_video(self) -> dict[str, Any]:
        """The `streams` row that the summary speaks of, or {}."""
        streams = [s for s in self.streams if s.get("type") == "video"]
        moving = [s for s in streams if not s.get("is_attached_picture")] or streams
        return max(moving, key=lambda s: (s.get("width") or 0) * (s.get("height") or 0), default={})


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one analyzer version gave."""

    analyzer: str
    files: int
    first: datetime
    last: datetime


@dataclass(slots=True)
class Catalogue:
    """The whole report."""

    files: list[File]
    metrics: list[Metric]
    problems: list[Problem]
    runs: list[dict[str, Any]]
    contributions: list[Contribution]
    absent: list[str]  # tables without a row
    kinds: list[str]  # span kinds, in colour order
