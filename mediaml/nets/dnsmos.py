"""DNSMOS: listeners' opinion of speech, as two networks estimate it from nine seconds (Reddy, Gopal & Cutler 2021, 2022)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.nets.onnx_session import OnnxSession
from mediaml.ops.mel import slaney_bank

SAMPLE_RATE = 16000
WINDOW = 144160  # samples: 9.01 s
_FFT, _HOP, _BANDS = 321, 160, 120

# What the networks give to mean opinion, highest power first (the authors' fit).
_SPEECH = (-0.08397278, 1.22083953, 0.0052439)
_BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
_OVERALL = (-0.06766283, 1.11546468, 0.04602535)

NAMES = ("speech_mos", "background_mos", "overall_mos", "p808_mos")


class Dnsmos:
    """P.835 (speech, background, overall) and P.808 of windows of 9.01 s at 16 kHz, each from 1 (bad) to 5 (excellent)."""

    def __init__(self, p835: Path, p808: Path) -> None:
        self._p835, self._p808 = OnnxSession(p835), OnnxSession(p808)
        self._window = torch.hann_window(_FFT, dtype=torch.float64)
        self._bank = slaney_bank(_FFT, _BANDS, SAMPLE_RATE).double()

    def __call__(self, samples: Tensor) -> NDArray[np.float64]:
        """(WINDOW,) -> (4,) in the order of `NAMES`. Shorter sound is repeated, as the authors do."""
        samples = repeated(samples, WINDOW)
        raw = self._p835(samples.numpy()[None].astype(np.float32))[0]
        opinion = [np.polyval(fit, value) for fit, value in zip((_SPEECH, _BACKGROUND, _OVERALL), raw, strict=True)]
        mel = self.log_mel(samples[:-_HOP])
        return np.array([*opinion, self._p808(mel.numpy()[None].astype(np.float32))[0, 0]], np.float64)

    def log_mel(self, samples: Tensor) -> Tensor:
        """(T,) -> (frames, 120): decibels below the loudest value (at most 80), as (dB + 40) / 40."""
        half = _FFT // 2
        padded = torch.nn.functional.pad(samples.double(), (half, half))
        frames = padded.unfold(0, _FFT, _HOP)
        power = torch.fft.rfft(frames * self._window).abs().square() @ self._bank
        decibels = 10 * power.clamp(min=1e-10).log10()
        decibels = decibels - 10 * power.max().clamp(min=1e-10).log10()
        return (decibels.clamp(min=float(decibels.max()) - 80.0) + 40) / 40


def repeated(samples: Tensor, count: int) -> Tensor:
    """The first `count` samples of `samples` doubled until they are enough; (T,), T > 0."""
    while samples.shape[0] < count:
        samples = torch.cat([samples, samples])
    return samples[:count]
