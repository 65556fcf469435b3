"""Values to Arrow arrays, refusing what a table must not hold: NaN, infinities, wrong types, lengths and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mediaml.errors import ContractBreach
from mediaml.tables.rows import clean_text
from mediaml.tables.schema import Field

_KINDS = {"float32": "fiu", "float64": "fiu", "int32": "iu", "int64": "iu", "bool": "b"}


def to_arrow(field: Field, values: Any, analyzer: str, table: str) -> pa.Array:
    """`values` as an array of the field's type; length as given.

    Takes sequences with None for null, ndarrays, masked arrays, Arrow arrays; (N, D) for vectors.
    Raises ContractBreach naming analyzer and column.
    """
    where = f"{table}.{field.name}"
    try:
        array = _vectors(field, values) if field.length is not None else _scalars(field, values)
        _check(field, array)
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        raise ContractBreach(analyzer, f"column {where} ({field.dtype}): {error}") from error
    return array


def _scalars(field: Field, values: Any) -> pa.Array:
    kind = field.arrow_type
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        _check_kind(field, flat.type.to_pandas_dtype())
        return flat.cast(kind)
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        if values.ndim != 1:
            raise ValueError(f"has shape {values.shape}; a scalar column takes (N,)")
        _check_kind(field, values.dtype)
        mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
        return pa.array(np.ma.getdata(values), mask=mask, from_pandas=False).cast(kind)
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if field.dtype == "string":
        values = [clean_text(v) if isinstance(v, str) else v for v in values]
    elif field.dtype in _KINDS:
        for value in values:
            if value is not None:
                _check_kind(field, np.asarray(value).dtype)
    return pa.array(values, type=kind, from_pandas=False)


def _check_kind(field: Field, dtype: Any) -> None:
    allowed = _KINDS.get(field.dtype)
    if allowed is not None and np.dtype(dtype).kind not in allowed:
        raise TypeError(f"got {np.dtype(dtype)} values")


def _vectors(field: Field, values: Any) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        values = values.to_pylist()
    if not isinstance(values, np.ndarray):
        values = list(values)
        if any(v is None for v in values):
            return _sparse_vectors(field, values)
        values = np.asarray(values) if values else np.zeros((0, field.length or 1), np.float32)
    if values.ndim != 2:
        raise ValueError(f"has shape {values.shape}; a vector column takes (N, D)")
    if field.length and values.shape[1] != field.length:
        raise ValueError(f"has vectors of length {values.shape[1]}; {field.length} are declared")
    if values.shape[1] == 0:
        raise ValueError("has vectors of length 0")
    scalar = _scalars_of(field)
    _check_kind(scalar, values.dtype)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), from_pandas=False).cast(scalar.arrow_type)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _sparse_vectors(field: Field, values: list[Any]) -> pa.Array:
    lengths = {len(v) for v in values if v is not None}
    if len(lengths) > 1 or (field.length and lengths - {field.length}):
        raise ValueError(f"has vectors of lengths {sorted(lengths)}; {field.length or 'one length'} is declared")
    length = field.length or next(iter(lengths), 1)
    return pa.array([None if v is None else list(v) for v in values], pa.list_(_scalars_of(field).arrow_type, length))


def _scalars_of(field: Field) -> Field:
    """The field of a vector's elements."""
    return Field(field.name, field.dtype, field.unit, field.description)


def _check(field: Field, array: pa.Array) -> None:
    if array.null_count and not field.nullable:
        raise ValueError(f"{array.null_count} of {len(array)} values are null, and the column is not nullable")
    flat = array.flatten() if field.length is not None else array
    if field.length is not None and flat.null_count:
        raise ValueError("a vector holds null")
    if field.dtype in ("float32", "float64"):
        wrong = len(flat) - flat.null_count - (_call("sum", _call("is_finite", flat)).as_py() or 0)
        if wrong:
            raise ValueError(
                f"{wrong} of {len(flat)} values are NaN or infinite; null is the value for 'does not apply'"
            )
    if field.dtype in ("float32", "float64", "int32", "int64") and len(flat) > flat.null_count:
        _check_range(field, flat)


def _check_range(field: Field, flat: pa.Array) -> None:
    extent = _call("min_max", flat).as_py()
    cast = np.float32 if field.dtype == "float32" else float
    if field.minimum is not None and extent["min"] < cast(field.minimum):
        raise ValueError(f"value {extent['min']!r} is below the declared minimum {field.minimum!r}")
    if field.maximum is not None and extent["max"] > cast(field.maximum):
        raise ValueError(f"value {extent['max']!r} is above the declared maximum {field.maximum!r}")


def _call(function: str, values: Any) -> Any:
    return pc.call_function(function, [values])
