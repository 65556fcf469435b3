"""DuckDB over the parts that a catalog names: one view a table, and nothing else on the machine can be read through it.

frames, shots, ...        rows of the newest version of every analyzer
frames_wide, ...          one row an instant, with the columns of all analyzers
all_versions.frames, ...  rows of every version that is stored
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from mediaml.errors import LakeError, QueryError, UnknownName, printable
from mediaml.tables.catalog import LOCAL_ONLY, Catalog
from mediaml.tables.schema import COMMON, KEYS, LOGS, POSITION, WIDE, Field, merge
from mediaml.tables.storage import Storage, private_folder

Schemas = Callable[[str], tuple[Field, ...]]
_CATALOGUE_WORDS = frozenset(
    (
        "information_schema",
        "pg_catalog",
        "query_table",
        "query",
        "duckdb_views",
        "duckdb_tables",
        "duckdb_columns",
        "show",
    )
)
"""Words of queries that can name tables other than by writing their names."""


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
    """A locked, read-only DuckDB connection over one state of the lake.

    The views of a table are made when a query first names it: opening costs nothing for tables that nobody reads, and of a
    lake on an object store only the parts of the tables in use are fetched.
    """

    def __init__(self, storage: Storage, catalog: Catalog, schemas: Schemas) -> None:
        self._storage = storage
        self.root = storage.local_root.resolve()
        self.head = catalog.head
        self._schemas = schemas
        self.fields: dict[str, tuple[Field, ...]] = dict(LOGS)
        self.every_fields: dict[str, tuple[Field, ...]] = dict(LOGS)
        newest, every = select_parts(catalog, False), select_parts(catalog, True)
        self._selections = {"all_versions": every, "main": newest}
        self._parts_of_media = catalog.parts_of_media
        self._owned: dict[str, dict[str, list[str]]] = {}
        self._made: set[str] = set()
        spill = str(private_folder(self, "mediaml-duckdb-"))
        self._db = duckdb.connect(":memory:", config={**LOCAL_ONLY, "temp_directory": spill})
        self._db.execute("SET TimeZone = 'UTC'")
        files = {str(self.root / p.path) for s in (newest, every) for ps in s.parts.values() for p in ps}
        self._db.execute("SET allowed_paths = $1", [sorted(files)])
        self._db.execute("SET enable_external_access = false")
        self._db.execute("CREATE SCHEMA all_versions; CREATE SCHEMA internal")
        for name in LOGS:
            self._keep(f"main.{name}", catalog.log(name))
            self._keep(f"all_versions.{name}", catalog.log(name, every=True))
        self._hidden("all_versions")
        self._hidden("main")
        for table in KEYS:
            self.every_fields[table] = table_fields(table, every.parts[table], schemas)
            self.fields[table] = table_fields(table, newest.parts[table], schemas)
        for table, keys in WIDE.items():
            self.fields[f"{table}_wide"] = tuple(f for f in self.fields[table] if f.name in keys or f not in COMMON)
        self._db.execute("SET lock_configuration = true")

    def _keep(self, name: str, rows: pa.Table) -> None:
        self._db.register("incoming", rows)
        self._db.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608
        self._db.unregister("incoming")

    def _hidden(self, schema: str) -> None:
        hidden = self._selections[schema].hidden
        paths = [f"{self.root}/{p}" for p in hidden.column("path").to_pylist()]
        self._keep(f"internal.hidden_{schema}", hidden.set_column(0, "path", pa.array(paths, pa.string())))

    def _prepare(self, sql: str) -> None:
        """Makes the views of the tables that `sql` may read; all of them where it looks at the list of tables."""
        words = {w.lower().removesuffix("_wide") for w in re.findall(r"\w+", sql)}
        everything = not _CATALOGUE_WORDS.isdisjoint(words)
        for table in KEYS:
            if table not in self._made and (everything or table in words):
                self._make_views(table)

    def _make_views(self, table: str) -> None:
        selected = {p.path for s in self._selections.values() for p in s.parts[table]}
        self._fetch(table, selected)
        for schema, fields in (("all_versions", self.every_fields[table]), ("main", self.fields[table])):
            body = self._union(fields, self._selections[schema].parts[table], f"internal.hidden_{schema}")
            if table == "media":
                body = _with_current_path(fields, body, schema)
            self._db.execute(f"CREATE VIEW {schema}.{table} AS {body}")
        if table in WIDE:
            self._wide_view(table)
        self._made.add(table)

    def rows_of(self, table: str, media_ids: Sequence[str], columns: Sequence[str], where: str | None) -> pa.Table:
        """See `Lake.rows_of`. Raises UnknownName, QueryError, LakeError."""
        fields = {f.name: f for f in self.fields[table]}
        for column in columns:
            if column not in fields:
                raise UnknownName(f"column of {table}", column, fields)
        body = self._of_media(table, media_ids)
        listed = ", ".join(map(literal, sorted(set(media_ids)))) or "NULL"
        more = f" AND ({where}\n)" if where else ""
        sql = f"SELECT {', '.join(map(quote, columns))} FROM ({body}) WHERE media_id IN ({listed}){more}"  # noqa: S608
        return self._run(sql, prepare=False)  # no view is named, though the paths of parts look as if

    def _of_media(self, table: str, media_ids: Sequence[str]) -> str:
        """SQL over the parts that may hold rows of these media: of a lake of many media, a few files of thousands."""
        if table not in self._owned:
            self._owned[table] = self._parts_of_media(table)
        owned = self._owned[table]
        wanted = {path for media_id in ("", *media_ids) for path in owned.get(media_id, ())}
        parts = [p for p in self._selections["main"].parts[table] if p.path in wanted]
        self._fetch(table, {p.path for p in parts})
        body = self._union(self.fields[table], parts, "internal.hidden_main")
        return _with_current_path(self.fields[table], body, "main") if table == "media" else body

    def _fetch(self, table: str, paths: Iterable[str]) -> None:
        try:
            self._storage.fetch(sorted(paths))
        except OSError as error:
            raise LakeError(f"{printable(self._storage.location)}: parts of {table} cannot be read: {error}") from error

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

    def _wide_view(self, table: str) -> None:
        keys = WIDE[table]
        rest = [f.name for f in self.fields[f"{table}_wide"] if f.name not in keys]
        merged = [f"{'max' if n == 'frame_index' else 'any_value'}({quote(n)}) AS {quote(n)}" for n in rest]
        columns = ", ".join([*map(quote, keys), *merged])
        self._db.execute(f"CREATE VIEW {table}_wide AS SELECT {columns} FROM {table} GROUP BY {', '.join(keys)}")  # noqa: S608

    def query(self, sql: str) -> pa.Table:
        """Runs one SELECT. Raises QueryError with DuckDB's message."""
        return self._run(sql, prepare=True)

    def _run(self, sql: str, prepare: bool) -> pa.Table:
        try:
            statements = self._db.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                found = ", ".join(s.type.name for s in statements) or "nothing"
                raise QueryError(f"a query is one SELECT statement, not {found}; the lake is read-only here")
            if prepare:
                self._prepare(sql)
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
