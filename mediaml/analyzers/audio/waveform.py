"""The outline of the sound over time, for reports: greatest and least sample of a few thousand bins."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mediaml.analyzers.base import AudioAnalyzer, Rows
from mediaml.frames import AudioBlock
from mediaml.spec import AudioView, Column, Need, Spec, Table

MOST_BINS = 4096
FINEST_BINS_PER_SECOND = 100


class Waveform(AudioAnalyzer):
    """Least and greatest sample over all channels in equal bins.

    series   "waveform_low" and "waveform_high", as shares of full scale; the time is that of a bin's first sample
    files    the length of a bin: 10 ms for files under 40 s; it doubles whenever 4096 bins are full, so that a file of any
             length has at most 4095 bins and, from 40 s on, at least 2047

    Where timestamps jump, the bin that holds the jump has the time of its first sample.
    """

    spec = Spec(
        name="waveform",
        version=1,
        summary="outline of the sound: least and greatest sample in a few thousand bins",
        outputs=(
            Column("waveform_bin_seconds", "float64", "s", "length of a bin of the waveform series; null without sound",
                   Table.FILES, minimum=0.0, nullable=True),
        ),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio",),
        default=False,
        cite="definition in the analyzer's docstring",
        cost_ms=0.5,
        series=("waveform_low", "waveform_high"),
    )  # fmt: skip

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._rate = 0
        self._bin_samples = 0
        self._bins = np.zeros((3, MOST_BINS))  # time, low, high of each full bin
        self._count = 0
        self._open: tuple[float, float, float] | None = None  # time, low, high of the bin being filled
        self._open_samples = 0

    def update(self, batch: AudioBlock) -> dict[str, Tensor]:
        if self._bin_samples == 0:
            self._rate = batch.sample_rate
            self._bin_samples = max(1, batch.sample_rate // FINEST_BINS_PER_SECOND)
        low = batch.samples.amin(dim=0).cpu().numpy()  # (T,)
        high = batch.samples.amax(dim=0).cpu().numpy()
        at, length = 0, len(low)
        while at < length:
            time = batch.start_seconds + at / batch.sample_rate
            whole = 0 if self._open else min((length - at) // self._bin_samples, MOST_BINS - self._count)
            if whole:
                taken = whole * self._bin_samples
                self._add_whole(low[at : at + taken], high[at : at + taken], time, batch.sample_rate)
            else:
                taken = min(length - at, self._bin_samples - self._open_samples)
                self._fill(float(low[at : at + taken].min()), float(high[at : at + taken].max()), time, taken)
            at += taken
        return {}

    def _add_whole(self, low: np.ndarray, high: np.ndarray, time: float, rate: int) -> None:
        count = len(low) // self._bin_samples
        into = self._bins[:, self._count : self._count + count]
        into[0] = time + np.arange(count) * self._bin_samples / rate
        into[1] = low.reshape(count, -1).min(axis=1)
        into[2] = high.reshape(count, -1).max(axis=1)
        self._grow(count)

    def _fill(self, low: float, high: float, time: float, samples: int) -> None:
        start, least, greatest = self._open or (time, low, high)
        self._open = start, min(least, low), max(greatest, high)
        self._open_samples += samples
        if self._open_samples == self._bin_samples:
            self._bins[:, self._count] = self._open
            self._open, self._open_samples = None, 0
            self._grow(1)

    def _grow(self, count: int) -> None:
        """Counts new bins; a full table is halved by joining neighbours."""
        self._count += count
        if self._count == MOST_BINS:
            time, low, high = self._bins.reshape(3, -1, 2)
            joined = np.stack([time[:, 0], low.min(axis=1), high.max(axis=1)])
            self._count = MOST_BINS // 2
            self._bins[:, : self._count] = joined
            self._bin_samples *= 2

    def finish(self) -> Rows:
        bins = self._bins[:, : self._count]
        if self._open is not None:
            bins = np.concatenate([bins, np.array(self._open)[:, None]], axis=1)
        seconds = self._bin_samples / self._rate if self._rate else None
        self._reset()
        time, low, high = bins[:, np.argsort(bins[0], kind="stable")].copy()
        return {
            Table.FILES: {"waveform_bin_seconds": [seconds]},
            Table.SERIES: {
                "series": ["waveform_low"] * len(time) + ["waveform_high"] * len(time),
                "time_seconds": [*time.tolist(), *time.tolist()],
                "value": [*low.tolist(), *high.tolist()],
            },
        }
