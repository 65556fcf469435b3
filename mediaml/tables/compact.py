"""Fewer, larger parts; and the removal of files that no commit names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from mediaml.tables import durable
from mediaml.tables.catalog import Catalog
from mediaml.tables.schema import KEYS, Field
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
        "SELECT tbl, schema, path, size_bytes FROM entries e JOIN live l USING (kid) "
        "WHERE size_bytes < ? AND derivation = '' GROUP BY ALL ORDER BY tbl, schema, path",
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


def merge_parts(root: Path, catalog: Catalog, merge: Merge, schemas: Callable[[str], tuple[Field, ...]]) -> Part:
    """Writes the merged part: live rows only; its keys are numbered over the whole lake.

    Raises LakeUnwritable.
    """
    entries = catalog.sql(
        "SELECT e.path, e.kid, e.key_rows, e.is_live, k.media_id, k.analyzer, k.parameters_hash "
        "FROM entries e JOIN keys k USING (kid) WHERE list_contains(?, e.path) ORDER BY e.path, e.kid",
        [list(merge.paths)],
    ).to_pylist()
    tables, key_rows = [], {}
    for path in merge.paths:
        own = [e for e in entries if e["path"] == path]
        dead = [e for e in own if not e["is_live"]]
        data = pq.ParquetFile(root / path).read()
        tables.append(_without(data, dead))
        key_rows |= {e["kid"]: e["key_rows"] for e in own if e["is_live"]}
    name = f"{merge.table}/merged/merged-{uuid4().hex[:16]}.parquet"
    with durable.writing(root):
        return write_table(root, name, merge.table, pa.concat_tables(tables), schemas(merge.schema), key_rows)


def _without(data: pa.Table, dead: list[dict[str, Any]]) -> pa.Table:
    """`data` less the rows of the dead keys."""
    if not dead:
        return data
    gone = {(e["media_id"], e["analyzer"], e["parameters_hash"]) for e in dead}
    columns = (data.column(n).to_pylist() for n in ("media_id", "analyzer", "parameters_hash"))
    return data.filter(pa.array([key not in gone for key in zip(*columns, strict=True)]))


def orphans(root: Path, named: set[str], older_than_seconds: float) -> Iterator[Path]:
    """Parts and temp files that no commit names, and that are too old to be a commit in the making."""
    limit = time.time() - older_than_seconds
    for folder in (*(root / t for t in KEYS), root / durable.TEMP):
        for file in folder.rglob("*") if folder.is_dir() else ():
            if file.is_file() and file.relative_to(root).as_posix() not in named and file.stat().st_mtime < limit:
                yield file


def remove(root: Path, files: Iterable[Path]) -> tuple[int, int]:
    """Deletes files; (count, bytes). Raises LakeUnwritable."""
    count = size = 0
    with durable.writing(root):
        for file in files:
            size += file.stat().st_size
            file.unlink()
            count += 1
    return count, size
