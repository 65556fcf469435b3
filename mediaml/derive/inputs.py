"""Reading what derivations start from: the rows of some media, and which sampled frames lie in which shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.tables import Lake

SHOTS = "shots_transnetv2"
"""The analyzer whose shots are summarised and tagged."""


def sql_list(values: Sequence[str]) -> str:
    """('a', 'b') for SQL's IN."""
    return "(" + ", ".join("'" + v.replace("'", "''") + "'" for v in values) + ")"


def from_media(media_ids: Sequence[str], sources: Sequence[str]) -> str:
    """SQL condition: rows of these media by these analyzers (names without version)."""
    return f"media_id IN {sql_list(media_ids)} AND split_part(analyzer, '@', 1) IN {sql_list(sources)}"


@dataclass(frozen=True, slots=True, eq=False)
class VectorRows:
    """Vectors in the order of media and time. All arrays have one row a vector."""

    media_id: NDArray[np.object_]
    start_seconds: NDArray[np.float64]
    end_seconds: NDArray[np.float64]
    model: NDArray[np.object_]
    weights_sha256: NDArray[np.object_]
    values: NDArray[np.float32]  # (N, D)

    def __len__(self) -> int:
        return len(self.media_id)


def read_frame_vectors(
    lake: Lake, media_ids: Sequence[str], source: str, weights_sha256: str | None = None
) -> VectorRows:
    """The vectors that `source` gave for frames of these media, ordered by media and time.

    `weights_sha256` leaves out those that other weights gave: a head must not be put on another backbone.
    """
    names = ["media_id", "start_seconds", "end_seconds", "model", "weights_sha256", "vector"]
    where = f"{from_media(media_ids, [source])} AND scope = 'frame'"
    if weights_sha256 is not None:
        where += f" AND weights_sha256 IN {sql_list([weights_sha256])}"
    found = lake.table("embeddings", names, where).sort_by([("media_id", "ascending"), ("start_seconds", "ascending")])
    media, start, end, model, sha = (found.column(n).to_numpy() for n in names[:-1])
    return VectorRows(media, start, end, model, sha, matrix(found.column("vector")))


def matrix(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """(N, D) of a column of vectors of one length."""
    flat = (
        column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    )  # a copy: torch wants it writable
    return flat.reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)


def read_shots(lake: Lake, media_ids: Sequence[str]) -> pa.Table:
    """media_id, shot_index, start_seconds, end_seconds of these media, in order."""
    names = ["media_id", "shot_index", "start_seconds", "end_seconds"]
    found = lake.table("shots", names, from_media(media_ids, [SHOTS]))
    return found.sort_by([("media_id", "ascending"), ("start_seconds", "ascending")])


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A shot or a whole file, and which rows of a `VectorRows` lie in it."""

    media_id: str
    scope: str  # "shot" or "file"
    start_seconds: float
    end_seconds: float
    rows: slice


def scopes(vectors: VectorRows, shots: pa.Table) -> Iterator[Scope]:
    """Every file that has vectors, then each of its shots in which a frame was sampled. Shots without one are left out."""
    media, first = np.unique(vectors.media_id.astype(str), return_index=True)
    ends = np.append(first[1:], len(vectors))
    shot_media = shots.column("media_id").to_numpy().astype(str)
    starts, stops = (shots.column(n).to_numpy() for n in ("start_seconds", "end_seconds"))
    for name, begin, end in zip(media, first, ends, strict=True):
        times = vectors.start_seconds[begin:end]
        yield Scope(str(name), "file", float(times[0]), float(vectors.end_seconds[begin:end].max()), slice(begin, end))
        for i in range(*(int(np.searchsorted(shot_media, name, side)) for side in ("left", "right"))):
            low, high = begin + np.searchsorted(times, [starts[i], stops[i]])
            if high > low:
                yield Scope(str(name), "shot", float(starts[i]), float(stops[i]), slice(low, high))


def pooled_mean(values: NDArray[np.float32], found: Sequence[Scope]) -> NDArray[np.float32]:
    """(N, D) rows -> (len(found), D), the mean over each scope."""
    return np.stack([values[s.rows].mean(0, dtype=np.float64) for s in found]).astype(np.float32)


def key_columns(found: Sequence[Scope]) -> dict[str, list]:
    """media_id, scope, start_seconds and end_seconds as columns."""
    return {
        "media_id": [s.media_id for s in found],
        "scope": [s.scope for s in found],
        "start_seconds": [s.start_seconds for s in found],
        "end_seconds": [s.end_seconds for s in found],
    }
