"""The titles of a feature set as items: a stable number each, and what is known of it at one time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.rec.features import DEFAULT_SET
from mediaml.rec.joining import feature_columns, read_feature_rows, read_versions
from mediaml.tables import ColumnInfo, Lake
from mediaml.tables.asof import AsOf
from mediaml.tables.attach import Values
from mediaml.tables.reader import literal


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """title_ids   item i is title_ids[i]: in order of the first build that had the title, then by name. Builds only add to
                 the end, and a deleted title keeps its number
    rows        (N,) position of the title's row in `values`; -1 where it is not known or deleted
    values      feature rows, masks included
    columns     what the columns mean
    as_of       the time at which this was known
    """

    title_ids: tuple[str, ...]
    rows: NDArray[np.int64]
    values: Values
    columns: Mapping[str, ColumnInfo]
    feature_set: str
    as_of: datetime

    @property
    def masks(self) -> list[str]:
        return [n for n in self.values.names if n.startswith("has_")]

    @property
    def scalars(self) -> list[str]:
        """Names of the numbers."""
        schema = self.values.scalars.schema
        return [n for n in self.values.names if n in schema.names and pa.types.is_floating(schema.field(n).type)]

    @property
    def texts(self) -> list[str]:
        """Names of JSON columns: tag shares."""
        schema = self.values.scalars.schema
        return [n for n in self.values.names if n in schema.names and pa.types.is_string(schema.field(n).type)]

    def numbers(self, names: list[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(N, len(names)) values and whether each is there; absent ones are NaN."""
        taken = dict(zip(self.values.names, self.values.take(self.rows), strict=True))
        columns = [taken[n].cast(pa.float64()).to_numpy(zero_copy_only=False) for n in names]
        matrix = np.stack(columns, 1).astype(np.float32) if names else np.zeros((len(self.rows), 0), np.float32)
        return matrix, ~np.isnan(matrix)

    def vectors(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(N, D) values and (N,) whether each is there; absent rows are NaN."""
        column = self.values.vectors[name]
        at = np.where(self.rows >= 0, column.position[self.rows], -1)
        return np.where((at >= 0)[:, None], column.values[at], np.float32("nan")), at >= 0

    def shares(self, name: str) -> tuple[NDArray[np.float32], list[str]]:
        """(N, T) shares of a JSON column and its T tags by id; rows of items without it are NaN."""
        column = dict(zip(self.values.names, self.values.take(self.rows), strict=True))[name].to_pylist()
        found = [None if text is None else json.loads(text) for text in column]
        tags = sorted({tag for one in found if one for tag in one})
        rows = [[float("nan")] * len(tags) if one is None else [one.get(t, 0.0) for t in tags] for one in found]
        return np.asarray(rows, np.float32).reshape(len(found), len(tags)), tags

    def table(self) -> pa.Table:
        """item_id, title_id and the features; null where absent, masks false."""
        columns = self.values.take(self.rows)
        filled = [
            c.fill_null(False) if n.startswith("has_") else c for n, c in zip(self.values.names, columns, strict=True)
        ]
        about = {n: {"unit": c.unit, "description": c.description} for n, c in self.columns.items()}
        ids = [pa.field("item_id", pa.int64()), pa.field("title_id", pa.string())]
        schema = pa.schema([*ids, *self.values.schema(about)])
        return pa.Table.from_arrays([pa.array(range(len(self.rows))), pa.array(self.title_ids), *filled], schema=schema)


def item_ids(lake: Lake, feature_set: str = DEFAULT_SET) -> list[str]:
    """Title of each item number."""
    found = lake.query(
        "SELECT title_id, min(computed_at) AS first FROM features "  # noqa: S608
        f"WHERE feature_set = {literal(feature_set)} GROUP BY title_id ORDER BY first, title_id"
    )
    return found.column("title_id").to_pylist()


def read_items(lake: Lake, feature_set: str = DEFAULT_SET, at: datetime | None = None) -> Items:
    """Every title that was ever built, with the features that were known (and true) at a time, by default now.

    Raises InvalidValue: there are no features, or none was known by then.
    """
    moment = at or datetime.now(UTC)
    versions = read_versions(lake, feature_set)
    titles = item_ids(lake, feature_set)
    with AsOf(versions) as asof:
        times = pa.array([moment] * len(titles), pa.timestamp("us", "UTC"))
        match = asof.match(pa.array(titles, pa.string()), times)
    if (match.row < 0).all():
        raise InvalidValue(f"no title of feature set {feature_set!r} had features at {moment:%Y-%m-%d %H:%M} UTC")
    names = feature_columns(lake, feature_set)
    values = Values.of(read_feature_rows(lake, names, feature_set))
    columns: dict[str, Any] = {c.name: c for c in lake.describe("features") if c.name in names}
    return Items(tuple(titles), match.row, values, columns, feature_set, moment)
