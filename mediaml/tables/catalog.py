"""What a lake's manifest adds up to: the live keys, parts, paths, errors and runs, folded from checkpoint and commits.

A key stands for one (media, analyzer, parameters) as one commit wrote it; its number is commit * 2**20 + position, so the
newest is the largest. Rows count while their key is the newest of its slot. A derivation has one slot for the whole lake.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mediaml.errors import LakeError, printable
from mediaml.tables.rows import KeyState, Status
from mediaml.tables.schema import LOGS, arrow_schema

KEYS_PER_COMMIT = 1 << 20
_PENDING_PARTS = 1024  # rows wait as Python objects, ten times their size in the database, until there are this many
_Keys = tuple[tuple[str, str, Status], ...]  # (name@version, parameters_hash, status) of one media, ascending
LOCAL_ONLY: dict[str, str | bool | int | float | list[str]] = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""DuckDB settings: no variables of the program as tables, no extension from the network."""

_GIVE_BACK = "SET allocator_flush_threshold = '1MB'; SET allocator_bulk_deallocation_flush_threshold = '1MB'"
"""What a fold needs for a moment goes back to the system; DuckDB would keep 128 and 512 MB of it."""

_TEXT, _INT = pa.string(), pa.int64()
_STATE: Mapping[str, pa.Schema] = {
    "parts": pa.schema(
        {
            "path": _TEXT,
            "tbl": _TEXT,
            "schema": _TEXT,
            "size_bytes": _INT,
            "keys": pa.list_(_INT),
            "key_rows": pa.list_(_INT),
        }
    ),
    "keys": pa.schema(
        {
            "kid": _INT,
            "media_id": _TEXT,
            "analyzer": _TEXT,
            "parameters_hash": _TEXT,
            "status": _TEXT,
            "derivation": _TEXT,
        }
    ),
    **{name: arrow_schema(fields).insert(0, pa.field("number", _INT)) for name, fields in LOGS.items()},
}
_FOLD = """
CREATE OR REPLACE TEMP TABLE live AS
    WITH winners AS (
        SELECT kid, media_id, analyzer, status, derivation FROM keys
        QUALIFY row_number() OVER (
            PARTITION BY derivation, CASE WHEN derivation = '' THEN media_id END,
                CASE WHEN derivation = '' THEN analyzer END, CASE WHEN derivation = '' THEN parameters_hash END
            ORDER BY kid DESC) = 1)
    SELECT kid, derivation <> '' OR row_number() OVER (
        PARTITION BY derivation, media_id, split_part(analyzer, '@', 1)
        ORDER BY (status <> 'failed') DESC, try_cast(split_part(analyzer, '@', 2) AS BIGINT) DESC, kid DESC
    ) = 1 AS is_visible
    FROM winners;
CREATE OR REPLACE TEMP TABLE part_state AS
    SELECT e.part, min(e.kid) AS first_key, count(*) AS keys, count(l.kid) AS live,
        count(*) FILTER (l.is_visible) AS visible, sum(e.key_rows) FILTER (l.is_visible) AS visible_rows
    FROM (SELECT rowid AS part, unnest(keys) AS kid, unnest(key_rows) AS key_rows FROM parts) e
    LEFT JOIN live l USING (kid) GROUP BY e.part;
"""
# The keys of parts that hold more than what is visible.
_ENTRIES = """
CREATE TEMP VIEW entries AS
    SELECT e.path, e.kid, e.key_rows, l.kid IS NOT NULL AS live, coalesce(l.is_visible, false) AS visible,
        k.media_id, k.analyzer, k.parameters_hash
    FROM (SELECT path, unnest(keys) AS kid, unnest(key_rows) AS key_rows FROM parts WHERE rowid IN (
        SELECT part FROM part_state WHERE part_state.visible < part_state.keys)) e
    LEFT JOIN live l USING (kid) LEFT JOIN keys k USING (kid)
"""
_LOG_VIEWS: Mapping[str, str] = {
    "paths": "SELECT * FROM (SELECT * FROM paths QUALIFY row_number() OVER (PARTITION BY path ORDER BY number DESC) = 1) "
    "WHERE media_id IS NOT NULL ORDER BY path",
    "runs": "SELECT * FROM runs QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY number DESC) = 1 "
    "ORDER BY started_at, run_id",
    # An error of an analyzer holds until that analyzer is committed again for the media; an error of a file until the media
    # is probed again, or the path holds other content (or, if it could not be read, any content).
    "errors": """
        SELECT e.* FROM errors e
        LEFT JOIN (SELECT media_id, split_part(analyzer, '@', 1) AS name, max(kid >> 20) AS newest
                   FROM keys WHERE derivation = '' GROUP BY ALL) k
            ON k.media_id = e.media_id AND k.name = split_part(e.analyzer, '@', 1)
        LEFT JOIN (SELECT media_id, max(kid >> 20) AS newest FROM keys
                   WHERE derivation = '' AND split_part(analyzer, '@', 1) = 'probe' GROUP BY ALL) m
            ON e.analyzer IS NULL AND m.media_id = e.media_id
        LEFT JOIN (SELECT path, arg_max(media_id, number) AS media_id, max(number >> 20) AS newest
                   FROM paths GROUP BY path) p
            ON p.path = e.path AND e.analyzer IS NULL AND p.media_id IS DISTINCT FROM e.media_id
        LEFT JOIN (SELECT path, media_id, analyzer, max(number >> 20) AS newest FROM errors GROUP BY ALL) o
            ON o.path IS NOT DISTINCT FROM e.path AND o.media_id IS NOT DISTINCT FROM e.media_id
            AND o.analyzer IS NOT DISTINCT FROM e.analyzer
        WHERE (e.number >> 20) >= greatest(coalesce(k.newest, 0), coalesce(m.newest, 0), coalesce(p.newest, 0),
            coalesce(o.newest, 0))
        ORDER BY e.number""",
}


