"""Scores in the lake: per-frame rows of the distorted media, and pooled values in its `files` row.

The key of a result holds, beside the analyzer and its settings, what it was compared with and how: the same encode scored
against another reference is another result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mediaml.analyzers.base import Analyzer
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair.format import PairFormat
from mediaml.engine.pooling import Pooled, pool
from mediaml.engine.runner import Runner, analyzer_hash
from mediaml.engine.score.metrics import Chosen
from mediaml.engine.score.result import ScoreResult
from mediaml.engine.work import FileTask, Identity, file_facts, identify, stage
from mediaml.errors import ContractBreach
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake
from mediaml.tables.rows import AnalyzerRows, parameters_hash

PAIR = Spec(
    name="pair",
    version=1,
    summary="what a file was compared with, and how the two were aligned (not an analyzer: a by-product of a score)",
    outputs=(
        Column("reference_index", "int64", "frames", "position of the aligned frame in the reference", minimum=0),
        Column("reference_media_id", "string", "sha256", "content of the reference", Table.FILES),
        Column("frames_scored", "int64", "frames", "frames that have a score", Table.FILES, minimum=0),
        Column(
            "matched_share", "float64", "1", "distorted frames with a reference frame", Table.FILES, 0, 1, nullable=True
        ),
        Column("offset_seconds", "float64", "s", "reference time minus distorted time", Table.FILES, nullable=True),
        Column("dropped_frames", "int64", "frames", "reference frames left out", Table.FILES, minimum=0, nullable=True),
        Column(
            "repeated_frames", "int64", "frames", "reference frames shown again", Table.FILES, minimum=0, nullable=True
        ),
    ),
)
_POOLINGS = ("mean", "harmonic_mean", "min", "p1", "p5", "p10", "worst_second")


def store(result: ScoreResult, lake_path: Path) -> Lake:
    """Writes one result into the lake at `lake_path`, made if absent. Raises LakeError, ContractBreach, MediaError."""
    lake = Lake.open(lake_path, create=True)
    identity = known_identity(lake, result.distorted)
    against = known_identity(lake, result.reference)
    aligned, outside = result.plan.alignment is not None, result.backend != "mediaml"
    how = comparison(
        result.distorted,
        result.reference,
        result.plan.form,
        aligned,
        against.media_id,
        "libvmaf" if outside else "mediaml",
    )
    rows = [_analyzer_rows(r, result, how) for r in result.runners]
    rows.append(_pair_rows(result, against.media_id, how))
    lake.commit([stage(lake, identity, result.distorted.media, rows)])
    lake.commit([stage(lake, against, result.reference.media)])
    return lake


def known_identity(lake: Lake, file: VideoFile) -> Identity:
    """Which content the file holds; read in full only where the lake does not know path, size and time."""
    path = Path(file.path).absolute()
    return identify(FileTask(path, lake.known_path(str(path), *file_facts(path))))


def comparison(
    distorted: VideoFile, reference: VideoFile, form: PairFormat, aligned: bool, reference_id: str, backend: str
) -> dict[str, Any]:
    """What beside the analyzer's own settings makes a result what it is; known before anything is decoded."""
    return {
        "reference": reference_id,
        "aligned": aligned,
        "width": form.size[0],
        "height": form.size[1],
        "pixel_format": form.pixel_format,
        "raw": str(distorted.raw),
        "raw_reference": str(reference.raw),
        **({} if backend == "mediaml" else {"backend": backend}),
    }


def stored(
    lake: Lake,
    distorted: VideoFile,
    reference: VideoFile,
    form: PairFormat,
    aligned: bool,
    chosen: Chosen,
    backend: str,
) -> dict[str, Pooled] | None:
    """Pooled scores of a pair that the lake holds whole for all analyzers chosen; None where one is missing or failed."""
    identity, against = known_identity(lake, distorted), known_identity(lake, reference)
    how = comparison(distorted, reference, form, aligned, against.media_id, backend)
    keys = [(cls.spec.id, _key(cls(), how)) for cls in chosen.analyzers]
    if lake.pending(identity.media_id, keys, retry_failed=True):
        return None
    pooled: dict[str, Pooled] = {}
    for cls, (spec_id, key) in zip(chosen.analyzers, keys, strict=True):
        names = [c.name for c in chosen.columns if c in cls.spec.columns(Table.FRAMES)]
        where = f"media_id = '{identity.media_id}' AND analyzer = '{spec_id}' AND parameters_hash = '{key}'"
        rows = lake.table("frames", ["pts_seconds", *names], where, all_versions=True).to_pydict()
        times = np.array(rows.pop("pts_seconds"), np.float64)
        lower = {c.name for c in chosen.columns if c.better == "lower"}
        for name, values in rows.items():
            known = np.array([np.nan if v is None else v for v in values], np.float64)
            found = pool(known, times, lower_is_better=name in lower)
            if found is not None:
                pooled[name] = found
    return {c.name: pooled[c.name] for c in chosen.columns if c.name in pooled}


def _key(analyzer: Analyzer, how: dict[str, Any]) -> str:
    return parameters_hash({"settings": analyzer_hash(analyzer), **how})


def _analyzer_rows(runner: Runner, result: ScoreResult, how: dict[str, Any]) -> AnalyzerRows:
    key = _key(runner.analyzer, how)
    if runner.error is not None:
        return AnalyzerRows(runner.spec.id, key, status="failed")
    mine = [c for c in result.columns if c in runner.spec.columns(Table.FRAMES) and c.name in result.pooled]
    columns = {t: runner.spec.columns(t) for t in Table if runner.spec.columns(t) or t in runner.rows}
    rows: dict[Table, Any] = dict(runner.rows)
    files = dict(rows.get(Table.FILES, {}))
    extra = []
    for column in mine:
        for pooling, value in _poolings(result.pooled[column.name]).items():
            name = f"{column.name}_{pooling}"
            ends = " (percentiles count from the bad end)" if pooling.startswith("p") else ""
            about = f"{pooling} of {column.name} over the scored frames{ends} ({column.description})"
            extra.append(Column(name, "float64", column.unit, about, Table.FILES, nullable=True, better=column.better))
            files[name] = [value]
    columns[Table.FILES] = (*columns.get(Table.FILES, ()), *extra)
    rows[Table.FILES] = files
    return AnalyzerRows(runner.spec.id, key, columns, rows, source=runner.spec.cite)


def _poolings(pooled: Pooled) -> dict[str, float | None]:
    return {
        name: (None if name == "harmonic_mean" and pooled.harmonic_mean is None else pooled.value(name))
        for name in _POOLINGS
    }


def _pair_rows(result: ScoreResult, reference_id: str, how: dict[str, Any]) -> AnalyzerRows:
    found = None if result.plan.alignment is None else result.plan.alignment.summary
    frames = {n: result.frames[n] for n in ("frame_index", "pts_seconds", "reference_index")}
    files = {
        "reference_media_id": [reference_id],
        "frames_scored": [result.frames_scored],
        "matched_share": [None if found is None else found.matched_share],
        "offset_seconds": [None if found is None else found.offset_seconds],
        "dropped_frames": [None if found is None else found.dropped_frames],
        "repeated_frames": [None if found is None else found.repeated_frames],
    }
    if not result.frames_scored:
        raise ContractBreach(PAIR.name, "no frame was scored")
    columns = {t: PAIR.columns(t) for t in (Table.FRAMES, Table.FILES)}
    return AnalyzerRows(PAIR.id, parameters_hash(how), columns, {Table.FRAMES: frames, Table.FILES: files})
