"""Spans of speech, singing and music: Silero, FireRedVAD and our own network for music, merged without flicker."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.audio.runs import RunAnalyzer, span_rows
from mediaml.nets.audio_classes import CLASSES, AudioClasses, ClassProbabilities
from mediaml.nets.mediaml_music import FIRST_CENTRE, MediamlMusic, MusicProbabilities
from mediaml.nets.mediaml_music import STEP_SECONDS as MUSIC_STEP_SECONDS
from mediaml.nets.silero_vad import CHUNK, SAMPLE_RATE, SileroVad, SpeechProbability
from mediaml.ops.gathered import GatheredColumn
from mediaml.ops.hysteresis import Hysteresis
from mediaml.spec import AudioView, Column, Need, Spec, Table

STEP_SECONDS = 0.032  # one chunk of the voice detector
_SILENT = 10 ** (-65 / 20)  # RMS of a step that holds neither voice nor music, whatever the networks say
_SMOOTH = {"speech": 3, "singing": 31, "music": 9}  # steps that a mean runs over
RULES = {
    "speech": Hysteresis(on=0.7, off=0.5, join=9, minimum=8),
    "singing": Hysteresis(on=0.55, off=0.4, join=16, minimum=31),
    "music": Hysteresis(on=0.6, off=0.5, join=31, minimum=47),
}


class SoundClasses(RunAnalyzer):
    """Where somebody speaks, somebody sings, or music plays; the three may overlap, and each may be absent.

    Speech is the mean of two networks' probabilities: Silero VAD (32 ms) and FireRedVAD's classes (10 ms); singing is the
    latter's alone; music is `mediaml_music` (0.16 s), which reads the latter's inner values and hears music under speech too.
    All are brought to steps of 32 ms, averaged over 0.1 s (speech), 1 s (singing) or 0.3 s, and turned into spans with
    hysteresis: gaps below 0.3 / 0.5 / 1 s are closed, spans below 0.25 / 1 / 1.5 s dropped. A step below -65 dBFS RMS
    counts as nothing.

    kinds    "speech", "singing", "music"; severity 0 (they are no faults), confidence the mean probability
    series   speech_probability, singing_probability, music_probability: mean probability of each second, for curves
    files    the share of the sound's duration in spans of each kind; null without sound
    """

    piece_seconds = 1.024  # 32 chunks
    spec = Spec(
        name="sound_classes",
        version=2,
        summary="spans of speech, singing and music",
        outputs=tuple(
            Column(
                f"{name}_share", "float64", "1", f"share of the sound's duration in spans of {name}", Table.FILES,
                minimum=0.0, maximum=1.0, nullable=True,
            )
            for name in CLASSES
        ),
        need=Need(AudioView(SAMPLE_RATE, "mono")),
        ordered=True,
        weights=("silero_vad_16k_onnx", "firered_audio_classes", "mediaml_music"),
        groups=("audio", "speech"),
        default=False,
        cite="Silero VAD v6; Xu et al. 2026, FireRedVAD, arXiv:2603.10420; own network",
        cost_ms=12.0,
        kinds=CLASSES,
        series=tuple(f"{name}_probability" for name in CLASSES),
    )  # fmt: skip

    def setup(self, device: torch.device) -> None:
        self._vad = SileroVad.from_file(weights.resolve("silero_vad_16k_onnx")).to(device)
        self._net = AudioClasses.from_file(weights.resolve("firered_audio_classes")).to(device)
        self._music_net = MediamlMusic.from_file(weights.resolve("mediaml_music")).to(device)

    def reset(self) -> None:
        self._seconds = 0.0
        self._series = {name: (array("d"), array("d")) for name in CLASSES}  # times, values

    def begin_run(self) -> None:
        self._speech = SpeechProbability(self._vad)
        self._classes = ClassProbabilities(self._net)
        self._playing = MusicProbabilities(self._music_net)
        self._voice = GatheredColumn()  # (steps,), all float16: an hour takes 3 MB
        self._class = GatheredColumn()  # (10 ms frames, 3)
        self._music = GatheredColumn()  # (steps of 0.16 s,)
        self._loud = GatheredColumn()  # (steps,) bool

    def add(self, piece: Tensor) -> None:
        samples = piece[0]
        _keep(self._voice, self._speech.push(samples))
        frames = self._classes.push(samples)
        _keep(self._class, frames.probabilities)
        _keep(self._music, self._playing.push(samples, frames))
        whole = samples[: samples.shape[0] // CHUNK * CHUNK].reshape(-1, CHUNK)
        self._loud.add((whole.square().mean(dim=1).sqrt() > _SILENT).cpu())

    def end_run(self) -> None:
        _keep(self._voice, self._speech.flush())
        frames = self._classes.flush()
        _keep(self._class, frames.probabilities)
        _keep(self._music, self._playing.flush(frames))
        self._seconds += self.run_samples / self.rate
        values = self._merged()
        for column, name in enumerate(CLASSES):
            smooth = _mean_over(values[:, column], _SMOOTH[name])
            for start, stop in RULES[name].spans(smooth) if smooth.size else ():
                sure = float(values[start:stop, column].mean())
                begin, end = start * STEP_SECONDS, stop * STEP_SECONDS
                self.find(name, begin, end, 0.0, f"{name} for {end - begin:.1f} s", sure)
            self._add_series(name, values[:, column])

    def rows(self) -> Mapping[Table, Mapping[str, list[Any]]]:
        shares = {f"{name}_share": [self._share(name)] for name in CLASSES}
        series = {
            "series": [f"{name}_probability" for name, (times, _) in self._series.items() for _ in times],
            "time_seconds": np.concatenate([times for times, _ in self._series.values()]),
            "value": np.concatenate([values for _, values in self._series.values()]),
        }
        return {Table.SPANS: span_rows(self.findings), Table.SERIES: series, Table.FILES: shares}

    def _merged(self) -> np.ndarray:
        """(steps, 3): probabilities on one grid, nothing where it is silent."""
        voice, classes = self._voice.values().numpy(), self._class.values().numpy()
        steps = min(len(voice), self.run_samples // CHUNK)
        if steps == 0 or not len(classes):
            return np.zeros((0, len(CLASSES)), np.float32)
        centres = ((np.arange(steps) + 0.5) * STEP_SECONDS - 0.0125) / 0.01
        at = np.clip(np.rint(centres).astype(int), 0, len(classes) - 1)
        near = at[:, None] + np.arange(-1, 2)  # (steps, 3) frames
        inside = (near >= 0) & (near < len(classes))
        near = near.clip(0, len(classes) - 1)
        values = (classes[near] * inside[..., None]).sum(axis=1, dtype=np.float64) / inside.sum(axis=1, keepdims=True)
        values[:, 0] = (values[:, 0] + voice[:steps]) / 2
        values[:, 2] = self._music_at((np.arange(steps) + 0.5) * STEP_SECONDS)
        return values * self._loud.values().numpy()[:steps, None]

    def _music_at(self, seconds: np.ndarray) -> np.ndarray:
        music = self._music.values().numpy().astype(np.float32)
        centres = np.arange(len(music)) * MUSIC_STEP_SECONDS + FIRST_CENTRE
        return np.interp(seconds, centres, music) if len(music) else np.zeros(len(seconds))

    def _add_series(self, name: str, values: np.ndarray) -> None:
        a_second = round(1 / STEP_SECONDS)
        times, means = self._series[name]
        for at in range(0, len(values), a_second):
            part = values[at : at + a_second]
            times.append(self.origin + (at + len(part) / 2) * STEP_SECONDS)
            means.append(float(part.mean()))

    def _share(self, name: str) -> float | None:
        if self._seconds == 0:
            return None
        return min(1.0, sum(f.end - f.start for f in self.findings if f.kind == name) / self._seconds)


def _keep(gathered: GatheredColumn, values: Tensor) -> None:
    gathered.add(values.to(torch.float16).cpu())


def _mean_over(values: np.ndarray, width: int) -> np.ndarray:
    """Moving mean over `width` values, fewer at the ends."""
    running = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    at = np.arange(len(values))
    low, high = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, len(values))
    return (running[high] - running[low]) / (high - low)
