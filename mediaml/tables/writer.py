"""Stages rows as Parquet parts. A staged part is invisible until a manifest commit names it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mediaml.errors import ContractBreach, InvalidValue
from mediaml.tables.columns import to_arrow
from mediaml.tables.rows import AnalyzerRows, ErrorRow, MediaRows, PathRow, clean_text, encode_path
from mediaml.tables.schema import COMMON, KEYS, Field, arrow_schema, check_same, encode, schema_id
from mediaml.tables.storage import Storage

_ROW_GROUP = {"embeddings": 16_384, "thumbnails": 512}
_WRITTEN_ALONE_BYTES = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file: which of the unit's keys have rows in it, and how many."""

    path: str  # relative to the lake, with "/"
    table: str
    schema: str
    size_bytes: int
    keys: tuple[int, ...]  # positions in Staged.keys
    key_rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """What `Lake.commit` makes visible, all or nothing. Small and picklable; times are microseconds since 1970 UTC.

    keys        (analyzer, parameters_hash, status); for a derivation one key without names
    path        (media_id, stored path, size_bytes, mtime_ns, seen_at)
    errors      (media_id, stored path, analyzer, kind, message, computed_at)
    derivation  id of what `replace_derived` replaces; "" for a media
    """

    media_id: str | None
    keys: tuple[tuple[str, str, str], ...] = ()
    parts: tuple[Part, ...] = ()
    path: tuple[str | None, str, int, int, int] | None = None
    errors: tuple[tuple[str | None, str | None, str | None, str, str, int], ...] = ()
    derivation: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    """One analyzer's rows for one table, checked. What is the same in every row is written out piece by piece.

    own        name -> the columns of the table and of the analyzer
    constants  name -> the value of all rows, or the array of them, of the columns that every row has
    """

    key: int
    fields: tuple[Field, ...]
    own: Mapping[str, pa.Array]
    constants: Mapping[str, Any]
    rows: int
    analyzer: str

    def piece(self, first: int, rows: int, schema: pa.Schema) -> pa.Table:
        """Rows [first, first + rows) with the columns of `schema` in its order; those that the block lacks are null."""
        return pa.Table.from_arrays([self._column(f, first, rows) for f in schema], schema=schema)

    def _column(self, field: pa.Field, first: int, rows: int) -> pa.Array:
        value = self.own.get(field.name, self.constants.get(field.name))
        if isinstance(value, pa.Array):
            return value.slice(first, rows)
        return pa.nulls(rows, field.type) if value is None else pa.repeat(pa.scalar(value, field.type), rows)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC; naive times are refused."""
    if moment.tzinfo is None:
        raise InvalidValue(f"time {moment} has no time zone; give UTC")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def stored_path(row: PathRow, media_id: str | None, now: int) -> tuple[str | None, str, int, int, int]:
    """A path row in the order of the `paths` table."""
    return (media_id, encode_path(row.path), row.size_bytes, row.mtime_ns, now)


def stored_error(
    row: ErrorRow, media_id: str | None, now: int
) -> tuple[str | None, str | None, str | None, str, str, int]:
    """An error row in the order of the `errors` table, less its run."""
    path = None if row.path is None else encode_path(row.path)
    return (media_id, path, row.analyzer, clean_text(row.kind), clean_text(row.message), now)


def stage_media(
    storage: Storage,
    media_id: str | None,
    media: MediaRows | None,
    path: PathRow | None,
    analyzers: Sequence[AnalyzerRows],
    errors: Sequence[ErrorRow],
    valid_from: datetime,
    computed_at: datetime,
) -> Staged:
    """What `Lake.stage` does, without a lake's state."""
    rows = list(analyzers) + ([media.analyzer_rows()] if media is not None else [])
    rows.sort(key=lambda r: (r.spec_id, r.parameters_hash))
    found = [(r.spec_id, r.parameters_hash, r.status) for r in rows]
    if media_id is None and (found or path is not None):
        raise InvalidValue(
            "rows and paths need a media_id, the sha256 of the content; without one there are only errors"
        )
    twice = [k for i, k in enumerate(found) if k[:2] in {other[:2] for other in found[:i]}]
    if twice:
        raise ContractBreach(twice[0][0], "comes twice for one media with the same parameters")
    now = microseconds(computed_at)
    parts = stage_parts(storage, media_id, rows, microseconds(valid_from), now, single_key=False)
    return Staged(
        media_id,
        tuple(found),
        parts,
        None if path is None else stored_path(path, media_id, now),
        tuple(stored_error(e, media_id, now) for e in errors),
    )


