"""`mediaml.search`: shots that look like words, a picture, or another shot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.derive.inputs import matrix
from mediaml.errors import InvalidValue
from mediaml.retrieval import query as queries
from mediaml.retrieval.candidates import candidates_sql
from mediaml.retrieval.index import EXACT_UP_TO, open_index
from mediaml.retrieval.space import Space
from mediaml.retrieval.spaces import choose
from mediaml.retrieval.vector_index import VectorIndex
from mediaml.retrieval.warm import media_of
from mediaml.retrieval.where import HIT, filtered
from mediaml.tables import Lake
from mediaml.tables.reader import literal

MOST_HITS = 10_000
_ROWS_AT_ONCE = 262_144


@dataclass(frozen=True, slots=True)
class Hit:
    """A shot (or a whole file that has no shots), its cosine with the query, and its picture.

    jpeg  the thumbnail nearest to the middle of the hit, taken at `picture_seconds`; None where the lake has none
    """

    rank: int
    score: float
    media_id: str
    path: str
    scope: str
    start_seconds: float
    end_seconds: float
    picture_seconds: float | None
    jpeg: bytes | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and how they were found.

    candidates  vectors that the condition left
    method      "exact", or the kind of the index
    notes       what a reader must know about the answer
    """

    query: str
    model: str
    weights_sha256: str
    hits: tuple[Hit, ...]
    candidates: int
    method: str
    notes: tuple[str, ...] = ()


def search(
    lake: Lake | str | os.PathLike[str],
    words: str | None = None,
    *,
    image: str | os.PathLike[str] | None = None,
    like: str | None = None,
    top: int = 20,
    where: str | None = None,
    model: str | None = None,
    templates: Sequence[str] = ("{}",),
    use_index: bool = True,
    pictures: bool = True,
) -> SearchResult:
    """The `top` shots nearest to words, to a picture file, or to what the lake holds at `like` ("MEDIA@00:01:23").

    Open the lake once and pass the object for many searches: what the first one read (the index among it) serves the rest.

    Args:
        where: an SQL condition over any column of any table (`mediaml.retrieval.where`), such as "duration_seconds > 600".
        model: "label_space", "lite0" or an open_clip address; by default the best space that can answer.
        templates: sentences with {} for the query, averaged (words only).
        use_index: False compares with every vector, whatever their number.
        pictures: False leaves `jpeg` and `picture_seconds` of the hits None, which saves reading the thumbnails.

    Raises:
        InvalidValue: not exactly one query, an empty one, or a space that the lake lacks (says how to get it).
        UnknownName, QueryError (where), WeightsError, MediaError (image), LakeError.
    """
    given = [q for q in (words, image, like) if q is not None]
    if len(given) != 1:
        raise InvalidValue(f"give one of words, an image and an example, not {len(given)}")
    if not 1 <= top <= MOST_HITS:
        raise InvalidValue(f"top {top} must lie in 1..{MOST_HITS}")
    opened = lake if isinstance(lake, Lake) else Lake.open(lake)
    filtered(opened, "", where)  # refuses before anything is embedded
    itself = None
    if words is not None:
        space = choose(opened, "words", model)
        vector = queries.of_words(words, space, model, templates)
    elif image is not None:
        space = choose(opened, "picture", model)
        vector = queries.of_picture(image, space, model)
    else:
        space = choose(opened, "example", model)
        vector, itself = queries.of_example(opened, str(like), space)
    found = _nearest(opened, space, vector, top, where, use_index)
    hits = _hits(opened, found, pictures)
    return SearchResult(
        str(given[0]), space.model, space.weights_sha256, hits, found.candidates, found.method, _notes(space, itself)
    )


@dataclass(frozen=True, slots=True)
class _Found:
    rows: pa.Table  # HIT
    scores: NDArray[np.float32]
    candidates: int
    method: str


def _nearest(
    lake: Lake, space: Space, vector: NDArray[np.float32], top: int, where: str | None, use_index: bool
) -> _Found:
    if use_index and space.pooled > EXACT_UP_TO:
        index = open_index(lake, space)
        if index is not None:
            return _by_index(lake, space, index, vector, top, where)
    sql = filtered(lake, candidates_sql(space, ", ".join((*HIT, "vector"))), where)
    found = lake.query(f"SELECT * FROM ({sql}) ORDER BY media_id, start_seconds, scope")  # noqa: S608
    scores = cosines(found.column("vector"), vector)
    best = np.argsort(-scores, kind="stable")[:top]
    rows = found.drop_columns(["vector"]).take(pa.array(best))
    return _Found(rows, scores[best], found.num_rows, "exact")


