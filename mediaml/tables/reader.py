"""DuckDB over the parts that a catalog names: one view a table, and nothing else on the machine can be read through it.

frames, shots, ...        rows of the newest version of every analyzer
frames_wide, ...          one row an instant, with the columns of all analyzers
all_versions.frames, ...  rows of every version that is stored
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from mediaml.errors import LakeError, QueryError, printable
from mediaml.tables.catalog import LOCAL_ONLY, Catalog
from mediaml.tables.schema import COMMON, KEYS, LOGS, POSITION, WIDE, Field, merge

Schemas = Callable[[str], tuple[Field, ...]]


@dataclass(frozen=True, slots=True)
class PartFile:
    """A part with rows to be read; `filtered` where some of its rows must not be seen."""

    path: str
    schema: str
    filtered: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """The parts of every part table, in a stable order, and the keys hidden in those that are filtered."""

    parts: Mapping[str, list[PartFile]]
    hidden: pa.Table  # path, media_id, analyzer, parameters_hash


def quote(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def select_parts(catalog: Catalog, every_version: bool) -> Selection:
    """The parts to read: those with a key that is visible (or, for every version, live)."""
    flag = "live" if every_version else "visible"
    rows = catalog.sql(
        f"SELECT tbl, path, schema, {flag} < s.keys AS filtered FROM part_state s JOIN parts p ON p.rowid = s.part "  # noqa: S608
        f"WHERE {flag} > 0 ORDER BY tbl, split_part(path, '-', 1), first_key, path"
    )
    parts: dict[str, list[PartFile]] = {name: [] for name in KEYS}
    for table, path, schema, filtered in zip(*rows.to_pydict().values(), strict=True):
        if table not in parts:
            raise LakeError(f"part {printable(path)} belongs to table {table!r}, which this version does not know")
        parts[table].append(PartFile(path, schema, filtered))
    hidden = catalog.sql(f"SELECT path, media_id, analyzer, parameters_hash FROM entries WHERE NOT {flag}")  # noqa: S608
    return Selection(parts, hidden)


def table_fields(table: str, parts: Iterable[PartFile], schemas: Schemas) -> tuple[Field, ...]:
    """All columns of a part table: the keys, then what its parts hold, by name."""
    merged: dict[str, Field] = {}
    for schema in sorted({p.schema for p in parts}):
        for f in schemas(schema):
            merged[f.name] = merge(merged[f.name], f) if f.name in merged else f
    keys = [merged.pop(f.name, f) for f in (*COMMON, *KEYS[table])]
    return (*keys, *(merged[name] for name in sorted(merged)))


class Reader:
    """A locked, read-only DuckDB connection over one state of the lake."""

    def __init__(self, root: Path, catalog: Catalog, schemas: Schemas) -> None:
        self.root = root.resolve()
        self.head = catalog.head
        self._schemas = schemas
        self.fields: dict[str, tuple[Field, ...]] = dict(LOGS)
        self.every_fields: dict[str, tuple[Field, ...]] = dict(LOGS)
        newest, every = select_parts(catalog, False), select_parts(catalog, True)
        spill = str(Path(tempfile.gettempdir()) / f"mediaml-duckdb-{os.getpid()}")
        self._db = duckdb.connect(":memory:", config={**LOCAL_ONLY, "temp_directory": spill})
        self._db.execute("SET TimeZone = 'UTC'")
        files = {str(self.root / p.path) for s in (newest, every) for ps in s.parts.values() for p in ps}
        self._db.execute("SET allowed_paths = $1", [sorted(files)])
        self._db.execute("SET enable_external_access = false")
        self._db.execute("CREATE SCHEMA all_versions; CREATE SCHEMA internal")
        for name in LOGS:
            self._keep(f"main.{name}", catalog.log(name))
            self._keep(f"all_versions.{name}", catalog.log(name, every=True))
        self._views("all_versions", every, self.every_fields)
        self._views("main", newest, self.fields)
        self._wide_views()
        self._db.execute("SET lock_configuration = true")

    def _keep(self, name: str, rows: pa.Table) -> None:
        self._db.register("incoming", rows)
        self._db.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608
        self._db.unregister("incoming")

    def _views(self, into: str, selection: Selection, fields: dict[str, tuple[Field, ...]]) -> None:
        root = str(self.root)
        hidden = selection.hidden.set_column(
            0, "path", pa.array([f"{root}/{p}" for p in selection.hidden.column("path").to_pylist()], pa.string())
        )
        self._keep(f"internal.hidden_{into}", hidden)
        for table, parts in selection.parts.items():
            fields[table] = table_fields(table, parts, self._schemas)
            body = self._union(fields[table], parts, f"internal.hidden_{into}")
            if table == "media":
                body = _with_current_path(fields[table], body, into)
            self._db.execute(f"CREATE VIEW {into}.{table} AS {body}")

    def _union(self, fields: tuple[Field, ...], parts: list[PartFile], hidden: str) -> str:
        groups: dict[tuple[str, bool], list[str]] = {}
        for part in parts:
            groups.setdefault((part.schema, part.filtered), []).append(str(self.root / part.path))
        selects = [self._select(fields, *group, files, hidden) for group, files in groups.items()]
        if not selects:
            columns = ", ".join(f"NULL::{f.sql_type} AS {quote(f.name)}" for f in fields)
            selects = [f"SELECT {columns} WHERE false"]
        return " UNION ALL ".join(selects)

    def _select(self, fields: tuple[Field, ...], schema: str, filtered: bool, files: list[str], hidden: str) -> str:
        have = {f.name for f in self._schemas(schema)}
        columns = ", ".join(
            f"{quote(f.name)}::{f.sql_type} AS {quote(f.name)}"
            if f.name in have
            else f"NULL::{f.sql_type} AS {quote(f.name)}"
            for f in fields
        )
        source = f"read_parquet([{', '.join(map(literal, files))}], filename = 'part_path')"
        where = ""
        if filtered:
            match = " AND ".join(f"h.{c} = p.{c}" for c in ("media_id", "analyzer", "parameters_hash"))
            where = f" WHERE NOT EXISTS (FROM {hidden} h WHERE h.path = p.part_path AND {match})"
        return f"SELECT {columns} FROM {source} p{where}"  # noqa: S608

    def _wide_views(self) -> None:
        for table, keys in WIDE.items():
            fields = self.fields[table]
            self.fields[f"{table}_wide"] = tuple(f for f in fields if f.name in keys or f not in COMMON)
            rest = [f.name for f in self.fields[f"{table}_wide"] if f.name not in keys]
            merged = [f"{'max' if n == 'frame_index' else 'any_value'}({quote(n)}) AS {quote(n)}" for n in rest]
            columns = ", ".join([*map(quote, keys), *merged])
            self._db.execute(f"CREATE VIEW {table}_wide AS SELECT {columns} FROM {table} GROUP BY {', '.join(keys)}")  # noqa: S608

    def query(self, sql: str) -> pa.Table:
        """Runs one SELECT. Raises QueryError with DuckDB's message."""
        try:
            statements = self._db.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                found = ", ".join(s.type.name for s in statements) or "nothing"
                raise QueryError(f"a query is one SELECT statement, not {found}; the lake is read-only here")
            return self._db.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise QueryError(str(error)) from error

    def ordered(self, table: str) -> str:
        """The ORDER BY columns that make the rows of a table come in a stable order."""
        names = [f.name for f in self.fields[table]]
        found = [n for n in ("media_id", "analyzer", "parameters_hash", *POSITION) if n in names]
        return ", ".join(map(quote, found))


def _with_current_path(fields: tuple[Field, ...], body: str, schema: str) -> str:
    """`media` with the path where the content was last seen: a moved file is re-linked, not analysed again."""
    columns = ", ".join(
        "coalesce(p.path, m.path) AS path" if f.name == "path" else f"m.{quote(f.name)}" for f in fields
    )
    latest = f"SELECT media_id, arg_max(path, (seen_at, path)) AS path FROM {schema}.paths GROUP BY media_id"  # noqa: S608
    return f"SELECT {columns} FROM ({body}) m LEFT JOIN ({latest}) p USING (media_id)"  # noqa: S608
