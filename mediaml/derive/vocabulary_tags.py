"""Tags in the user's own words: a vocabulary file against stored vectors of shots. Decodes nothing.

A tag's raw score is the largest cosine between the shot's vector and the vectors of its prompts (each put into the
vocabulary's templates, which are averaged). What is written depends on what is known, and `scale` says which:

probability   the vocabulary holds a calibration for this very space: sigmoid(slope * cosine + offset), fitted on labelled
              pictures, so that 0.8 means right in 8 of 10
contrast      an open_clip space and a vocabulary with negatives: how much nearer the tag is than the nearest negative,
              sigmoid(scale * difference) with the model's own scale; 0.5 is a tie. Not a probability of being right
cosine        neither; thresholds then belong to one space

Nothing above its threshold gives no row, or the tag "unknown" where the vocabulary asks for it. A parent is given with every
child that is, with the largest of their scores. A file has the tags of its shots, with the largest score and the share of
the shots' seconds that has the tag; a file without shots is one shot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import Scope, from_media, matrix
from mediaml.derive.label_space import MODEL, TEXT_WEIGHTS, sentence_embedder
from mediaml.derive.score_scale import SCALE, Scale
from mediaml.derive.tag_rows import TagRows
from mediaml.derive.vocabulary import Embedder, Tag, Vocabulary
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake
from mediaml.tables.reader import literal

SOURCE = "label_space"


class Texts(Protocol):
    """Words -> (N, D) unit vectors of a space, each the mean over the templates."""

    def __call__(self, texts: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Target:
    """The space that a vocabulary is put to: its vectors of shots and files, and its words.

    source        analyzer or derivation that wrote the vectors
    weights       what the words need, by name
    logit_scale   of an open_clip model, for contrasts; None where there is none
    """

    embedder: Embedder
    source: str
    model: str
    weights: tuple[str, ...]
    texts: Texts
    weights_sha256: str | None = None
    logit_scale: float | None = None


def label_space_target() -> Target:
    return Target("label_space", SOURCE, MODEL, TEXT_WEIGHTS, _label_space_texts)


def _label_space_texts(texts: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]:
    filled = [template.replace("{}", text) for text in texts for template in templates]
    vectors = np.asarray(sentence_embedder().embed(filled)).reshape(len(texts), len(templates), -1).mean(1)
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)


class VocabularyTags(Derivation):
    """Tags of one vocabulary in one space (see the module's docstring for scores).

    What the label space cannot see (`mediaml.derive.label_space`: people, actions, moods, style) this cannot tag reliably
    in that space either.
    """

    spec = Spec(
        name="tags_vocabulary",
        version=2,
        summary="Tags of a vocabulary file by the label space",
        outputs=(
            Column(
                "score", "float32", "1", "on the scale that `scale` names; only that may be a probability",
                Table.TAGS, -1.0, 1.0,
            ),
            SCALE,
            Column(
                "share_of_time", "float32", "1", "of a file: share of the shots' seconds with the tag; null for shots",
                Table.TAGS, 0.0, 1.0, nullable=True,
            ),
        ),
        weights=TEXT_WEIGHTS,
        groups=("tags",),
        cite="Norouzi et al. 2014, arXiv:1312.5650; Radford et al. 2021, arXiv:2103.00020; Platt 1999",
    )  # fmt: skip
    sources = (SOURCE,)

    def __init__(self, vocabulary: Vocabulary, target: Target | None = None) -> None:
        self.vocabulary = vocabulary
        self.target = target or label_space_target()
        self.calibration = vocabulary.calibration.get(self.target.model)
        own = self.target.source == SOURCE
        self.sources = (self.target.source,)  # type: ignore[misc]
        self.spec = replace(
            type(self).spec,
            name=f"tags_{vocabulary.id}" + ("" if own else "_by_" + self.target.source.removesuffix("_pooled")),
            summary=f"Tags of the vocabulary {vocabulary.title!r} by {self.target.model if not own else 'the label space'}",
            weights=self.target.weights,
        )

    @classmethod
    def instances(cls, vocabularies: Sequence[Vocabulary]) -> Sequence[Derivation]:
        return [cls(v) for v in vocabularies]

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"vocabulary": self.vocabulary.model_dump_json(), "model": self.target.model}

    def setup(self) -> None:
        words = self.vocabulary
        prompts = [prompt for tag in words.tags for prompt in tag.prompts]
        self.prompts = self.target.texts(prompts, words.templates)  # (P, D)
        counts = [len(tag.prompts) for tag in words.tags]
        self.first_prompt = np.cumsum([0, *counts[:-1]])
        self.negatives = self.target.texts(words.negatives, ("{}",)) if words.negatives else None
        self.labels: dict[str, Tag] = {t.id: t for t in words.tags}

    @property
    def scale(self) -> Scale:
        """What the scores are."""
        if self.calibration is not None:
            return "probability"
        return "contrast" if self.target.logit_scale is not None and self.vocabulary.negatives else "cosine"

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) unit vectors -> (N, tags) on `scale`."""
        cosine = np.maximum.reduceat(vectors @ self.prompts.T, self.first_prompt, axis=1).clip(-1, 1)
        if self.calibration is not None:
            return _sigmoid(self.calibration.slope * cosine + self.calibration.offset)
        if self.target.logit_scale is not None and self.negatives is not None:
            nearest = (vectors @ self.negatives.T).max(1, keepdims=True)
            return _sigmoid(self.target.logit_scale * (cosine - nearest))
        return cosine

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        names = ["media_id", "scope", "start_seconds", "end_seconds", "vector"]
        where = f"{from_media(media_ids, [self.target.source])} AND model = {literal(self.target.model)}"
        if self.target.weights_sha256 is not None:
            where += f" AND weights_sha256 = {literal(self.target.weights_sha256)}"
        found = lake.table("embeddings", names, where)
        if found.num_rows == 0:
            return Derived()
        scores = self.scores(matrix(found.column("vector")))
        rows = zip(*(found.column(n).to_pylist() for n in names[:-1]), strict=True)
        places = [Scope(media_id, scope, start, end, slice(0)) for media_id, scope, start, end in rows]
        tags = TagRows(self.vocabulary.id)
        by_media: dict[str, list[tuple[Scope, dict[str, float]]]] = {}
        for scope, row in zip(places, scores, strict=True):
            by_media.setdefault(scope.media_id, []).append((scope, self._given(row)))
        for scoped in by_media.values():
            self._add(tags, scoped)
        return tags.derived()

    def _add(self, tags: TagRows, scoped: Sequence[tuple[Scope, dict[str, float]]]) -> None:
        """The rows of one media: of its shots, and of the file by way of them."""
        shots = [(s, given) for s, given in scoped if s.scope == "shot"]
        whole = [(s, given) for s, given in scoped if s.scope == "file"]
        for scope, given in shots:
            tags.add(scope, self._ranked(given), scale=self.scale, share_of_time=None)
        for scope, own in whole:
            parts = shots or [(scope, own)]
            seconds = sum(s.end_seconds - s.start_seconds for s, _ in parts)
            best: dict[str, float] = {}
            shares: dict[str, float] = {}
            for s, given in parts:
                part = (s.end_seconds - s.start_seconds) / seconds if seconds > 0 else 1 / len(parts)
                for tag_id, score in given.items():
                    best[tag_id] = max(best.get(tag_id, -1.0), score)
                    shares[tag_id] = shares.get(tag_id, 0.0) + part
            for rank, tag in enumerate(self._ranked(best), 1):
                tags.add(scope, [tag], first=rank, scale=self.scale, share_of_time=min(1.0, shares[tag[0]]))

    def _given(self, scores: NDArray[np.float32]) -> dict[str, float]:
        """Tag id -> score of the tags above their thresholds and of all their ancestors; "unknown" if asked for."""
        words = self.vocabulary
        own = dict(zip((t.id for t in words.tags), (float(s) for s in scores), strict=True))
        given: dict[str, float] = {}
        for tag in words.tags:
            if own[tag.id] >= words.threshold_of(tag, self.target.embedder):
                for t in (tag, *words.ancestors(tag)):
                    given[t.id] = max(given.get(t.id, -1.0), own[tag.id], own[t.id])
        if not given and words.unknown:
            given[UNKNOWN] = max(-1.0, 1.0 - max(own.values())) if self.scale != "cosine" else 0.0
        return given

    def _ranked(self, given: Mapping[str, float]) -> list[tuple[str, str, float]]:
        """(tag id, label, score), best first."""
        label = lambda i: self.labels[i].label if i in self.labels else UNKNOWN  # noqa: E731
        return [(i, label(i), s) for i, s in sorted(given.items(), key=lambda item: (-item[1], item[0]))]


UNKNOWN = "unknown"


def _sigmoid(x: NDArray[Any]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-np.clip(x, -60, 60)))).astype(np.float32)
