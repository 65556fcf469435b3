"""Baselines that score every item, warm or cold, by its content alone."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from mediaml.rec.baselines.behaviour import EASE, keep_largest
from mediaml.rec.blocks import Content, design, standardise
from mediaml.rec.evaluation import cold_items
from mediaml.rec.matrices import Interactions, times

Floats = NDArray[np.floating]


class ContentKNN:
    """Cosine similarity of standardised content, summed over the history: a content profile.

    `neighbours` keeps for every candidate its nearest titles of the history's catalogue only; None keeps all.
    """

    name = "content_knn"

    def __init__(self, neighbours: int | None = None) -> None:
        self.neighbours = neighbours

    def fit(self, train: Interactions, content: Content) -> Self:
        warm = ~cold_items(train)
        rows = design(standardise(content, warm))
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        similar = rows @ rows.T
        np.fill_diagonal(similar, 0.0)
        similar[~warm] = 0.0
        self.weights = similar if self.neighbours is None else keep_largest(similar, self.neighbours)
        return self

    def score(self, histories: Interactions) -> Floats:
        return times(histories, self.weights)


class ContentRidge:
    """Linear ridge regression from content to collaborative factors (singular vectors of EASE's scores)."""

    name = "content_ridge"

    def __init__(self, factors: int = 64, penalty: float = 1.0, regularisation: float = 200.0) -> None:
        self.factors, self.penalty, self.regularisation = factors, penalty, regularisation

    def fit(self, train: Interactions, content: Content) -> Self:
        warm = ~cold_items(train)
        ease = EASE(self.regularisation).fit(train, content)
        scores = ease.score(train)
        second = scores.T @ scores
        vectors = np.linalg.eigh(second)[1][:, ::-1][:, : self.factors]  # (I, factors)
        rows = design(standardise(content, warm))
        rows = np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)
        known = rows[warm]
        solution = np.linalg.solve(
            known.T @ known + self.penalty * np.eye(known.shape[1], dtype=np.float32), known.T @ vectors[warm]
        )
        self.weights = (ease.weights @ vectors) @ (rows @ solution).T
        return self

    def score(self, histories: Interactions) -> Floats:
        return times(histories, self.weights)
