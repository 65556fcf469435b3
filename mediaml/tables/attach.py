"""Rows of a table with long vectors, taken by position in small batches and streamed to Parquet.

A join moves positions only; a vector is copied once, when the batch that needs it is written.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, printable


@dataclass(frozen=True, slots=True, eq=False)
class VectorColumn:
    """One vector a row, where there is one.

    values    (P, D) float32: the vectors that are there
    position  (N,) int64: for each row the position of its vector in `values`; -1 for null
    """

    values: NDArray[np.float32]
    position: NDArray[np.int64]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> VectorColumn:
        """From a column of lists of one length (or null). Raises InvalidValue where lengths differ."""
        present, parts, widths = [], [], set()
        for chunk in column.chunks:
            valid = chunk.is_valid().to_numpy(zero_copy_only=False)
            present.append(valid)
            filled = chunk.drop_null()
            if len(filled):
                lengths = filled.value_lengths() if hasattr(filled, "value_lengths") else None
                widths |= {chunk.type.list_size} if lengths is None else set(lengths.to_pylist())
                parts.append(filled.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False))
        if len(widths) > 1:
            raise InvalidValue(f"vectors of lengths {sorted(widths)} cannot stand in one column; choose one model")
        valid = np.concatenate(present) if present else np.zeros(0, bool)
        flat = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        width = next(iter(widths), 1)
        return cls(flat.reshape(-1, width), np.where(valid, np.cumsum(valid) - 1, -1))

    @property
    def type(self) -> pa.DataType:
        return pa.list_(pa.float32(), self.values.shape[1])

    def take(self, rows: NDArray[np.int64]) -> pa.Array:
        """(M,) positions of rows, -1 for none -> (M,) fixed-size lists, null where there is no vector."""
        if not len(self.values):
            return pa.nulls(len(rows), self.type)
        at = np.where(rows >= 0, self.position[rows], -1)
        flat = self.values[at].reshape(-1)  # null rows hold some vector, which the mask hides
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), self.values.shape[1], mask=pa.array(at < 0))


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """A table in two parts: `scalars`, and `vectors` by column name, all of the same rows. `names` is their order."""

    names: tuple[str, ...]
    scalars: pa.Table
    vectors: Mapping[str, VectorColumn]

    @classmethod
    def of(cls, table: pa.Table) -> Values:
        """Splits a table."""
        lists = [f.name for f in table.schema if pa.types.is_list(f.type) or pa.types.is_fixed_size_list(f.type)]
        vectors = {n: VectorColumn.of(table.column(n)) for n in lists}
        return cls(tuple(table.column_names), table.drop_columns(lists).combine_chunks(), vectors)

    def schema(self, metadata: Mapping[str, Mapping[str, str]]) -> pa.Schema:
        """With `metadata` of each column that has some."""
        kinds = {f.name: f.type for f in self.scalars.schema} | {n: v.type for n, v in self.vectors.items()}
        return pa.schema([pa.field(n, kinds[n], metadata=dict(metadata.get(n, {}))) for n in self.names])

    def take(self, rows: NDArray[np.int64]) -> list[pa.Array]:
        """(M,) positions, -1 for a row of nulls -> the columns in order."""
        picked = self.scalars.take(pa.array(rows, mask=rows < 0))
        return [
            self.vectors[n].take(rows) if n in self.vectors else _whole(picked.column(n), len(rows)) for n in self.names
        ]


def _whole(column: pa.ChunkedArray, rows: int) -> pa.Array:
    return column.combine_chunks() if rows else pa.nulls(0, column.type)


def write_parquet_stream(path: str | os.PathLike[str], schema: pa.Schema, batches: Iterable[Sequence[pa.Array]]) -> int:
    """Writes batches of columns as row groups, whole or not at all; the number of rows.

    Vectors are stored plain, as neither dictionaries nor compression help them; the rest is compressed.
    Raises InvalidValue: the path cannot be written.
    """
    target = Path(path)
    temp = target.with_name(f".{uuid.uuid4().hex}.tmp")
    plain = [f.name for f in schema if not pa.types.is_fixed_size_list(f.type)]
    vectors = [f"{f.name}.list.element" for f in schema if pa.types.is_fixed_size_list(f.type)]
    compression = dict.fromkeys(plain, "zstd") | dict.fromkeys(vectors, "none")
    rows = 0
    try:
        options: dict[str, Any] = {"compression": compression, "use_dictionary": plain, "write_statistics": plain}
        with pq.ParquetWriter(temp, schema, **options) as writer:
            for columns in batches:
                table = pa.Table.from_arrays(list(columns), schema=schema)
                writer.write_table(table)
                rows += table.num_rows
        temp.replace(target)
    except OSError as error:
        raise InvalidValue(f"{printable(target)}: cannot be written: {error.strerror or error}") from error
    finally:
        temp.unlink(missing_ok=True)
    return rows
