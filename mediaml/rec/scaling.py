"""Scaling of features: mean and standard deviation over the titles that have them, stored beside the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


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
