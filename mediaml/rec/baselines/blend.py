"""Does content help titles that have a history? EASE plus a content profile, its share chosen inside the training data."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from mediaml.rec.baselines.behaviour import EASE
from mediaml.rec.baselines.by_content import ContentKNN
from mediaml.rec.blocks import Content
from mediaml.rec.evaluation import make_log, make_split, rank
from mediaml.rec.matrices import Interactions, pairs, size

Floats = NDArray[np.floating]


class EASEPlusContent:
    """EASE's scores plus `share` times content's, both at unit mean square a user; chosen for warm R@10 inside `train`."""

    name = "ease_plus_content"

    def __init__(self, regularisation: float = 200.0, shares: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4)) -> None:
        self.regularisation = regularisation
        self.shares = shares
        self.share = 0.0

    def fit(self, train: Interactions, content: Content) -> Self:
        inner = make_split(make_log(*pairs(train), None, *size(train)), 0.05, seed=2000)
        self._fit(inner.train, content)

        def worth(share: float) -> float:
            scores = self._score(inner.train, share)
            return float(np.nanmean(rank(scores, inner, "warm", "warm").recall))

        self.share = max(self.shares, key=worth)
        self._fit(train, content)
        return self

    def _fit(self, train: Interactions, content: Content) -> None:
        self.parts = EASE(self.regularisation).fit(train, content), ContentKNN(50).fit(train, content)

    def score(self, histories: Interactions) -> Floats:
        return self._score(histories, self.share)

    def _score(self, histories: Interactions, share: float) -> Floats:
        behaviour, content = (_unit(p.score(histories)) for p in self.parts)
        return behaviour + np.float32(share) * content


def _unit(scores: Floats) -> Floats:
    return scores / np.maximum(np.sqrt(np.square(scores).mean(axis=1, keepdims=True)), 1e-9)
