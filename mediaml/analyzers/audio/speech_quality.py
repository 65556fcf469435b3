"""Speech quality without a reference: DNSMOS P.835 and P.808 over windows in which somebody speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.errors import InvalidValue
from mediaml.nets.dnsmos import NAMES, SAMPLE_RATE, WINDOW, Dnsmos
from mediaml.nets.silero_vad import CHUNK, SileroVad, SpeechProbability
from mediaml.spec import AudioView, Column, Need, Spec, Table

_MEANINGS = {
    "speech_mos": "quality of the speech itself (DNSMOS P.835 SIG)",
    "background_mos": "intrusiveness of the background (DNSMOS P.835 BAK)",
    "overall_mos": "overall quality (DNSMOS P.835 OVRL)",
    "p808_mos": "overall quality (DNSMOS P.808)",
}
_SPOKEN = 0.5


class SpeechQuality(RunAnalyzer):
    """How good speech sounds, in windows of 9.01 s that move by `hop_seconds`, where at least `least_speech` is speech.

    Sound shorter than a window is repeated until it fills one, as the authors' package does. Music and effects are no
    speech: windows without enough of it have no value, and a file without such a window has none.

    series   speech_mos, background_mos, overall_mos, p808_mos at the middle of each window
    files    the mean of each over the windows, null without one; speech_windows, their number
    """

    piece_seconds = 1.0
    spec = Spec(
        name="speech_quality",
        version=1,
        summary="DNSMOS P.835 and P.808 over windows with speech",
        outputs=(
            *(
                Column(name, "float64", "MOS", _MEANINGS[name], Table.FILES, minimum=0.0, maximum=6.0, nullable=True)
                for name in NAMES
            ),
            Column("speech_windows", "int32", "windows", "windows with enough speech", Table.FILES, minimum=0),
        ),
        need=Need(AudioView(SAMPLE_RATE, "mono")),
        ordered=True,
        weights=("silero_vad_16k_onnx", "dnsmos_p835", "dnsmos_p808"),
        groups=("audio", "speech"),
        default=False,
        cite="Reddy, Gopal & Cutler, DNSMOS P.835 (ICASSP 2022) and DNSMOS (ICASSP 2021); speechmos 0.0.1.1",
        cost_ms=25.0,
        series=NAMES,
    )

    def __init__(self, hop_seconds: float = 3.0, least_speech: float = 0.3) -> None:
        if not 1 <= hop_seconds <= 60 or hop_seconds != int(hop_seconds):
            raise InvalidValue(f"hop_seconds {hop_seconds} must be a whole number in [1, 60]; the authors use 1")
        if not 0 <= least_speech <= 1:
            raise InvalidValue(f"least_speech {least_speech} must lie in [0, 1], e.g. 0.3")
        self.hop_seconds, self.least_speech = hop_seconds, least_speech
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"hop_seconds": float(self.hop_seconds), "least_speech": float(self.least_speech)}

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._vad = SileroVad.from_file(weights.resolve("silero_vad_16k_onnx"))
        self._dnsmos = Dnsmos(weights.resolve("dnsmos_p835"), weights.resolve("dnsmos_p808"))

    def reset(self) -> None:
        self._values: list[tuple[float, ...]] = []  # middle of the window, then NAMES

    def begin_run(self) -> None:
        self._speech = SpeechProbability(self._vad)
        self._voice = torch.zeros(0)  # a probability each 32 ms, from step `_first` of the run on
        self._first = 0
        self._samples = torch.zeros(0)  # from `_start` on
        self._start = 0  # sample number of the next window
        self._windows = 0

    def add(self, piece: Tensor) -> None:
        samples = piece[0].cpu()
        self._samples = torch.cat([self._samples, samples])
        self._voice = torch.cat([self._voice, self._speech.push(samples)])
        hop = int(self.hop_seconds) * SAMPLE_RATE
        while self._samples.shape[0] >= WINDOW + CHUNK:  # the last chunk's probability is there then
            self._judge(self._samples[:WINDOW])
            self._samples = self._samples[hop:].clone()
            self._start += hop
            passed = self._start // CHUNK - self._first
            self._voice, self._first = self._voice[passed:].clone(), self._first + passed

    def end_run(self) -> None:
        self._voice = torch.cat([self._voice, self._speech.flush()])
        if self._samples.shape[0] >= WINDOW or (self._windows == 0 and self._samples.shape[0] >= SAMPLE_RATE):
            self._judge(self._samples[:WINDOW])

    def rows(self) -> Mapping[Table, Mapping[str, list[Any]]]:
        series: dict[str, list[Any]] = {"series": [], "time_seconds": [], "value": []}
        for column, name in enumerate(NAMES, 1):
            series["series"] += [name] * len(self._values)
            series["time_seconds"] += [v[0] for v in self._values]
            series["value"] += [v[column] for v in self._values]
        means = np.mean(self._values, axis=0)[1:] if self._values else [None] * len(NAMES)
        files = {name: [None if m is None else float(m)] for name, m in zip(NAMES, means, strict=True)}
        return {Table.SERIES: series, Table.FILES: {**files, "speech_windows": [len(self._values)]}}

    def _judge(self, samples: Tensor) -> None:
        self._windows += 1
        first = self._start // CHUNK - self._first
        voice = self._voice[first : first + samples.shape[0] // CHUNK]
        if not len(voice) or float((voice >= _SPOKEN).float().mean()) < self.least_speech:
            return
        values = self._dnsmos(samples.clamp(-1, 1))
        middle = self.origin + (self._start + samples.shape[0] / 2) / SAMPLE_RATE
        self._values.append((middle, *values.tolist()))
