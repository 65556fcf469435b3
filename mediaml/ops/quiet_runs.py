"""Runs of consecutive values that stay at or below a threshold, found in a stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class QuietRun:
    """Values start..stop-1 of the stream, all at or below the threshold; `peak` is the greatest of them."""

    start: int
    stop: int
    peak: float


class QuietRuns:
    """Finds every run of at least `minimum` values at or below `threshold`, whatever the size of pieces."""

    def __init__(self, threshold: float, minimum: int) -> None:
        self.threshold = threshold
        self.minimum = max(minimum, 1)
        self._seen = 0  # values so far
        self._start = 0  # where the run that is open now began: just after the last loud value
        self._peak = 0.0  # of the open run

    def push(self, values: Tensor) -> list[QuietRun]:
        """(T,) values in, none negative; the runs that a loud value has ended."""
        loud = torch.nonzero(values > self.threshold).flatten()  # (K,)
        if loud.numel() == 0:
            self._peak = max(self._peak, float(values.max()))
            self._seen += values.shape[0]
            return []
        first, last = int(loud[0]), int(loud[-1])
        found = self._ended(self._seen + first, values[:first])
        for before in torch.nonzero(loud.diff() > self.minimum).flatten().tolist():
            start, stop = int(loud[before]) + 1, int(loud[before + 1])
            found.append(QuietRun(self._seen + start, self._seen + stop, float(values[start:stop].max())))
        rest = values[last + 1 :]
        self._start = self._seen + last + 1
        self._peak = float(rest.max()) if rest.numel() else 0.0
        self._seen += values.shape[0]
        return found

    def flush(self) -> list[QuietRun]:
        """The run that the end of the stream ends."""
        return self._ended(self._seen, torch.empty(0))

    def _ended(self, stop: int, values: Tensor) -> list[QuietRun]:
        if stop - self._start < self.minimum:
            return []
        peak = max(self._peak, float(values.max())) if values.numel() else self._peak
        return [QuietRun(self._start, stop, peak)]
