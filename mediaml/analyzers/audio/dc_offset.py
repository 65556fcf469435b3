"""Spans of DC offset: a constant that a converter or a bad edit added to the signal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.errors import InvalidValue
from mediaml.ops.flagged_spans import flagged_spans
from mediaml.ops.gathered import GatheredColumn
from mediaml.spec import AudioView, Column, Need, Spec, Table

_FULL_SEVERITY = 0.1  # a tenth of full scale: 1 dB of headroom lost
_SPREAD = 0.5  # of a span's values around their median: an offset is constant, rumble is not


class DcOffset(RunAnalyzer):
    """Where the mean of a channel stays away from zero.

    The mean is taken over triangular windows of one second that move by half a second, so that a tone of 20 Hz at full
    scale leaks below 0.0003.

    threshold         least |mean| as a share of full scale
    minimum_seconds   shorter spans are not given; half a second is added to either side by the windows' overlap

    kinds   "dc_offset": severity is |offset| / 0.1, at most 1
    """

    piece_seconds = 0.5
    spec = Spec(
        name="dc_offset",
        version=1,
        summary="spans where a channel's mean stays away from zero",
        outputs=(
            Column(
                "dc_offset_seconds", "float64", "s", "time in which a channel has a DC offset", Table.FILES, minimum=0
            ),
        ),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "qc"),
        default=False,
        cite="mean over 1 s triangular windows (definition in the analyzer's docstring)",
        cost_ms=0.4,
        kinds=("dc_offset",),
    )

    def __init__(self, threshold: float = 0.004, minimum_seconds: float = 2.0) -> None:
        if not 0 < threshold < 1:
            raise InvalidValue(f"threshold {threshold} must lie in (0, 1), e.g. 0.004")
        if minimum_seconds < 1:
            raise InvalidValue(f"minimum_seconds {minimum_seconds} must be at least 1")
        self.threshold, self.minimum_seconds = threshold, minimum_seconds
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"threshold": float(self.threshold), "minimum_seconds": float(self.minimum_seconds)}

    def rows(self) -> Mapping[Table, Mapping[str, list]]:
        seconds = sum(f.end - f.start for f in self.findings)
        return {**super().rows(), Table.FILES: {"dc_offset_seconds": [seconds]}}  # type: ignore[dict-item]

    def begin_run(self) -> None:
        self._rising: np.ndarray | None = None  # (C,) the half window that the next piece completes
        self._means = GatheredColumn()  # (C,) of the window that ends with piece k + 1

    def add(self, piece: Tensor) -> None:
        length = piece.shape[1]
        if length < round(self.piece_seconds * self.rate):
            return  # the incomplete window at the end says nothing
        ramp = (torch.arange(length, device=piece.device, dtype=torch.float32) + 0.5) / length
        up = (piece @ ramp).double().cpu().numpy() / length
        total = piece.sum(dim=1, dtype=torch.float64).cpu().numpy() / length
        if self._rising is not None:
            self._means.add(torch.from_numpy(self._rising + (total - up))[None])
        self._rising = up

    def end_run(self) -> None:
        if not self._means:
            return
        means = self._means.values().numpy()  # (K, C); window k covers seconds k / 2 to k / 2 + 1
        minimum = max(1, round(self.minimum_seconds / self.piece_seconds) - 1)
        runs: list[tuple[int, int, str, float]] = []  # start, stop, channel, level
        for channel, name in enumerate(self.names):
            values = means[:, channel]
            for sign in (1, -1):
                for start, stop in flagged_spans((sign * values > self.threshold).tolist(), join=0, minimum=minimum):
                    level = float(np.median(values[start:stop]))
                    if float(np.median(np.abs(values[start:stop] - level))) <= _SPREAD * abs(level):
                        runs.append((start, stop, name, level))
        for group in _overlapping(runs):
            message = ", ".join(f"{name}: mean {level:+.4f} of full scale" for _, _, name, level in group)
            start, stop = min(r[0] for r in group), max(r[1] for r in group)
            severity = max(abs(r[3]) for r in group) / _FULL_SEVERITY
            self.find("dc_offset", start / 2 + 0.25, (stop - 1) / 2 + 0.75, severity, message)


def _overlapping(runs: list[tuple[int, int, str, float]]) -> list[list[tuple[int, int, str, float]]]:
    """Runs of several channels that overlap in time belong together."""
    groups: list[list[tuple[int, int, str, float]]] = []
    for run in sorted(runs):
        if groups and run[0] < max(r[1] for r in groups[-1]):
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups
