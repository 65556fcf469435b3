"""What analyzers of joint spaces share: their name, their vectors' column, the check that texts meet the same weights."""

from __future__ import annotations

import re

from mediaml import weights
from mediaml.errors import WeightsError
from mediaml.spec import Column, Table


def embedder_name(space: str) -> str:
    """The analyzer that fills `space`."""
    return "embed_" + re.sub(r"[^a-z0-9]+", "_", space.lower()).strip("_")


def check_same_weights(space: str, weights_sha256: str, weight: str) -> None:
    """Raises WeightsError where `weight`, as found here, is not what the vectors of `space` were made with."""
    found = weights.weights_sha256(weight)
    if found != weights_sha256:
        raise WeightsError(
            f"the vectors of {space} were made with weights of sha256 {weights_sha256[:12]}..., those here have "
            f"{found[:12]}...: two spaces are not comparable; use the same weights, or embed again"
        )


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
