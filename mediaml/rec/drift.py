"""What changed between two builds of the title features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.rec.features import DEFAULT_SET
from mediaml.rec.joining import feature_columns
from mediaml.tables import Lake
from mediaml.tables.reader import literal, quote

_BINS = 10
_FLOOR = 1e-4  # of a share, so that an empty bin does not make PSI infinite


@dataclass(frozen=True, slots=True)
class Drift:
    """How one feature changed.

    presence_before, presence_after   share of the titles of that build that have it
    changed   share of the titles that have it in both builds whose value differs
    psi       population stability index over the deciles of the first build: below 0.1 little, above 0.25 much.
              None for vectors and where one side is empty
    shift     scalars: difference of means in standard deviations of the first build; None where that is 0
    cosine    vectors: mean cosine between a title's two vectors, over the titles that have both
    """

    feature: str
    presence_before: float
    presence_after: float
    changed: float
    psi: float | None = None
    shift: float | None = None
    cosine: float | None = None


def builds(lake: Lake, feature_set: str = DEFAULT_SET) -> list[datetime]:
    """When the builds that changed anything were made, oldest first."""
    found = lake.query(
        f"SELECT DISTINCT computed_at FROM features WHERE feature_set = {literal(feature_set)} ORDER BY 1"  # noqa: S608
    )
    return [t.astimezone(UTC) for t in found.column("computed_at").to_pylist()]


def feature_drift(
    lake: Lake, before: datetime | None = None, after: datetime | None = None, feature_set: str = DEFAULT_SET
) -> list[Drift]:
    """Compares the features as known at two times, by default at the last two builds; most changed first.

    Raises InvalidValue: fewer than two builds, or nothing was known at a time.
    """
    known = builds(lake, feature_set)
    if len(known) < 2 and (before is None or after is None):
        raise InvalidValue(f"drift needs two builds of feature set {feature_set!r}; there are {len(known)}")
    sides = [_known_at(lake, t, feature_set) for t in (before or known[-2], after or known[-1])]
    titles = [sum(v is not None for v in side.column("known").to_pylist()) for side in sides]
    if not all(titles):
        raise InvalidValue(f"no title had features at {before or after}; the first build was {known[0]}")
    found = []
    for name in feature_columns(lake, feature_set):
        columns = [side.column(name) for side in sides]
        if pa.types.is_list(columns[0].type):
            found.append(_of_vectors(name, columns[0].to_pylist(), columns[1].to_pylist(), titles))
        elif pa.types.is_floating(columns[0].type):
            a, b = (c.cast(pa.float64()).to_numpy() for c in columns)
            found.append(_of_numbers(name, a, b, titles))
    return sorted(found, key=lambda d: (-max(d.psi or 0, 1 - (1 if d.cosine is None else d.cosine)), d.feature))


def _known_at(lake: Lake, time: datetime, feature_set: str) -> pa.Table:
    """One row a title that was ever known, in the same order at all times; null where it is not known or deleted."""
    moment = literal(time.astimezone(UTC).isoformat())
    chosen = f"FROM features WHERE feature_set = {literal(feature_set)}"
    columns = ", ".join(quote(n) for n in feature_columns(lake, feature_set))
    return lake.query(
        f"WITH t AS (SELECT DISTINCT title_id {chosen}), s AS ("  # noqa: S608
        f"SELECT title_id, title_id AS known, deleted, {columns} {chosen} AND computed_at <= {moment}::TIMESTAMPTZ "
        "QUALIFY row_number() OVER (PARTITION BY title_id ORDER BY valid_from DESC, computed_at DESC) = 1) "
        "SELECT * FROM t LEFT JOIN (SELECT * FROM s WHERE NOT deleted) USING (title_id) ORDER BY title_id"
    )


def _of_numbers(name: str, a: NDArray[np.float64], b: NDArray[np.float64], titles: Sequence[int]) -> Drift:
    """Of one number a title, NaN where absent; both sides have the same titles in the same order."""
    both = ~np.isnan(a) & ~np.isnan(b)
    x, y = a[~np.isnan(a)], b[~np.isnan(b)]
    changed = float((a[both] != b[both]).mean()) if both.any() else 0.0
    psi = shift = None
    if len(x) and len(y):
        psi = population_stability(x, y)
        spread = float(x.std())
        shift = float(y.mean() - x.mean()) / spread if spread > 0 else None
    return Drift(name, len(x) / titles[0], len(y) / titles[1], changed, psi, shift)


def _of_vectors(name: str, before: Sequence[Any], after: Sequence[Any], titles: Sequence[int]) -> Drift:
    pairs = [(p, q) for p, q in zip(before, after, strict=True) if p is not None and q is not None]
    cosine, changed = None, 0.0
    if pairs:
        p, q = (np.asarray(side, np.float64) for side in zip(*pairs, strict=True))
        norms = np.linalg.norm(p, axis=1) * np.linalg.norm(q, axis=1)
        cosine = float(((p * q).sum(1) / np.maximum(norms, 1e-12)).mean())
        changed = float((p != q).any(1).mean())
    present = [sum(v is not None for v in side) / n for side, n in zip((before, after), titles, strict=True)]
    return Drift(name, present[0], present[1], changed, cosine=cosine)


def population_stability(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """PSI: sum of (q - p) ln(q / p) over the deciles of `before`."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
    p, q = (np.bincount(np.searchsorted(edges, v, "right"), minlength=len(edges) + 1) / len(v) for v in (before, after))
    p, q = np.maximum(p, _FLOOR), np.maximum(q, _FLOOR)
    return float(((q - p) * np.log(q / p)).sum())
