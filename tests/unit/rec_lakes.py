"""Small lakes with titles for the tests of title features and joins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from mediaml.spec import Table
from mediaml.tables import AnalyzerRows, Lake, MediaRows, PathRow, Staged
from tests.report_lake import frame_rows, media_id, sound_rows, story_rows, video_info

RELEASE = datetime(2024, 3, 1, tzinfo=UTC)
ANALYZED = datetime(2024, 3, 10, tzinfo=UTC)
BUILT = datetime(2024, 3, 20, tzinfo=UTC)
DAY = timedelta(days=1)
SHA = "ab" * 32


def shot_vectors(
    number: int, shots: int = 3, dimensions: int = 4, version: int = 1, shift: float = 0.0
) -> AnalyzerRows:
    """One vector a shot of 4 s: element 0 is the number of the file, plus `shift`."""
    values = np.random.default_rng(number).random((shots, dimensions)).astype(np.float32)
    values[:, 0] = number + 1 + shift
    starts = np.arange(shots) * 4.0
    rows = {
        "start_seconds": starts,
        "end_seconds": starts + 4.0,
        "scope": ["shot"] * shots,
        "model": [f"embed_test@{version}"] * shots,
        "weights_sha256": [SHA] * shots,
        "vector": values,
    }
    return AnalyzerRows(f"embed_test_pooled@{version}", "", {}, {Table.EMBEDDINGS: rows})


def stage_title(
    lake: Lake, number: int, *more: AnalyzerRows, sound: bool = True, computed_at: datetime = ANALYZED
) -> Staged:
    """A file /media/clip_N.mp4 of 12 s with three shots, tags, findings and loudness."""
    path = f"/media/clip_{number}.mp4"
    rows = [frame_rows(number, 12.0, 2.0), *story_rows(number, 12.0, 3)]
    if sound:
        rows.append(sound_rows(number, 12.0))
    return lake.stage(
        media_id(number),
        media=MediaRows(video_info(path, number, 12.0)),
        path=PathRow(path, 1000 + number, 1),
        analyzers=[*rows, *more],
        valid_from=RELEASE,
        computed_at=computed_at,
    )


def make_lake(folder: Path, files: int = 3) -> Lake:
    """Files 0..n-1, all with shot vectors; file 1 has no sound."""
    lake = Lake.open(folder / "lake", create=True)
    lake.commit([stage_title(lake, i, shot_vectors(i), sound=i != 1) for i in range(files)])
    return lake


def write_titles(folder: Path, *lines: str, header: str = "title_id,media,valid_from,valid_to") -> Path:
    path = folder / "titles.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def events(*rows: tuple[str, str, datetime], **columns: Sequence[object]) -> pa.Table:
    """(user, title, time) rows, and further columns."""
    users, titles, times = zip(*rows, strict=True)
    table = {"user": users, "title": titles, "time": pa.array(times, pa.timestamp("us", "UTC"))}
    return pa.table(table | {n: list(v) for n, v in columns.items()})
