"""Spans of mains hum: 50 or 60 Hz with its harmonics, steady and narrow."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10

import numpy as np
import torch
from torch import Tensor

from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.errors import InvalidValue
from mediaml.ops.flagged_spans import flagged_spans
from mediaml.ops.gathered import Gathered
from mediaml.spec import AudioView, Column, Need, Spec, Table

_MAINS_HZ = (50, 60)
_HARMONICS = 10
_NEAR_HZ = 0.5  # how far a peak may lie from its place; the mains themselves keep within 0.2 Hz
_AROUND_HZ = (2.5, 9.0)  # the band on either side that a harmonic is compared with
_FULL_SEVERITY_DBFS, _NO_SEVERITY_DBFS = -20.0, -70.0


class Hum(RunAnalyzer):
    """Where the mains are heard: at least three of the first ten harmonics of 50 or 60 Hz stand out, second after second.

    A harmonic stands out where its power in a two-second Hann window exceeds the mean of the band 2.5 to 9 Hz away by
    `prominence_db`, and its place is not that of a tone of the other mains frequency. A note of music seldom lies within
    half a hertz of such a series for `minimum_seconds`, and a drone that does swells and dies: the clearest harmonic's level
    must keep still, within `unsteady_db` (standard deviation over the span's seconds).

    kinds   "hum": severity rises from 0 at -70 dBFS to 1 at -20 dBFS of the harmonics together
    spans   hum_hz (50 or 60), hum_dbfs (level of the harmonics that stand out, RMS, a full-scale sine is -3)
    """

    piece_seconds = 1.0
    spec = Spec(
        name="hum",
        version=2,
        summary="spans of 50 or 60 Hz mains hum with its harmonics",
        outputs=(
            Column("hum_hz", "int32", "Hz", "mains frequency", Table.SPANS, minimum=50, maximum=60),
            Column("hum_dbfs", "float64", "dBFS", "RMS level of the harmonics that stand out", Table.SPANS),
        ),
        need=Need(AudioView(layout="mono")),
        ordered=True,
        groups=("audio", "qc"),
        default=False,
        cite="harmonic prominence in 2 s spectra (definition in the analyzer's docstring)",
        cost_ms=2.0,
        kinds=("hum",),
    )

    def __init__(
        self,
        prominence_db: float = 10.0,
        minimum_seconds: int = 4,
        minimum_dbfs: float = -66.0,
        unsteady_db: float = 0.5,
    ) -> None:
        if not 3 <= prominence_db <= 60:
            raise InvalidValue(f"prominence_db {prominence_db} must lie in [3, 60], e.g. 10")
        if minimum_seconds < 3:
            raise InvalidValue(f"minimum_seconds {minimum_seconds} must be at least 3: hum is what stays")
        if not 0 < unsteady_db <= 20:
            raise InvalidValue(f"unsteady_db {unsteady_db} must lie in (0, 20], e.g. 0.5")
        self.prominence_db, self.minimum_seconds, self.minimum_dbfs = prominence_db, minimum_seconds, minimum_dbfs
        self.unsteady_db = unsteady_db
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, float | int]:
        return {
            "prominence_db": float(self.prominence_db),
            "minimum_seconds": self.minimum_seconds,
            "minimum_dbfs": float(self.minimum_dbfs),
            "unsteady_db": float(self.unsteady_db),
        }

    def reset(self) -> None:
        self._values: list[tuple[int, float]] = []  # hum_hz, hum_dbfs beside `findings`

    def begin_run(self) -> None:
        self._before: Tensor | None = None
        self._windows = Gathered()  # "heard" (2, harmonics) in dB and "power" of the window that ends with piece k + 1

    def add(self, piece: Tensor) -> None:
        if piece.shape[1] < self.rate:
            return
        if self._before is not None:
            self._look(torch.cat([self._before, piece], dim=1)[0])
        self._before = piece

    def _look(self, samples: Tensor) -> None:
        window = torch.hann_window(samples.shape[0], device=samples.device)
        size = samples.shape[0]
        step = self.rate / size
        last = min(round((_HARMONICS * max(_MAINS_HZ) + 15) / step), size // 2)
        spectrum = torch.fft.rfft(samples * window)[: last + 1].abs().square().cpu().numpy().astype(np.float64)
        spectrum *= 2 / (float(window.square().sum()) * size)  # a sine's bins sum to its mean square
        heard = np.zeros((len(_MAINS_HZ), _HARMONICS))
        power = np.zeros_like(heard)
        for row, mains in enumerate(_MAINS_HZ):
            for k in range(1, _HARMONICS + 1):
                heard[row, k - 1], power[row, k - 1] = _prominence(spectrum, mains * k, step)
        self._windows.add({"heard": torch.from_numpy(heard)[None], "power": torch.from_numpy(power)[None]})

    def end_run(self) -> None:
        if not self._windows:
            return
        heard, power = (self._windows.columns()[name].numpy() for name in ("heard", "power"))  # (K, 2, harmonics)
        stands_out = heard >= self.prominence_db
        counts = stands_out.sum(axis=2)
        level = (power * stands_out).sum(axis=2)  # (K, 2)
        loud = level > 10 ** (self.minimum_dbfs / 10)
        best = counts == counts.max(axis=1, keepdims=True)
        for row, mains in enumerate(_MAINS_HZ):
            low = stands_out[:, row, :3].sum(axis=1) >= 1  # one of the first three must be there
            flags = (counts[:, row] >= 3) & loud[:, row] & best[:, row] & low
            for start, stop in flagged_spans(flags.tolist(), join=2, minimum=self.minimum_seconds - 1):
                if _unsteadiness(power[start:stop, row], heard[start:stop, row]) > self.unsteady_db:
                    continue
                self._report(mains, level[start:stop, row], start, stop, counts[start:stop, row])

    def _report(self, mains: int, level: np.ndarray, start: int, stop: int, counts: np.ndarray) -> None:
        dbfs = 10 * log10(max(float(np.median(level)), 1e-20))
        severity = (dbfs - _NO_SEVERITY_DBFS) / (_FULL_SEVERITY_DBFS - _NO_SEVERITY_DBFS)
        confidence = min(1.0, 0.5 + 0.1 * float(np.median(counts)))
        message = f"{mains} Hz hum at {dbfs:.0f} dBFS with {int(np.median(counts))} harmonics"
        self.find("hum", start + 0.25, stop + 0.75, severity, message, confidence)
        self._values.append((mains, dbfs))

    def rows(self) -> Mapping[Table, Mapping[str, list]]:
        order = sorted(range(len(self.findings)), key=lambda i: (self.findings[i].start, self.findings[i].end))
        spans = dict(super().rows()[Table.SPANS])
        spans["hum_hz"] = [self._values[i][0] for i in order]
        spans["hum_dbfs"] = [self._values[i][1] for i in order]
        return {Table.SPANS: spans}  # type: ignore[dict-item]


def _unsteadiness(power: np.ndarray, heard: np.ndarray) -> float:
    """Standard deviation, dB, of the level of the clearest of (K, harmonics) lines, without the first and last second."""
    inner = slice(1, -1) if len(power) > 4 else slice(None)
    clearest = int(np.median(heard[inner], axis=0).argmax())
    return float(np.std(10 * np.log10(np.maximum(power[inner, clearest], 1e-20))))


def _prominence(spectrum: np.ndarray, hz: float, step: float) -> tuple[float, float]:
    """(dB above the surroundings, mean square of the line) at `hz`; (0, 0) beyond half the sample rate."""
    centre = round(hz / step)
    reach = max(1, round(_NEAR_HZ / step))
    near, far = round(_AROUND_HZ[0] / step), round(_AROUND_HZ[1] / step)
    if centre + far >= len(spectrum):
        return 0.0, 0.0
    at = centre - reach + int(spectrum[centre - reach : centre + reach + 1].argmax())
    line = spectrum[at - 1 : at + 2]
    around = np.concatenate([spectrum[centre - far : centre - near], spectrum[centre + near + 1 : centre + far + 1]])
    ratio = line.max() / max(float(around.mean()), 1e-16)
    return 10 * log10(max(ratio, 1e-3)), float(line.sum())
