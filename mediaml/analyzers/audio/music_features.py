"""Descriptors of music and sound for recommenders: tempo, key and mode, brightness, dynamics."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.ops.tonality import KEYS, key, tempo
from mediaml.spec import AudioView, Column, Need, Spec, Table

_RATE, _FFT, _HOP = 16000, 2048, 256
_STEPS_A_SECOND = _RATE / _HOP
_CHROMA_FFT = 8192  # 2 Hz: a semitone at 65 Hz is 3.9 Hz
_CHROMA_HZ = (65.0, 2100.0)
_SILENT = 10 ** (-60 / 20)


def _column(name: str, unit: str, about: str, **limits: float) -> Column:
    return Column(name, "float64", unit, about, Table.FILES, nullable=True, **limits)  # type: ignore[arg-type]


class MusicFeatures(RunAnalyzer):
    """Numbers of the whole file; null where nothing is heard. Read tempo and key only where `music_share` says music.

    tempo        of the spectral flux (positive changes of the log spectrum, 62.5 a second), over the longest run
    key, mode    of the mean chroma between 65 and 2100 Hz, each second with equal weight
    brightness   mean spectral centroid over steps above -60 dBFS
    dynamics     standard deviation of the level in dB over those seconds (loudness range and crest factor: `loudness`,
                 `audio_levels`)
    """

    piece_seconds = 1.024  # 64 steps
    spec = Spec(
        name="music_features",
        version=1,
        summary="tempo, key and mode with confidence, brightness, dynamics",
        outputs=(
            _column(
                "tempo_bpm", "bpm", "tempo; may be half or double of what a listener taps", minimum=40, maximum=240
            ),
            _column("tempo_confidence", "1", "how regular the beat is", minimum=0, maximum=1),
            Column(
                "musical_key", "string", "pitch class", f"tonic, one of {', '.join(KEYS)}", Table.FILES, nullable=True
            ),
            Column("musical_mode", "string", "class", "major or minor", Table.FILES, nullable=True),
            _column("key_confidence", "1", "lead over the next unrelated key", minimum=0, maximum=1),
            _column("brightness_hz", "Hz", "mean spectral centroid", minimum=0, maximum=8000),
            _column("dynamics_db", "dB", "standard deviation of the level of seconds", minimum=0),
        ),
        need=Need(AudioView(_RATE, "mono")),
        ordered=True,
        groups=("audio", "features"),
        default=False,
        cite="Ellis 2007, Beat tracking by dynamic programming; Krumhansl 1990, Cognitive Foundations of Musical Pitch",
        cost_ms=3.0,
    )

    def reset(self) -> None:
        self._chroma = np.zeros(12)
        self._centroid_sum, self._centroids = 0.0, 0  # of the steps that are heard, and how many
        self._levels = array("d")
        self._onsets = array("d")  # of the longest run

    def begin_run(self) -> None:
        self._run = array("d")  # onset strengths
        self._past = torch.zeros(0)
        self._spectrum: Tensor | None = None

    def add(self, piece: Tensor) -> None:
        samples = piece[0]
        level = float(samples.square().mean().sqrt())
        joined = torch.cat([self._past.to(samples.device), samples])
        steps = max(0, (joined.shape[0] - _FFT) // _HOP + 1)
        self._past = joined[steps * _HOP :].clone()
        if steps:
            self._flux(joined.unfold(0, _FFT, _HOP)[:steps])
        if level > _SILENT and samples.shape[0] >= _FFT:
            self._levels.append(20 * float(np.log10(level)))
            self._tones(samples)

    def end_run(self) -> None:
        if len(self._run) > len(self._onsets):
            self._onsets = self._run

    def rows(self) -> Mapping[Table, Mapping[str, list[Any]]]:
        found: dict[str, Any] = dict.fromkeys(c.name for c in self.spec.outputs)
        if self._levels:
            bpm, regular = tempo(np.array(self._onsets), _STEPS_A_SECOND)
            tonic, mode, sure = key(self._chroma)
            found |= {"tempo_bpm": bpm, "tempo_confidence": None if bpm is None else regular}
            found |= {"musical_key": tonic, "musical_mode": mode, "key_confidence": None if tonic is None else sure}
            found["brightness_hz"] = self._centroid_sum / self._centroids if self._centroids else None
            found["dynamics_db"] = float(np.std(self._levels))
        return {Table.FILES: {name: [value] for name, value in found.items()}}

    def _flux(self, frames: Tensor) -> None:
        """Onset strength of each step: the mean rise of the log spectrum; and the centroids."""
        window = torch.hann_window(_FFT, device=frames.device)
        power = torch.fft.rfft(frames * window).abs().square()[:, 1:]  # (steps, bins)
        log = (power + 1e-4).log()
        before = log[:1] if self._spectrum is None else self._spectrum
        rise = torch.cat([before, log]).diff(dim=0).clamp(min=0).mean(dim=1)
        self._spectrum = log[-1:].clone()
        self._run.extend(rise.tolist())
        total = power.sum(dim=1)
        hz = torch.arange(1, _FFT // 2 + 1, device=frames.device) * (_RATE / _FFT)
        heard = total > (_SILENT * _FFT / 4) ** 2
        if bool(heard.any()):
            centroid = (power[heard] * hz).sum(dim=1) / total[heard]
            self._centroid_sum += float(centroid.sum(dtype=torch.float64))
            self._centroids += centroid.shape[0]

    def _tones(self, samples: Tensor) -> None:
        window = torch.hann_window(samples.shape[0], device=samples.device)
        size = max(_CHROMA_FFT, 1 << (samples.shape[0] - 1).bit_length())
        magnitude = torch.fft.rfft(samples * window, size).abs().cpu().numpy().astype(np.float64)
        hz = np.arange(magnitude.size) * _RATE / size
        inside = (hz >= _CHROMA_HZ[0]) & (hz <= _CHROMA_HZ[1])
        pitch = np.rint(12 * np.log2(hz[inside] / 261.6256)).astype(int) % 12
        profile = np.bincount(pitch, magnitude[inside], minlength=12)
        self._chroma += profile / max(float(profile.sum()), 1e-12)
