"""Loudness from energies: the gates of ITU-R BS.1770-5 and the range of EBU Tech 3342, and a meter over a stream.

Energy here is the sum over channels of weight * mean square of the K-weighted samples of a window.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mediaml.ops.channel_layouts import channel_names, loudness_weights
from mediaml.ops.kweighting import KWeighting
from mediaml.ops.rechunk import Rechunk
from mediaml.ops.true_peak import TruePeak

FLOOR_LUFS = -120.0  # digital silence has no logarithm: what is quieter is given as this
ABSOLUTE_GATE_LUFS = -70.0
STEPS_PER_SECOND = 100  # windows move by 10 ms for the maxima
MOMENTARY_STEPS = 40
SHORT_TERM_STEPS = 300
GATING_STEPS = 10  # windows move by 100 ms for gating, for the range and for the momentary series

_OFFSET = -0.691
Energies = NDArray[np.float64]


def energy_to_lufs(energy: ArrayLike) -> Energies:
    """Energy to LUFS (equivalently LKFS), not below `FLOOR_LUFS`."""
    return np.maximum(_OFFSET + 10 * np.log10(np.maximum(energy, 1e-30)), FLOOR_LUFS)


def lufs_to_energy(lufs: float) -> float:
    """The inverse of `energy_to_lufs`."""
    return 10 ** ((lufs - _OFFSET) / 10)


def integrated_loudness(energies: Energies) -> float | None:
    """LUFS of a programme from the energies of its 400 ms blocks (75 % overlap): absolute gate, then 10 LU below the rest.

    None where no block is louder than -70 LUFS: the measure is not defined then. Source: ITU-R BS.1770-5, annex 1.
    """
    loud = energies[energies > lufs_to_energy(ABSOLUTE_GATE_LUFS)]
    if loud.size == 0:
        return None
    return float(energy_to_lufs(loud[loud > loud.mean() / 10].mean()))


def loudness_range(energies: Energies) -> float | None:
    """LU between the 10th and the 95th percentile of short-term loudness after gating at -70 LUFS and -20 LU.

    `energies` are those of 3 s windows at a constant step. None where none is louder than -70 LUFS. Source: EBU Tech 3342.
    """
    loud = energies[energies >= lufs_to_energy(ABSOLUTE_GATE_LUFS)]
    if loud.size == 0:
        return None
    kept = energy_to_lufs(np.sort(loud[loud >= loud.mean() / 100]))
    low, high = (kept[int((kept.size - 1) * share + 0.5)] for share in (0.10, 0.95))
    return float(high - low)


def window_means(energies: Energies, steps: int) -> Energies:
    """Mean over every window of `steps` consecutive values; summed anew for each window, so that nothing drifts."""
    if energies.size < steps:
        return np.empty(0)
    return np.lib.stride_tricks.sliding_window_view(energies, steps).mean(axis=1)


def _windows_of_last(energies: Energies, count: int, steps: int) -> Energies:
    """Means of the windows of `steps` values that end at one of the last `count` values."""
    return window_means(energies[-(count + steps - 1) :], steps) if count else np.empty(0)


@dataclass(frozen=True, slots=True)
class LoudnessPiece:
    """What a second of sound (or the rest at the end) adds.

    end_step      10 ms steps from the meter's first sample to the end of this piece
    momentary     energy of the 400 ms windows that end in this piece, one a step, up to `end_step`
    short_term    the same for 3 s windows
    true_peak     greatest magnitude between and at the samples; 1.0 is full scale
    sample_peak   greatest magnitude at the samples
    """

    end_step: int
    momentary: Energies
    short_term: Energies
    true_peak: float
    sample_peak: float

    def every(self, steps: int, values: Energies) -> tuple[NDArray[np.float64], Energies]:
        """Of `momentary` or `short_term`: (end in seconds, energy) of the windows that end at a multiple of `steps`."""
        ends = self.end_step + 1 - values.size + np.arange(values.size)
        chosen = ends % steps == 0
        return ends[chosen] / STEPS_PER_SECOND, values[chosen]


class LoudnessMeter:
    """Momentary, short-term and true-peak levels of consecutive samples without gaps.

    Works in pieces of one second whatever comes in, so that values do not depend on the size of blocks. Mono is one
    channel of weight 1: played over two loudspeakers (dual mono) it sounds 3 LU louder than measured.
    """

    def __init__(self, sample_rate: int, channels: int, layout: str) -> None:
        """Raises InvalidValue below 4 kHz, and where `layout` does not have `channels` channels."""
        weights = torch.tensor(loudness_weights(channel_names(layout, channels)), dtype=torch.float64)
        self.sample_rate, self._channels = sample_rate, channels
        self._heard = None if bool(weights.all()) else torch.nonzero(weights).flatten()  # without LFE
        self._weights = weights[weights != 0]
        self._pieces = Rechunk(sample_rate)
        self._filter = KWeighting(sample_rate, len(self._weights), sample_rate)
        self._true_peak = TruePeak(sample_rate, channels)
        self._bounds = [round(k * sample_rate / STEPS_PER_SECOND) for k in range(STEPS_PER_SECOND + 1)]
        self._history = np.empty(0)  # energies of up to the last 299 steps
        self._steps = 0

    def push(self, samples: Tensor) -> Iterator[LoudnessPiece]:
        """(C, T) float32 in; what every second that is complete adds."""
        for piece in self._pieces.push(samples):
            yield self._measure(piece, [self._true_peak.push(piece)])

    def flush(self) -> LoudnessPiece:
        """What the rest adds: its whole 10 ms steps, and all of its peaks."""
        rest = self._pieces.rest()
        if rest is None:
            return self._measure(torch.zeros(self._channels, 0), [self._true_peak.flush()])
        return self._measure(rest, [self._true_peak.push(rest), self._true_peak.flush()])

    def _measure(self, piece: Tensor, peaks: list[Tensor]) -> LoudnessPiece:
        energies = self._step_energies(piece)
        joined = np.concatenate([self._history, energies])
        self._history = joined[-(SHORT_TERM_STEPS - 1) :]
        self._steps += energies.size
        return LoudnessPiece(
            end_step=self._steps,
            momentary=_windows_of_last(joined, energies.size, MOMENTARY_STEPS),
            short_term=_windows_of_last(joined, energies.size, SHORT_TERM_STEPS),
            true_peak=float(torch.stack(peaks).max()),
            sample_peak=float(piece.abs().max()) if piece.shape[1] else 0.0,
        )

    def _step_energies(self, piece: Tensor) -> Energies:
        """Weighted mean square of each whole 10 ms step of a piece that starts at a whole second."""
        steps = bisect_right(self._bounds, piece.shape[1]) - 1
        if steps == 0 or len(self._weights) == 0:
            return np.zeros(steps)
        heard = piece if self._heard is None else piece[self._heard.to(piece.device)]
        square = self._filter.filter(heard)[:, : self._bounds[steps]].square_()
        if self.sample_rate % STEPS_PER_SECOND == 0:
            means = square.reshape(square.shape[0], steps, -1).mean(dim=2)
        else:
            lengths = np.diff(self._bounds[: steps + 1]).tolist()
            means = torch.stack([part.mean(dim=1) for part in torch.split(square, lengths, dim=1)], dim=1)
        return (self._weights.to(means.device) @ means.double()).cpu().numpy()