def stage_derivation(
    storage: Storage, derivation: str, rows: Sequence[AnalyzerRows], valid_from: datetime, computed_at: datetime
) -> Staged:
    """What `Lake.replace_derived` makes visible: all rows under one key."""
    ordered = sorted(rows, key=lambda r: (r.spec_id, r.parameters_hash))
    parts = stage_parts(storage, None, ordered, microseconds(valid_from), microseconds(computed_at), single_key=True)
    return Staged(None, (("", "", "done"),), parts, derivation=derivation)


def stage_parts(
    storage: Storage,
    media_id: str | None,
    rows: Sequence[AnalyzerRows],
    valid_from: int,
    computed_at: int,
    single_key: bool,
) -> tuple[Part, ...]:
    """Checks and writes the rows: one part a table, for embeddings one a vector length and analyzer.

    `media_id` None takes it from each row; rows may bring their own "valid_from". `single_key` counts all rows under
    key 0 (a derivation's), else under the position of their AnalyzerRows. Raises ContractBreach, LakeUnwritable.
    """
    blocks: dict[tuple[str, ...], list[_Block]] = {}
    for i, one in enumerate(rows):
        for table in one.rows:
            block = _block(one, str(table), media_id, (valid_from, computed_at), 0 if single_key else i)
            if block.rows:
                blocks.setdefault(_group(str(table), block), []).append(block)
    with storage.writing():
        return _write_parts(storage, media_id, sorted(blocks.items()))


def _group(table: str, block: _Block) -> tuple[str, ...]:
    if table != "embeddings":
        return (table,)
    return (table, block.analyzer, str(block.own["vector"].type))


def _block(one: AnalyzerRows, table: str, media_id: str | None, times: tuple[int, int], key: int) -> _Block:
    if table not in KEYS:
        raise ContractBreach(one.spec_id, f"table {table!r} does not exist; tables: {', '.join(KEYS)}")
    given = dict({str(k): v for k, v in one.rows.items()}[table])
    valid_from = given.pop("valid_from", None)
    fields = _fields(one, table)
    expected = {f.name for f in fields} | ({"media_id"} if media_id is None else set())
    absent = {f.name for f in fields if not f.nullable and f.name not in given} | (expected & {"media_id"} - set(given))
    if absent or set(given) - expected:
        extra = sorted(set(given) - expected)
        raise ContractBreach(one.spec_id, f"table {table}: columns missing: {sorted(absent)}; not declared: {extra}")
    arrays = {f.name: to_arrow(f, given[f.name], one.spec_id, table) for f in fields if f.name in given}
    lengths = {name: len(a) for name, a in arrays.items()}
    rows = next(iter(lengths.values()), 1)
    if len(set(lengths.values())) > 1:
        raise ContractBreach(one.spec_id, f"table {table}: columns differ in length: {lengths}")
    constants: dict[str, Any] = {"media_id": media_id, "valid_from": times[0], "computed_at": times[1]}
    constants |= {"analyzer": one.spec_id, "parameters_hash": one.parameters_hash}
    if media_id is None:
        constants["media_id"] = to_arrow(COMMON[0], given["media_id"], one.spec_id, table)
    if valid_from is not None:
        constants["valid_from"] = to_arrow(COMMON[3], valid_from, one.spec_id, table)
    for name, value in constants.items():
        if isinstance(value, pa.Array) and len(value) != rows:
            raise ContractBreach(one.spec_id, f"table {table}: {name} has {len(value)} rows, the others {rows}")
    fixed = tuple(_fix_length(f, arrays.get(f.name, pa.nulls(0, f.arrow_type))) for f in fields)
    return _Block(key, (*COMMON, *fixed), arrays, constants, rows, one.spec_id)


def _fields(one: AnalyzerRows, table: str) -> list[Field]:
    """Key fields of the table (an analyzer may restate one to narrow its range or length), then its own."""
    source = f"{one.spec_id} ({one.source})" if one.source else one.spec_id
    declared = {str(t): columns for t, columns in one.columns.items()}.get(table, ())
    own = {c.name: Field.of(c, source) for c in declared}
    fields = []
    for known in KEYS[table]:
        mine = own.pop(known.name, None)
        if mine is None:
            fields.append(known)
            continue
        if mine.dtype != known.dtype or (mine.length is None) != (known.length is None):
            raise ContractBreach(
                one.spec_id, f"{table}.{known.name} is a key column of type {known.dtype}, not {mine.dtype}"
            )
        fields.append(mine)
    for name in own:
        if name in {f.name for f in COMMON}:
            raise ContractBreach(one.spec_id, f"{table}.{name} is a column that every row has; choose another name")
    return [*fields, *own.values()]