class Catalog:
    """State of a lake after commit `head`."""

    def __init__(self) -> None:
        self.head = 0
        self.checkpoint = 0
        self._db = duckdb.connect(":memory:", config=LOCAL_ONLY)
        self._db.execute("SET TimeZone = 'UTC'; SET threads = 1")
        self._db.execute(_GIVE_BACK)
        for name, schema in _STATE.items():
            self._insert(name, schema.empty_table(), create=True)
        self._db.execute(_FOLD)
        self._db.execute(_ENTRIES)
        self._pending: dict[str, list[dict[str, Any]]] = {name: [] for name in _STATE}
        self._removed: list[str] = []
        self._paths: dict[str, tuple[int, int, str | None]] | None = None
        self._keys: dict[str, _Keys] | None = None
        self._shared: dict[_Keys, _Keys] = {}  # media of the same keys share one tuple: a million media stay small
        self._errors: tuple[int, list[dict[str, Any]]] | None = None
        self._folded = False

    def load(self, number: int, files: Callable[[str], bytes], where: str) -> bool:
        """Takes the state that a checkpoint holds; `files` reads one of its files.

        False: it was written by an early version, which forgot the keys of superseded rows, so that such rows could not be
        told from rows that count. The log, which is whole, must be read instead.
        """
        for name, schema in _STATE.items():
            try:
                table = pq.read_table(pa.BufferReader(files(f"{name}.parquet")))
                self._insert(name, table.select(schema.names).cast(schema))
            except (OSError, ValueError, KeyError, pa.ArrowException) as error:
                raise LakeError(
                    f"{printable(where)}: damaged checkpoint: {error}; "
                    "`mediaml lake migrate LAKE` makes it anew from the log"
                ) from error
        self.head = self.checkpoint = number
        forgotten = "SELECT 1 FROM (SELECT unnest(keys) AS kid FROM parts) ANTI JOIN keys USING (kid) LIMIT 1"
        return self._run(forgotten).num_rows == 0

    def save(self) -> dict[str, bytes]:
        """The state as Parquet files, less what can never be seen again."""
        self._fold()
        self._db.execute("DELETE FROM parts WHERE rowid IN (SELECT part FROM part_state WHERE live = 0)")
        self._db.execute(
            "DELETE FROM keys WHERE kid NOT IN (SELECT kid FROM live UNION ALL SELECT unnest(keys) FROM parts)"
        )
        for log in ("paths", "runs"):
            self._db.execute(f"CREATE OR REPLACE TABLE {log} AS {_LOG_VIEWS[log]}")
        self._folded = False
        files = {}
        for name in _STATE:
            sink = pa.BufferOutputStream()
            pq.write_table(self.sql(f"SELECT * FROM {name}"), sink, compression="zstd")  # noqa: S608
            files[f"{name}.parquet"] = sink.getvalue().to_pybytes()
        pa.default_memory_pool().release_unused()
        return files

    def apply(self, number: int, commit: Mapping[str, Any]) -> None:
        """Adds commit `number`, which must be the next one."""
        if number != self.head + 1:
            raise LakeError(f"commit {number} does not follow {self.head}")
        rows, first = self._pending, number * KEYS_PER_COMMIT
        try:
            position = 0
            for unit in commit.get("units", ()):
                self._apply_unit(unit, first, position)
                position += len(unit["keys"])
            for log in ("paths", "errors", "runs"):
                for i, row in enumerate(commit.get(log, ())):
                    self._add_log(log, first + i, row)
            rows["parts"] += commit.get("merged", ())
            self._removed += commit.get("removed", ())
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise LakeError(f"commit {number} is damaged: {error!r}; restore it from a copy of the lake") from error
        self.head = number
        self._folded = False
        if len(rows["parts"]) >= _PENDING_PARTS:
            self._flush()

    def _apply_unit(self, unit: Mapping[str, Any], first: int, position: int) -> None:
        media_id = unit["media_id"]
        if self._keys is not None and media_id is not None:
            known: dict[tuple[str, str], Status] = {(a, p): s for a, p, s in self._keys.get(media_id, ())}
            known |= {(a, p): s for a, p, s in unit["keys"]}
            self._keys[media_id] = self._share((a, p, s) for (a, p), s in known.items())
        for i, (analyzer, parameters, status) in enumerate(unit["keys"]):
            self._pending["keys"].append(
                {
                    "kid": first + position + i,
                    "media_id": media_id,
                    "analyzer": analyzer,
                    "parameters_hash": parameters,
                    "status": status,
                    "derivation": unit.get("derivation", ""),
                }
            )
        for part in unit["parts"]:
            keys = [first + position + k for k in part["keys"]]
            self._pending["parts"].append({**part, "keys": keys})

    def _add_log(self, log: str, number: int, row: Sequence[Any]) -> None:
        values = dict(zip((f.name for f in LOGS[log]), row, strict=True))
        self._pending[log].append({"number": number, **values})
        if log == "paths" and self._paths is not None:
            self._paths[values["path"]] = (values["size_bytes"], values["mtime_ns"], values["media_id"])

    def _insert(self, name: str, rows: pa.Table, create: bool = False) -> None:
        self._db.register("incoming", rows)
        verb = f"CREATE TABLE {name} AS" if create else f"INSERT INTO {name}"
        self._db.execute(f"{verb} SELECT * FROM incoming")  # noqa: S608
        self._db.unregister("incoming")

    def _flush(self) -> None:
        for name, rows in self._pending.items():
            if rows:
                self._insert(name, pa.Table.from_pylist(rows, schema=_STATE[name]))
                rows.clear()
        if self._removed:
            self._db.execute("DELETE FROM parts WHERE path IN (SELECT unnest(?))", [self._removed])
            self._removed.clear()

    def _fold(self) -> None:
        self._flush()
        if not self._folded:
            self._db.execute(_FOLD)
            self._folded = True

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """A query over `parts`, `keys`, the logs, and what the fold gives: `live`, `part_state`, `entries`."""
        self._fold()
        return self._run(query, parameters)

    def _run(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self._db.sql(query, params=list(parameters) or None).to_arrow_table()

    def sizes(self) -> dict[str, tuple[int, int, int]]:
        """Part table -> (visible rows, parts with visible rows, their bytes)."""
        found = self.sql(
            "SELECT tbl, sum(visible_rows)::BIGINT, count(*), sum(size_bytes)::BIGINT "
            "FROM part_state s JOIN parts p ON p.rowid = s.part WHERE visible > 0 GROUP BY tbl"
        )
        return {tbl: (rows, parts, size) for tbl, rows, parts, size in zip(*found.to_pydict().values(), strict=True)}

    def results(self) -> Iterator[tuple[str, str, str, Status, list[str]]]:
        """(media_id, analyzer, parameters_hash, status, part tables) of every visible key that is no derivation's."""
        found = self.sql(
            "SELECT media_id, analyzer, parameters_hash, status, list(DISTINCT tbl) FILTER (tbl IS NOT NULL) AS tables "
            "FROM keys JOIN live USING (kid) LEFT JOIN (SELECT tbl, unnest(keys) AS kid FROM parts) USING (kid) "
            "WHERE derivation = '' AND is_visible GROUP BY ALL ORDER BY media_id, analyzer"
        )
        for media_id, analyzer, parameters, status, tables in zip(*found.to_pydict().values(), strict=True):
            yield media_id, analyzer, parameters, status, tables or []

    def parts_of_media(self, table: str) -> dict[str, list[str]]:
        """media_id -> the table's parts that hold rows of it; "" -> those of derivations, which may hold rows of any."""
        found = self.sql(
            "SELECT coalesce(k.media_id, '') AS media_id, list(DISTINCT e.path) AS paths "
            "FROM (SELECT path, unnest(keys) AS kid FROM parts WHERE tbl = ?) e JOIN keys k USING (kid) GROUP BY 1",
            [table],
        )
        return dict(zip(*found.to_pydict().values(), strict=True))

    def has_parts(self, paths: Sequence[str]) -> bool:
        """Whether all of these parts are still named."""
        found = self.sql("SELECT count(*) AS n FROM parts WHERE path IN (SELECT unnest(?))", [list(paths)])
        return found.column("n")[0].as_py() == len(set(paths))

    def log(self, name: str, every: bool = False) -> pa.Table:
        """A log table: the rows that hold now, or all that are kept."""
        self._flush()
        found = self._run(f"SELECT * FROM {name} ORDER BY number" if every else _LOG_VIEWS[name])  # noqa: S608
        fields = LOGS[name]
        return found.select([f.name for f in fields]).cast(arrow_schema(fields))

    def path(self, stored: str) -> tuple[int, int, str | None] | None:
        """(size_bytes, mtime_ns, media_id) of a stored path."""
        if self._paths is None:
            t = self.log("paths").to_pydict()
            facts = zip(t["size_bytes"], t["mtime_ns"], t["media_id"], strict=True)
            self._paths = dict(zip(t["path"], facts, strict=True))
        return self._paths.get(stored)

    def errors(self, stored: str) -> list[dict[str, Any]]:
        """The errors that hold for a stored path or for the content it holds."""
        if self._errors is None or self._errors[0] != self.head:
            self._errors = (self.head, self.log("errors").to_pylist())
        known = self.path(stored)
        media_id = known[2] if known else None
        return [e for e in self._errors[1] if e["path"] == stored or (media_id and e["media_id"] == media_id)]

    def keys(self, media_id: str) -> list[KeyState]:
        """The live keys of a media, by analyzer."""
        if self._keys is None:
            columns = self.sql(
                "SELECT media_id, to_json(list([analyzer, parameters_hash, status]))::VARCHAR AS found "
                "FROM keys JOIN live USING (kid) WHERE derivation = '' GROUP BY media_id"
            ).to_pydict()
            made = {text: self._share(map(tuple, json.loads(text))) for text in set(columns["found"])}
            found = (made[text] for text in columns["found"])
            self._keys = dict(zip(columns["media_id"], found, strict=True))
        return [KeyState(*key) for key in self._keys.get(media_id, ())]

    def _share(self, keys: Iterable[tuple[str, str, Status]]) -> _Keys:
        found = tuple(sorted(keys))
        return self._shared.setdefault(found, found)
