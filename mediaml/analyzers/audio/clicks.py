"""Clicks: single wild samples, steps of a bad edit, scratches of a few samples."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10

import numpy as np
import torch
from torch import Tensor

from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.errors import InvalidValue
from mediaml.ops.prediction import prediction_residual
from mediaml.spec import AudioView, Column, Need, Spec, Table

_ORDER = 24
_FRAME_SECONDS = 0.04
_CORE_SECONDS = 0.0006  # a click's own length, on either side of its peak
_REACH_SECONDS = 0.006  # where a natural transient still rings
_SURROUND_FRAMES = 5  # on either side, whose RMS a click stands out of
_JOIN_SECONDS = 0.1
_FULL_SEVERITY = 0.5  # of full scale


class Clicks(RunAnalyzer):
    """Where linear prediction fails for a few samples only.

    Each 40 ms of a channel are whitened by linear prediction of order 24. A click is a residual of `ratio` times the frame's
    usual residual (median / 0.6745), at least `minimum_dbfs`, that is gone half a millisecond later: over the 6 ms on either
    side the residual stays `isolation` times below it. A struck object rings, a click does not. It also stands out of the
    sound: the residual is at least `prominence_db` from the channel's RMS over the 0.2 s on either side. Wild samples that
    louder sound covers, as at the onsets of sampled instruments, are not reported.

    kinds   "click": severity is the height of the residual / 0.5 of full scale, at most 1. Clicks less than 0.1 s apart
            are one span
    """

    piece_seconds = 1.0
    spec = Spec(
        name="clicks",
        version=2,
        summary="impulses and steps of a few samples that the sound around does not explain",
        outputs=(Column("click_spans", "int32", "spans", "spans with clicks", Table.FILES, minimum=0),),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "qc"),
        default=False,
        cite="Vaseghi & Rayner 1990; Godsill & Rayner 1998, Digital Audio Restoration, ch. 5 (detection by AR residual)",
        cost_ms=12.0,
        kinds=("click",),
    )

    def __init__(
        self, ratio: float = 16.0, isolation: float = 6.0, minimum_dbfs: float = -46.0, prominence_db: float = -6.0
    ) -> None:
        if ratio < 4 or isolation < 1.5:
            raise InvalidValue(f"ratio {ratio} must be at least 4, isolation {isolation} at least 1.5")
        if not -90 <= minimum_dbfs < 0:
            raise InvalidValue(f"minimum_dbfs {minimum_dbfs} must lie in [-90, 0), e.g. -46")
        if not -60 <= prominence_db <= 60:
            raise InvalidValue(f"prominence_db {prominence_db} must lie in [-60, 60], e.g. -6")
        self.ratio, self.isolation, self.minimum_dbfs = ratio, isolation, minimum_dbfs
        self.prominence_db = prominence_db
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, float]:
        return {
            "ratio": float(self.ratio),
            "isolation": float(self.isolation),
            "minimum_dbfs": float(self.minimum_dbfs),
            "prominence_db": float(self.prominence_db),
        }

    def rows(self) -> Mapping[Table, Mapping[str, list]]:
        return {**super().rows(), Table.FILES: {"click_spans": [len(self.findings)]}}  # type: ignore[dict-item]

    def begin_run(self) -> None:
        self._frame = max(64, round(_FRAME_SECONDS * self.rate))
        self._order = min(_ORDER, self._frame // 4)
        self._core = max(2, round(_CORE_SECONDS * self.rate))
        self._reach = max(2 * self._core, round(_REACH_SECONDS * self.rate))
        self._tail: Tensor | None = None  # samples looked at again as the past of the next piece
        self._start = 0  # sample number of the tail's first sample
        self._waiting: list[
            tuple[int, float, int]
        ] = []  # sample number, residual, channel: what follows is not known yet
        self._found: set[tuple[int, float]] = set()  # sample number, residual
        self._powers = np.empty((len(self.names), 0))  # mean squares of the last frames
        self._power_first = 0  # the frame that the first of them is

    def add(self, piece: Tensor) -> None:
        joined = piece if self._tail is None else torch.cat([self._tail, piece], dim=1)
        whole = joined.shape[1] // self._frame * self._frame
        keep = whole - 2 * self._frame
        last = piece.shape[1] < round(self.piece_seconds * self.rate)
        if keep <= 0 and not last:
            self._tail = joined
            return
        self._look(joined[:, :whole], first=self._start > 0, last=last)
        passed = whole if last else keep
        frames = joined[:, :passed].reshape(joined.shape[0], passed // self._frame, self._frame)
        self._powers = np.concatenate([self._powers, frames.square().mean(dim=2).cpu().numpy()], axis=1)
        self._settle(last=last)
        self._tail = joined[:, max(keep, 0) :].clone()
        self._start += max(keep, 0)

    def end_run(self) -> None:
        self._settle(last=True)
        found = sorted(self._found)
        groups: list[list[tuple[int, float]]] = []
        for at, height in found:
            if groups and at - groups[-1][-1][0] < _JOIN_SECONDS * self.rate:
                groups[-1].append((at, height))
            else:
                groups.append([(at, height)])
        for group in groups:
            height = max(h for _, h in group)
            start, stop = group[0][0] / self.rate, (group[-1][0] + self._core) / self.rate
            what = "click" if len(group) == 1 else f"{len(group)} clicks"
            message = f"{what}, {20 * log10(height):.0f} dBFS above what the sound explains"
            self.find("click", start, stop, height / _FULL_SEVERITY, message, 0.9)

    def _settle(self, *, last: bool) -> None:
        """Keeps what stands out of the sound on both sides, and the powers that the next ones are compared with."""
        known = self._power_first + self._powers.shape[1]
        waiting = []
        for at, height, channel in self._waiting:
            frame = at // self._frame
            if not last and frame + _SURROUND_FRAMES >= known:
                waiting.append((at, height, channel))
                continue
            low, high = (frame + n - self._power_first for n in (-_SURROUND_FRAMES, _SURROUND_FRAMES + 1))
            around = self._powers[channel, max(0, low) : high]
            if height**2 >= 10 ** (self.prominence_db / 10) * float(around.mean()):
                self._found.add((at, height))
        self._waiting = waiting
        drop = max(0, self._powers.shape[1] - 4 * _SURROUND_FRAMES)
        self._powers, self._power_first = self._powers[:, drop:].copy(), self._power_first + drop

    def _look(self, samples: Tensor, *, first: bool, last: bool) -> None:
        """Judges all frames but those at the ends that another call sees with their surroundings."""
        residual = prediction_residual(samples, self._frame, self._order).abs()  # (C, F, frame)
        if residual.shape[1] == 0:
            return
        usual = residual.median(dim=2, keepdim=True).values / 0.6745
        least = 10 ** (self.minimum_dbfs / 20)
        wild = ((residual > self.ratio * usual) & (residual > least)).flatten(1)  # (C, F * frame)
        flat = residual.flatten(1)
        low = self._frame if first else self._order
        high = flat.shape[1] - (0 if last else self._frame)
        for channel in range(flat.shape[0]):
            at = torch.nonzero(wild[channel]).flatten().cpu().numpy()
            at = at[(at >= low) & (at < high)]
            if at.size:
                self._isolated(flat[channel].cpu().numpy(), at, channel)

    def _isolated(self, residual: np.ndarray, at: np.ndarray, channel: int) -> None:
        """Keeps the peaks of which nothing is left half a millisecond away."""
        for group in np.split(at, np.flatnonzero(np.diff(at) > self._core) + 1):
            peak = int(group[residual[group].argmax()])
            if group[-1] - group[0] > self._core:
                continue
            left = residual[max(0, peak - self._reach) : max(0, peak - self._core)]
            right = residual[peak + self._core : peak + self._reach]
            around = max(left.max(initial=0.0), right.max(initial=0.0))
            if residual[peak] > self.isolation * around:
                self._waiting.append((self._start + peak, float(residual[peak]), channel))
