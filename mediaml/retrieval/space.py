"""One space of vectors: a model with its weights. Vectors of two spaces are never compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mediaml.derive.label_space import MODEL as LABEL_SPACE

LITE0 = "embed_lite0"
OPEN_CLIP = "open_clip:"
CLAP = "clap:"  # joint spaces of sound and text
Query = Literal["words", "picture", "example"]


@dataclass(frozen=True, slots=True)
class Space:
    """One space: the same model with the same weights."""

    model: str
    weights_sha256: str
    dimensions: int
    pooled: int  # vectors of shots, windows of sound and files
    media: int

    @property
    def is_open_clip(self) -> bool:
        return self.model.startswith(OPEN_CLIP)

    @property
    def is_clap(self) -> bool:
        return self.model.startswith(CLAP)

    @property
    def is_own(self) -> bool:
        """Whether its weights are a file of the user's own, which only `--model` can name."""
        return self.is_clap or (self.is_open_clip and "/@" in self.model)

    @property
    def is_lite0(self) -> bool:
        return self.model.split("@")[0] == LITE0

    def answers(self, query: Query) -> bool:
        """Whether such a query can be put to it: words need a text tower, pictures an image tower that is here."""
        if query == "words":
            return self.is_open_clip or self.is_clap or self.model == LABEL_SPACE
        return query == "example" or self.is_open_clip or self.is_lite0
