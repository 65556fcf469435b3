"""Pictures in the space of sentences, by way of labels: ConSE.

Norouzi et al. 2014, "Zero-shot learning by convex combination of semantic embeddings" (arXiv 1312.5650): a picture's vector
is the mix of the sentence vectors of its most probable ImageNet classes, weighted by their probabilities. A text is
compared with it by cosine. Here: EfficientNet-Lite0's classifier on the stored 1280-d vectors, MiniLM for the class names.

What it sees and what it cannot see. It knows a picture only as a blend of a thousand nouns: animals, plants, food, tools,
vehicles, buildings, a few landscapes. It has no class for a person, a face, an action, a mood, a style, a colour, a count,
a relation or written text; a query about those finds what happens to be near in words ("people dancing" finds sports
balls), with scores that look no different. It is a fallback for machines without a real image-text model, and its vectors
carry their own model id so that they are never compared with another space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mediaml import weights
from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import SHOTS, Scope, key_columns, pooled_mean, read_frame_vectors, read_shots, scopes
from mediaml.nets.lite0 import classifier_head
from mediaml.nets.minilm import HIDDEN, SentenceEmbedder
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake

SOURCE = "embed_lite0"
MODEL = "conse:efficientnet_lite0+minilm_l6_v2"
TOP_CLASSES = 20
"""T of the paper: classes mixed."""

LOGITS_DIVISOR = 2.0
"""The classifier's logits are divided by this before the softmax, so that more than the likeliest class counts. Both values
are the best of those tried (benchmarks/retrieval.py)."""

BACKBONE = "efficientnet_lite0"
TEXT_WEIGHTS = ("minilm_l6_v2", "minilm_l6_v2_vocab")


class LabelSpace(Derivation):
    """384-d unit vectors a shot and a file: the shot's mean class probabilities, mixed as ConSE says."""

    spec = Spec(
        name="label_space",
        version=2,
        summary="Shots and files in sentence space by their ImageNet classes (ConSE): words find pictures of objects",
        outputs=(
            Column(
                "vector",
                "float32",
                "1",
                "unit vector; compare with a MiniLM sentence vector by cosine; blind to people, actions and style",
                Table.EMBEDDINGS,
                minimum=-1.0,
                maximum=1.0,
                length=HIDDEN,
            ),
        ),
        weights=(BACKBONE, *TEXT_WEIGHTS),
        groups=("embeddings",),
        cite="Norouzi et al. 2014, arXiv:1312.5650; Wang et al. 2020, arXiv:2002.10957",
    )
    sources = (SOURCE, SHOTS)

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"top_classes": TOP_CLASSES, "logits_divisor": LOGITS_DIVISOR}

    def setup(self) -> None:
        self.head = lite0_head()
        self.classes = class_vectors()

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        found, posteriors = scope_posteriors(lake, media_ids, self.head, LOGITS_DIVISOR)
        if not found:
            return Derived()
        mixed = mix_classes(torch.from_numpy(posteriors), self.classes, TOP_CLASSES)
        sha = "+".join(weights.describe(w).sha256 for w in self.spec.weights)
        rows = key_columns(found) | {
            "model": [MODEL] * len(found),
            "weights_sha256": [sha] * len(found),
            "vector": mixed.numpy(),
        }
        return Derived({Table.EMBEDDINGS: rows})


def lite0_head() -> tuple[Tensor, Tensor]:
    """Weight and bias of EfficientNet-Lite0's classifier. Raises WeightsAbsent."""
    return classifier_head(torch.load(weights.resolve(BACKBONE), map_location="cpu", weights_only=True))


def class_names() -> list[tuple[str, str]]:
    """Two names of each of the 1,000 ImageNet classes in the network's order: torchvision's and open_clip's."""
    from open_clip import IMAGENET_CLASSNAMES
    from torchvision.models import EfficientNet_B0_Weights

    return list(zip(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"], IMAGENET_CLASSNAMES, strict=True))


def sentence_embedder() -> SentenceEmbedder:
    """MiniLM from the pulled weights. Raises WeightsAbsent."""
    return _embedder(*(weights.resolve(w) for w in TEXT_WEIGHTS))


@cache
def _embedder(net: Path, vocabulary: Path) -> SentenceEmbedder:
    return SentenceEmbedder.load(net, vocabulary)


def class_vectors() -> Tensor:
    """(1000, 384): the unit mean of the vectors of each class's two names."""
    names = class_names()
    embedder = sentence_embedder()
    first, second = (embedder.embed([pair[i] for pair in names]) for i in (0, 1))
    return F.normalize(first + second, dim=1)


def mix_classes(posteriors: Tensor, classes: Tensor, top: int) -> Tensor:
    """(N, C) probabilities and (C, D) class vectors -> (N, D) unit vectors, convex mixes of the `top` likeliest."""
    weight, chosen = posteriors.topk(top, dim=1)
    return F.normalize((weight.unsqueeze(-1) * classes[chosen]).sum(1), dim=1)


def scope_posteriors(
    lake: Lake, media_ids: Sequence[str], head: tuple[Tensor, Tensor], divisor: float = 1.0
) -> tuple[list[Scope], np.ndarray]:
    """Shots and files with their mean class probabilities (len, 1000), from the stored frame vectors.

    `divisor` is the softmax's temperature.
    """
    vectors = read_frame_vectors(lake, media_ids, SOURCE, weights.describe(BACKBONE).sha256)
    found = list(scopes(vectors, read_shots(lake, media_ids)))
    if not found:
        return [], np.zeros((0, 0), np.float32)
    weight, bias = head
    posteriors = torch.cat(
        [((v @ weight.T + bias) / divisor).softmax(1) for v in torch.tensor(vectors.values).split(4096)]
    )
    return found, pooled_mean(posteriors.numpy(), found)
