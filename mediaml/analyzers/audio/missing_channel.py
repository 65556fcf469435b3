"""Spans in which one channel carries nothing while the others sound."""

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

_FRONT = ("FL", "FR")
_SEVERITY = {"FL": 0.9, "FR": 0.9, "FC": 0.6}
_OTHER_SEVERITY = 0.3


class MissingChannel(RunAnalyzer):
    """Where front left or front right is silent (RMS at most `silent_dbfs`) while another channel is above `audible_dbfs`.

    Judged in pieces of half a second; pauses of all channels do not end a span. Centre and surround channels may rest for
    minutes: they are reported only where they are silent through the whole run, and that lasts 10 s. LFE is left out, and so
    is mono.

    kinds   "missing_channel": severity 0.9 for the front pair, 0.6 for the centre, 0.3 for others
    """

    piece_seconds = 0.5
    spec = Spec(
        name="missing_channel",
        version=1,
        summary="spans where one channel is silent while others sound",
        outputs=(
            Column(
                "missing_channel_seconds",
                "float64",
                "s",
                "time with a silent channel, summed over channels",
                Table.FILES,
                minimum=0,
            ),
        ),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "qc"),
        default=False,
        cite="RMS over half a second (definition in the analyzer's docstring)",
        cost_ms=0.4,
        kinds=("missing_channel",),
    )

    def __init__(self, silent_dbfs: float = -70.0, audible_dbfs: float = -50.0, minimum_seconds: float = 2.0) -> None:
        if not silent_dbfs < audible_dbfs < 0:
            raise InvalidValue(f"silent_dbfs {silent_dbfs} must lie below audible_dbfs {audible_dbfs}, both below 0")
        if minimum_seconds < 0.5:
            raise InvalidValue(f"minimum_seconds {minimum_seconds} must be at least 0.5")
        self.silent_dbfs, self.audible_dbfs, self.minimum_seconds = silent_dbfs, audible_dbfs, minimum_seconds
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, float]:
        return {
            "silent_dbfs": float(self.silent_dbfs),
            "audible_dbfs": float(self.audible_dbfs),
            "minimum_seconds": float(self.minimum_seconds),
        }

    def rows(self) -> Mapping[Table, Mapping[str, list]]:
        seconds = sum(f.end - f.start for f in self.findings)
        return {**super().rows(), Table.FILES: {"missing_channel_seconds": [seconds]}}  # type: ignore[dict-item]

    def begin_run(self) -> None:
        self._powers = GatheredColumn()  # (C,) mean square of each piece

    def add(self, piece: Tensor) -> None:
        self._powers.add(piece.square().mean(dim=1, dtype=torch.float64).cpu()[None])

    def end_run(self) -> None:
        heard = [i for i, n in enumerate(self.names) if not n.startswith("LFE")]
        if len(heard) < 2 or not self._powers:
            return
        powers = self._powers.values().numpy()[:, heard]  # (K, channels)
        silent = powers <= 10 ** (self.silent_dbfs / 10)
        sounding = powers.max(axis=1) >= 10 ** (self.audible_dbfs / 10)
        minimum = max(1, round(self.minimum_seconds / self.piece_seconds))
        for column, channel in enumerate(heard):
            name = self.names[channel]
            if name not in _FRONT and not (silent[:, column].all() and self.run_samples >= 10 * self.rate):
                continue
            for start, stop in flagged_spans(silent[:, column].tolist(), join=0, minimum=minimum):
                at = start + np.flatnonzero(sounding[start:stop])  # pieces in which another channel is heard
                if at.size < minimum:
                    continue
                first, last = float(at[0]), float(at[-1] + 1)
                message = f"{name} is silent for {(last - first) * self.piece_seconds:g} s while other channels sound"
                severity = _SEVERITY.get(name, _OTHER_SEVERITY)
                self.find("missing_channel", first * self.piece_seconds, last * self.piece_seconds, severity, message)
