"""Is a lake whole? Every part that the manifest names is read and held against what the manifest says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mediaml.errors import LakeError
from mediaml.tables.catalog import Catalog
from mediaml.tables.compact import orphans
from mediaml.tables.lake import Lake
from mediaml.tables.schema import arrow_schema
from mediaml.tables.storage import Storage

Severity = Literal["error", "warning"]
ProblemKind = Literal[
    "part_missing",
    "part_corrupt",
    "part_differs",
    "schema_missing",
    "keys_not_unique",
    "log_gap",
    "checkpoint",
    "orphan",
]
UNIQUE: dict[str, tuple[str, ...]] = {
    "media": (),
    "files": (),
    "streams": ("stream_index",),
    "shots": ("shot_index",),
    "thumbnails": ("pts_seconds",),
}
"""Table -> the columns that, with media, analyzer and parameters, name one row."""
_KEY = ("media_id", "analyzer", "parameters_hash")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be. "warning": nothing that is read is at fault."""

    kind: ProblemKind
    severity: Severity
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class _Named:
    """A part as the manifest names it."""

    path: str
    table: str
    schema: str
    size_bytes: int
    rows: int


def check_lake(
    lake: Lake,
    quick: bool = False,
    orphan_age_seconds: float = 86_400.0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[Problem]:
    """Every problem of the lake; nothing is changed.

    Args:
        quick: only sizes and footers are read, not the pages and their checksums.
        orphan_age_seconds: younger files that no commit names are taken for a commit in the making.
        progress: called with (parts looked at, parts).

    Raises LakeError: the log itself cannot be read (a missing or damaged commit is named).
    """
    catalog = lake.refresh()
    storage = lake.storage
    yield from _log(lake, catalog)
    parts = _named(catalog)
    schemas: dict[str, pa.Schema | None] = {}
    for i, part in enumerate(parts):
        if part.schema not in schemas:
            schemas[part.schema] = _schema(lake, part.schema)
            if schemas[part.schema] is None:
                yield Problem(
                    "schema_missing", "error", f"schemas/{part.schema}.json", "gone, or not what its name says"
                )
        yield from _part(storage, part, schemas[part.schema], quick)
        progress(i + 1, len(parts))
    old = list(orphans(storage, {p.path for p in parts}, orphan_age_seconds))
    if old:
        size = sum(f.size_bytes for f in old)
        text = f"{len(old)} files that no commit names, {size:,} bytes; `mediaml lake gc` deletes them"
        yield Problem("orphan", "warning", old[0].name, text)


def _named(catalog: Catalog) -> list[_Named]:
    rows = catalog.sql(
        "SELECT path, tbl, schema, size_bytes, list_sum(key_rows)::BIGINT AS n FROM parts p "
        "JOIN part_state s ON s.part = p.rowid WHERE live > 0 ORDER BY path"
    )
    return [_Named(*row) for row in zip(*rows.to_pydict().values(), strict=True)]


def _log(lake: Lake, catalog: Catalog) -> Iterator[Problem]:
    """Commits after the newest one would be out of reach behind a gap; an early checkpoint slows opening."""
    names = {f.name for f in lake.storage.files("manifest/commits") if f.name.endswith(".json")}
    expected = {lake.commit_name(n) for n in range(1, catalog.head + 1)}
    beyond = sorted(names - expected)
    if beyond:
        gap = lake.commit_name(catalog.head + 1)
        yield Problem("log_gap", "error", gap, f"missing, and {len(beyond)} later commits cannot be reached without it")
    lost = sorted(expected - names)
    if lost:
        yield Problem("log_gap", "warning", lost[0], f"{len(lost)} commits are gone; checkpoints hold what they said")
    if lake.forgetful_checkpoint():
        text = "written by an early version; opening reads the whole log until `mediaml lake migrate` renews it"
        yield Problem("checkpoint", "warning", "manifest/checkpoints", text)


def _schema(lake: Lake, identity: str) -> pa.Schema | None:
    try:
        return arrow_schema(lake.schema_fields(identity))
    except LakeError:
        return None


def _part(storage: Storage, part: _Named, schema: pa.Schema | None, quick: bool) -> Iterator[Problem]:
    try:
        body = storage.read(part.path)
    except FileNotFoundError:
        yield Problem("part_missing", "error", part.path, f"gone; {part.rows} rows of {part.table} are lost")
        return
    except OSError as error:
        yield Problem("part_missing", "error", part.path, f"cannot be read: {error}")
        return
    if len(body) != part.size_bytes:
        text = f"has {len(body)} bytes, the manifest says {part.size_bytes}"
        yield Problem("part_corrupt", "error", part.path, text)
        return
    try:
        with pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=not quick) as file:
            rows, found = file.metadata.num_rows, file.schema_arrow
            data = None if quick else file.read()
    except (OSError, pa.ArrowException) as error:
        yield Problem("part_corrupt", "error", part.path, f"cannot be read: {error}")
        return
    if rows != part.rows:
        yield Problem("part_differs", "error", part.path, f"has {rows} rows, the manifest says {part.rows}")
    if schema is not None and not found.equals(schema):
        yield Problem("part_differs", "error", part.path, f"has other columns than schema {part.schema}")
    if data is not None and part.table in UNIQUE and set(_KEY) <= set(data.column_names):
        yield from _unique(part, data)


def _unique(part: _Named, data: pa.Table) -> Iterator[Problem]:
    """Two rows of one key in one part; over parts the catalog's newest key wins by construction."""
    columns = [*_KEY, *UNIQUE[part.table]]
    counts = data.group_by(columns).aggregate([([], "count_all")])
    twice = counts.filter(pc.call_function("greater", [counts.column("count_all"), pa.scalar(1)]))
    if twice.num_rows:
        first = {k: v for k, v in twice.slice(0, 1).to_pylist()[0].items() if k != "count_all"}
        yield Problem("keys_not_unique", "error", part.path, f"{twice.num_rows} keys come twice, the first is {first}")


def migrate_lake(lake: Lake) -> list[str]:
    """Brings a lake of an earlier version up to this one; what was done, a line a step. Nothing that is read is lost.

    Raises LakeUnwritable, LakeError.
    """
    done = []
    if not lake.checkpoint_readable() or lake.forgetful_checkpoint():
        head = lake.renew_checkpoint()
        done.append(f"checkpoint made anew from the log: {head} commits")
    return done
