"""Loudness against a delivery target: EBU R 128 or ATSC A/85, with the places where the true peak is too high."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log10

import numpy as np
from torch import Tensor

from mediaml.analyzers.audio.runs import Finding, RunAnalyzer
from mediaml.errors import UnknownName
from mediaml.ops.flagged_spans import flagged_spans
from mediaml.ops.loudness import GATING_STEPS, LoudnessMeter, LoudnessPiece, integrated_loudness
from mediaml.ops.true_peak import TruePeak
from mediaml.spec import AudioView, Column, Need, Spec, Table

_FULL_SEVERITY_LU = 10.0
_FULL_SEVERITY_DB = 3.0
_TENTHS = 10


@dataclass(frozen=True, slots=True)
class Target:
    """What a standard asks of a programme."""

    lufs: float
    tolerance_lu: float
    maximum_dbtp: float
    title: str


TARGETS: Mapping[str, Target] = {
    "ebu_r128": Target(-23.0, 0.5, -1.0, "EBU R 128"),
    "ebu_r128_live": Target(-23.0, 1.0, -1.0, "EBU R 128, live"),
    "atsc_a85": Target(-24.0, 2.0, -2.0, "ATSC A/85"),
    "streaming_14": Target(-14.0, 1.0, -1.0, "-14 LUFS (music streaming)"),
    "aes_td1008": Target(-18.0, 1.0, -1.0, "AES TD1008, speech"),
}


class LoudnessTarget(RunAnalyzer):
    """The programme against `target`: its deviation, and where the true peak passes the standard's limit.

    kinds   "loudness_off_target": the whole programme, severity deviation / 10 LU
            "true_peak_over": tenths of a second over the limit, joined over a second, severity excess / 3 dB
    files   loudness_deviation_lu: integrated loudness less the target; null where the programme has no loudness
            true_peak_excess_db: greatest true peak less the limit; null for digital silence

    Rates below 4 kHz have no loudness (InvalidValue).
    """

    piece_seconds = 1.0
    spec = Spec(
        name="loudness_target",
        version=1,
        summary="loudness and true peak against a delivery target (EBU R 128; A/85 and others by setting)",
        outputs=(
            Column(
                "loudness_deviation_lu", "float64", "LU", "integrated loudness less the target", Table.FILES, nullable=True
            ),
            Column(
                "true_peak_excess_db", "float64", "dB", "maximum true peak less the limit", Table.FILES, nullable=True
            ),
        ),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "qc", "loudness"),
        default=False,
        cite="EBU R 128 (2023); ATSC A/85:2013; AES TD1008; ITU-R BS.1770-5",
        cost_ms=4.5,
        kinds=("loudness_off_target", "true_peak_over"),
    )  # fmt: skip

    def __init__(self, target: str = "ebu_r128") -> None:
        if target not in TARGETS:
            raise UnknownName("loudness target", target, TARGETS)
        self.target = target
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, str]:
        return {"target": self.target}

    def reset(self) -> None:
        self._gating = array("d")  # energies of 400 ms windows, every 100 ms
        self._peak = 0.0
        self._ends: list[float] = []  # file times of first and last sample

    def begin_run(self) -> None:
        assert self._key is not None
        self._meter = LoudnessMeter(*self._key)
        self._over = array("d")  # greatest true peak of each tenth

    def add(self, piece: Tensor) -> None:
        pieces = list(self._meter.push(piece))
        for measured in pieces:
            self._keep(measured)
        peak = max((m.true_peak for m in pieces), default=1.0)
        tenths = -(-piece.shape[1] * _TENTHS // self.rate)
        if peak <= self._limit:
            self._over.extend([0.0] * tenths)
            return
        bounds = [min(round(k * self.rate / _TENTHS), piece.shape[1]) for k in range(tenths + 1)]
        for start, stop in pairwise(bounds):
            part = TruePeak(self.rate, piece.shape[0])
            top = float(part.push(piece[:, start:stop]).max()) if stop > start else 0.0
            self._over.append(max(top, float(part.flush().max())))

    @property
    def _limit(self) -> float:
        return 10 ** (TARGETS[self.target].maximum_dbtp / 20)

    def end_run(self) -> None:
        self._keep(self._meter.flush())
        limit = TARGETS[self.target].maximum_dbtp
        for start, stop in flagged_spans([v > self._limit for v in self._over], join=_TENTHS, minimum=1):
            dbtp = 20 * log10(max(self._over[start:stop]))
            message = f"true peak {dbtp:+.1f} dBTP, limit {limit:+.1f} ({TARGETS[self.target].title})"
            self.find("true_peak_over", start / _TENTHS, stop / _TENTHS, (dbtp - limit) / _FULL_SEVERITY_DB, message)
        self._ends += [self.origin, self.origin + self.run_samples / self.rate]

    def _keep(self, piece: LoudnessPiece) -> None:
        self._gating.extend(piece.every(GATING_STEPS, piece.momentary)[1])
        self._peak = max(self._peak, piece.true_peak)

    def rows(self) -> Mapping[Table, Mapping[str, list]]:
        target = TARGETS[self.target]
        lufs = integrated_loudness(np.array(self._gating))
        deviation = None if lufs is None else lufs - target.lufs
        if deviation is not None and abs(deviation) > target.tolerance_lu:
            message = f"{lufs:.1f} LUFS, {deviation:+.1f} LU from the target of {target.title}"
            severity = abs(deviation) / _FULL_SEVERITY_LU
            self.findings.append(Finding("loudness_off_target", self._ends[0], self._ends[-1], severity, message))
        excess = 20 * log10(self._peak) - target.maximum_dbtp if self._peak > 0 else None
        files = {"loudness_deviation_lu": [deviation], "true_peak_excess_db": [excess]}
        return {**super().rows(), Table.FILES: files}  # type: ignore[dict-item]
