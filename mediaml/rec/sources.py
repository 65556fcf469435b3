"""Where behaviour logs are read from: Parquet, CSV, DuckDB and PostgreSQL. Nothing is ever written there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mediaml.errors import InvalidValue, QueryError, printable

_DATABASES = (".duckdb", ".db", ".ddb")
_FETCH_ROWS = 65_536


def read_source(source: str | Path, query: str | None = None) -> pa.Table:
    """A raw log.

    Args:
        source: file ending in .parquet, .csv or .duckdb, a folder of Parquet files, or "postgresql://user@host/database"
            (the password comes from PGPASSWORD or ~/.pgpass, as libpq reads it).
        query: one SELECT for databases.

    Raises:
        InvalidValue: absent, unreadable, of another kind, or a query where none fits. QueryError.
    """
    text = str(source)
    if text.startswith(("postgresql://", "postgres://")):
        return _postgres(text, _needed(query, "a PostgreSQL address"))
    if "://" in text:
        raise InvalidValue(f"{text.split('://')[0]}:// is no source; use a file or postgresql://")
    path = Path(source)
    if not path.exists():
        raise InvalidValue(f"{printable(path)}: there is no such file")
    ending = path.suffix.lower()
    if ending in _DATABASES:
        return _duckdb(path, _needed(query, printable(path)))
    if query is not None:
        raise InvalidValue(
            f"{printable(path)}: a query is for databases; give a .duckdb file or a postgresql:// address"
        )
    try:
        if path.is_dir() or ending in (".parquet", ".pq"):
            return pq.read_table(path)
        if ending in (".csv", ".tsv"):
            return _csv(path, "\t" if ending == ".tsv" else ",")
    except (OSError, pa.ArrowException) as error:
        raise InvalidValue(f"{printable(path)}: cannot be read: {error}") from error
    raise InvalidValue(f"{printable(path)}: ending {ending!r} is not .parquet, .csv, .tsv or .duckdb")


def _needed(query: str | None, what: str) -> str:
    if not query:
        raise InvalidValue(f"{what} needs a query: one SELECT, given with --query")
    return query


def _csv(path: Path, delimiter: str) -> pa.Table:
    """CSV with a heading. Ids and times stay text: 007 is an id, and a time is read by our own rules."""
    parse = pa_csv.ParseOptions(delimiter=delimiter)
    with pa_csv.open_csv(path, parse_options=parse) as reader:
        names = reader.schema.names
    kept = {n: pa.string() for n in names if n not in ("dwell_seconds", "position", "propensity")}
    convert = pa_csv.ConvertOptions(column_types=kept, strings_can_be_null=True, quoted_strings_can_be_null=False)
    return pa_csv.read_csv(path, parse_options=parse, convert_options=convert)


def _duckdb(path: Path, query: str) -> pa.Table:
    try:
        with duckdb.connect(str(path), read_only=True) as db:
            db.execute("SET TimeZone = 'UTC'; SET enable_external_access = false; SET lock_configuration = true")
            statements = db.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise QueryError(f"{printable(path)}: a query is one SELECT statement")
            return db.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise QueryError(f"{printable(path)}: {error}") from error


def _postgres(address: str, query: str) -> pa.Table:
    """A read-only transaction with a server-side cursor; rows come in batches."""
    try:
        import psycopg  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InvalidValue("reading PostgreSQL needs psycopg 3: pip install 'mediaml[postgres]'") from None
    try:
        with psycopg.connect(address) as connection:
            connection.read_only = True
            with connection.cursor(name="mediaml_events") as cursor:
                cursor.itersize = _FETCH_ROWS
                cursor.execute(query.encode())
                return _table(cursor)
    except psycopg.Error as error:
        raise QueryError(f"PostgreSQL: {str(error).strip()}") from error


def _table(cursor: Any) -> pa.Table:
    batches: list[pa.Table] = []
    while rows := cursor.fetchmany(_FETCH_ROWS):
        names = [c.name for c in cursor.description]
        columns = [pa.array(list(map(_plain, values))) for values in zip(*rows, strict=True)]
        batches.append(pa.Table.from_arrays(columns, names=names))
    if not batches:
        return pa.table({c.name: pa.nulls(0) for c in cursor.description or ()})
    return pa.concat_tables(batches, promote_options="permissive")


def _plain(value: Any) -> Any:
    """NUMERIC and UUID, which Arrow would keep as their own types."""
    import decimal
    import uuid

    if isinstance(value, decimal.Decimal):
        return float(value)
    return str(value) if isinstance(value, uuid.UUID) else value
