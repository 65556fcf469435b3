"""From content to behaviour: scores for titles that nobody has seen yet, in one ranking with those that many have.

Warm titles keep the scores of EASE to the bit, so what content does to them is nothing by construction; only the places that
cold titles take in a mixed list are lost to them. How many those are is one number, the scale of cold scores. It is
chosen, like every other setting, on a simulated cold start inside the training data: items are hidden, the model is fitted
on the rest and asked for them. Regression shrinks the scores of cold titles; the scale undoes that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.blocks import Content, design, distances, standardise
from mediaml.rec.evaluation import cold_items
from mediaml.rec.item_map import Warm, kernel, kernel_columns, learn_warm, trunk_columns
from mediaml.rec.matrices import Interactions, columns, gram, lengths, size, times
from mediaml.rec.trunk import Predicted, TrunkSettings
from mediaml.rec.tuning import Chosen, Grid, Point, Problem, choose

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Everything that is not learnt.

    factors            of the collaborative space that the trunk predicts
    warm_loss_limit    share of warm R@k that the "protective" point may cost in a mixed list (in simulation)
    grid               what is tried in the simulated cold start
    k                  length of the lists that the simulation is judged by
    """

    factors: int = 64
    warm_loss_limit: float = 0.01
    trunk: TrunkSettings = field(default_factory=TrunkSettings)
    grid: Grid = field(default_factory=Grid)
    seed: int = 0
    k: int = 10


class Bridge:
    """A `Recommender`. `point` names the operating point that `score` uses: "balanced" or "protective"."""

    name = "bridge"

    def __init__(
        self,
        settings: BridgeSettings | None = None,
        *,
        tags: NDArray | None = None,
        completion: NDArray | None = None,
    ) -> None:
        """
        Args:
            tags: 0/1, a row a title, for the trunk's tag head. # (I, T)
            completion: mean completed share a title, NaN where unknown; of warm titles only. # (I,)
        """
        self.settings = settings or BridgeSettings()
        if completion is not None and ((completion < 0) | (completion > 1)).any():
            raise InvalidValue("completion lies outside [0, 1]; give the completed share of the duration")
        self.tags = None if tags is None else np.asarray(tags, np.float32)
        self.completion = None if completion is None else np.asarray(completion, np.float32)
        self.point = "balanced"

    def fit(self, train: Interactions, content: Content) -> Self:
        """Chooses the settings in a simulated cold start, then fits on all of `train`."""
        self.is_warm = ~cold_items(train)
        if self.is_warm.sum() < 20:
            raise InvalidValue(f"{self.is_warm.sum()} titles have events; a bridge needs at least 20 to learn from")
        prepared = standardise(content, self.is_warm)
        self.chosen: Chosen = choose(self._problem(train, prepared), self.settings.grid, self.settings.warm_loss_limit)
        self._build(train, prepared, distances(prepared))
        return self

    def _problem(self, train: Interactions, prepared: Content) -> Problem:
        settings, warm = self.settings, self.is_warm
        tags = None if self.tags is None else self.tags[warm]
        completion = None if self.completion is None else self.completion[warm]
        rows = prepared.rows(warm)
        return Problem(
            columns(train, warm),
            distances(rows),
            design(rows),
            tags,
            completion,
            settings.factors,
            settings.trunk,
            settings.seed,
            settings.k,
        )

    def _build(self, train: Interactions, prepared: Content, distance: Floats) -> None:
        chosen, warm = self.chosen, self.is_warm
        self.warm: Warm = learn_warm(
            gram(columns(train, warm)), chosen.regularisation, self.settings.factors, chosen.smoothing
        )
        by_kernel = kernel_columns(self.warm, kernel(distance, chosen.width), warm, chosen.penalty)
        by_trunk, self.predicted = trunk_columns(
            self.warm, design(prepared), warm, self.settings.trunk, self.tags, self.completion
        )
        self.cold_map: Floats = (1 - chosen.trunk_share) * by_kernel + chosen.trunk_share * by_trunk

    @property
    def points(self) -> Mapping[str, Point]:
        return {"balanced": self.chosen.balanced, "protective": self.chosen.protective}

    def score(self, histories: Interactions) -> Floats:
        """Scores of all titles at `point`. Users without a history get (predicted) popularity. # (U, I) -> (U, I)"""
        if self.point not in self.points:
            raise UnknownName("operating point", self.point, self.points)
        return self.mixed(histories, self.points[self.point].scale)

    def mixed(self, histories: Interactions, scale: float) -> Floats:
        """Scores with those of cold titles multiplied by `scale`. # (U, I) -> (U, I)"""
        out = np.empty((size(histories)[0], len(self.is_warm)), np.float32)
        known = columns(histories, self.is_warm)
        out[:, self.is_warm] = times(known, self.warm.weights)
        out[:, ~self.is_warm] = scale * (times(known, self.cold_map))
        out[lengths(known) == 0] = self.log_popularity()
        return out

    def log_popularity(self) -> Floats:
        """ln(1 + users) of every title: counted for warm ones, predicted from content for cold ones. # (I,)"""
        out = np.empty(len(self.is_warm), np.float32)
        out[self.is_warm] = np.log1p(self.warm.counts)
        out[~self.is_warm] = self.predicted.log_popularity
        return out

    def heads(self) -> Predicted:
        """What the trunk says of the cold titles, in their order: factors, popularity, tags, completion."""
        return replace(self.predicted)
