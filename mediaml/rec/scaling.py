"""Scaling of features (mean and standard deviation, stored beside them) and the drift between two builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_BINS = 10
_FLOOR = 1e-4  # of a share, so that an empty bin does not make PSI infinite


@dataclass(frozen=True, slots=True)
class Drift:
    """How one feature changed between two builds.

    presence_before, presence_after   share of titles that have it
    psi                population stability index over the deciles of the first build; below 0.1 little, above 0.25 much.
                       None for vectors and where one side is empty
    shift              scalars: difference of means in standard deviations of the first build
    cosine             vectors: mean cosine between a title's two vectors, over titles that have both
    changed            share of the titles that have it in both builds whose value differs
    """

    feature: str
    presence_before: float
    presence_after: float
    changed: float
    psi: float | None = None
    shift: float | None = None
    cosine: float | None = None


def scaling_rows(columns: Mapping[str, Sequence[Any]], feature_set: str) -> dict[str, list[Any]]:
    """Feature -> its values over titles (None where absent; numbers or vectors) to columns of `feature_scaling`."""
    rows: dict[str, list[Any]] = {n: [] for n in ("feature", "element", "mean", "std", "titles")}
    for name, values in columns.items():
        present = [v for v in values if v is not None]
        if not present:
            continue
        matrix = np.asarray(present, np.float64).reshape(len(present), -1)  # (titles, elements)
        rows["feature"] += [name] * matrix.shape[1]
        rows["element"] += range(matrix.shape[1])
        rows["mean"] += matrix.mean(0).tolist()
        rows["std"] += matrix.std(0).tolist()
        rows["titles"] += [len(present)] * matrix.shape[1]
    count = len(rows["feature"])
    return {"media_id": [""] * count, "feature_set": [feature_set] * count, **rows}


def scalar_drift(feature: str, before: pa.ChunkedArray, after: pa.ChunkedArray) -> Drift:
    """Of one number a title; both columns have the same titles in the same order."""
    a, b = (c.cast(pa.float64()).to_numpy() for c in (before, after))  # null becomes NaN
    both = ~np.isnan(a) & ~np.isnan(b)
    x, y = a[~np.isnan(a)], b[~np.isnan(b)]
    changed = float((a[both] != b[both]).mean()) if both.any() else 0.0
    psi = shift = None
    if len(x) and len(y):
        psi = population_stability(x, y)
        spread = float(x.std())
        shift = float(y.mean() - x.mean()) / spread if spread > 0 else None
    return Drift(feature, len(x) / max(len(a), 1), len(y) / max(len(b), 1), changed, psi, shift)


def vector_drift(feature: str, before: Sequence[Any], after: Sequence[Any]) -> Drift:
    """Of one vector a title (None where absent); both have the same titles in the same order."""
    pairs = [(p, q) for p, q in zip(before, after, strict=True) if p is not None and q is not None]
    cosine, changed = None, 0.0
    if pairs:
        p, q = (np.asarray(side, np.float64) for side in zip(*pairs, strict=True))
        norms = np.linalg.norm(p, axis=1) * np.linalg.norm(q, axis=1)
        cosine = float(((p * q).sum(1) / np.maximum(norms, 1e-12)).mean())
        changed = float((p != q).any(1).mean())
    present = [sum(v is not None for v in side) / max(len(side), 1) for side in (before, after)]
    return Drift(feature, present[0], present[1], changed, cosine=cosine)


def population_stability(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """PSI: sum of (q - p) ln(q / p) over the deciles of `before`."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
    p, q = (np.bincount(np.searchsorted(edges, v, "right"), minlength=len(edges) + 1) / len(v) for v in (before, after))
    p, q = np.maximum(p, _FLOOR), np.maximum(q, _FLOOR)
    return float(((q - p) * np.log(q / p)).sum())
