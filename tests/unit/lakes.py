"""Rows for the tests of the lake."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
LUMA = Column("luma_mean", "float32", "1", "mean luma", minimum=0, maximum=1)
TALL = Column("tall", "int32", "px", "a height", nullable=True)


def media_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def luma(count: int = 3, version: int = 1, value: float = 0.5, parameters: str = "") -> AnalyzerRows:
    """Per-frame rows of an analyzer `luma`, at 25 fps."""
    return frames(LUMA, np.full(count, value, np.float32), f"luma@{version}", parameters)


def frames(column: Column, values: Any, spec_id: str = "luma@1", parameters: str = "") -> AnalyzerRows:
    count = len(values)
    rows = {"frame_index": np.arange(count), "pts_seconds": np.arange(count) / 25, column.name: values}
    return AnalyzerRows(spec_id, parameters, {Table.FRAMES: (column,)}, {Table.FRAMES: rows}, source="a test")


def vectors(values: np.ndarray, spec_id: str, model: str) -> AnalyzerRows:
    """One embedding a second; `values` is (N, D)."""
    n = len(values)
    rows = {
        "start_seconds": np.arange(n, dtype=float),
        "end_seconds": np.arange(n, dtype=float) + 1,
        "scope": ["frame"] * n,
        "model": [model] * n,
        "weights_sha256": ["ab" * 32] * n,
        "vector": values,
    }
    return AnalyzerRows(spec_id, "", {}, {"embeddings": rows})


def tags(media: list[str], labels: list[str], spec_id: str = "tags@1") -> AnalyzerRows:
    """One tag a media, as a derivation over the lake gives them."""
    n = len(media)
    rows = {
        "media_id": media,
        "scope": ["file"] * n,
        "start_seconds": [0.0] * n,
        "end_seconds": [1.0] * n,
        "vocabulary": ["test"] * n,
        "tag_id": labels,
        "label": labels,
        "score": [0.5] * n,
        "rank": [1] * n,
    }
    return AnalyzerRows(spec_id, "", {}, {"tags": rows})
