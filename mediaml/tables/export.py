"""A table as JSON, CSV or Parquet."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from mediaml.errors import InvalidValue, printable

ExportFormat = Literal["json", "csv", "parquet"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BATCH_ROWS = 4096


def export(table: pa.Table, path: str | os.PathLike[str], format: ExportFormat | None = None) -> None:
    """Writes `table` to `path`, whole or not at all; the format is taken from the file name's ending if not given.

    Raises InvalidValue: unknown format, or a path that cannot be written.
    """
    target = Path(path)
    chosen = format or target.suffix.removeprefix(".").lower()
    temp = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temp.open("xb") as out:
            _writer(chosen)(table, out)
        temp.replace(target)
    except OSError as error:
        raise InvalidValue(f"{printable(target)}: cannot be written: {error.strerror or error}") from error
    finally:
        temp.unlink(missing_ok=True)


def dump(table: pa.Table, out: BinaryIO, format: ExportFormat) -> None:
    """Writes `table` to an open binary file."""
    _writer(format)(table, out)


def _writer(format: str) -> Callable[[pa.Table, Any], None]:
    writers = {"json": write_json, "csv": write_csv, "parquet": write_parquet}
    if format not in writers:
        raise InvalidValue(f"export format {format!r} must be one of {', '.join(FORMATS)}")
    return writers[format]


def write_json(table: pa.Table, out: BinaryIO) -> None:
    """A JSON array of objects, one a row: times in ISO 8601, binary in base64, numbers that are not finite as null."""
    names = table.column_names
    lead = "[\n"
    for row in _rows(table):
        text = json.dumps(dict(zip(names, map(_plain, row), strict=True)), ensure_ascii=False, allow_nan=False)
        out.write(f"{lead}{text}".encode())
        lead = ",\n"
    out.write(b"[]\n" if lead == "[\n" else b"\n]\n")


def write_csv(table: pa.Table, out: BinaryIO) -> None:
    """CSV as RFC 4180, UTF-8; null is empty, vectors and structures are JSON, binary is base64.

    Text that a spreadsheet would run as a formula gets a leading apostrophe (OWASP, CSV injection).
    """
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([_safe(name) for name in table.column_names])
    for row in _rows(table):
        writer.writerow([_cell(value) for value in row])
    text.detach()


def write_parquet(table: pa.Table, out: BinaryIO) -> None:
    """Parquet with the field metadata kept."""
    pq.write_table(table, out, compression="zstd")


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _plain(value: Any) -> Any:
    """`value` in JSON types."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date, time)):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value)


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    plain = _plain(value)
    return _safe(plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
