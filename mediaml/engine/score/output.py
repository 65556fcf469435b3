"""A score as files: JSON with libvmaf's field names (existing tools read it), CSV and Parquet of the frames."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from mediaml import weights
from mediaml.engine.runner import Runner
from mediaml.engine.score.result import ScoreResult
from mediaml.errors import InvalidValue, printable
from mediaml.spec import Column, Table
from mediaml.tables.export import ExportFormat, export

KEYS = (
    Column("frame_index", "int64", "frames", "position in the distorted file, in display order", minimum=0),
    Column("pts_seconds", "float64", "s", "presentation time in the distorted file"),
    Column("reference_index", "int64", "frames", "position of the aligned frame in the reference", minimum=0),
    Column("reference_pts_seconds", "float64", "s", "presentation time in the reference"),
)


def score_dict(result: ScoreResult) -> dict[str, Any]:
    """Plain JSON types. libvmaf's fields: version, params, fps, frames[].frameNum and .metrics, pooled_metrics,
    aggregate_metrics; ours: pair, metrics, conventions (what the columns are, settings, model files with their sha256),
    data_range, worst_frames, shots, notes, failed. A metric without a value on a frame is left out."""
    form = result.plan.form
    return {
        "version": f"mediaml {version('mediaml')}",
        "params": {"qualityWidth": form.size[0], "qualityHeight": form.size[1]},
        "fps": round(result.frames_scored / max(1e-9, result.wall_seconds), 2),
        "frames": _frames(result),
        "pooled_metrics": {name: _pooled(p) for name, p in result.pooled.items()},
        "aggregate_metrics": {},
        "pair": {
            "distorted": printable(result.distorted.path),
            "reference": printable(result.reference.path),
            "frames_scored": result.frames_scored,
            **result.plan.to_dict(),
        },
        "metrics": {c.name: {"unit": c.unit, "description": c.description, "better": c.better} for c in result.columns},
        "backend": result.backend,
        "data_range": data_range(result),
        "conventions": {r.spec.name: passport(r) for r in result.runners},
        "worst_frames": [
            {
                "metric": result.primary,
                "frameNum": w.frame_index,
                "reference_frame": w.reference_index,
                "pts_seconds": w.pts_seconds,
                "reference_pts_seconds": w.reference_pts_seconds,
                "value": w.value,
            }
            for w in result.worst
        ],
        "shots": [
            {"start_seconds": s.start_seconds, "end_seconds": s.end_seconds}
            | {"pooled_metrics": {n: _pooled(p) for n, p in s.pooled.items()}}
            for s in result.shots
        ],
        "notes": result.notes,
        "failed": result.failed,
        "seconds": {"wall": round(result.wall_seconds, 3), "align": round(result.align_seconds, 3)},
    }


def data_range(result: ScoreResult) -> str:
    """Which codes were compared: "limited, 0..1023 (10 bit)"."""
    form = result.plan.form
    return f"{form.colour.range}, codes 0..{2**form.bit_depth - 1} ({form.bit_depth} bit)"


def passport(runner: Runner) -> dict[str, Any]:
    """What makes one analyzer's values comparable: convention, settings, model files. Plain JSON types."""
    spec = runner.spec
    return {
        "analyzer": spec.id,
        "summary": spec.summary,
        "source": spec.cite,
        "columns": {c.name: c.description for c in spec.columns(Table.FRAMES)},
        "settings": dict(runner.analyzer.parameters),
        "models": {printable(name): weights.describe(name).sha256 for name in spec.weights},
    }


def _pooled(pooled: Any) -> dict[str, Any]:
    """libvmaf's four first."""
    plain = pooled.to_dict()
    return {k: plain.pop(k) for k in ("min", "max", "mean", "harmonic_mean")} | plain.pop("percentiles") | plain


def _frames(result: ScoreResult) -> list[dict[str, Any]]:
    keys = {c.name: result.frames[c.name].tolist() for c in KEYS}
    metrics = {c.name: result.frames[c.name].tolist() for c in result.columns}
    return [
        {
            "frameNum": keys["frame_index"][row],
            "metrics": {n: v[row] for n, v in metrics.items() if math.isfinite(v[row])},
            "pts_seconds": keys["pts_seconds"][row],
            "reference_frame": keys["reference_index"][row],
        }
        for row in range(result.frames_scored)
    ]


def frame_table(result: ScoreResult) -> pa.Table:
    """One row a scored frame; units and descriptions in the fields' metadata, null where there is no value."""
    arrays, fields = [], []
    for column in (*KEYS, *result.columns):
        values = result.frames[column.name]
        array = pa.array(values, from_pandas=True)
        arrays.append(array)
        facts = {"unit": column.unit, "description": column.description}
        facts |= {} if column.better is None else {"better": column.better}
        fields.append(pa.field(column.name, array.type, metadata=facts))
    passports = {r.spec.name: passport(r) for r in result.runners}
    about = {
        "distorted": printable(result.distorted.path),
        "reference": printable(result.reference.path),
        "mediaml": version("mediaml"),
        "backend": result.backend,
        "data_range": data_range(result),
        "pair": json.dumps(result.plan.to_dict(), allow_nan=False),
        "conventions": json.dumps(passports, allow_nan=False),
    }
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=about))


def check_writable(paths: Iterable[Path | None]) -> None:
    """Before hours of work: raises InvalidValue for an output whose folder is not there or cannot be written to."""
    for path in paths:
        folder = None if path is None else path.parent
        if path is None or folder is None:
            continue
        if not folder.is_dir():
            raise InvalidValue(f"{printable(path)}: cannot be written: there is no folder {printable(folder)}")
        if path.is_dir() or not os.access(folder, os.W_OK):
            raise InvalidValue(
                f"{printable(path)}: cannot be written: {'a folder' if path.is_dir() else 'no permission'}"
            )


def write_json(value: dict[str, Any] | list[dict[str, Any]], path: Path) -> None:
    """Whole or not at all. Raises InvalidValue where the path cannot be written."""
    temp = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temp.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        temp.replace(path)
    except OSError as error:
        raise InvalidValue(f"{printable(path)}: cannot be written: {error.strerror or error}") from error
    finally:
        temp.unlink(missing_ok=True)


def write_frames(results: list[ScoreResult], path: Path, format: ExportFormat) -> None:
    """The frames of one pair, or of several with the files' names in front. Raises InvalidValue."""
    tables = [frame_table(r) for r in results]
    if len(results) > 1:
        tables = [_named(t, r) for t, r in zip(tables, results, strict=True)]
    export(pa.concat_tables(tables, promote_options="default"), path, format)


def _named(table: pa.Table, result: ScoreResult) -> pa.Table:
    for at, (name, file) in enumerate((("distorted", result.distorted), ("reference", result.reference))):
        table = table.add_column(at, name, pa.array([printable(file.path)] * table.num_rows))
    return table
