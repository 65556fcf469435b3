"""One vector a shot and a file in every space that frames were embedded in (open_clip models, your own embedders)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import SHOTS, read_frame_vectors, read_shots
from mediaml.derive.pooling import MEAN_OF_FRAMES, MEAN_OF_SHOTS, Pooled, pool_file, pool_shots
from mediaml.derive.vocabulary import Vocabulary
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake

PREFIX, SUFFIX = "embed_", "_pooled"
OWN_POOLING = ("embed_lite0",)
"""Embedders whose pooling is a derivation of its own."""

_COLUMNS = ("media_id", "scope", "start_seconds", "end_seconds", "model", "weights_sha256", "vector", "pooling")


class SpacePooling(Derivation):
    """Shots: the mean of the sampled frames. Files: the mean of the shots, weighted by their seconds.

    Unit vectors stay unit vectors. `model` and `weights_sha256` are those of the frames: the space is the same. A shot in
    which no frame was sampled has no vector; a file without shots is pooled from its frames.
    """

    spec = Spec(
        name="embed_pooled",
        version=1,
        summary="Embeddings a shot and a file, in every space that frames were embedded in",
        outputs=(
            Column("pooling", "string", "class", "how frame vectors became this one", Table.EMBEDDINGS, nullable=True),
        ),
        groups=("embeddings",),
        cite="arithmetic mean, of length 1 where the frames' vectors are",
    )

    def __init__(self, source: str) -> None:
        self.source = source
        self.sources = (source, SHOTS)  # type: ignore[misc]
        self.spec = replace(
            type(self).spec, name=source + SUFFIX, summary=f"Embeddings of {source} a shot and a file: means"
        )

    @classmethod
    def instances(cls, vocabularies: Sequence[Vocabulary]) -> Sequence[Derivation]:  # noqa: ARG003
        return ()

    @classmethod
    def over(cls, lake: Lake, vocabularies: Sequence[Vocabulary]) -> Sequence[Derivation]:  # noqa: ARG003
        names = {r.key.analyzer.split("@")[0] for r in lake.results() if Table.EMBEDDINGS in r.tables}
        found = [n for n in sorted(names) if n.startswith(PREFIX) and not n.endswith(SUFFIX) and n not in OWN_POOLING]
        return [cls(name) for name in found]

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        vectors = read_frame_vectors(lake, media_ids, self.source)
        shots = read_shots(lake, media_ids)
        shot_media = shots.column("media_id").to_numpy().astype(str)
        spans = np.stack([shots.column(n).to_numpy() for n in ("start_seconds", "end_seconds")], axis=1)
        rows: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        media = vectors.media_id.astype(str)
        for media_id in np.unique(media):
            at = np.flatnonzero(media == media_id)
            times, values = vectors.start_seconds[at], vectors.values[at]
            own = spans[shot_media == media_id]
            pooled = pool_shots(times, values, own)
            space = (str(vectors.model[at[0]]), str(vectors.weights_sha256[at[0]]))
            whole = Pooled(
                np.array([[times[0], vectors.end_seconds[at].max()]]), pool_file(pooled).values, MEAN_OF_SHOTS
            )
            _add(rows, str(media_id), "file", whole, space, MEAN_OF_SHOTS if len(own) else MEAN_OF_FRAMES)
            if len(own):
                _add(rows, str(media_id), "shot", pooled, space, pooled.pooling)
        if not rows["media_id"]:
            return Derived()
        return Derived({Table.EMBEDDINGS: rows | {"vector": np.stack(rows["vector"])}})


def _add(
    rows: dict[str, list[Any]], media_id: str, scope: str, pooled: Pooled, space: tuple[str, str], pooling: str
) -> None:
    for (start, end), vector in zip(pooled.spans.tolist(), pooled.values, strict=True):
        for name, value in zip(_COLUMNS, (media_id, scope, start, end, *space, vector, pooling), strict=True):
            rows[name].append(value)
