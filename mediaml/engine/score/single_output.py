"""A score without a reference as plain data, and as a table of the pictures that were looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from mediaml.analyzers.quality_nr.mediaml_nr import MediamlNrQuality
from mediaml.engine.score.single import QUALITY, SingleOutcome, SingleScore
from mediaml.errors import printable
from mediaml.spec import Column
from mediaml.tables.export import ExportFormat, export

KEYS = (
    Column("frame_index", "int64", "frames", "position in display order; null: not known", nullable=True),
    Column("pts_seconds", "float64", "s", "presentation time"),
)


def single_dict(outcome: SingleOutcome) -> dict[str, Any]:
    """Plain JSON types; what has no value is left out."""
    about: dict[str, Any] = {"version": f"mediaml {version('mediaml')}", "path": printable(outcome.path)}
    result = outcome.result
    if result is None:
        return about | {"error": str(outcome.error), "kind": None if outcome.error is None else outcome.error.kind}
    low, middle, high = result.mean
    return about | {
        "model": {"analyzer": MediamlNrQuality.spec.id, "source": MediamlNrQuality.spec.cite},
        "quality": {"mean": middle, "low": low, "high": high, "nominal_coverage": 0.95, "unit": "predicted VMAF"},
        "pooled_metrics": {name: p.to_dict() for name, p in result.pooled.items()},
        "frames": _frames(result),
        "worst_moments": [asdict(w) for w in result.worst],
        "artifacts": [asdict(a) for a in result.artifacts],
        "missed": [{"limit": str(limit), "reached": reached} for limit, reached in outcome.missed],
        "notes": result.notes,
        "seconds": {"wall": round(result.wall_seconds, 3)},
    }


def _frames(result: SingleScore) -> list[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in result.frames.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [{n: v for n, v in row.items() if math.isfinite(v) and not (n == "frame_index" and v < 0)} for row in rows]


def frame_table(result: SingleScore, path: Path) -> pa.Table:
    """One row a picture looked at; units and descriptions in the fields' metadata, null where there is no value."""
    arrays, fields = [pa.array([printable(path)] * len(result.frames[QUALITY]))], [pa.field("path", pa.string())]
    for column in (*KEYS, *result.columns):
        values = result.frames[column.name]
        array = (
            pa.array(values, mask=values < 0) if column.name == "frame_index" else pa.array(values, from_pandas=True)
        )
        arrays.append(array)
        fields.append(
            pa.field(column.name, array.type, metadata={"unit": column.unit, "description": column.description})
        )
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def write_tables(outcomes: Sequence[SingleOutcome], path: Path, format: ExportFormat) -> None:
    """The pictures of all files that were judged. Raises InvalidValue where the path cannot be written."""
    tables = [frame_table(o.result, o.path) for o in outcomes if o.result is not None]
    if tables:
        export(pa.concat_tables(tables), path, format)
