"""How far each semitone stands out of its surroundings, and for how long: what tells notes from voices and noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SAMPLE_RATE, WINDOW, HOP = 16000, 4096, 2560
SEMITONES, LAGS = 72, (1, 2, 4)  # C2 (65.4 Hz) up; steps of 0.16 s
COLUMNS = SEMITONES + 6 * len(LAGS)
REACH = max(LAGS)  # steps before and after a step that its values depend on
_LOWEST_HZ = 65.4064


class PitchSalience:
    """(T,) at 16 kHz -> (S, 72): the log magnitude of each semitone over the mean of the 13 around it, at least 0.

    Hann windows of 4096 samples (3.9 Hz a bin) every 2560 (0.16 s); a semitone's magnitude is that of its greatest bin, or of
    the nearest where it holds none. Windows that the samples do not fill are left out.
    """

    def __init__(self) -> None:
        self._window = torch.hann_window(WINDOW)
        bins = torch.arange(1, WINDOW // 2 + 1) * (SAMPLE_RATE / WINDOW)
        semitone = torch.round(12 * torch.log2(bins / _LOWEST_HZ)).long()
        inside = (semitone >= 0) & (semitone < SEMITONES)
        self._bins, self._semitone = torch.nonzero(inside)[:, 0] + 1, semitone[inside]
        centres = _LOWEST_HZ * 2 ** (np.arange(SEMITONES) / 12)
        self._nearest = torch.from_numpy(np.rint(centres * WINDOW / SAMPLE_RATE).astype(np.int64))
        around = torch.ones(1, 1, 13) / 13
        self._around = around

    def __call__(self, samples: Tensor) -> Tensor:
        if samples.shape[0] < WINDOW:
            return samples.new_zeros(0, SEMITONES)
        frames = samples.unfold(0, WINDOW, HOP) * self._window.to(samples.device)
        magnitude = torch.fft.rfft(frames).abs()  # (S, 2049)
        found = magnitude[:, self._nearest.to(samples.device)]
        place = self._semitone.to(samples.device).expand(magnitude.shape[0], -1)
        found = found.scatter_reduce(1, place, magnitude[:, self._bins.to(samples.device)], "amax")
        log = (found + 1e-3).log()
        padded = torch.nn.functional.pad(log[:, None], (6, 6), mode="replicate")
        mean = torch.nn.functional.conv1d(padded, self._around.to(samples.device))[:, 0]
        return (log - mean).clamp(min=0)


def with_lasting(salience: Tensor) -> Tensor:
    """(S, 72) -> (S, 90): then, by octave, how much of it was there 1, 2, 4 steps before and will be as long after.

    Beyond the ends counts as nothing.
    """
    columns = [salience]
    for lag in LAGS:
        padded = torch.nn.functional.pad(salience, (0, 0, lag, lag))
        least = torch.minimum(torch.minimum(padded[: -2 * lag], salience), padded[2 * lag :])
        columns.append(least.reshape(-1, 6, SEMITONES // 6).mean(dim=2))
    return torch.cat(columns, dim=1)
