"""`mediaml tag`: a vocabulary put to the vectors that a lake holds. Decodes nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaml.derive.run import DeriveSummary, bring_up_to_date
from mediaml.derive.space_pooling import SUFFIX
from mediaml.derive.vocabulary import Embedder, Vocabulary, find_vocabulary
from mediaml.derive.vocabulary_tags import Target, VocabularyTags, label_space_target
from mediaml.errors import InvalidValue
from mediaml.retrieval.space import LABEL_SPACE, Space
from mediaml.retrieval.spaces import address_of, choose, spaces_of
from mediaml.tables import Lake
from mediaml.tables.reader import literal

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Tagging:
    """What became of one vocabulary in one space. `warnings` say why its tags may mean little."""

    vocabulary: str
    model: str
    scale: str
    media_computed: int
    media_unchanged: int
    media_failed: int
    rows: int
    warnings: tuple[str, ...] = ()


def tag(
    lake: Lake | PathLike,
    vocabularies: Sequence[PathLike | Vocabulary],
    *,
    model: str | None = None,
    force: bool = False,
) -> list[Tagging]:
    """Tags every shot and file with each vocabulary (a shipped name, a TOML file, or a parsed one).

    Without `model`, every space of the lake that the vocabulary is meaningful for is used (one of weights of your own must be
    named); tags of different spaces stand
    beside each other as different analyzers. A vocabulary's earlier tags in the same space are replaced where they changed.

    Raises:
        InvalidValue: a vocabulary is wrong, or meaningful for no space of this lake (unless `force`).
        UnknownName, WeightsError, UsageError (a text tower that cannot be had), LakeError.
    """
    if not vocabularies:
        raise InvalidValue("no vocabulary was named; give a file or a shipped name, as in --vocabulary places365")
    opened = lake if isinstance(lake, Lake) else Lake.open(lake)
    words = [v if isinstance(v, Vocabulary) else find_vocabulary(v) for v in vocabularies]
    work: list[tuple[VocabularyTags, tuple[str, ...]]] = []
    for vocabulary in words:
        for space in _spaces(opened, vocabulary, model, force):
            warnings = _warnings(vocabulary, space)
            work.append((VocabularyTags(vocabulary, target_of(opened, space, model)), warnings))
    summary = bring_up_to_date(opened, [derivation for derivation, _ in work])
    return [_result(derivation, summary, warnings) for derivation, warnings in work]


def _spaces(lake: Lake, vocabulary: Vocabulary, model: str | None, force: bool) -> list[Space]:
    if model is not None:
        chosen = choose(lake, "words", model)
        if chosen.is_clap:
            raise InvalidValue(
                f"{chosen.model} holds sound, and vocabularies tag pictures; put words to it: mediaml search"
            )
        if family(chosen) not in vocabulary.embedders and not force:
            raise InvalidValue(
                f"vocabulary {vocabulary.id} is meaningful for {' and '.join(vocabulary.embedders)}, not for {chosen.model}; "
                "its tags would be noise. --force gives them all the same"
            )
        return [chosen]
    able = [s for s in spaces_of(lake) if s.answers("words") and s.pooled and not s.is_own]
    fit = [s for s in able if force or family(s) in vocabulary.embedders]
    if fit:
        return fit
    if able:
        raise InvalidValue(
            f"vocabulary {vocabulary.id} is meaningful for {' and '.join(vocabulary.embedders)}; this lake has "
            f"{', '.join(s.model for s in able)} only. Embed with such a model (mediaml embed MEDIA --out LAKE --model "
            "open_clip:ViT-B-32/laion2b_s34b_b79k), or --force to get tags that are noise"
        )
    choose(lake, "words")  # raises, and says how to get a space with words
    return []


def family(space: Space) -> Embedder:
    """What a vocabulary's `embedders` call it."""
    return "open_clip" if space.is_open_clip else "label_space"


def target_of(lake: Lake, space: Space, model: str | None = None) -> Target:
    """The space as vocabularies are put to it. Raises WeightsError, UsageError, InvalidValue (own weights not named)."""
    if space.model == LABEL_SPACE:
        return label_space_target()
    from mediaml.analyzers.embed.open_clip import text_tower

    own = address_of(model)
    net = text_tower(space.model, space.weights_sha256, own)

    def encode(texts: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]:
        return net.texts(texts, templates).numpy()

    where = f"model = {literal(space.model)} AND weights_sha256 = {literal(space.weights_sha256)} AND scope <> 'frame'"
    found = lake.query(f"SELECT DISTINCT split_part(analyzer, '@', 1) AS name FROM embeddings WHERE {where}")  # noqa: S608
    names = [n for n in found.column("name").to_pylist() if n.endswith(SUFFIX)]
    if not names:
        raise InvalidValue(f"the space {space.model} has no vectors of shots or files yet; run: mediaml derive LAKE")
    scale = float(net.model.logit_scale.detach().exp())
    return Target("open_clip", names[0], space.model, (), encode, space.weights_sha256, scale)


def _warnings(vocabulary: Vocabulary, space: Space) -> tuple[str, ...]:
    found = []
    if family(space) not in vocabulary.embedders:
        found.append(f"{vocabulary.id} is not meaningful in the space {space.model}: its tags are noise")
    if space.model not in vocabulary.calibration:
        found.append(
            f"{vocabulary.id} is not calibrated in {space.model}: its scores order tags, and 0.8 does not mean 8 of 10"
        )
    if family(space) == "label_space":
        found.append(
            "the label space cannot see people, faces, actions, colours, counts, moods or text; such tags mean little"
        )
    return tuple(found)


def _result(derivation: VocabularyTags, summary: DeriveSummary, warnings: tuple[str, ...]) -> Tagging:
    name = derivation.spec.name
    counts = (summary.computed[name], summary.unchanged[name], summary.failed[name], summary.rows[name])
    return Tagging(derivation.vocabulary.id, derivation.target.model, derivation.scale, *counts, warnings)