def _fix_length(field: Field, array: pa.Array) -> Field:
    return field if field.length is None else replace(field, length=array.type.list_size)


def _write_parts(
    storage: Storage, media_id: str | None, groups: Sequence[tuple[tuple[str, ...], list[_Block]]]
) -> tuple[Part, ...]:
    """Small parts are written together, because each alone waits for the disk as long as a large one does."""
    parts: list[Part] = []
    small: dict[str, memoryview] = {}
    owner = (media_id or "derived")[:16]
    for (table, *_), blocks in groups:
        fields = _merged(table, blocks)
        counts: dict[int, int] = {}
        for block in blocks:
            counts[block.key] = counts.get(block.key, 0) + block.rows
        name = f"{table}/{owner[:2]}/{owner}-{uuid.uuid4().hex[:16]}.parquet"
        part, body = encode_table(storage, name, table, _row_groups(table, blocks, fields), fields, counts)
        parts.append(part)
        if part.size_bytes > _WRITTEN_ALONE_BYTES:
            storage.write(name, body)
        else:
            small[name] = body
    storage.write_all(small)
    if any(part.size_bytes > _WRITTEN_ALONE_BYTES for part in parts):
        pa.default_memory_pool().release_unused()  # the next film should not find its room taken
    return tuple(parts)


def _merged(table: str, blocks: Sequence[_Block]) -> tuple[Field, ...]:
    """The fields of the blocks as one table."""
    fields: dict[str, Field] = {}
    for block in blocks:
        for f in block.fields:
            check_same(block.analyzer, table, fields.setdefault(f.name, f), f)
    return tuple(fields.values())


def _row_groups(table: str, blocks: Sequence[_Block], fields: tuple[Field, ...]) -> Iterator[pa.Table]:
    """The blocks' rows, one after another, as tables of one row group each: all of a film's at once are a gigabyte."""
    schema, most = arrow_schema(fields), _rows_of_group(table)
    pieces: list[pa.Table] = []
    room = most
    for block in blocks:
        first = 0
        while first < block.rows:
            rows = min(room, block.rows - first)
            pieces.append(block.piece(first, rows, schema))
            first, room = first + rows, room - rows
            if not room:
                yield _taken(pieces)
                room = most
    if pieces:
        yield _taken(pieces)


def _taken(pieces: list[pa.Table]) -> pa.Table:
    """The pieces as one table; the list is empty afterwards, so that no piece is held while the next one is made."""
    whole = pa.concat_tables(pieces)
    pieces.clear()
    return whole


def _rows_of_group(table: str) -> int:
    return _ROW_GROUP.get(table, 131_072)


def schema_name(identity: str) -> str:
    """The file that holds an encoded schema."""
    return f"schemas/{identity}.json"


def write_table(
    storage: Storage, name: str, table: str, data: pa.Table, fields: tuple[Field, ...], key_rows: dict[int, int]
) -> Part:
    """Writes one part durably under its final name. The caller turns OSError into LakeUnwritable."""
    part, body = encode_table(storage, name, table, [data], fields, key_rows)
    storage.write(name, body)
    return part


def encode_table(
    storage: Storage,
    name: str,
    table: str,
    pieces: Iterable[pa.Table],
    fields: tuple[Field, ...],
    key_rows: dict[int, int],
) -> tuple[Part, memoryview]:
    """One part (at least one piece) and its Parquet bytes, still to be written; its schema is stored. Raises OSError."""
    encoded = encode(fields)
    identity = schema_id(encoded)
    stored_schema = schema_name(identity)
    if not storage.exists(stored_schema):
        storage.write_if_absent(stored_schema, encoded)
    sink = pa.BufferOutputStream()
    writer = None
    for data in pieces:
        if writer is None:
            writer = pq.ParquetWriter(sink, data.schema, compression="zstd", write_page_checksum=True)
        writer.write_table(data, row_group_size=_rows_of_group(table))
        del data
    assert writer is not None
    writer.close()
    body = sink.getvalue()
    return Part(name, table, identity, body.size, tuple(key_rows), tuple(key_rows.values())), memoryview(body)
