"""Lakes with made-up shots, frames, thumbnails and embeddings for the tests of derivations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mediaml import weights
from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows, Lake

LUMA = Column("luma_mean", "float32", "code value", "mean luma", minimum=0, maximum=255)
NIQE = Column("niqe", "float32", "1", "a score", nullable=True)
SI = Column("si", "float32", "code value", "spatial information", minimum=0, nullable=True)
BRIGHT = Column("luma_mean", "float32", "1", "mean luma", minimum=0, maximum=1)
FACE = Column("largest_face_share", "float32", "1", "share of the largest face", minimum=0, maximum=1)
EYES = Column("largest_face_eye_openness", "float32", "1", "openness of its eyes", minimum=0, maximum=1, nullable=True)
BEGIN = Column("transition_start_seconds", "float64", "s", "start of the transition", Table.SHOTS, nullable=True)
STOP = Column("transition_end_seconds", "float64", "s", "end of the transition", Table.SHOTS, nullable=True)
CUT = Column("transition", "string", "class", "how the shot ends", Table.SHOTS)


def media_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def make_lake(path: Path) -> Lake:
    return Lake.open(path / "lake", create=True)


def put(lake: Lake, name: str, *rows: AnalyzerRows) -> str:
    """Commits rows of one media; its id."""
    lake.commit([lake.stage(media_id(name), analyzers=rows)])
    return media_id(name)


def shots(
    bounds: Sequence[float],
    parameters: str = "",
    fps: float = 10.0,
    spans: Sequence[tuple[float, float] | None] | None = None,
) -> AnalyzerRows:
    """Shots that meet at `bounds`, in seconds; `spans`: of the transition that ends each."""
    starts, ends = list(bounds[:-1]), list(bounds[1:])
    rows: dict[str, list[Any]] = {
        "shot_index": list(range(len(starts))),
        "start_seconds": starts,
        "end_seconds": ends,
        "start_frame": [round(s * fps) for s in starts],
        "end_frame": [round(e * fps) for e in ends],
        "transition": ["cut"] * len(starts),
    }
    columns: tuple[Column, ...] = (CUT,)
    if spans is not None:
        columns += (BEGIN, STOP)
        rows["transition_start_seconds"] = [s and s[0] for s in spans]
        rows["transition_end_seconds"] = [s and s[1] for s in spans]
    return AnalyzerRows("shots_transnetv2@1", parameters, {Table.SHOTS: columns}, {Table.SHOTS: rows})


def frames(column: Column, times: Sequence[float], values: Sequence[Any], spec_id: str) -> AnalyzerRows:
    rows = {"frame_index": [round(t * 10) for t in times], "pts_seconds": list(times), column.name: list(values)}
    return AnalyzerRows(spec_id, "", {Table.FRAMES: (column,)}, {Table.FRAMES: rows})


def thumbnails(times: Sequence[float]) -> AnalyzerRows:
    n = len(times)
    rows = {"pts_seconds": list(times), "width": [2] * n, "height": [2] * n, "jpeg": [b"x"] * n}
    return AnalyzerRows("thumbnails@1", "", {}, {Table.THUMBNAILS: rows})


def lite0(times: Sequence[float], vectors: np.ndarray, sha: str | None = None) -> AnalyzerRows:
    """Frame vectors as `embed_lite0` gives them: (N, D) at these seconds."""
    n = len(times)
    rows = {
        "start_seconds": list(times),
        "end_seconds": [t + 1 for t in times],
        "scope": ["frame"] * n,
        "model": ["embed_lite0@1"] * n,
        "weights_sha256": [sha or weights.describe("efficientnet_lite0").sha256] * n,
        "vector": np.asarray(vectors, np.float32),
    }
    return AnalyzerRows("embed_lite0@1", "", {}, {Table.EMBEDDINGS: rows})