def cosines(column: pa.ChunkedArray, vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of every row with a unit vector, in blocks so that the working copy stays small."""
    parts = []
    for begin in range(0, len(column), _ROWS_AT_ONCE):
        values = matrix(column.slice(begin, _ROWS_AT_ONCE))
        parts.append(values @ vector / np.maximum(np.linalg.norm(values, axis=1), 1e-12))
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def _by_index(
    lake: Lake, space: Space, index: VectorIndex, vector: NDArray[np.float32], top: int, where: str | None
) -> _Found:
    allowed = None
    if where is not None:
        kept = lake.query(filtered(lake, candidates_sql(space), where))
        allowed = index.positions(kept)
    at, scores = index.search(vector, top, allowed)
    return _Found(index.rows_at(at), scores, index.size if allowed is None else len(allowed), index.kind)


def _hits(lake: Lake, found: _Found, pictured: bool) -> tuple[Hit, ...]:
    rows = found.rows.to_pylist()
    if not rows:
        return ()
    ids = sorted({r["media_id"] for r in rows})
    paths = media_of(lake).paths
    pictures = _pictures(lake, rows, ids) if pictured else {}
    made = []
    for rank, (row, score) in enumerate(zip(rows, found.scores.tolist(), strict=True), 1):
        seconds, jpeg = pictures.get((row["media_id"], row["start_seconds"]), (None, None))
        place = (
            row["media_id"],
            paths.get(row["media_id"], ""),
            row["scope"],
            row["start_seconds"],
            row["end_seconds"],
        )
        made.append(Hit(rank, max(-1.0, min(1.0, score)), *place, seconds, jpeg))
    return tuple(made)


def _pictures(
    lake: Lake, rows: list[dict[str, Any]], ids: Sequence[str]
) -> dict[tuple[str, float], tuple[float, bytes]]:
    """(media_id, start) -> time and JPEG of the thumbnail of the hit, or of the nearest where none lies within."""
    columns = ["media_id", "pts_seconds", "jpeg"]
    within = " OR ".join(
        f"(media_id = {literal(r['media_id'])} AND pts_seconds >= {r['start_seconds']!r} "
        f"AND pts_seconds < {r['end_seconds']!r})"
        for r in rows
    )
    found = lake.rows_of("thumbnails", ids, columns, within).to_pylist()
    chosen: dict[tuple[str, float], tuple[float, bytes]] = {}
    for row in rows:
        own = [t for t in found if t["media_id"] == row["media_id"]]
        inside = [t for t in own if row["start_seconds"] <= t["pts_seconds"] < row["end_seconds"]]
        if inside:
            best = min(inside, key=lambda t, m=_middle(row): (abs(t["pts_seconds"] - m), t["pts_seconds"]))
            chosen[row["media_id"], row["start_seconds"]] = best["pts_seconds"], best["jpeg"]
    bare = [r for r in rows if (r["media_id"], r["start_seconds"]) not in chosen]
    return chosen | (_nearest_pictures(lake, bare) if bare else {})


def _nearest_pictures(lake: Lake, rows: list[dict[str, Any]]) -> dict[tuple[str, float], tuple[float, bytes]]:
    """Of hits without a thumbnail of their own: the media's nearest."""
    ids = sorted({r["media_id"] for r in rows})
    times = lake.rows_of("thumbnails", ids, ["media_id", "pts_seconds"]).to_pylist()
    nearest = {}
    for row in rows:
        own = [t["pts_seconds"] for t in times if t["media_id"] == row["media_id"]]
        if own:
            at = min(own, key=lambda t, m=_middle(row): (abs(t - m), t))
            nearest[row["media_id"], row["start_seconds"]] = at
    if not nearest:
        return {}
    instants = ", ".join(sorted({repr(t) for t in nearest.values()}))
    columns = ["media_id", "pts_seconds", "jpeg"]
    found = lake.rows_of("thumbnails", ids, columns, f"pts_seconds IN ({instants})").to_pylist()
    jpegs = {(r["media_id"], r["pts_seconds"]): r["jpeg"] for r in found}
    return {k: (t, jpegs[k[0], t]) for k, t in nearest.items() if (k[0], t) in jpegs}


def _middle(row: dict[str, Any]) -> float:
    return (row["start_seconds"] + row["end_seconds"]) / 2


def _notes(space: Space, itself: str | None) -> tuple[str, ...]:
    notes = []
    if space.model.startswith("conse:"):
        notes.append(
            "the label space knows things by a thousand nouns of objects, animals and places: it cannot see people, faces, "
            "actions, colours, counts, moods or text; an open_clip model can (mediaml embed --model open_clip:...)"
        )
    if itself is not None:
        notes.append("the example itself is among the hits")
    return tuple(notes)
