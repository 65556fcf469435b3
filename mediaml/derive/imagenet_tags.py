"""ImageNet labels a shot and a file, from the stored image embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import SHOTS
from mediaml.derive.label_space import BACKBONE, SOURCE, class_names, lite0_head, scope_posteriors
from mediaml.derive.score_scale import SCALE
from mediaml.derive.tag_rows import TagRows
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake

MOST = 5
LEAST_SCORE = 0.05


class ImageNetTags(Derivation):
    """The likeliest of the 1,000 ImageNet classes: at most five, each with a mean probability of at least 0.05.

    The score is the classifier's softmax, averaged over the sampled frames. It has not been calibrated on video, and there
    is no "none of these": a shot of something that is not a class still shares out its probability.
    """

    spec = Spec(
        name="tags_imagenet",
        version=2,
        summary="ImageNet labels a shot and a file",
        outputs=(
            Column("score", "float32", "1", "mean softmax of the class; not calibrated", Table.TAGS, 0.0, 1.0),
            SCALE,
        ),
        weights=(BACKBONE,),
        groups=("tags",),
        cite="Russakovsky et al. 2015, arXiv:1409.0575; Tan & Le 2019, arXiv:1905.11946",
    )
    sources = (SOURCE, SHOTS)

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"most": MOST, "least_score": LEAST_SCORE}

    def setup(self) -> None:
        self.head = lite0_head()
        self.labels = [name for name, _ in class_names()]

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        found, posteriors = scope_posteriors(lake, media_ids, self.head)
        tags = TagRows("imagenet_1k")
        for scope, probabilities in zip(found, posteriors, strict=True):
            best = np.argsort(-probabilities, kind="stable")[:MOST]
            likely = [(f"class_{i}", self.labels[i], float(probabilities[i])) for i in best]
            tags.add(scope, [tag for tag in likely if tag[2] >= LEAST_SCORE], scale="softmax")
        return tags.derived()
