"""Reading a lake that may lack anything: an absent or empty table is simply not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mediaml.tables import ColumnInfo, Lake

NUMBERS = ("float32", "float64", "int32", "int64")
_COMMON = ("media_id", "analyzer", "parameters_hash", "valid_from", "computed_at")


class Source:
    """A lake, asked only for tables that have rows and for columns that exist."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self.rows = {t.name: t.rows for t in lake.tables()}
        self._columns: dict[str, list[ColumnInfo]] = {}

    def all_columns(self, table: str) -> list[ColumnInfo]:
        """Columns of a table with rows, else []."""
        if table not in self._columns:
            self._columns[table] = self._lake.describe(table) if self.rows.get(table) else []
        return self._columns[table]

    def columns(self, table: str) -> list[ColumnInfo]:
        """The same without those that every row has."""
        return [c for c in self.all_columns(table) if c.name not in _COMMON]

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table has rows and all these columns."""
        return {*columns} <= {c.name for c in self.all_columns(table)} and bool(self.rows.get(table))

    def read(self, table: str, columns: Sequence[str], where: str | None = None) -> list[dict[str, Any]]:
        """Rows as dicts in the table's stable order; columns that do not exist are None in every row."""
        there = {c.name for c in self.all_columns(table)}
        if not there:
            return []
        found = self._lake.table(table, [c for c in columns if c in there], where=where).to_pylist()
        absent = {c: None for c in columns if c not in there}
        return [{**row, **absent} for row in found] if absent else found

    def query(self, sql: str) -> pa.Table:
        """One SELECT."""
        return self._lake.query(sql)
