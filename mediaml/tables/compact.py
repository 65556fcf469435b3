"""Fewer, larger parts; and the removal of files that no commit names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from mediaml.errors import LakeError, printable
from mediaml.tables import durable
from mediaml.tables.catalog import Catalog
from mediaml.tables.schema import KEYS, Field
from mediaml.tables.storage import Storage, StoredFile
from mediaml.tables.writer import Part, write_table

TARGET_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Merge:
    """Parts of one table and schema that become one part."""

    table: str
    schema: str
    paths: tuple[str, ...]


def plan_merges(catalog: Catalog, target_bytes: int = TARGET_BYTES) -> Iterator[Merge]:
    """Groups of parts below `target_bytes`; those of derivations are left alone, being one each already."""
    rows = catalog.sql(
        "SELECT tbl, schema, path, size_bytes FROM part_state s JOIN parts p ON p.rowid = s.part "
        "WHERE live > 0 AND size_bytes < ? AND first_key IN (SELECT kid FROM keys WHERE derivation = '') "
        "ORDER BY tbl, schema, path",
        [target_bytes],
    )
    group: list[str] = []
    now, size = ("", ""), 0
    for table, schema, path, size_bytes in zip(*rows.to_pydict().values(), strict=True):
        if (table, schema) != now or size + size_bytes > target_bytes:
            if len(group) > 1:
                yield Merge(*now, tuple(group))
            group, now, size = [], (table, schema), 0
        group.append(path)
        size += size_bytes
    if len(group) > 1:
        yield Merge(*now, tuple(group))


def merge_parts(storage: Storage, catalog: Catalog, merge: Merge, schemas: Callable[[str], tuple[Field, ...]]) -> Part:
    """Writes the merged part: live rows only; its keys are numbered over the whole lake.

    Raises LakeUnwritable.
    """
    paths = list(merge.paths)
    live = catalog.sql(
        "SELECT kid, key_rows FROM (SELECT unnest(keys) AS kid, unnest(key_rows) AS key_rows FROM parts "
        "WHERE path IN (SELECT unnest(?))) JOIN live USING (kid) ORDER BY kid",
        [paths],
    ).to_pydict()
    hidden = catalog.sql(
        "SELECT path, media_id, analyzer, parameters_hash FROM entries WHERE NOT live AND path IN (SELECT unnest(?))",
        [paths],
    ).to_pydict()
    dead: dict[str, set[tuple[str, ...]]] = {}
    for path, *key in zip(*hidden.values(), strict=True):
        dead.setdefault(path, set()).add(tuple(key))
    tables = [_without(_read(storage, path), dead.get(path, set())) for path in paths]
    key_rows = dict(zip(live["kid"], live["key_rows"], strict=True))
    name = f"{merge.table}/merged/merged-{uuid4().hex[:16]}.parquet"
    with storage.writing():
        return write_table(storage, name, merge.table, pa.concat_tables(tables), schemas(merge.schema), key_rows)


def _read(storage: Storage, name: str) -> pa.Table:
    try:
        with pq.ParquetFile(pa.BufferReader(storage.read(name)), page_checksum_verification=True) as file:
            return file.read()
    except (OSError, pa.ArrowException) as error:
        raise LakeError(
            f"{printable(f'{storage.location}/{name}')}: cannot be read: {error}; run: mediaml lake check LAKE"
        ) from error


def _without(data: pa.Table, dead: set[tuple[str, ...]]) -> pa.Table:
    """`data` less the rows of the dead keys (media_id, analyzer, parameters_hash)."""
    if not dead:
        return data
    columns = (data.column(n).to_pylist() for n in ("media_id", "analyzer", "parameters_hash"))
    return data.filter(pa.array([key not in dead for key in zip(*columns, strict=True)]))


def orphans(storage: Storage, named: set[str], older_than_seconds: float) -> Iterator[StoredFile]:
    """Parts and temp files that no commit names, and that are too old to be a commit in the making."""
    limit = time.time() - older_than_seconds
    for folder in (*KEYS, durable.TEMP):
        yield from (f for f in storage.files(folder) if f.name not in named and f.modified < limit)


def remove(storage: Storage, files: Iterable[StoredFile]) -> tuple[int, int]:
    """Deletes files; (count, bytes). Raises LakeUnwritable."""
    count = size = 0
    with storage.writing():
        for file in files:
            storage.remove(file.name)
            count += 1
            size += file.size_bytes
    return count, size
