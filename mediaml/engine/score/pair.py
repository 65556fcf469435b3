"""`mediaml.score`: how good is a distorted file against its reference, frame by frame."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.analyzers.base import Analyzer
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair.plan import PairPlan, plan_pair
from mediaml.decode.pair.stream import PairStream
from mediaml.decode.raw_video import RAW_EXTENSIONS, RawFormat
from mediaml.decode.stream import Delivery
from mediaml.engine.analyze import check_weights
from mediaml.engine.pooling import Pooled, pool, worst_frames
from mediaml.engine.run import Progress, feed_delivery
from mediaml.engine.runner import Runner
from mediaml.engine.score.metrics import Chosen, choose_metrics
from mediaml.engine.score.result import ScoreResult, ShotScore, WorstFrame
from mediaml.engine.score.shots import ShotDetector, check_detector, find_shots
from mediaml.engine.settings import DEFAULT_MAX_PIXELS, DeviceName, choose_device
from mediaml.errors import AnalyzerError, InvalidValue, NothingDecoded, UnknownName, printable
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Table

if TYPE_CHECKING:
    from mediaml.engine.score.libvmaf import LibvmafBackend

PathName = str | os.PathLike[str]
BackendName = Literal["mediaml", "libvmaf"]
WORST_FRAMES = 5


def score(
    distorted: PathName,
    reference: PathName,
    metrics: Sequence[str] | None = None,
    *,
    align: bool = True,
    scale_to: str = "reference",
    shots: Sequence[tuple[float, float]] | None = None,
    detect_shots: ShotDetector = "none",
    raw: RawFormat | None = None,
    raw_reference: RawFormat | None = None,
    device: DeviceName = "auto",
    backend: BackendName = "mediaml",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    out: PathName | None = None,
    progress: Progress | None = None,
) -> ScoreResult:
    """Scores `distorted` against `reference`: aligns, brings both to one form, decodes both once for all metrics.

    Args:
        metrics: analyzers, groups or columns (`vmaf`, `psnr_y`); None for vmaf, psnr and ssim.
        align: False pairs frame i with frame i and looks at nothing.
        scale_to: "reference" (the distorted pictures are scaled, bicubic), "distorted" or "WIDTHxHEIGHT".
        shots: [start, end) in seconds of the distorted file, to be pooled one by one.
        detect_shots: "fast" (picture differences) or "network" (TransNetV2, whose weights must be there) finds the shots of
            the distorted file, which is decoded once more in small pictures for that.
        backend: "libvmaf" hands the aligned pictures to an ffmpeg that has it; columns and output are the same.
        raw, raw_reference: how to read files without a header (raw YUV).
        out: a lake into which per-frame and pooled values go.

    Raises:
        UnknownName, InvalidValue, WeightsError before anything is decoded; MediaError of either file (ContentDiffers,
        GeometryDiffers, ColourDiffers of the pair); AnalyzerError where not one metric gave a value.
    """
    began = time.perf_counter()
    chosen = choose_metrics(metrics)
    check_detector(detect_shots)
    outside = _outside(backend, chosen)
    where = torch.device(choose_device(device))
    raw_reference = raw_reference or raw_like(reference, raw)
    for path, form in ((distorted, raw), (reference, raw_reference)):
        check_raw(path, form)
    files = VideoFile.of(_name(distorted), raw), VideoFile.of(_name(reference), raw_reference)
    plan = plan_pair(*files, align=align, scale_to=scale_to, max_pixels=max_pixels)
    aligned = time.perf_counter()
    result = score_plan(plan, chosen, where, max_pixels, progress, outside)
    if shots is None:
        shots, said = find_shots(files[0], detect_shots, where, max_pixels)
        result.notes += said
    result.shots = [_shot(result, start, end) for start, end in shots or ()]
    result.wall_seconds, result.align_seconds = time.perf_counter() - began, aligned - began
    if out is not None:
        from mediaml.engine.score.lake import store

        store(result, Path(out).expanduser())
    return result


def _outside(backend: str, chosen: Chosen) -> LibvmafBackend | None:
    """The program that computes, or None where it is done here, for which the weights must be there."""
    if backend == "mediaml":
        check_weights(chosen.analyzers)
        return None
    if backend != "libvmaf":
        raise UnknownName("backend", backend, ("mediaml", "libvmaf"))
    from mediaml.engine.score.libvmaf import check_libvmaf_has, find_libvmaf

    check_libvmaf_has(chosen.analyzers)
    return find_libvmaf()


def raw_like(path: PathName, raw: RawFormat | None) -> RawFormat | None:
    """`raw` for a reference that has no header either."""
    return raw if Path(path).suffix.lower() in RAW_EXTENSIONS else None


def check_raw(path: PathName, raw: RawFormat | None) -> None:
    """Raises InvalidValue for a file that has no header where nobody said what is in it."""
    if raw is None and Path(path).suffix.lower() in RAW_EXTENSIONS:
        raise InvalidValue(
            f"{printable(path)}: raw video has no header; say what it holds: --size WIDTHxHEIGHT, --pixel-format, --fps "
            "(in Python raw=RawFormat(...)), or wrap it as Y4M"
        )


def _name(path: PathName) -> str:
    return str(Path(path).expanduser())


def score_plan(
    plan: PairPlan,
    chosen: Chosen,
    device: torch.device,
    max_pixels: int,
    progress: Progress | None,
    outside: LibvmafBackend | None,
) -> ScoreResult:
    """Scores what a plan says, whoever made it: the pairs of its alignment within its crops. Raises as `score`."""
    if outside is not None:
        return _run_outside(plan, chosen, max_pixels, progress, outside)
    runners = [Runner(_set_up(cls, device)) for cls in chosen.analyzers]
    for runner in runners:
        runner.start(plan.distorted.media)
    stream = PairStream(
        plan.distorted, plan.reference, plan.form, plan.pairs,
        crops=plan.crops, device=device, max_pixels=max_pixels, kept=plan.kept,
    )  # fmt: skip
    numbers: list[tuple[NDArray, ...]] = []
    frames = 0
    with torch.inference_mode(), stream:
        for batch in stream:
            _feed(batch, runners)
            numbers.append(_numbers(batch))
            frames += len(batch)
            if progress is not None:
                progress(frames, float(batch.pts_seconds[-1]))
            if all(r.error is not None for r in runners):
                break
        for runner in runners:
            runner.finish()
    if not numbers:
        raise NothingDecoded(plan.distorted.path, "no pair of frames could be decoded")
    return _result(plan, chosen, runners, numbers, stream)


def _run_outside(
    plan: PairPlan, chosen: Chosen, max_pixels: int, progress: Progress | None, outside: LibvmafBackend
) -> ScoreResult:
    from mediaml.engine.score.libvmaf import run_libvmaf

    stream = PairStream(
        plan.distorted, plan.reference, plan.form, plan.pairs,
        crops=plan.crops, max_pixels=max_pixels, kept=plan.kept,
    )  # fmt: skip
    runners, numbers = run_libvmaf(outside, plan, stream, chosen.analyzers, _numbers, progress)
    if not numbers:
        raise NothingDecoded(plan.distorted.path, "no pair of frames could be decoded")
    result = _result(plan, chosen, runners, numbers, stream)
    result.backend = outside.name
    return result


def _set_up(cls: type[Analyzer], device: torch.device) -> Analyzer:
    analyzer = cls()
    analyzer.setup(device)
    return analyzer


def _feed(batch: FrameBatch, runners: Sequence[Runner]) -> None:
    """One batch to all runners; a pair has one lane, whatever need they state."""
    need = runners[0].spec.need
    assert need is not None
    feed_delivery(Delivery(need, batch), [r for r in runners if r.error is None])


def _numbers(batch: FrameBatch) -> tuple[NDArray, ...]:
    reference = batch.reference
    assert reference is not None
    tensors = (batch.frame_index, batch.pts_seconds, reference.frame_index, reference.pts_seconds)
    return tuple(t.cpu().numpy() for t in tensors)


def _result(
    plan: PairPlan, chosen: Chosen, runners: list[Runner], numbers: list[tuple[NDArray, ...]], stream: PairStream
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
    pooled = _pooled(columns, frames, slice(None))
    notes = [*plan.notes, *_fault_notes(plan, stream, len(frames["frame_index"]))]
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


def _pooled(columns: Sequence[Column], frames: dict[str, NDArray], rows: slice | NDArray) -> dict[str, Pooled]:
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


def _shot(result: ScoreResult, start: float, end: float) -> ShotScore:
    times = result.frames["pts_seconds"]
    inside = (times >= start - 1e-6) & (times < end - 1e-6)
    return ShotScore(start, end, _pooled(result.columns, result.frames, inside))


def _fault_notes(plan: PairPlan, stream: PairStream, scored: int) -> list[str]:
    """Faults inside the files, and what was left over without alignment."""
    notes = []
    for report, file in zip(stream.reports, (plan.distorted, plan.reference), strict=True):
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
