"""`mediaml score FILE` without a reference: predicted quality over time with its interval, artifacts, worst moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.analyzers.base import Analyzer, registry
from mediaml.analyzers.quality_nr.mediaml_nr import MediamlNrQuality
from mediaml.decode.probe import probe
from mediaml.engine.analyze import check_weights, discover
from mediaml.engine.pooling import Limit, Pooled, missed, pool, worst_frames
from mediaml.engine.run import MediaOutcome, Progress, run_media
from mediaml.engine.runner import Runner
from mediaml.engine.settings import DEFAULT_MAX_PIXELS, DeviceName, choose_device
from mediaml.engine.work import truncation
from mediaml.errors import AnalyzerError, InvalidValue, MediaError, NoStreams, WeightsAbsent, printable
from mediaml.media import MediaInfo
from mediaml.spec import Column, Table

WORST_MOMENTS = 5
ARTIFACT_GROUPS = frozenset({"qc", "artifacts"})
QUALITY, LOW, HIGH, SCALED = (c.name for c in MediamlNrQuality.spec.columns(Table.FRAMES))
LIMIT_NAMES = {"nr": QUALITY, "nr_1080": SCALED}
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stretch of the file with something wrong. Times in seconds; severity and confidence in 0..1."""

    kind: str
    start_seconds: float
    end_seconds: float
    severity: float
    confidence: float
    message: str
    analyzer: str


@dataclass(frozen=True, slots=True)
class WorstMoment:
    """A picture among those of the lowest predicted quality, with its interval."""

    pts_seconds: float
    quality: float
    low: float
    high: float


@dataclass(slots=True, eq=False)
class SingleScore:
    """What came of one file.

    frames     equally long columns, one row a picture that was looked at: frame_index (-1: not known), pts_seconds, and the
               analyzer's columns; NaN where a column has no value
    pooled     column -> mean, percentiles, ... of the columns with a value
    mean       (low, predicted, high): the file's mean quality and its 95 % interval
    artifacts  by start
    notes      what was left out and why
    """

    media: MediaInfo
    columns: tuple[Column, ...]
    frames: Arrays
    pooled: dict[str, Pooled]
    mean: tuple[float, float, float]
    worst: list[WorstMoment]
    artifacts: list[Artifact]
    notes: list[str] = field(default_factory=list)
    wall_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class SingleOutcome:
    """A file's score, or its error; `missed` limits with what was reached."""

    path: Path
    result: SingleScore | None = None
    missed: list[tuple[Limit, float | None]] = field(default_factory=list)
    error: MediaError | AnalyzerError | None = None


def score_single(
    path: Path,
    *,
    device: DeviceName = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    artifacts: bool = True,
    progress: Progress | None = None,
) -> SingleScore:
    """Judges one file without a reference. `artifacts`: also run every detector of the groups "qc" and "artifacts".

    Raises MediaError (NoStreams without video, LimitExceeded above `max_pixels`), WeightsAbsent, AnalyzerError where the
    quality model failed.
    """
    check_weights([MediamlNrQuality])
    media = probe(path)
    if media.main_video is None:
        raise NoStreams(path, "holds no video stream, so there is no picture to judge; `mediaml qc` judges sound alone")
    classes, notes = detectors() if artifacts else ([], [])
    where = torch.device(choose_device(device))
    ready = [_set_up(cls, where) for cls in (MediamlNrQuality, *classes)]
    outcome = run_media(path, media, ready, device=where, max_pixels=max_pixels, progress=progress)
    return _result(outcome, notes)


def detectors() -> tuple[list[type[Analyzer]], list[str]]:
    """Every registered analyzer that finds artifacts and whose weights are here; and a note for each of the others."""
    found, notes = [], []
    for name, cls in registry().items():
        if not (cls.spec.kinds and ARTIFACT_GROUPS & set(cls.spec.groups)) or cls.spec.needs_reference:
            continue
        try:
            check_weights([cls])
            found.append(cls)
        except WeightsAbsent as absent:
            notes.append(f"{name} was not run: {absent}")
    return found, notes


