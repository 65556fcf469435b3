"""What a lake says about its tables, and embeddings as a matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.tables.rows import KeyState
from mediaml.tables.schema import Field


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table as a reader sees it; log tables have no parts."""

    name: str
    rows: int
    parts: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column and what its values mean; `dtype` of a vector is "float32[512]", "float32[]" where lengths differ."""

    name: str
    dtype: str
    unit: str
    minimum: float | None
    maximum: float | None
    description: str
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Embeddings of one length: row i of `keys` says what values[i] stands for."""

    keys: pa.Table
    values: NDArray[np.float32]  # (N, D)


@dataclass(frozen=True, slots=True)
class Result:
    """What the tables show of one analyzer for one media, and which tables have its rows."""

    media_id: str
    key: KeyState
    tables: frozenset[str]


def describe_field(field: Field) -> ColumnInfo:
    """A stored column as `Lake.describe` gives it."""
    dtype = field.dtype if field.length is None else f"{field.dtype}[{field.length or ''}]"
    return ColumnInfo(field.name, dtype, field.unit, field.minimum, field.maximum, field.description, field.source)


def as_vectors(found: pa.Table) -> Vectors:
    """Rows of `embeddings` as a matrix. Raises InvalidValue where their lengths differ."""
    column = found.column("vector").combine_chunks()
    keys = found.drop_columns(["vector"])
    if found.num_rows == 0:
        return Vectors(keys, np.zeros((0, 0), np.float32))
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    length, rest = divmod(len(flat), len(column))
    lengths = pc.call_function("list_value_length", [column])
    if rest or pc.call_function("min_max", [lengths]).as_py()["min"] != length:
        models = sorted(set(found.column("model").to_pylist()))
        raise InvalidValue(f"these embeddings have vectors of different lengths; choose a model: {', '.join(models)}")
    return Vectors(keys, flat.reshape(len(column), length))
