"""Filter banks on a mel scale, and Kaldi's log-mel features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def htk_mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Mel of O'Shaughnessy 1987, as HTK, Kaldi and AudioSet use it: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0)


def slaney_mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Mel of Slaney 1998 (Auditory Toolbox): linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, np.float64)
    high = 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) / (np.log(6.4) / 27.0)
    return np.where(hz < 1000.0, 3.0 * hz / 200.0, high)


def slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `slaney_mel`."""
    return np.where(mel < 15.0, 200.0 * mel / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def triangles_in_mel(bins: int, bands: int, nyquist: float, low: float, high: float) -> Tensor:
    """(bins, bands) float32: triangles that are straight on the HTK mel axis; bin k lies at k * nyquist / (bins - 1) Hz.

    This is the bank of Kaldi and of AudioSet's VGGish and YAMNet. The bin at 0 Hz has no weight.
    """
    edges = np.linspace(htk_mel(low), htk_mel(high), bands + 2)
    at = htk_mel(np.linspace(0.0, nyquist, bins))[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    bank[0] = 0.0
    return torch.from_numpy(bank.astype(np.float32))


def slaney_bank(fft: int, bands: int, sample_rate: float) -> Tensor:
    """(fft // 2 + 1, bands) float32: triangles that are straight in Hz between Slaney's mel points, each of unit area.

    From 0 Hz to half the rate, as librosa's `filters.mel(htk=False, norm="slaney")`; bin k lies at k * sample_rate / fft Hz.
    """
    points = slaney_hz(np.linspace(slaney_mel(0.0), slaney_mel(sample_rate / 2), bands + 2))
    at = (np.arange(fft // 2 + 1) * sample_rate / fft)[:, None]
    rising = (at - points[:-2]) / (points[1:-1] - points[:-2])
    falling = (points[2:] - at) / (points[2:] - points[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (points[2:] - points[:-2]))
    return torch.from_numpy(bank.astype(np.float32))


class KaldiFbank:
    """Kaldi's log-mel features with its defaults at 16 kHz: 25 ms Povey windows every 10 ms, 20 Hz to 8 kHz, no dither.

    `frame_length` 400, `hop` 160. Samples are scaled to 16 bits first, as Kaldi reads them. Source: Kaldi, feature-fbank.h.
    """

    sample_rate, frame_length, hop = 16000, 400, 160

    def __init__(self, bands: int = 80) -> None:
        n = np.arange(self.frame_length)
        povey = (0.5 - 0.5 * np.cos(2 * np.pi * n / (self.frame_length - 1))) ** 0.85
        self._window = torch.from_numpy(povey.astype(np.float32))
        self._bank = triangles_in_mel(257, bands, 8000.0, 20.0, 8000.0)

    def __call__(self, samples: Tensor) -> Tensor:
        """(T,) in [-1, 1] -> (frames, bands); frames that the samples do not fill are left out."""
        if samples.shape[0] < self.frame_length:
            return samples.new_zeros(0, self._bank.shape[1])
        self._window, self._bank = self._window.to(samples.device), self._bank.to(samples.device)
        frames = (samples * 32768.0).unfold(0, self.frame_length, self.hop)
        frames = frames - frames.mean(dim=1, keepdim=True)
        emphasised = frames - 0.97 * torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        power = torch.fft.rfft(emphasised * self._window, 512).abs().square()
        return (power @ self._bank).clamp(min=torch.finfo(torch.float32).eps).log()