def score_files(
    paths: Sequence[Path],
    limits: Sequence[Limit] = (),
    *,
    device: DeviceName = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Callable[[Path], Progress | None] | None = None,
) -> Iterator[SingleOutcome]:
    """Files and directories, one after the other; a file's fault is in its outcome.

    Raises UsageError and WeightsAbsent before the first file.
    """
    check_limits(limits)
    check_weights([MediamlNrQuality])
    found = discover([p.expanduser() for p in paths])
    if not found.files and not found.errors:
        raise InvalidValue(f"{' '.join(printable(p) for p in paths)}: holds no media")
    for error in found.errors:
        yield SingleOutcome(Path(error.path), error=error)
    for path in found.files:
        report = progress(path) if progress is not None else None
        try:
            result = score_single(path, device=device, max_pixels=max_pixels, progress=report)
        except (MediaError, AnalyzerError) as error:
            yield SingleOutcome(path, error=error)
            continue
        yield SingleOutcome(path, result, missed(limits, result.pooled))


def exit_code(outcomes: Sequence[SingleOutcome]) -> int:
    """0 all well, 1 where a file failed, else 3 where a limit was missed."""
    if any(o.error is not None for o in outcomes):
        return 1
    return 3 if any(o.missed for o in outcomes) else 0


def parse_limits(text: str) -> tuple[Limit, ...]:
    """`nr=80,p5:nr=60,nr_1080=70`. Raises InvalidValue."""
    limits = tuple(replace(m, column=LIMIT_NAMES.get(m.column, m.column)) for m in Limit.parse(text))
    check_limits(limits)
    return limits


def check_limits(limits: Sequence[Limit]) -> None:
    """Raises InvalidValue for a limit on something that is not predicted."""
    for limit in limits:
        if limit.column not in LIMIT_NAMES.values():
            known = ", ".join(LIMIT_NAMES)
            raise InvalidValue(
                f"limit {limit}: without a reference only {known} are predicted; name a source with --reference for others"
            )


def _set_up(cls: type[Analyzer], device: torch.device) -> Analyzer:
    analyzer = cls()
    analyzer.setup(device)
    return analyzer


def _result(outcome: MediaOutcome, notes: list[str]) -> SingleScore:
    if outcome.error is not None:
        raise outcome.error
    model, *others = outcome.runners
    if model.error is not None or Table.FRAMES not in model.rows:
        raise AnalyzerError(
            model.spec.name, f"gave no prediction for {outcome.media.path}: {model.error or 'no picture'}"
        )
    columns = model.spec.columns(Table.FRAMES)
    rows = model.rows[Table.FRAMES]
    frames = {name: _numbers(values) for name, values in rows.items()}
    order = np.argsort(frames["pts_seconds"], kind="stable")
    frames = {name: values[order] for name, values in frames.items()}
    pooled = {c.name: pool(frames[c.name], frames["pts_seconds"]) for c in columns}
    files = model.rows[Table.FILES]
    middle, low, high = (float(files[c.name][0]) for c in model.spec.columns(Table.FILES)[:3])
    failed = [f"{r.spec.name} gave nothing: {r.error}" for r in others if r.error is not None]
    cut = truncation(outcome)
    return SingleScore(
        media=outcome.media,
        columns=columns,
        frames=frames,
        pooled={name: p for name, p in pooled.items() if p is not None},
        mean=(low, middle, high),
        worst=_worst(frames),
        artifacts=sorted((a for r in others for a in _artifacts(r)), key=lambda a: (a.start_seconds, a.kind)),
        notes=[*notes, *failed, *([] if cut is None else [str(cut)])],
        wall_seconds=outcome.wall_seconds,
    )


def _numbers(values: Any) -> NDArray[Any]:
    """A column as numpy; null becomes NaN."""
    if isinstance(values, np.ndarray):
        return values
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _worst(frames: Arrays) -> list[WorstMoment]:
    rows = worst_frames(frames[QUALITY], frames["pts_seconds"], WORST_MOMENTS)
    return [WorstMoment(*(float(frames[n][row]) for n in ("pts_seconds", QUALITY, LOW, HIGH))) for row in rows]


def _artifacts(runner: Runner) -> Iterator[Artifact]:
    spans = runner.rows.get(Table.SPANS, {})
    names = ("kind", "start_seconds", "end_seconds", "severity", "confidence", "message")
    for row in zip(*(spans[n] for n in names), strict=True) if spans else ():
        kind, start, end, severity, confidence, message = row
        yield Artifact(
            kind, float(start), float(end), float(severity), float(confidence), message or "", runner.spec.name
        )
