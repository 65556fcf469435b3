"""One vector a shot and a file, in the same space as the frames' vectors."""

from __future__ import annotations

from collections.abc import Sequence

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import SHOTS, key_columns, pooled_mean, read_frame_vectors, read_shots, scopes
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake

SOURCE = "embed_lite0"
POOLING = "mean"


class PooledEmbedding(Derivation):
    """The arithmetic mean of the frame vectors that lie in a shot, and of all of a file.

    `model` and `weights_sha256` are those of the frames: the space is the same. A shot in which no frame was sampled has
    no vector.
    """

    spec = Spec(
        name="embed_lite0_pooled",
        version=1,
        summary="Image embedding a shot and a file: mean of the frames' vectors",
        outputs=(
            Column("pooling", "string", "class", "how frame vectors became this one", Table.EMBEDDINGS, nullable=True),
        ),
        groups=("embeddings",),
        cite="arithmetic mean",
    )
    sources = (SOURCE, SHOTS)

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        vectors = read_frame_vectors(lake, media_ids, SOURCE)
        found = list(scopes(vectors, read_shots(lake, media_ids)))
        if not found:
            return Derived()
        rows = key_columns(found) | {
            "model": [vectors.model[s.rows.start] for s in found],
            "weights_sha256": [vectors.weights_sha256[s.rows.start] for s in found],
            "vector": pooled_mean(vectors.values, found),
            "pooling": [POOLING] * len(found),
        }
        return Derived({Table.EMBEDDINGS: rows})
