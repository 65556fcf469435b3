"""Spans of silence, exact to the sample; digital silence apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10

from torch import Tensor

from mediaml.analyzers.base import AudioAnalyzer, Rows
from mediaml.errors import InvalidValue
from mediaml.frames import AudioBlock
from mediaml.ops.quiet_runs import QuietRun, QuietRuns
from mediaml.spec import AudioView, Column, Need, Spec, Table

_FULL_SEVERITY_SECONDS = 10.0
_FULL_CONFIDENCE_DB = 20.0


@dataclass(frozen=True, slots=True)
class _Span:
    kind: str
    start: float
    end: float
    peak_dbfs: float | None

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Silence(AudioAnalyzer):
    """Where every channel stays at or below a level for a while.

    threshold_dbfs    greatest sample magnitude of silence. A peak, not an RMS level: a single click ends the span, and
                      steady noise counts by its peaks, some 12 dB above its RMS
    minimum_seconds   shorter spans are not given

    kinds        "silence": at or below the threshold. "digital_silence": every sample exactly 0; such a span also lies
                 within one of "silence".
    start, end   the first sample of the span, and the first one after it, on the file's timeline
    severity     length / 10 s, at most 1
    confidence   1 for digital silence; else from 0.5 at the threshold to 1 at 20 dB below it

    Where the timestamps jump, a span ends: sound that is missing is a decode problem, not silence.
    """

    spec = Spec(
        name="silence",
        version=1,
        summary="spans of silence and of digital silence",
        outputs=(
            Column(
                "silence_peak_dbfs", "float64", "dBFS", "peak within the span; null for digital silence", Table.SPANS,
                maximum=0.0, nullable=True,
            ),
            Column(
                "silence_share", "float64", "1", "share of the sound's duration that lies in spans of silence", Table.FILES,
                minimum=0.0, maximum=1.0, nullable=True,
            ),
            Column(
                "leading_silence_seconds", "float64", "s", "silence before the first sound; null if all is silent",
                Table.FILES, minimum=0.0, nullable=True,
            ),
            Column(
                "trailing_silence_seconds", "float64", "s", "silence after the last sound; null if all is silent",
                Table.FILES, minimum=0.0, nullable=True,
            ),
        ),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "qc"),
        cite="level threshold on sample peaks, as FFmpeg's silencedetect",
        cost_ms=0.6,
        kinds=("silence", "digital_silence"),
    )  # fmt: skip

    def __init__(self, threshold_dbfs: float = -60.0, minimum_seconds: float = 0.5) -> None:
        if not -150 <= threshold_dbfs < 0:
            raise InvalidValue(f"threshold_dbfs {threshold_dbfs} must lie in [-150, 0), e.g. -60")
        if not 0 < minimum_seconds <= 3600:
            raise InvalidValue(f"minimum_seconds {minimum_seconds} must lie in (0, 3600], e.g. 0.5")
        self.threshold_dbfs = threshold_dbfs
        self.minimum_seconds = minimum_seconds
        self._reset()

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"threshold_dbfs": float(self.threshold_dbfs), "minimum_seconds": float(self.minimum_seconds)}

    def update(self, batch: AudioBlock) -> dict[str, Tensor]:
        if not self._finders or batch.gap or batch.sample_rate != self._rate:
            self._end_run()
            self._begin_run(batch)
        envelope = batch.samples.abs().amax(dim=0)  # (T,)
        for kind, finder in self._finders.items():
            self._keep(kind, finder.push(envelope))
        self._samples += len(batch)
        return {}

    def finish(self) -> Rows:
        self._end_run()
        spans = sorted(self._spans, key=lambda s: (s.start, s.kind))
        total, first, last = self._total_seconds, self._first_second, self._last_second
        self._reset()
        return {Table.SPANS: self._span_rows(spans), Table.FILES: _file_rows(spans, total, first, last)}

    def _reset(self) -> None:
        self._finders: dict[str, QuietRuns] = {}
        self._rate = 0
        self._origin = 0.0  # file time of the run's first sample
        self._samples = 0  # of the run
        self._spans: list[_Span] = []
        self._total_seconds = 0.0
        self._first_second: float | None = None
        self._last_second = 0.0

    def _begin_run(self, batch: AudioBlock) -> None:
        self._rate, self._origin, self._samples = batch.sample_rate, batch.start_seconds, 0
        if self._first_second is None:
            self._first_second = batch.start_seconds
        minimum = round(self.minimum_seconds * batch.sample_rate)
        levels = {"silence": 10 ** (self.threshold_dbfs / 20), "digital_silence": 0.0}
        self._finders = {kind: QuietRuns(level, minimum) for kind, level in levels.items()}

    def _end_run(self) -> None:
        for kind, finder in self._finders.items():
            self._keep(kind, finder.flush())
        if self._finders:
            self._total_seconds += self._samples / self._rate
            self._last_second = self._origin + self._samples / self._rate
        self._finders = {}

    def _keep(self, kind: str, runs: list[QuietRun]) -> None:
        for run in runs:
            peak = 20 * log10(run.peak) if run.peak > 0 else None
            start, end = (self._origin + at / self._rate for at in (run.start, run.stop))
            self._spans.append(_Span(kind, start, end, peak))

    def _span_rows(self, spans: list[_Span]) -> dict[str, list]:
        return {
            "kind": [s.kind for s in spans],
            "start_seconds": [s.start for s in spans],
            "end_seconds": [s.end for s in spans],
            "severity": [min(s.seconds / _FULL_SEVERITY_SECONDS, 1.0) for s in spans],
            "confidence": [self._confidence(s.peak_dbfs) for s in spans],
            "evidence_seconds": [(s.start + s.end) / 2 for s in spans],
            "message": [_message(s) for s in spans],
            "silence_peak_dbfs": [s.peak_dbfs for s in spans],
        }

    def _confidence(self, peak_dbfs: float | None) -> float:
        if peak_dbfs is None:
            return 1.0
        return min(0.5 + 0.5 * (self.threshold_dbfs - peak_dbfs) / _FULL_CONFIDENCE_DB, 1.0)


def _message(span: _Span) -> str:
    if span.kind == "digital_silence":
        return f"digital silence for {span.seconds:.2f} s: every sample is 0"
    level = "every sample is 0" if span.peak_dbfs is None else f"peak {span.peak_dbfs:.1f} dBFS"
    return f"silence for {span.seconds:.2f} s: {level}"


def _file_rows(spans: list[_Span], total: float, first: float | None, last: float) -> dict[str, list]:
    quiet = [s for s in spans if s.kind == "silence"]
    if first is None or total == 0:
        return {"silence_share": [None], "leading_silence_seconds": [None], "trailing_silence_seconds": [None]}
    share = min(sum(s.seconds for s in quiet) / total, 1.0)
    if share > 1 - 1e-9:
        return {"silence_share": [1.0], "leading_silence_seconds": [None], "trailing_silence_seconds": [None]}
    leading = quiet[0].seconds if quiet and quiet[0].start <= first else 0.0
    trailing = quiet[-1].seconds if quiet and quiet[-1].end >= last - 1e-9 else 0.0
    return {"silence_share": [share], "leading_silence_seconds": [leading], "trailing_silence_seconds": [trailing]}
