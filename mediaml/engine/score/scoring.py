"""The analyzers of one pair, fed with its frames, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.analyzers.base import Analyzer
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair.plan import PairPlan
from mediaml.decode.pair.stream import PairStream
from mediaml.decode.report import DecodeReport
from mediaml.decode.stream import Delivery
from mediaml.engine.pooling import Pooled, pool, worst_frames
from mediaml.engine.run import Progress, feed_delivery
from mediaml.engine.runner import Runner
from mediaml.engine.score.metrics import Chosen
from mediaml.engine.score.result import ScoreResult, WorstFrame
from mediaml.errors import AnalyzerError, NothingDecoded
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Table

WORST_FRAMES = 5
Reports = tuple[DecodeReport, DecodeReport]  # of the distorted file, of the reference


class Scoring:
    """The analyzers of one pair, fed with its pairs of frames, in order."""

    def __init__(self, chosen: Chosen, device: torch.device, distorted: VideoFile, progress: Progress | None) -> None:
        self._chosen, self._progress = chosen, progress
        self._runners = [Runner(_set_up(cls, device)) for cls in chosen.analyzers]
        for runner in self._runners:
            runner.start(distorted.media)
        self._numbers: list[tuple[NDArray, ...]] = []
        self.frames = 0

    @property
    def all_failed(self) -> bool:
        return all(r.error is not None for r in self._runners)

    def pairs(self) -> NDArray[np.int64]:
        """(K, 2): distorted and reference frame numbers so far."""
        if not self._numbers:
            return np.empty((0, 2), np.int64)
        return np.concatenate([np.stack([n[0], n[2]], axis=1) for n in self._numbers])

    def feed(self, stream: PairStream) -> None:
        """All of the stream, while there is an analyzer left. Raises MediaError."""
        with torch.inference_mode(), stream:
            for batch in stream:
                _feed(batch, self._runners)
                self._numbers.append(pair_numbers(batch))
                self.frames += len(batch)
                if self._progress is not None:
                    self._progress(self.frames, float(batch.pts_seconds[-1]))
                if self.all_failed:
                    break

    def result(self, plan: PairPlan, reports: Reports) -> ScoreResult:
        with torch.inference_mode():
            for runner in self._runners:
                runner.finish()
        if not self._numbers:
            raise NothingDecoded(plan.distorted.path, "no pair of frames could be decoded")
        return result_of(plan, self._chosen, self._runners, self._numbers, reports)


def _set_up(cls: type[Analyzer], device: torch.device) -> Analyzer:
    analyzer = cls()
    analyzer.setup(device)
    return analyzer


def _feed(batch: FrameBatch, runners: Sequence[Runner]) -> None:
    """One batch to all runners; a pair has one lane, whatever need they state."""
    need = runners[0].spec.need
    assert need is not None
    feed_delivery(Delivery(need, batch), [r for r in runners if r.error is None])


def pair_numbers(batch: FrameBatch) -> tuple[NDArray, ...]:
    reference = batch.reference
    assert reference is not None
    tensors = (batch.frame_index, batch.pts_seconds, reference.frame_index, reference.pts_seconds)
    return tuple(t.cpu().numpy() for t in tensors)


def result_of(
    plan: PairPlan,
    chosen: Chosen,
    runners: list[Runner],
    numbers: list[tuple[NDArray, ...]],
    reports: Reports,
) -> ScoreResult:
    names = ("frame_index", "pts_seconds", "reference_index", "reference_pts_seconds")
    frames: dict[str, NDArray] = {n: np.concatenate(p) for n, p in zip(names, zip(*numbers, strict=True), strict=True)}
    failed = {r.spec.name: f"{type(r.error).__name__}: {r.error}" for r in runners if r.error is not None}
    if len(failed) == len(runners):
        first = runners[0]
        raise (
            first.error if isinstance(first.error, AnalyzerError) else AnalyzerError(first.spec.name, str(first.error))
        )
    columns = []
    for column in chosen.columns:
        values = _column(column.name, runners)
        if values is not None:
            frames[column.name] = values
            columns.append(column)
    pooled = pooled_columns(columns, frames, slice(None))
    notes = [*plan.notes, *_fault_notes(plan, reports, len(frames["frame_index"]))]
    worst = _worst(frames, columns[0]) if columns else []
    headline = tuple(n for n in chosen.headline if n in pooled) or tuple(pooled)
    return ScoreResult(
        plan.distorted, plan.reference, plan, tuple(columns), headline, frames, pooled, worst, runners, failed, notes
    )


def _column(name: str, runners: Sequence[Runner]) -> NDArray[np.float64] | None:
    for runner in runners:
        rows = {} if runner.error is not None else runner.rows.get(Table.FRAMES, {})
        if name in rows:
            return np.array([np.nan if v is None else v for v in plain_values(rows[name])], np.float64)
    return None


def plain_values(column: Any) -> Sequence[Any]:
    """Python values of a column as an analyzer gave it (an array, a tensor, an Arrow array, a sequence)."""
    if hasattr(column, "to_pylist"):
        return column.to_pylist()
    return column.tolist() if hasattr(column, "tolist") else column


def pooled_columns(columns: Sequence[Column], frames: dict[str, NDArray], rows: slice | NDArray) -> dict[str, Pooled]:
    """Each column over some rows; without those that have no value there."""
    times = frames["pts_seconds"][rows]
    found = {c.name: pool(frames[c.name][rows], times, lower_is_better=c.better == "lower") for c in columns}
    return {name: p for name, p in found.items() if p is not None}


def _worst(frames: dict[str, NDArray], column: Column) -> list[WorstFrame]:
    rows = worst_frames(
        frames[column.name], frames["pts_seconds"], WORST_FRAMES, lower_is_better=column.better == "lower"
    )
    return [
        WorstFrame(
            int(frames["frame_index"][row]),
            int(frames["reference_index"][row]),
            float(frames["pts_seconds"][row]),
            float(frames["reference_pts_seconds"][row]),
            float(frames[column.name][row]),
        )
        for row in rows
    ]


def _fault_notes(plan: PairPlan, reports: Reports, scored: int) -> list[str]:
    """Faults inside the files, and what was left over without alignment."""
    notes = []
    for report, file in zip(reports, (plan.distorted, plan.reference), strict=True):
        if report.problems.count:
            first = next(iter(report.problems))
            notes.append(f"{file.path}: {report.problems.count} faults while decoding; first: {first.message}")
    if plan.pairs is None:
        for file in (plan.distorted, plan.reference):
            stated = file.video.frames_header
            if stated and stated > scored:
                notes.append(f"{file.path} has {stated} frames; the {scored} that both files have were compared")
    elif scored < len(plan.pairs):
        notes.append(f"{scored} of {len(plan.pairs)} pairs were decoded")
    return notes
