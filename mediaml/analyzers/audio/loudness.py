"""Programme loudness by EBU R 128: momentary, short-term, integrated, range, true peak."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import log10

import numpy as np
from torch import Tensor

from mediaml.analyzers.base import AudioAnalyzer, Rows
from mediaml.frames import AudioBlock
from mediaml.ops.loudness import (
    FLOOR_LUFS,
    GATING_STEPS,
    STEPS_PER_SECOND,
    LoudnessMeter,
    LoudnessPiece,
    energy_to_lufs,
    integrated_loudness,
    loudness_range,
)
from mediaml.spec import AudioView, Column, Need, Spec, Table


def _file_column(name: str, unit: str, description: str) -> Column:
    return Column(name, "float64", unit, description, Table.FILES, nullable=True)


class Loudness(AudioAnalyzer):
    """Loudness and true peak of the main audio stream, all channels at their native rate.

    series   "momentary_lufs" (400 ms windows, 10 a second), "short_term_lufs" (3 s windows, one a second), "true_peak_dbtp"
             (one a second). The time is the end of the window. Levels below -120 are given as -120.
    files    null where a measure is not defined: no 400 ms block above -70 LUFS for the integrated loudness and the range,
             less than 400 ms (3 s) of sound for the maxima, digital silence for the peaks. The maxima are taken over windows
             that move by 10 ms, integrated loudness and range over windows that move by 100 ms.

    Where the file's timestamps jump, filters and windows start anew; the gates see the windows of all parts. Mono is
    measured as one channel; two loudspeakers that play it are 3 LU louder. Surround channels weigh +1.5 dB, LFE is left out.
    """

    spec = Spec(
        name="loudness",
        version=1,
        summary="EBU R 128 loudness: momentary, short-term, integrated, range, true peak",
        outputs=(
            _file_column("integrated_lufs", "LUFS", "integrated (programme) loudness, gated"),
            _file_column("loudness_range_lu", "LU", "loudness range LRA of EBU Tech 3342"),
            _file_column("max_momentary_lufs", "LUFS", "greatest momentary loudness (400 ms)"),
            _file_column("max_short_term_lufs", "LUFS", "greatest short-term loudness (3 s)"),
            _file_column(
                "true_peak_dbtp", "dBTP", "maximum true peak of all channels, oversampled to at least 4x below 96 kHz"
            ),
            _file_column("sample_peak_dbfs", "dBFS", "maximum sample magnitude of all channels"),
        ),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "loudness"),
        cite="ITU-R BS.1770-5; EBU R 128, EBU Tech 3341 and 3342",
        cost_ms=4.0,
        series=("momentary_lufs", "short_term_lufs", "true_peak_dbtp"),
    )

    def __init__(self) -> None:
        self._reset()

    def update(self, batch: AudioBlock) -> dict[str, Tensor]:
        key = (batch.sample_rate, batch.samples.shape[0], batch.layout)
        if self._meter is None or batch.gap or key != self._key:
            self._end_run()
            self._meter = LoudnessMeter(*key)
            self._key, self._origin = key, batch.start_seconds
        self._add(self._meter.push(batch.samples))
        return {}

    def finish(self) -> Rows:
        self._end_run()
        momentary, short_term = np.array(self._gating), np.array(self._ranging)
        files = {
            "integrated_lufs": integrated_loudness(momentary),
            "loudness_range_lu": loudness_range(short_term),
            "max_momentary_lufs": _level(self._max_momentary),
            "max_short_term_lufs": _level(self._max_short_term),
            "true_peak_dbtp": _decibels(self._true_peak),
            "sample_peak_dbfs": _decibels(self._sample_peak),
        }
        series = self._series
        self._reset()
        return {
            Table.SERIES: {
                "series": [name for name, (times, _) in series.items() for _ in times],
                "time_seconds": [time for times, _ in series.values() for time in times],
                "value": [value for _, values in series.values() for value in values],
            },
            Table.FILES: {name: [value] for name, value in files.items()},
        }

    def _reset(self) -> None:
        self._meter: LoudnessMeter | None = None
        self._key: tuple[int, int, str] | None = None
        self._origin = 0.0  # file time of the run's first sample
        self._gating = array("d")  # energies of 400 ms windows, every 100 ms
        self._ranging = array("d")  # energies of 3 s windows, every 100 ms
        self._max_momentary: float | None = None
        self._max_short_term: float | None = None
        self._true_peak = 0.0
        self._sample_peak = 0.0
        names = ("momentary_lufs", "short_term_lufs", "true_peak_dbtp")
        self._series = {name: (array("d"), array("d")) for name in names}  # times, values

    def _end_run(self) -> None:
        if self._meter is not None:
            self._add([self._meter.flush()])
            self._meter = None

    def _add(self, pieces: Iterable[LoudnessPiece]) -> None:
        for piece in pieces:
            self._max_momentary = _greater(self._max_momentary, piece.momentary)
            self._max_short_term = _greater(self._max_short_term, piece.short_term)
            self._true_peak = max(self._true_peak, piece.true_peak)
            self._sample_peak = max(self._sample_peak, piece.sample_peak)
            times, energies = piece.every(GATING_STEPS, piece.momentary)
            self._gating.extend(energies)
            self._extend("momentary_lufs", times, energies)
            self._ranging.extend(piece.every(GATING_STEPS, piece.short_term)[1])
            self._extend("short_term_lufs", *piece.every(STEPS_PER_SECOND, piece.short_term))
            peak = _decibels(piece.true_peak)
            peak = FLOOR_LUFS if peak is None else max(peak, FLOOR_LUFS)
            self._extend_levels("true_peak_dbtp", [piece.end_step / STEPS_PER_SECOND], [peak])

    def _extend(self, series: str, ends: np.ndarray, energies: np.ndarray) -> None:
        self._extend_levels(series, ends, energy_to_lufs(energies))

    def _extend_levels(self, series: str, ends: Iterable[float], levels: Iterable[float]) -> None:
        times, values = self._series[series]
        times.extend(self._origin + end for end in ends)
        values.extend(levels)


def _greater(so_far: float | None, energies: np.ndarray) -> float | None:
    if energies.size == 0:
        return so_far
    return float(energies.max()) if so_far is None else max(so_far, float(energies.max()))


def _level(energy: float | None) -> float | None:
    return None if energy is None else float(energy_to_lufs(energy))


def _decibels(magnitude: float) -> float | None:
    return 20 * log10(magnitude) if magnitude > 0 else None
