"""The column of a joint space's vectors: what models of pictures, sounds and texts give alike."""

from __future__ import annotations

from mediaml.spec import Column, Table


def joint_vector(tower: str, compared_with: str, length: int) -> Column:
    """Unit vectors of `length` numbers in `embeddings`; a rounding beyond 1 is allowed."""
    return Column(
        "vector",
        "float32",
        "1",
        f"unit vector of the {tower} tower; compare with the same model's {compared_with} by cosine",
        Table.EMBEDDINGS,
        minimum=-1.0001,
        maximum=1.0001,
        length=length,
    )
