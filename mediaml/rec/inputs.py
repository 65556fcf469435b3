"""A behaviour log and content tables as what the evaluation works on: positions, blocks, and notes on what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.behaviour import BehaviourSettings, read_events
from mediaml.rec.blocks import Content, make_content
from mediaml.rec.evaluation import Log, make_log
from mediaml.tables import Lake
from mediaml.tables.reader import literal
from mediaml.tables.schema import COMMON, KEYS

TITLE_COLUMNS = ("title_id", "title")
MOST_CATEGORIES = 256
_BOOKKEEPING = frozenset({*TITLE_COLUMNS, *(f.name for f in (*COMMON, *KEYS["features"])), "digest"})


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """`titles` are the ids of the rows of `content` and of the log's positions; `notes` say what was left out."""

    log: Log
    content: Content
    titles: tuple[str, ...]
    notes: tuple[str, ...]


def read_inputs(
    behaviour: str | Path | pa.Table,
    content: str | Path | pa.Table,
    *,
    settings: BehaviourSettings | None = None,
    query: str | None = None,
    feature_set: str = "default",
) -> Inputs:
    """Reads both sides and brings them to the same titles.

    Args:
        behaviour: as `read_events` takes it. Repeated (user, title) pairs count once.
        content: a lake with built features, or a Parquet file or table with one row a title in column title_id.

    Raises:
        InvalidValue: no title of the log has content, or the table holds no feature. LakeMissing, UnknownName.
    """
    events = read_events(behaviour, settings, query=query)
    table = _read_content(content, feature_set)
    name = next((n for n in TITLE_COLUMNS if n in table.column_names), None)
    if name is None:
        raise UnknownName("content column", "title_id", table.column_names)
    known = [str(t) for t in table.column(name).to_pylist()]
    if len(set(known)) < len(known):
        raise InvalidValue(
            f"content: {len(known) - len(set(known))} titles have more than one row; keep one row a title"
        )
    ids = [str(t) for t in events.table.column("title").to_pylist()]
    titles = sorted(set(ids))
    row_of = {t: n for n, t in enumerate(known)}
    missing = [t for t in titles if t not in row_of]
    if len(missing) == len(titles):
        raise InvalidValue(
            f"content and log have no title in common: content has {known[:2]}, the log {titles[:2]}; use the same title ids"
        )
    rows = np.array([row_of.get(t, -1) for t in titles])
    blocks = content_blocks(table)
    aligned = [(n, np.where((rows >= 0)[:, None], values[rows], np.nan)) for n, values in blocks]
    notes = [*events.report.lines()]
    if missing:
        notes.append(f"{len(missing)} titles of the log have no content (first: {missing[0]}): known by behaviour only")
    if unseen := len(set(known) - set(titles)):
        notes.append(f"{unseen} titles have content but no event: they take no part")
    position = {t: n for n, t in enumerate(titles)}
    users, user_of = np.unique(np.array(events.table.column("user").to_pylist(), dtype=str), return_inverse=True)
    stamps = events.table.column("time").cast(pa.int64()).to_numpy().astype(np.float64) / 1e6  # seconds
    items = np.array([position[t] for t in ids], dtype=np.int64)
    log = make_log(user_of, items, stamps, len(users), len(titles))
    return Inputs(log, make_content(aligned), tuple(titles), tuple(notes))


def _read_content(source: str | Path | pa.Table, feature_set: str) -> pa.Table:
    if isinstance(source, pa.Table):
        return source
    path = Path(source)
    if path.suffix == ".parquet" and path.is_file():
        return pq.read_table(path)
    lake = Lake.open(path)
    if not any(t.name == "features" and t.rows for t in lake.tables()):
        raise InvalidValue(f"{path}: the lake has no title features; build them with: mediaml features build {path}")
    found = lake.query(
        f"SELECT * FROM features WHERE feature_set = {literal(feature_set)} "  # noqa: S608 - a quoted literal
        "QUALIFY row_number() OVER (PARTITION BY title_id ORDER BY valid_from DESC, computed_at DESC) = 1 ORDER BY title_id"
    )
    if not found.num_rows:
        raise InvalidValue(f"{path}: no features in the set {feature_set!r}")
    return found.filter(pa.array([not d for d in found.column("deleted").to_pylist()]))


def content_blocks(table: pa.Table) -> list[tuple[str, NDArray[np.float32]]]:
    """A block a vector or category column; single numbers that are known of the same titles share one. NaN: not known."""
    blocks: list[tuple[str, NDArray[np.float32]]] = []
    numbers: dict[bytes, list[tuple[str, NDArray[np.float32]]]] = {}
    for field in table.schema:
        if field.name in _BOOKKEEPING or field.name.startswith("has_"):
            continue
        column = table.column(field.name)
        if _is_list(field.type):
            blocks.append((field.name, _vectors(field.name, column.to_pylist())))
        elif pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            blocks.append((field.name, _indicators([None if v is None else [v] for v in column.to_pylist()])))
        elif pa.types.is_floating(field.type) or pa.types.is_integer(field.type) or pa.types.is_boolean(field.type):
            values = np.array([np.nan if v is None else float(v) for v in column.to_pylist()], np.float32)
            numbers.setdefault(np.isnan(values).tobytes(), []).append((field.name, values))
    for group in numbers.values():
        if not np.isnan(group[0][1]).all():
            name = group[0][0] if len(group) == 1 else f"{group[0][0]} and {len(group) - 1} more"
            blocks.append((name, np.stack([v for _, v in group], axis=1)))
    if not blocks:
        raise InvalidValue(
            "content holds no feature column: vectors, numbers or categories are needed beside the title"
        )
    return blocks


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)


def _vectors(name: str, rows: Sequence[Any]) -> NDArray[np.float32]:
    """Lists of numbers as they are; lists of words as indicators."""
    first = next((r for r in rows if r), None)
    if first is None or isinstance(first[0], str):
        return _indicators(rows)
    lengths = {len(r) for r in rows if r is not None}
    if len(lengths) > 1:
        raise InvalidValue(
            f"content column {name!r} has vectors of lengths {sorted(lengths)}; one space has one length"
        )
    out = np.full((len(rows), len(first)), np.nan, np.float32)
    for place, row in enumerate(rows):
        if row is not None:
            out[place] = row
    return out


def _indicators(rows: Sequence[Sequence[str] | None]) -> NDArray[np.float32]:
    """A column a category, the commonest `MOST_CATEGORIES`; None is not known."""
    counts: dict[str, int] = {}
    for row in rows:
        for word in set(row or ()):
            counts[word] = counts.get(word, 0) + 1
    kept = sorted(counts, key=lambda w: (-counts[w], w))[:MOST_CATEGORIES] or [""]
    return np.array([[np.nan if row is None else float(w in row) for w in kept] for row in rows], np.float32)
