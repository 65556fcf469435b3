"""The lake: Parquet tables under one manifest, queried with DuckDB."""

from mediaml.tables.info import ColumnInfo, Result, TableInfo, Vectors
from mediaml.tables.lake import Lake
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
    "Result",
    "RunRow",
    "Staged",
    "TableInfo",
    "Vectors",
]
