"""Writes the golden lake of the first version that had tables; run by hand, with that version on the path.

    mkdir /tmp/old && git archive 151079b | tar x -C /tmp/old
    PYTHONPATH=/tmp/old .venv/bin/python tests/golden/make_old_lake.py tests/golden/old_lake

The lake holds 70 commits, so that there is a checkpoint: three media with frames of two analyzers, of which one is
superseded twice (by a later run and by a newer version), an error, a path, a run, embeddings and a derivation. That
version's checkpoint forgets the keys of superseded rows: the lake is what `mediaml lake migrate` is for.
"""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows, ErrorRow, Lake, PathRow, RunRow

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LUMA = Column("luma_mean", "float32", "1", "mean luma", minimum=0, maximum=1)
BLUR = Column("blur", "float32", "1", "blur", minimum=0, maximum=1, nullable=True)
COMMITS = 70


def media(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def frames(column: Column, value: float, spec_id: str, count: int = 4) -> AnalyzerRows:
    keys = {"frame_index": np.arange(count), "pts_seconds": np.arange(count) / 25}
    rows: dict[str, Any] = {**keys, column.name: np.full(count, value, np.float32)}
    return AnalyzerRows(spec_id, "", {Table.FRAMES: (column,)}, {Table.FRAMES: rows}, source="a test")


def vectors() -> AnalyzerRows:
    rows: dict[str, Any] = {
        "start_seconds": [0.0, 1.0],
        "end_seconds": [1.0, 2.0],
        "scope": ["frame"] * 2,
        "model": ["tiny@1"] * 2,
        "weights_sha256": ["ab" * 32] * 2,
        "vector": np.eye(2, 3, dtype=np.float32),
    }
    return AnalyzerRows("tiny@1", "", {}, {Table.EMBEDDINGS: rows})


def main(target: str) -> None:
    lake = Lake.open(target, create=True)
    for i, name in enumerate(("one", "two", "three")):
        staged = lake.stage(
            media(name),
            analyzers=[frames(LUMA, 0.25 * i, "luma@1"), frames(BLUR, 0.5, "blur@1"), vectors()],
            path=PathRow(f"/media/{name}.mp4", 1000 + i, 10**18 + i),
            errors=[ErrorRow("internal_error", "it broke", f"/media/{name}.mp4", "sharp@1")] if i == 2 else [],
            computed_at=START + timedelta(minutes=i),
        )
        lake.commit([staged], "run")
    again = lake.stage(media("one"), analyzers=[frames(LUMA, 0.75, "luma@1")], computed_at=START + timedelta(hours=1))
    lake.commit([again])
    newer = lake.stage(media("two"), analyzers=[frames(LUMA, 1.0, "luma@2")], computed_at=START + timedelta(hours=2))
    lake.commit([newer])
    rows: dict[str, Any] = {"media_id": [media("one")], "scope": ["file"], "start_seconds": [0.0], "end_seconds": [1.0]}
    rows |= {"vocabulary": ["v"], "tag_id": ["cat"], "label": ["cat"], "score": [0.5], "rank": [1]}
    lake.replace_derived("tags:v", [AnalyzerRows("tags@1", "", {}, {"tags": rows})], computed_at=START)
    for i in range(COMMITS - 6):
        lake.record_run(RunRow("run", START, START + timedelta(seconds=i), "done", "analyze /media", "0.1.0"))


if __name__ == "__main__":
    main(sys.argv[1])
