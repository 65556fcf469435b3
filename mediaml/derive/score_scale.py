"""What the score of a tag is, as every row of `tags` says in its column `scale`."""

from __future__ import annotations

from typing import Literal

from mediaml.spec import Column, Table

Scale = Literal["probability", "softmax", "contrast", "cosine"]

MEANING: dict[Scale, str] = {
    "probability": "0.8 is right in 8 of 10, on pictures like those it was fitted on",
    "softmax": "a classifier's own confidence; not a probability of being right",
    "contrast": "nearness against the vocabulary's negatives, 0.5 is a tie; not a probability",
    "cosine": "nearness; not a probability",
}

SCALE = Column(
    "scale",
    "string",
    "class",
    "what the score is: probability, softmax, contrast or cosine; only the first is one",
    Table.TAGS,
)
