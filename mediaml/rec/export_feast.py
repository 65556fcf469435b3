"""Title features as a Feast feature repository.

Feast joins by one time, the event timestamp, and by default pays no heed to when a row was created. So the file has one row
a step: the moment from which a version is what a "known" join gives. Feast's own join over it then sees nothing early.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mediaml.rec.items import Items
from mediaml.rec.joining import BATCH_ROWS, read_feature_rows, read_versions
from mediaml.tables import Lake
from mediaml.tables.asof import AsOf
from mediaml.tables.attach import write_parquet_stream

_TIMESTAMP = pa.timestamp("us", "UTC")


def write_feast(lake: Lake, items: Items, folder: Path) -> dict[str, Any]:
    """features.parquet, features.py and feature_store.yaml."""
    versions = read_versions(lake, items.feature_set)
    with AsOf(versions) as asof:
        rows, available = asof.steps()
    keys = ("title_id", "computed_at", "deleted")
    about = read_feature_rows(lake, keys, items.feature_set).take(pa.array(rows))
    values = items.values
    names = {n: {"unit": c.unit, "description": c.description} for n, c in items.columns.items()}
    head = [pa.field("title_id", pa.string()), pa.field("event_timestamp", _TIMESTAMP), pa.field("created", _TIMESTAMP)]
    schema = pa.schema([*head, pa.field("deleted", pa.bool_()), *values.schema(names)])

    def batches() -> Any:
        for start in range(0, len(rows), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            times = pa.array(available[part]).cast(_TIMESTAMP)
            title, created, deleted = (about.column(n).slice(start, BATCH_ROWS).combine_chunks() for n in keys)
            yield [title, times, created.cast(_TIMESTAMP), deleted, *values.take(np.asarray(rows[part]))]

    write_parquet_stream(folder / "features.parquet", schema, batches())
    (folder / "features.py").write_text(_definitions(schema))
    (folder / "feature_store.yaml").write_text(
        "project: mediaml\nprovider: local\nregistry: registry.db\noffline_store:\n  type: file\n"
        "online_store:\n  type: sqlite\n  path: online.db\nentity_key_serialization_version: 3\n"
    )
    return {"event_timestamp": "from when the row is what was true and known", "steps": len(rows)}


def _definitions(schema: pa.Schema) -> str:
    fields = [f"        Field(name={f.name!r}, dtype={_feast_type(f.type)}),\n" for f in schema if f.name not in _KEYS]
    return (
        '"""Title features for Feast: `feast apply` in this folder."""\n\n'
        "from pathlib import Path\n\n"
        "from feast import Entity, FeatureView, Field, FileSource, ValueType\n"
        "from feast.types import Array, Bool, Float32, Float64, String\n\n"
        'title = Entity(name="title", join_keys=["title_id"], value_type=ValueType.STRING)\n\n'
        "title_features = FeatureView(\n"
        '    name="title_features",\n'
        "    entities=[title],\n"
        f"    schema=[\n{''.join(fields)}    ],\n"
        "    source=FileSource(\n"
        '        path=str(Path(__file__).with_name("features.parquet")),\n'
        '        timestamp_field="event_timestamp",\n'
        '        created_timestamp_column="created",\n'
        "    ),\n"
        ")\n"
    )


_KEYS = ("title_id", "event_timestamp", "created")


def _feast_type(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return "Array(Float32)"
    names = {pa.bool_(): "Bool", pa.float32(): "Float32", pa.float64(): "Float64", pa.string(): "String"}
    return names[kind]
