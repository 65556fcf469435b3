"""What the artifact detectors share: per-frame measures gathered over a file, and findings as rows of `spans`.

A detector states what it measures on each picture (`measure`) and what the measures of a whole file mean (`judge`). The
measures are a few numbers a frame, so memory stays small however long the file is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.frames import FrameBatch
from mediaml.ops.flagged_spans import flagged_spans
from mediaml.ops.gathered import Gathered
from mediaml.spec import Table

Measures = Mapping[str, NDArray[Any]]  # column name -> (N,)
_TYPES = {"float32": np.float32, "float64": np.float64, "int32": np.int32, "int64": np.int64, "bool": np.bool_}


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of `spans`. Times in seconds on the file's timeline; severity and confidence in 0..1."""

    kind: str
    start: float
    end: float
    severity: float
    confidence: float
    evidence: float
    message: str


@dataclass(slots=True)
class Track:
    """The measures of one file, in display order.

    start, end  (N,) float64 s: when each frame is shown, and when it is replaced (for sampled frames: the next sample)
    values      name -> (N,) float64
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.values[name]

    def frames_in(self, seconds: float) -> int:
        """How many frames `seconds` hold at the file's median frame rate, at least 1."""
        period = float(np.median(np.diff(self.start))) if len(self) > 1 else 0.0
        return max(1, round(seconds / period)) if period > 0 else 1

    def spans(self, flags: NDArray[np.bool_], *, join: float, minimum: float) -> list[tuple[int, int]]:
        """(first, stop) of flagged runs: gaps up to `join` s are closed, runs with under `minimum` s of flags dropped."""
        gap = self.frames_in(join) if join > 0 else 0
        least = self.frames_in(minimum) if minimum > 0 else 1
        return flagged_spans(flags.tolist(), join=gap, minimum=least)


class _Gathering:
    """Times and measures of the frames so far, in a few large pieces (see `ops.gathered`)."""

    def __init__(self) -> None:
        self._times, self._values = Gathered(), Gathered()

    def add(self, batch: FrameBatch, measures: Measures) -> None:
        self._times.add({"start": batch.pts_seconds.cpu(), "duration": batch.duration_seconds.cpu()})
        self._values.add({name: torch.as_tensor(np.asarray(v, np.float64)) for name, v in measures.items()})

    def track(self, fps: float | None) -> Track:
        if not len(self._times):
            return Track(np.zeros(0), np.zeros(0), {})
        start, duration = (column.numpy() for column in self._times.columns().values())
        end = start + duration
        if fps is not None:  # a sampled frame speaks for the time until the next sample
            following = np.append(start[1:], max(end[-1], start[-1]))
            end = np.maximum(end, np.minimum(following, start + 1.5 / fps))
        return Track(start, end, {name: column.numpy() for name, column in self._values.columns().items()})


class Detector(FrameAnalyzer):
    """An analyzer whose `finish` judges the measures of all frames.

    `measure` gives (N,) arrays: those that are columns of `frames` are also written there; others are kept for `judge` only.
    """

    def __init__(self) -> None:
        self._gathering = _Gathering()
        self.reset()

    def reset(self) -> None:
        """Forgets the file: what `measure` keeps between batches."""

    @abstractmethod
    def measure(self, batch: FrameBatch) -> Measures:
        """name -> (N,) for each frame of the batch; NaN where a frame is too small to say."""

    @abstractmethod
    def judge(self, track: Track) -> Sequence[Finding]:
        """The findings of a whole file; `track` holds at least one frame."""

    def facts(self, track: Track) -> Mapping[str, Any]:  # noqa: ARG002
        """The file's row, where the spec declares columns of `files`."""
        return {}

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        measures = self.measure(batch)
        self._gathering.add(batch, measures)
        return {
            c.name: torch.from_numpy(np.asarray(measures[c.name], _TYPES[c.dtype])).to(batch.device)
            for c in self.spec.columns(Table.FRAMES)
        }

    def finish(self) -> Rows:
        need = self.spec.need
        track = self._gathering.track(need.fps if need else None)
        self._gathering = _Gathering()
        try:
            findings = sorted(self.judge(track), key=lambda f: (f.start, f.kind)) if len(track) else []
            facts = self.facts(track) if len(track) else {}
        finally:
            self.reset()
        rows: dict[Table, Mapping[str, Sequence[Any]]] = {Table.SPANS: span_rows(findings)}
        if facts:
            rows[Table.FILES] = {name: [value] for name, value in facts.items()}
        return rows


def span_rows(findings: Sequence[Finding]) -> dict[str, list[Any]]:
    """The key columns of `spans`."""
    return {
        "kind": [f.kind for f in findings],
        "start_seconds": [float(f.start) for f in findings],
        "end_seconds": [float(max(f.end, f.start)) for f in findings],
        "severity": [unit(f.severity) for f in findings],
        "confidence": [unit(f.confidence) for f in findings],
        "evidence_seconds": [float(f.evidence) for f in findings],
        "message": [f.message for f in findings],
    }


def unit(value: float) -> float:
    """`value` clamped to 0..1."""
    return float(min(max(value, 0.0), 1.0))


def ramp(value: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, linear between (high may be the smaller one)."""
    return unit((value - low) / (high - low))
