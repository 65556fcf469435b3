"""Levels, clipping, and how the front channels relate: the first faults that a sound engineer looks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log10, sqrt

import numpy as np
import torch
from torch import Tensor

from mediaml.analyzers.base import AudioAnalyzer, Rows
from mediaml.errors import InvalidValue
from mediaml.frames import AudioBlock
from mediaml.ops.channel_layouts import channel_names
from mediaml.ops.flagged_spans import flagged_spans
from mediaml.ops.rechunk import Rechunk
from mediaml.spec import AudioView, Column, Need, Spec, Table

_CLIPPED_RUN = 3  # consecutive samples at the limit: one or two happen in unclipped sound
_SILENT_MEAN_SQUARE = 10 ** (-80 / 10)  # a channel below -80 dBFS RMS carries nothing
_AUDIBLE_MEAN_SQUARE = 10 ** (-60 / 10)  # below it, a correlation says nothing
_INVERTED_CORRELATION = -0.9
_SAME_DIFFERENCE = 1e-6  # energy of L - R over that of L + R: -60 dB
_FULL_SEVERITY_CLIPPED_SHARE = 0.01


def _column(name: str, unit: str, description: str, **limits: float) -> Column:
    return Column(name, "float64", unit, description, Table.FILES, nullable=True, **limits)  # type: ignore[arg-type]


@dataclass(slots=True)
class _Sums:
    """Sums over samples; per channel where an array."""

    samples: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    square: np.ndarray = field(default_factory=lambda: np.zeros(0))
    product: float = 0.0  # of the front pair
    clipped: int = 0  # over all channels
    peak: float = 0.0


@dataclass(frozen=True, slots=True)
class _Finding:
    kind: str
    start: float
    end: float
    severity: float
    message: str


class AudioLevels(AudioAnalyzer):
    """RMS, crest factor, DC offset, balance and correlation of the file; spans of clipping, inverted phase and dual mono.

    clip_level        sample magnitude that counts as clipped when at least three samples in a row reach it
    minimum_seconds   of inverted phase or dual mono, for a span

    The front pair is FL and FR; its columns are null where the layout has none, and where one of the two is silent
    (below -80 dBFS RMS). Phase and dual mono are judged a whole second at a time, where both are above -60 dBFS RMS.

    kinds   "clipping": tenths of a second with clipped runs, joined over a second; severity is the share of clipped samples,
            1 from 1 % on. "inverted_phase": correlation of the pair at most -0.9. "dual_mono": left equals right to -60 dB.
    """

    spec = Spec(
        name="audio_levels",
        version=1,
        summary="RMS, crest factor, DC offset, balance, correlation; clipping, inverted phase, dual mono",
        outputs=(
            _column("rms_dbfs", "dBFS", "RMS level of all channels but LFE; a full-scale sine is -3.01"),
            _column("crest_factor_db", "dB", "greatest sample magnitude over RMS", minimum=0.0),
            _column("dc_offset", "1", "greatest mean of any channel, as a share of full scale", minimum=0.0),
            _column("channel_balance_db", "dB", "RMS of front left over that of front right"),
            _column("stereo_correlation", "1", "correlation of front left and right", minimum=-1.0, maximum=1.0),
            _column(
                "clipped_share", "1", "share of samples in runs of three or more at the limit", minimum=0.0, maximum=1.0
            ),
            Column(
                "silent_channels",
                "int32",
                "channels",
                "channels but LFE below -80 dBFS RMS",
                Table.FILES,
                0,
                nullable=True,
            ),
        ),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "qc"),
        cite="definitions in the analyzer's docstring; level as in AES17 without the +3.01 dB",
        cost_ms=1.0,
        kinds=("clipping", "inverted_phase", "dual_mono"),
    )

    def __init__(self, clip_level: float = 0.9995, minimum_seconds: int = 3) -> None:
        if not 0.5 <= clip_level <= 1:
            raise InvalidValue(f"clip_level {clip_level} must lie in [0.5, 1], e.g. 0.9995")
        if minimum_seconds < 1:
            raise InvalidValue(f"minimum_seconds {minimum_seconds} must be at least 1")
        self.clip_level = clip_level
        self.minimum_seconds = minimum_seconds
        self._reset()

    @property
    def parameters(self) -> Mapping[str, float | int]:
        return {"clip_level": float(self.clip_level), "minimum_seconds": self.minimum_seconds}

    def update(self, batch: AudioBlock) -> dict[str, Tensor]:
        key = (batch.sample_rate, batch.samples.shape[0], batch.layout)
        if self._pieces is None or batch.gap or key != self._key:
            self._end_run()
            self._begin_run(batch, key)
        assert self._pieces is not None
        for piece in self._pieces.push(batch.samples):
            self._add(piece)
        return {}

    def finish(self) -> Rows:
        self._end_run()
        findings, files = sorted(self._findings, key=lambda f: (f.start, f.kind)), self._file_row()
        self._reset()
        spans = {
            "kind": [f.kind for f in findings],
            "start_seconds": [f.start for f in findings],
            "end_seconds": [f.end for f in findings],
            "severity": [f.severity for f in findings],
            "confidence": [1.0] * len(findings),
            "evidence_seconds": [(f.start + f.end) / 2 for f in findings],
            "message": [f.message for f in findings],
        }
        return {Table.SPANS: spans, Table.FILES: {name: [value] for name, value in files.items()}}

    def _reset(self) -> None:
        self._pieces: Rechunk | None = None
        self._key: tuple[int, int, str] | None = None
        self._names: tuple[str, ...] = ()
        self._sums = _Sums()
        self._findings: list[_Finding] = []

    def _begin_run(self, batch: AudioBlock, key: tuple[int, int, str]) -> None:
        rate, channels, layout = key
        if key != self._key:
            self._names = channel_names(layout, channels)
            if self._sums.samples == 0:
                self._sums = _Sums(total=np.zeros(channels), square=np.zeros(channels))
        self._key, self._origin, self._pieces = key, batch.start_seconds, Rechunk(rate)
        self._before = torch.zeros(channels, _CLIPPED_RUN - 1, device=batch.device)
        self._run_samples = 0
        self._clipped: list[int] = []  # samples in clipped runs, a tenth of a second
        self._inverted: list[bool] = []  # a second
        self._same: list[bool] = []

    def _end_run(self) -> None:
        if self._pieces is None:
            return
        rest = self._pieces.rest()
        if rest is not None:
            self._add(rest)
        self._pieces = None
        self._find_clipping()
        self._find_pair("inverted_phase", self._inverted, 0.8, "left and right cancel each other in mono")
        self._find_pair("dual_mono", self._same, 0.1, "left and right are the same")

    def _add(self, piece: Tensor) -> None:
        total = piece.sum(dim=1, dtype=torch.float64).cpu().numpy()
        square = piece.square().sum(dim=1, dtype=torch.float64).cpu().numpy()
        sums, length = self._sums, piece.shape[1]
        sums.samples += length
        self._run_samples += length
        sums.total += total
        sums.square += square
        sums.peak = max(sums.peak, float(piece.abs().max()))
        self._add_clipped(piece)
        if self._pair is not None:
            left, right = self._pair
            product = float((piece[left] * piece[right]).sum(dtype=torch.float64))
            sums.product += product
            self._judge_pair(length, float(square[left]), float(square[right]), product)

    @property
    def _pair(self) -> tuple[int, int] | None:
        return (self._names.index("FL"), self._names.index("FR")) if {"FL", "FR"} <= {*self._names} else None

    def _judge_pair(self, length: int, left: float, right: float, product: float) -> None:
        audible = min(left, right) > _AUDIBLE_MEAN_SQUARE * length
        together, apart = left + right + 2 * product, left + right - 2 * product
        self._inverted.append(audible and product <= _INVERTED_CORRELATION * sqrt(left * right))
        self._same.append(audible and apart <= _SAME_DIFFERENCE * together)

    def _add_clipped(self, piece: Tensor) -> None:
        """Counts samples in clipped runs by tenths of a second; a run may have begun in the piece before."""
        joined = torch.cat([self._before, piece], dim=1)
        self._before = joined[:, -(_CLIPPED_RUN - 1) :].clone()
        tenths = -(-10 * piece.shape[1] // self._rate)
        if float(piece.abs().max()) < self.clip_level:
            self._clipped += [0] * tenths
            return
        high = joined.abs() >= self.clip_level
        third = high[:, 2:] & high[:, 1:-1] & high[:, :-2]  # (C, T): this sample is at least the third of a run
        first_third = third & ~torch.nn.functional.pad(third, (1, 0))[:, :-1]
        counts = third.sum(dim=0) + (_CLIPPED_RUN - 1) * first_third.sum(dim=0)
        self._sums.clipped += int(counts.sum())
        at = torch.arange(piece.shape[1], device=piece.device) * 10 // self._rate
        self._clipped += torch.zeros(tenths, dtype=counts.dtype, device=counts.device).index_add(0, at, counts).tolist()

    @property
    def _rate(self) -> int:
        assert self._key is not None
        return self._key[0]

    def _find_clipping(self) -> None:
        for start, stop in flagged_spans([c > 0 for c in self._clipped], join=10, minimum=1):
            count = sum(self._clipped[start:stop])
            share = count / ((stop - start) * self._rate / 10 * len(self._names))
            message = f"{count} samples in runs of {_CLIPPED_RUN} or more at full scale ({100 * share:.2g} %)"
            self._find("clipping", start / 10, stop / 10, min(share / _FULL_SEVERITY_CLIPPED_SHARE, 1.0), message)

    def _find_pair(self, kind: str, flags: list[bool], severity: float, message: str) -> None:
        for start, stop in flagged_spans(flags, join=1, minimum=self.minimum_seconds):
            self._find(kind, float(start), float(stop), severity, f"{message} for {stop - start} s")

    def _find(self, kind: str, start: float, end: float, severity: float, message: str) -> None:
        end = min(end, self._run_samples / self._rate)
        self._findings.append(_Finding(kind, self._origin + start, self._origin + end, severity, message))

    def _file_row(self) -> dict[str, float | int | None]:
        sums, heard = self._sums, [i for i, n in enumerate(self._names) if not n.startswith("LFE")]
        row: dict[str, float | int | None] = {c.name: None for c in self.spec.columns(Table.FILES)}
        if sums.samples == 0:
            return row
        means = sums.square / sums.samples
        row["dc_offset"] = float(np.abs(sums.total / sums.samples).max())
        row["clipped_share"] = sums.clipped / (sums.samples * len(self._names))
        row["silent_channels"] = sum(bool(means[i] < _SILENT_MEAN_SQUARE) for i in heard)
        mean = float(means[heard].mean()) if heard else 0.0
        if mean > 0:
            row["rms_dbfs"] = 10 * log10(mean)
            row["crest_factor_db"] = max(20 * log10(sums.peak) - 10 * log10(mean), 0.0)
        if self._pair is not None:
            left, right = (float(means[i]) for i in self._pair)
            if min(left, right) >= _SILENT_MEAN_SQUARE:
                row["channel_balance_db"] = 10 * log10(left / right)
                correlation = sums.product / sums.samples / sqrt(left * right)
                row["stereo_correlation"] = min(max(correlation, -1.0), 1.0)
        return row
