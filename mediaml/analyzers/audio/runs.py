"""What detectors of sound share: pieces of a fixed length from runs without gaps, and findings as rows of `spans`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mediaml.analyzers.base import AudioAnalyzer, Rows
from mediaml.frames import AudioBlock
from mediaml.ops.channel_layouts import channel_names
from mediaml.ops.rechunk import Rechunk
from mediaml.spec import Table


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of `spans`; times in seconds on the file's timeline, severity and confidence in [0, 1]."""

    kind: str
    start: float
    end: float
    severity: float
    message: str
    confidence: float = 1.0
    evidence: float | None = None  # None: the middle


def span_rows(findings: Sequence[Finding]) -> dict[str, list[Any]]:
    """The key columns of `spans`, in order of time."""
    ordered = sorted(findings, key=lambda f: (f.start, f.end, f.kind))
    return {
        "kind": [f.kind for f in ordered],
        "start_seconds": [f.start for f in ordered],
        "end_seconds": [f.end for f in ordered],
        "severity": [min(max(f.severity, 0.0), 1.0) for f in ordered],
        "confidence": [min(max(f.confidence, 0.0), 1.0) for f in ordered],
        "evidence_seconds": [(f.start + f.end) / 2 if f.evidence is None else f.evidence for f in ordered],
        "message": [f.message for f in ordered],
    }


class RunAnalyzer(AudioAnalyzer):
    """Cuts the sound into pieces of `piece_seconds`, whatever the size of blocks; a gap, another rate or layout begins a run.

    Subclasses give `begin_run`, `add` (one piece), `end_run` and `rows`; they keep findings in `self.findings`. While a run
    is on: `rate` (Hz), `names` (of the channels), `origin` (file time of its first sample), `run_samples` (so far, the piece
    at hand included).
    """

    piece_seconds: float = 1.0

    def __init__(self) -> None:
        self._clear()

    def update(self, batch: AudioBlock) -> dict[str, Tensor]:
        key = (batch.sample_rate, batch.samples.shape[0], batch.layout)
        if self._pieces is None or batch.gap or key != self._key:
            self._close()
            self._key = key
            self.rate, self.names = batch.sample_rate, channel_names(batch.layout, batch.samples.shape[0])
            self.origin, self.run_samples, self.device = batch.start_seconds, 0, batch.device
            self._pieces = Rechunk(max(1, round(self.piece_seconds * batch.sample_rate)))
            self.begin_run()
        for piece in self._pieces.push(batch.samples):
            self._take(piece)
        return {}

    def finish(self) -> Rows:
        self._close()
        rows = self.rows()
        self._clear()
        return rows

    def find(self, kind: str, start: float, end: float, severity: float, message: str, confidence: float = 1.0) -> None:
        """Keeps a finding; times in seconds from the start of the run, cut to what has been heard of it."""
        last = self.run_samples / self.rate
        start, end = min(max(start, 0.0), last), min(max(end, 0.0), last)
        self.findings.append(Finding(kind, self.origin + start, self.origin + end, severity, message, confidence))

    def reset(self) -> None:
        """State of the whole file, before its first run."""

    @abstractmethod
    def begin_run(self) -> None:
        """State of one run."""

    @abstractmethod
    def add(self, piece: Tensor) -> None:
        """(C, T): one piece; the last of a run may be shorter."""

    @abstractmethod
    def end_run(self) -> None:
        """Findings that the end of the run completes."""

    def rows(self) -> Rows:
        """The rows of the file; the findings as spans unless a subclass has more."""
        return {Table.SPANS: span_rows(self.findings)}

    def _take(self, piece: Tensor) -> None:
        self.run_samples += piece.shape[1]
        self.add(piece)

    def _close(self) -> None:
        if self._pieces is None:
            return
        rest = self._pieces.rest()
        if rest is not None:
            self._take(rest)
        self.end_run()
        self._pieces = None

    def _clear(self) -> None:
        self._pieces: Rechunk | None = None
        self._key: tuple[int, int, str] | None = None
        self.findings: list[Finding] = []
        self.rate, self.origin, self.run_samples = 0, 0.0, 0
        self.names: tuple[str, ...] = ()
        self.device = torch.device("cpu")
        self.reset()
