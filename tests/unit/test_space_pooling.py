"""Vectors of frames to one a shot, and those to one a file, with the pooling named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mediaml.derive import derive
from mediaml.derive.pooling import MEAN_OF_FRAMES, MEAN_OF_SHOTS, pool_file, pool_shots
from mediaml.spec import Table
from mediaml.tables import AnalyzerRows
from tests.unit.derive_lakes import make_lake, put, shots

AXES = np.eye(4, dtype=np.float32)
TIMES = np.arange(5, dtype=float)
FRAMES = AXES[[0, 1, 2, 2, 3]]


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values)


def test_shots_are_means_of_their_frames_and_unit_vectors_stay_so() -> None:
    pooled = pool_shots(TIMES, FRAMES, np.array([[0.0, 2.0], [2.0, 2.5], [2.6, 2.9], [3.0, 5.0]]))
    assert pooled.pooling == MEAN_OF_FRAMES and pooled.spans.tolist() == [[0, 2], [2, 2.5], [3, 5]]
    assert pooled.values == pytest.approx(np.stack([unit(AXES[0] + AXES[1]), AXES[2], unit(AXES[2] + AXES[3])]))


def test_files_are_means_of_shots_by_seconds() -> None:
    whole = pool_file(pool_shots(TIMES, FRAMES, np.array([[0.0, 1.0], [1.0, 4.0]])))
    assert whole.pooling == MEAN_OF_SHOTS and whole.spans.tolist() == [[0, 4]]
    assert whole.values[0] == pytest.approx(unit(AXES[0] + 3 * unit(AXES[1] + 2 * AXES[2])), abs=1e-6)


def test_other_vectors_are_plain_means_and_no_shots_are_one() -> None:
    pooled = pool_shots(TIMES, 3 * FRAMES, np.zeros((0, 2)))
    assert len(pooled.values) == 1 and pooled.values[0] == pytest.approx(3 * FRAMES.mean(0))
    assert len(pool_shots(TIMES, FRAMES, np.array([[0.2, 0.4]])).values) == 1, "no frame in any shot: one shot"


def frames(analyzer: str, model: str) -> AnalyzerRows:
    rows = {"start_seconds": TIMES, "end_seconds": TIMES + 1, "scope": ["frame"] * 5, "model": [model] * 5}
    rows |= {"weights_sha256": ["cd" * 32] * 5, "vector": FRAMES}
    return AnalyzerRows(f"{analyzer}@1", "", {}, {Table.EMBEDDINGS: rows})


def test_every_space_of_a_lake_is_pooled_by_itself(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    put(lake, "a", shots([0.0, 2.0, 5.0]), frames("embed_x", "open_clip:x"), frames("embed_y", "open_clip:y"))
    put(lake, "still", frames("embed_x", "open_clip:x"))
    summary = derive(lake, only=["embed_x_pooled", "embed_y_pooled"])
    assert summary.computed == {"embed_x_pooled": 2, "embed_y_pooled": 1}
    rows = lake.query(
        "SELECT analyzer, scope, model, pooling, weights_sha256, vector FROM embeddings WHERE scope <> 'frame' "
        "ORDER BY analyzer, pooling, scope"
    ).to_pylist()
    found = [(r["analyzer"], r["scope"], r["model"], r["pooling"]) for r in rows]
    x, y = ("embed_x_pooled@1", "open_clip:x"), ("embed_y_pooled@1", "open_clip:y")
    assert sorted(found) == sorted(
        [(a, "shot", m, MEAN_OF_FRAMES) for a, m in (x, x, y, y)]
        + [(a, "file", m, MEAN_OF_SHOTS) for a, m in (x, y)]
        + [(x[0], "file", x[1], MEAN_OF_FRAMES)]
    )
    assert {r["weights_sha256"] for r in rows} == {"cd" * 32}
    assert all(np.linalg.norm(r["vector"]) == pytest.approx(1, abs=1e-5) for r in rows)
    assert derive(lake, only=["embed_x_pooled"]).unchanged == {"embed_x_pooled": 2}
