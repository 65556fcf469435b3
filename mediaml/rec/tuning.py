"""Settings of the bridge, chosen on a simulated cold start inside the training data; the test's items are never seen.

In each round a fifth of the warm titles is hidden and one event of every user held out, as the test does it one level up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mediaml.rec.baselines.behaviour import ease_weights, gram
from mediaml.rec.evaluation import Split, make_log, make_split, rank
from mediaml.rec.item_map import Warm, kernel, kernel_columns, learn_warm, trunk_columns
from mediaml.rec.trunk import TrunkSettings

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is tried. `rounds` simulated cold starts, each with a fifth of the titles hidden."""

    regularisations: tuple[float, ...] = (100.0, 200.0, 400.0)
    smoothings: tuple[float, ...] = (0.0, 0.75)
    widths: tuple[float, ...] = (1.0, 2.0, 4.0)
    penalties: tuple[float, ...] = (1.0, 3.0, 10.0)
    trunk_shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    scales: tuple[float, ...] = tuple(float(s) for s in np.round(np.geomspace(0.5, 12.0, 17), 3))
    rounds: int = 2


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point and what it gave in simulation, R@10 in a mixed list; `warm_loss` is relative to no cold titles."""

    scale: float
    cold_recall: float
    warm_recall: float
    warm_loss: float


@dataclass(frozen=True, slots=True)
class Chosen:
    regularisation: float
    smoothing: float
    width: float
    penalty: float
    trunk_share: float
    balanced: Point
    protective: Point
    frontier: tuple[Point, ...]
    cold_recall: float  # R@10 among cold titles, in simulation


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The warm titles only: all events are training data."""

    train: csr_matrix  # (U, W)
    distance: Floats  # (W, W)
    rows: Floats  # (W, C) content for the trunk
    tags: Floats | None
    completion: Floats | None
    factors: int
    trunk: TrunkSettings
    seed: int


@dataclass(slots=True, eq=False)
class _Round:
    split: Split
    common: Floats  # Gram matrix of the titles that are left
    histories: csr_matrix
    is_warm: NDArray[np.bool_]


def choose(problem: Problem, grid: Grid, warm_loss_limit: float) -> Chosen:
    """One thing after the other: EASE, then the kernel, then the trunk's share, then the scale."""
    rounds = [_simulate(problem, problem.seed + 1000 + r) for r in range(grid.rounds)]
    regularisation = _best(grid.regularisations, lambda v: _mean(_warm_recall(r, v) for r in rounds))
    warms = {
        s: [learn_warm(r.common, regularisation, problem.factors, s) for r in rounds] for s in grid.smoothings
    }
    kernels = {w: kernel(problem.distance, w) for w in grid.widths}

    def by_kernel(setting: tuple[float, float, float]) -> list[Floats]:
        smoothing, width, penalty = setting
        return [
            kernel_columns(w, kernels[width], r.is_warm, penalty)
            for w, r in zip(warms[smoothing], rounds, strict=True)
        ]

    settings = list(product(grid.smoothings, grid.widths, grid.penalties))
    setting = _best(settings, lambda s: _cold_recall(rounds, by_kernel(s)))
    base, warm = by_kernel(setting), warms[setting[0]]
    trunks = _trunks(problem, rounds, warm) if set(grid.trunk_shares) != {0.0} else base
    blends = {s: [(1 - s) * k + s * t for k, t in zip(base, trunks, strict=True)] for s in grid.trunk_shares}
    share = _best(grid.trunk_shares, lambda s: _cold_recall(rounds, blends[s]))
    frontier = _frontier(rounds, warm, blends[share], grid.scales)
    balanced = max(frontier, key=lambda p: p.cold_recall + p.warm_recall)
    within = [p for p in frontier if p.warm_loss <= warm_loss_limit]
    protective = max(within, key=lambda p: p.cold_recall) if within else frontier[0]
    found = _cold_recall(rounds, blends[share])
    return Chosen(regularisation, *setting, share, balanced, protective, tuple(frontier), found)


def _simulate(problem: Problem, seed: int) -> _Round:
    users, items = problem.train.nonzero()
    log = make_log(users, items, None, *problem.train.shape)
    split = make_split(log, 0.2, seed)
    is_warm = np.asarray(split.train.sum(axis=0)).ravel() > 0
    histories = split.train[:, is_warm]
    return _Round(split, gram(histories), histories, is_warm)


def _warm_recall(given: _Round, regularisation: float) -> float:
    scores = np.zeros(given.split.train.shape, np.float32)
    scores[:, given.is_warm] = given.histories @ ease_weights(given.common, regularisation)
    return float(np.nanmean(rank(scores, given.split, "warm", "warm").recall))


def _cold_recall(rounds: list[_Round], columns: list[Floats]) -> float:
    return _mean(_recall(_scores(r, None, c, 1.0), r.split, "cold", "cold") for r, c in zip(rounds, columns, strict=True))


def _trunks(problem: Problem, rounds: list[_Round], warm: list[Warm]) -> list[Floats]:
    return [
        trunk_columns(w, problem.rows, r.is_warm, problem.trunk, problem.tags, problem.completion)[0]
        for w, r in zip(warm, rounds, strict=True)
    ]


def _frontier(rounds: list[_Round], warm: list[Warm], columns: list[Floats], scales: tuple[float, ...]) -> list[Point]:
    """What every scale gives; ascending."""
    alone = _mean(_warm_only(r, w) for r, w in zip(rounds, warm, strict=True))
    points = []
    for scale in sorted(scales):
        cold, kept = [], []
        for given, w, c in zip(rounds, warm, columns, strict=True):
            scores = _scores(given, w, c, scale)
            cold.append(_recall(scores, given.split, "whole", "cold"))
            kept.append(_recall(scores, given.split, "whole", "warm"))
        loss = 1 - _mean(kept) / alone if alone > 0 else 0.0
        points.append(Point(scale, _mean(cold), _mean(kept), loss))
    return points


def _warm_only(given: _Round, warm: Warm) -> float:
    return _recall(_scores(given, warm, None, 0.0), given.split, "warm", "warm")


def _scores(given: _Round, warm: Warm | None, columns: Floats | None, scale: float) -> Floats:
    scores = np.zeros(given.split.train.shape, np.float32)
    if warm is not None:
        scores[:, given.is_warm] = given.histories @ warm.weights
    if columns is not None:
        scores[:, ~given.is_warm] = scale * (given.histories @ columns)
    return scores


def _recall(scores: Floats, split: Split, among: str, counts: str) -> float:
    return float(np.nanmean(rank(scores, split, among, counts).recall))  # pyright: ignore[reportArgumentType]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _best(options, worth):  # noqa: ANN001, ANN202
    return max(options, key=worth)
