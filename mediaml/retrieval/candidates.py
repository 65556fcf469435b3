"""Which vectors a search compares."""

from __future__ import annotations

from mediaml.retrieval.spaces import Space
from mediaml.retrieval.where import HIT
from mediaml.tables.reader import literal


def candidates_sql(space: Space, columns: str = ", ".join(HIT)) -> str:
    """The vectors that are searched: shots, and whole files of media without shots."""
    chosen = f"model = {literal(space.model)} AND weights_sha256 = {literal(space.weights_sha256)}"
    return (
        f"SELECT {columns} FROM embeddings WHERE {chosen} AND (scope = 'shot' OR (scope = 'file' AND media_id NOT IN "  # noqa: S608
        f"(SELECT media_id FROM embeddings WHERE {chosen} AND scope = 'shot')))"
    )
