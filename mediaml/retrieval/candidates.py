"""Which vectors a search compares."""

from __future__ import annotations

from mediaml.retrieval.space import Space
from mediaml.retrieval.where import HIT
from mediaml.tables.reader import literal


def candidates_sql(space: Space, columns: str = ", ".join(HIT)) -> str:
    """The vectors that are searched: shots, windows of sound, and whole files of media without either."""
    chosen = f"model = {literal(space.model)} AND weights_sha256 = {literal(space.weights_sha256)}"
    return (
        f"SELECT {columns} FROM embeddings WHERE {chosen} AND (scope IN ('shot', 'window') OR (scope = 'file' AND "  # noqa: S608
        f"media_id NOT IN (SELECT media_id FROM embeddings WHERE {chosen} AND scope IN ('shot', 'window'))))"
    )
