"""Dropouts: milliseconds to half a second in which a channel falls silent and comes back, both at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10

import numpy as np
import torch
from torch import Tensor

from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.errors import InvalidValue
from mediaml.spec import AudioView, Column, Need, Spec, Table

FRAMES_PER_SECOND = 1000
_AROUND = 20  # frames before and after that say how loud it was
_EDGE = 2  # frames next to the gap that must be about as loud
_EDGE_DB = 12.0
_BALANCE_DB = 13.0  # between the sides: a note that dies away before a loud onset is no dropout
_STOPS_DB = 6.0  # by which the steps from sample to sample are smaller in the gap
_LONGEST = 500  # frames; longer is silence
_FULL_SEVERITY_SECONDS = 0.1
_FLOOR = 1e-14


class Dropouts(RunAnalyzer):
    """Gaps of `minimum_ms` to 500 ms whose level lies `depth_db` below the sound on both sides, with abrupt edges.

    Levels are RMS over one millisecond, a channel at a time. Abrupt: within 2 ms of the gap the level is at most 12 dB below
    its mean over the 20 ms beyond, and the two sides differ by at most
    13 dB; sound that fades into a pause is not a dropout, nor is a slow wave's way through zero: the steps from sample to
    sample must be 6 dB smaller inside. `floor_dbfs` is the greatest level inside,
    `sound_dbfs` the least level around.

    kinds   "dropout": severity is its length / 0.1 s, at most 1; channels that drop out together are one span
    """

    piece_seconds = 1.0
    spec = Spec(
        name="dropouts",
        version=3,
        summary="short gaps with abrupt edges in otherwise audible sound",
        outputs=(Column("dropout_spans", "int32", "spans", "dropouts found", Table.FILES, minimum=0),),
        need=Need(AudioView()),
        ordered=True,
        groups=("audio", "qc"),
        default=False,
        cite="1 ms level envelope with edge test (definition in the analyzer's docstring)",
        cost_ms=2.0,
        kinds=("dropout",),
    )

    def __init__(
        self, minimum_ms: int = 3, depth_db: float = 30.0, floor_dbfs: float = -60.0, sound_dbfs: float = -50.0
    ) -> None:
        if not 2 <= minimum_ms < _LONGEST:
            raise InvalidValue(f"minimum_ms {minimum_ms} must lie in [2, {_LONGEST}), e.g. 3")
        if not floor_dbfs < sound_dbfs < 0 or depth_db <= 0:
            raise InvalidValue(f"floor_dbfs {floor_dbfs} must lie below sound_dbfs {sound_dbfs}, depth_db above 0")
        self.minimum_ms, self.depth_db = minimum_ms, depth_db
        self.floor_dbfs, self.sound_dbfs = floor_dbfs, sound_dbfs
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, float | int]:
        return {
            "minimum_ms": self.minimum_ms,
            "depth_db": float(self.depth_db),
            "floor_dbfs": float(self.floor_dbfs),
            "sound_dbfs": float(self.sound_dbfs),
        }

    def rows(self) -> Mapping[Table, Mapping[str, list]]:
        return {**super().rows(), Table.FILES: {"dropout_spans": [len(self.findings)]}}  # type: ignore[dict-item]

    def begin_run(self) -> None:
        bounds = np.round(np.arange(FRAMES_PER_SECOND + 1) * self.rate / FRAMES_PER_SECOND).astype(np.int64)
        self._bounds = torch.from_numpy(bounds)
        self._history = np.empty((2, len(self.names), 0))  # mean squares of the last frames: of samples, of their steps
        self._seen = 0  # frames of the run
        self._gaps: dict[tuple[int, int, int], float] = {}  # start, stop (frames), channel -> dB below

    def add(self, piece: Tensor) -> None:
        steps = torch.diff(piece, dim=1, prepend=piece[:, :1])
        powers = np.stack([self._powers(piece), self._powers(steps)])
        joined = np.concatenate([self._history, powers], axis=2)
        first = self._seen - self._history.shape[2]
        self._seen += powers.shape[2]
        new_from = self._history.shape[2] - _AROUND  # gaps that end before it were judged with the piece before
        for channel in range(joined.shape[1]):
            self._search(joined[:, channel], channel, first, new_from)
        self._history = joined[:, :, -(_LONGEST + 2 * _AROUND) :]

    def _powers(self, piece: Tensor) -> np.ndarray:
        """(C, frames) mean square of every whole millisecond."""
        bounds = self._bounds[self._bounds <= piece.shape[1]].to(piece.device)
        running = torch.cumsum(piece.double().square(), dim=1)
        running = torch.nn.functional.pad(running, (1, 0))
        sums = running[:, bounds].diff(dim=1)
        return (sums / bounds.diff().clamp(min=1)).clamp(min=0).cpu().numpy()

    def _search(self, powers: np.ndarray, channel: int, first: int, new_from: int) -> None:
        power, steps = powers
        quiet = power < 10 ** (self.floor_dbfs / 10)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
        for start, stop in edges.reshape(-1, 2).tolist():
            whole = start >= _AROUND and stop + _AROUND <= power.size
            if not whole or stop < new_from or not self.minimum_ms <= stop - start <= _LONGEST:
                continue
            depth = self._depth(power, start, stop)
            if depth >= self.depth_db and _stops(steps, start, stop):
                self._gaps.setdefault((first + start, first + stop, channel), depth)

    def _depth(self, power: np.ndarray, start: int, stop: int) -> float:
        """dB from the quieter side down into the gap; 0 where an edge is gradual or a side is quiet itself."""
        before, after = power[start - _AROUND : start].mean(), power[stop : stop + _AROUND].mean()
        side = min(before, after)
        gradual = 10 ** (-_EDGE_DB / 10)
        if side < 10 ** (self.sound_dbfs / 10) or max(before, after) > 10 ** (_BALANCE_DB / 10) * side:
            return 0.0
        if power[start - _EDGE : start].max() < gradual * before or power[stop : stop + _EDGE].max() < gradual * after:
            return 0.0
        return 10 * log10(side / max(_inside(power, start, stop), _FLOOR))

    def end_run(self) -> None:
        for start, stop, channels, depth in _united(self._gaps):
            names = "all channels" if len(channels) == len(self.names) else ", ".join(self.names[c] for c in channels)
            message = f"{names} silent for {stop - start} ms"
            seconds = (stop - start) / FRAMES_PER_SECOND
            self.find(
                "dropout",
                start / FRAMES_PER_SECOND,
                stop / FRAMES_PER_SECOND,
                seconds / _FULL_SEVERITY_SECONDS,
                message,
                min(1.0, depth / 60.0),
            )


def _stops(steps: np.ndarray, start: int, stop: int) -> bool:
    """Whether the waveform stands still in the gap; where a slow wave crosses zero it moves as fast as around."""
    side = min(steps[start - _AROUND : start].mean(), steps[stop : stop + _AROUND].mean())
    return bool(side >= 10 ** (_STOPS_DB / 10) * _inside(steps, start, stop))


def _inside(values: np.ndarray, start: int, stop: int) -> float:
    """The mean over the gap without the frames at its edges, which hold some of the sound; of two frames, over both."""
    return float((values[start + 1 : stop - 1] if stop - start > 2 else values[start:stop]).mean())


def _united(gaps: Mapping[tuple[int, int, int], float]) -> list[tuple[int, int, list[int], float]]:
    """Gaps of several channels that overlap, as one."""
    united: list[tuple[int, int, list[int], float]] = []
    for (start, stop, channel), depth in sorted(gaps.items()):
        if united and start <= united[-1][1]:
            a, b, channels, d = united[-1]
            united[-1] = (a, max(b, stop), sorted({*channels, channel}), max(d, depth))
        else:
            united.append((start, stop, [channel], depth))
    return united
