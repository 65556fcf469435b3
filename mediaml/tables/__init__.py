"""The lake: Parquet tables under one manifest, queried with DuckDB."""

from mediaml.tables.lake import ColumnInfo, Lake, TableInfo, Vectors
from mediaml.tables.rows import AnalyzerRows, ErrorRow, KeyState, MediaRows, PathRow, RunRow
from mediaml.tables.writer import Staged

__all__ = [
    "AnalyzerRows",
    "ColumnInfo",
    "ErrorRow",
    "KeyState",
    "Lake",
    "MediaRows",
    "PathRow",
    "RunRow",
    "Staged",
    "TableInfo",
    "Vectors",
]
