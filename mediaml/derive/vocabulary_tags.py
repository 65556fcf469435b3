"""Tags in the user's own words: a vocabulary file against the label space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import Scope, from_media, matrix
from mediaml.derive.label_space import MODEL, TEXT_WEIGHTS, sentence_embedder
from mediaml.derive.tag_rows import TagRows
from mediaml.derive.vocabulary import Tag, Vocabulary
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake

SOURCE = "label_space"


class VocabularyTags(Derivation):
    """Tags of one vocabulary whose cosine with a shot's or file's vector reaches their threshold.

    A tag's score is its best prompt's. A parent is given with every child that is, with the larger of the two scores.
    Nothing above its threshold gives no row: "unknown" is an answer. What the label space cannot see
    (`mediaml.derive.label_space`: people, actions, moods, style) this cannot tag reliably either.
    """

    spec = Spec(
        name="tags_vocabulary",
        version=1,
        summary="Tags of a vocabulary file by the label space",
        outputs=(
            Column("score", "float32", "1", "cosine in the label space; not a probability", Table.TAGS, -1.0, 1.0),
        ),
        weights=TEXT_WEIGHTS,
        groups=("tags",),
        cite="Norouzi et al. 2014, arXiv:1312.5650",
    )
    sources = (SOURCE,)

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.spec = replace(
            type(self).spec,
            name=f"tags_{vocabulary.id}",
            summary=f"Tags of the vocabulary {vocabulary.title!r} by the label space",
        )

    @classmethod
    def instances(cls, vocabularies: Sequence[Vocabulary]) -> Sequence[Derivation]:
        return [cls(v) for v in vocabularies]

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"vocabulary": self.vocabulary.model_dump_json()}

    def setup(self) -> None:
        prompts = [prompt for tag in self.vocabulary.tags for prompt in tag.prompts]
        self.prompts = sentence_embedder().embed(prompts).numpy()  # (P, 384)
        counts = [len(tag.prompts) for tag in self.vocabulary.tags]
        self.first_prompt = np.cumsum([0, *counts[:-1]])

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        names = ["media_id", "scope", "start_seconds", "end_seconds", "vector"]
        where = f"{from_media(media_ids, [SOURCE])} AND model = '{MODEL}'"
        found = lake.table("embeddings", names, where)
        tags = TagRows(self.vocabulary.id)
        if found.num_rows == 0:
            return Derived()
        scores = np.maximum.reduceat(matrix(found.column("vector")) @ self.prompts.T, self.first_prompt, axis=1)
        places = zip(*(found.column(n).to_pylist() for n in names[:-1]), strict=True)
        for (media_id, scope, start, end), row in zip(places, scores, strict=True):
            tags.add(Scope(media_id, scope, start, end, slice(0)), self._given(row))
        return tags.derived()

    def _given(self, scores: NDArray[np.float32]) -> list[tuple[str, str, float]]:
        """(tag id, label, score) above the thresholds, parents joined in, best first."""
        own = dict(zip((t.id for t in self.vocabulary.tags), (float(s) for s in scores.clip(-1, 1)), strict=True))
        given: dict[str, float] = {}
        for tag in self.vocabulary.tags:
            if own[tag.id] >= self.vocabulary.threshold_of(tag):
                for t in (tag, *self.vocabulary.ancestors(tag)):
                    given[t.id] = max(given.get(t.id, -1.0), own[tag.id], own[t.id])
        labels: dict[str, Tag] = {t.id: t for t in self.vocabulary.tags}
        return [(i, labels[i].label, s) for i, s in sorted(given.items(), key=lambda item: (-item[1], item[0]))]
