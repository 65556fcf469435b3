"""True peak: the highest level that the signal reaches between its samples too (ITU-R BS.1770-5, annex 2)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

TAPS = 48  # a phase; the standard's own example has 12
_KAISER_BETA = 7.0
_RUN = 32


def oversampling_factor(sample_rate: int) -> int:
    """4 below 96 kHz, 2 below 192 kHz, else 1: at least 192 kHz for the common rates."""
    return 4 if sample_rate < 96000 else 2 if sample_rate < 192000 else 1


def interpolation_phases(factor: int, taps: int = TAPS) -> Tensor:
    """(factor - 1, taps) float32: filters that give the values between two samples; taps is even.

    A Kaiser-windowed sinc, each phase scaled to unit gain at 0 Hz. At 4 phases of 48 taps the gain is right to 0.01 dB up
    to 0.45 of the sample rate (21.6 kHz at 48 kHz).
    """
    fractions = np.arange(1, factor) / factor
    distance = np.arange(taps)[None, :] - (taps // 2 - 1) - fractions[:, None]  # in samples, from the wanted instant
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / (taps / 2)) ** 2, 0, None)))
    phases = np.sinc(distance) * window
    return torch.from_numpy((phases / phases.sum(axis=1, keepdims=True)).astype(np.float32))


class TruePeak:
    """The true peak over all channels of consecutive pieces of one stream, whose filter state it carries.

    A phase of a run of `_RUN` samples is one row of a matrix product: three times as fast as a convolution. The values
    half-way are computed everywhere, those at the quarters only where `quarter_bounds` lets them be greater: few runs.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        factor = oversampling_factor(sample_rate)
        self._matrices = _matrices(factor) if factor > 1 else None
        self._waiting = torch.zeros(channels, TAPS - 1)  # the filter's past, and the samples after it that fill no run

    def push(self, samples: Tensor) -> Tensor:
        """(C, T) float32 in, T > 0; () out: greatest magnitude of the samples, and between samples some 50 earlier."""
        peak = samples.abs().amax()
        if self._matrices is None:
            return peak
        joined = torch.cat([self._waiting.to(samples.device), samples], dim=1)
        runs = (joined.shape[1] - TAPS + 1) // _RUN
        self._waiting = joined[:, runs * _RUN :].clone()
        return self._between(joined, runs, peak) if runs else peak

    def flush(self) -> Tensor:
        """(): the greatest magnitude between the last samples, with silence after them."""
        nothing = self._waiting.new_zeros(())
        if self._matrices is None:
            return nothing
        ending = pad(self._waiting, (0, TAPS // 2 + _RUN))
        self._waiting = torch.zeros_like(self._waiting[:, : TAPS - 1])
        return self._between(ending, (ending.shape[1] - TAPS + 1) // _RUN, nothing)

    def _between(self, joined: Tensor, runs: int, peak: Tensor) -> Tensor:
        """The greater of `peak` and what lies between the samples of `runs` runs of every channel."""
        assert self._matrices is not None
        half, quarters, gain = self._matrices
        loud = joined.abs().amax(dim=1)  # (C,)
        joined = joined[loud * gain > peak]
        rows = joined.unfold(1, _RUN + TAPS - 1, _RUN)[:, :runs].reshape(-1, _RUN + TAPS - 1)  # (C * runs, ...)
        if not len(rows):
            return peak
        halves = (rows @ half.to(rows.device)).abs_().amax(dim=1)  # (C * runs,)
        peak = torch.maximum(peak, halves.amax())
        if quarters.shape[1] == 0:
            return peak
        near, far = quarter_bounds()
        samples = rows[:, TAPS // 2 - 1 : TAPS // 2 + _RUN].abs().amax(dim=1)
        around = torch.maximum(max_pool1d(halves.view(len(joined), 1, runs), 3, 1, 1).flatten(), samples)
        chosen = (near * around + far * loud.amax() >= peak).view(-1, runs)
        chosen[:, 0] = chosen[:, -1] = True  # they have neighbours outside
        return torch.maximum(peak, (rows[chosen.flatten()] @ quarters.to(rows.device)).abs_().amax())


@cache
def quarter_bounds() -> tuple[float, float]:
    """(near, far): no value at a quarter exceeds near * m + far * M.

    m is the greatest magnitude of its four neighbours at samples and half-way between them, M that of all samples: the
    quarter's filter is a combination of the neighbours' filters but for a rest, and the sums of their magnitudes bound both.
    """
    quarter, half, _ = interpolation_phases(4).double().numpy()
    wanted = np.pad(quarter, (1, 0))  # over the samples from one before the filter's first on
    neighbours = np.zeros((4, TAPS + 1))
    neighbours[0, :-1] = neighbours[1, 1:] = half
    neighbours[2, TAPS // 2] = neighbours[3, TAPS // 2 + 1] = 1.0
    shares = np.linalg.lstsq(neighbours.T, wanted, rcond=None)[0]
    rest = wanted - shares @ neighbours
    margin = 1 + 1e-5  # of single precision
    return float(np.abs(shares).sum()) * margin, float(np.abs(rest).sum()) * margin


@cache
def _matrices(factor: int) -> tuple[Tensor, Tensor, float]:
    """Of the phase half-way, of the others, and what no value between samples exceeds, in greatest magnitudes of samples."""
    phases = interpolation_phases(factor)
    middle = factor // 2 - 1
    others = torch.cat([phases[:middle], phases[middle + 1 :]])
    return _banded(phases[middle : middle + 1]), _banded(others), float(phases.abs().sum(dim=1).max()) * (1 + 1e-5)


def _banded(phases: Tensor) -> Tensor:
    """(RUN + TAPS - 1, phases * RUN): column (p, i) applies phase p to the samples from i on."""
    matrix = torch.zeros(_RUN + TAPS - 1, phases.shape[0], _RUN)
    for i in range(_RUN):
        matrix[i : i + TAPS, :, i] = phases.T
    return matrix.flatten(1)
