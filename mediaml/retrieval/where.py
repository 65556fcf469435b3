"""`--where`: one SQL condition over any column of any table, checked before it is put into a query.

A column belongs to the hit (start_seconds, end_seconds, scope) or to the first of the tables below that has it; write
`table.column` to choose another. Of tables with several rows a media, those that overlap the hit in time count (streams:
all), and the condition must hold for one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from mediaml.errors import QueryError, UnknownName
from mediaml.tables import Lake
from mediaml.tables.reader import literal, quote

HIT = ("media_id", "scope", "start_seconds", "end_seconds")
TABLES = ("media", "files", "shots", "tags", "spans", "frames", "streams", "series", "boxes", "transcripts")
LONGEST = 10_000
_TIMES = {
    "shots": ("start_seconds", "end_seconds"),
    "tags": ("start_seconds", "end_seconds"),
    "spans": ("start_seconds", "end_seconds"),
    "frames": ("pts_seconds", "pts_seconds"),
    "series": ("time_seconds", "time_seconds"),
    "boxes": ("pts_seconds", "pts_seconds"),
    "transcripts": ("start_seconds", "end_seconds"),
}
_WIDE = {"files": "files_wide", "shots": "shots_wide", "frames": "frames_wide"}


def filtered(lake: Lake, hits: str, where: str | None) -> str:
    """SQL giving the rows of the query `hits` (which has the columns of `HIT`) for which the condition holds.

    Raises QueryError (not one condition), UnknownName (a column that no table has, with near matches).
    """
    if where is None:
        return hits
    columns = list(_columns(_tree(where)))
    by_table: dict[str, list[str]] = {}
    for path in columns:
        table, column = _home(lake, path)
        if table != "hit" and column not in by_table.setdefault(table, []):
            by_table[table].append(column)
    joins = " ".join(_join(table, names) for table, names in by_table.items())
    return (
        f"SELECT h.* FROM ({hits}) h WHERE EXISTS (SELECT 1 FROM (SELECT "  # noqa: S608
        f"{', '.join(f'h.{quote(c)} AS {quote(c)}' for c in HIT)}) AS hit {joins} WHERE ({where}\n))"
    )


def _tree(where: str) -> Any:
    """The parsed condition. Raises QueryError unless it is exactly one expression."""
    if len(where) > LONGEST or not where.strip():
        raise QueryError(
            f"--where takes one SQL condition of 1 to {LONGEST} characters, not {len(where)}"
            if where.strip()
            else "--where is empty; give a condition such as: duration_seconds > 600"
        )
    try:
        duckdb.SQLExpression(where)
        with duckdb.connect(":memory:") as db:
            found = db.execute(
                f"SELECT json_serialize_sql({literal(f'SELECT 1 WHERE ({where}' + chr(10) + ')')})"
            ).fetchone()
    except duckdb.Error as error:
        raise QueryError(f"--where {where!r} is not one SQL condition: {error}") from error
    parsed: dict[str, Any] = json.loads(found[0]) if found else {"error": True}
    if parsed.get("error"):
        raise QueryError(
            f"--where {where!r} is not one SQL condition: {parsed.get('error_message', 'it does not parse')}"
        )
    statements = parsed["statements"]
    node = statements[0]["node"]
    if len(statements) != 1 or node.get("type") != "SELECT_NODE" or node.get("from_table", {}).get("type") != "EMPTY":
        raise QueryError(f"--where {where!r} must be one condition, not a statement of its own")
    _refuse_subqueries(node["where_clause"], where)
    return node["where_clause"]


def _refuse_subqueries(tree: Any, where: str) -> None:
    for node in _nodes(tree):
        if node.get("class") == "SUBQUERY":
            raise QueryError(f"--where {where!r}: a condition over columns is wanted, without queries inside it")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _columns(tree: Any) -> Iterator[tuple[str, ...]]:
    """Every column that the condition names, as (name,) or (table, name)."""
    for node in _nodes(tree):
        if node.get("class") == "COLUMN_REF":
            yield tuple(node["column_names"])


def _home(lake: Lake, path: tuple[str, ...]) -> tuple[str, str]:
    if len(path) == 1:
        if path[0].lower() in HIT:
            return "hit", path[0].lower()
        for table in TABLES:
            if (found := _spelt(lake, table, path[0])) is not None:
                return table, found
        known = {c.name for t in TABLES for c in lake.describe(_WIDE.get(t, t))}
        raise UnknownName("column", path[0], known)
    table, column = path[-2].lower(), path[-1]
    if table == "hit" and column.lower() in HIT:
        return "hit", column.lower()
    if table not in TABLES:
        raise UnknownName("table", path[-2], ("hit", *TABLES))
    found = _spelt(lake, table, column)
    if found is None:
        raise UnknownName(f"column of {table}", column, [c.name for c in lake.describe(_WIDE.get(table, table))])
    return table, found


def _spelt(lake: Lake, table: str, column: str) -> str | None:
    names = {c.name.lower(): c.name for c in lake.describe(_WIDE.get(table, table))}
    return names.get(column.lower())


def _join(table: str, columns: list[str]) -> str:
    """The table's columns that the condition names, and no others, so that no name is ambiguous."""
    media, start, end = (quote(f"{table}.{what}") for what in ("media", "start", "end"))
    source = f"SELECT media_id AS {media}, {', '.join(map(quote, columns))}"
    overlap = ""
    if times := _TIMES.get(table):
        source += f", {quote(times[0])} AS {start}, {quote(times[1])} AS {end}"
        later = f"{start} >= h.start_seconds"
        if times[0] != times[1]:
            later = f"({end} > h.start_seconds OR {later})"
        overlap = f" AND {start} < h.end_seconds AND {later}"
    source += f" FROM {_WIDE.get(table, table)}"
    return f"LEFT JOIN ({source}) AS {quote(table)} ON {media} = h.media_id{overlap}"
