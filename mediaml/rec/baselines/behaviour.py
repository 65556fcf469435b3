"""Baselines that see behaviour only; to all of them a cold item is worth 0."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import UsageError
from mediaml.rec.blocks import Content
from mediaml.rec.matrices import Interactions, gram, size, times, users_of_each

Floats = NDArray[np.floating]


class Popularity:
    """Everyone gets what most users had."""

    name = "popularity"

    def fit(self, train: Interactions, content: Content) -> Self:  # noqa: ARG002 - one signature for all
        self.counts = users_of_each(train)
        return self

    def score(self, histories: Interactions) -> Floats:
        return np.tile(self.counts, (size(histories)[0], 1))


class ItemKNN:
    """Sum over the history of shrunk cosine similarities to the `neighbours` nearest items (Sarwar et al., 2001)."""

    name = "item_knn"

    def __init__(self, neighbours: int = 100, shrink: float = 10.0) -> None:
        self.neighbours = neighbours
        self.shrink = shrink

    def fit(self, train: Interactions, content: Content) -> Self:  # noqa: ARG002
        common = gram(train)
        norms = np.sqrt(np.diag(common))
        similar = common / (np.outer(norms, norms) + self.shrink)
        np.fill_diagonal(similar, 0.0)
        self.weights = keep_largest(similar, self.neighbours)
        return self

    def score(self, histories: Interactions) -> Floats:
        return times(histories, self.weights)


class EASE:
    """Closed-form item-item weights with a zero diagonal (Steck, Embarrassingly Shallow Autoencoders, WWW 2019)."""

    name = "ease"

    def __init__(self, regularisation: float = 200.0) -> None:
        self.regularisation = regularisation

    def fit(self, train: Interactions, content: Content) -> Self:  # noqa: ARG002
        self.weights = ease_weights(gram(train), self.regularisation)
        return self

    def score(self, histories: Interactions) -> Floats:
        return times(histories, self.weights)


class IALS:
    """Weighted alternating least squares (Hu, Koren and Volinsky, 2008), by the `implicit` package, one thread, seeded."""

    name = "ials"

    def __init__(self, factors: int = 64, regularisation: float = 10.0, alpha: float = 5.0, rounds: int = 15) -> None:
        self.factors, self.regularisation, self.alpha, self.rounds = factors, regularisation, alpha, rounds

    def fit(self, train: Interactions, content: Content) -> Self:  # noqa: ARG002
        try:
            from implicit.cpu.als import AlternatingLeastSquares
            from threadpoolctl import threadpool_limits
        except ImportError as error:
            raise UsageError("iALS needs the package implicit; install it with: pip install 'mediaml[rec]'") from error
        model = AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularisation,
            alpha=self.alpha,
            iterations=self.rounds,
            num_threads=1,
            use_cg=False,
            random_state=0,
        )
        with threadpool_limits(1, "blas"):
            model.fit(train, show_progress=False)
        self.item_factors: Floats = np.asarray(model.item_factors, dtype=np.float32)
        return self

    def score(self, histories: Interactions) -> Floats:
        return self.users(histories) @ self.item_factors.T

    def users(self, histories: Interactions) -> Floats:
        """Exact factors of users whose history this is. # (U, I) -> (U, factors)"""
        items, users = self.item_factors, size(histories)[0]
        base = items.T @ items + self.regularisation * np.eye(self.factors, dtype=np.float32)
        made = np.zeros((users, self.factors), np.float32)
        for user in range(users):
            had = items[histories.indices[histories.indptr[user] : histories.indptr[user + 1]]]
            # confidence of an event is alpha, of any other pair 1
            made[user] = np.linalg.solve(base + (self.alpha - 1) * had.T @ had, self.alpha * had.sum(axis=0))
        return made


def ease_weights(common: Floats, regularisation: float) -> Floats:
    """EASE's weights of a Gram matrix. Items that nobody had get zero rows and columns. # (I, I) -> (I, I)"""
    seen = np.diag(common) > 0
    inverse = np.linalg.inv(common[np.ix_(seen, seen)] + regularisation * np.eye(int(seen.sum()), dtype=np.float32))
    inner = -inverse / np.diag(inverse)
    np.fill_diagonal(inner, 0.0)
    weights = np.zeros_like(common)
    weights[np.ix_(seen, seen)] = inner
    return weights


def keep_largest(weights: Floats, count: int) -> Floats:
    """The `count` largest of every column, the others 0. # (I, J)"""
    if count >= len(weights):
        return weights
    least = np.partition(weights, len(weights) - count, axis=0)[len(weights) - count]
    return np.where(weights >= least, weights, 0.0).astype(np.float32)
