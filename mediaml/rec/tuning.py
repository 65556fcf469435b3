"""Settings of the bridge, chosen on a simulated cold start inside the training data; the test's items are never seen.

In each round a fifth of the warm titles is hidden and one event of every user held out, as the test does it one level up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mediaml.rec.baselines.behaviour import ease_weights
from mediaml.rec.evaluation import MixedLists, Split, make_log, make_split, rank
from mediaml.rec.item_map import Warm, kernel, kernel_columns, learn_warm, trunk_columns
from mediaml.rec.matrices import Interactions, columns, gram, pairs, size, times, users_of_each
from mediaml.rec.trunk import TrunkSettings

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is tried. `rounds` simulated cold starts, each with a fifth of the titles hidden."""

    regularisations: tuple[float, ...] = (100.0, 200.0, 400.0)
    smoothings: tuple[float, ...] = (0.0, 0.75)
    widths: tuple[float, ...] = (1.0, 2.0, 3.0)
    penalties: tuple[float, ...] = (1.0, 3.0, 10.0)
    trunk_shares: tuple[float, ...] = (0.0, 0.2, 0.4, 1.0)
    scales: tuple[float, ...] = tuple(float(s) for s in np.round(np.geomspace(0.25, 12.0, 21), 3))
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point and what it gave in simulation, R@k in a mixed list; `warm_loss` is relative to no cold titles."""

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
    cold_recall: float  # R@k among cold titles, in simulation


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The warm titles only: all events are training data."""

    train: Interactions  # (U, W)
    distance: Floats  # (W, W)
    rows: Floats  # (W, C) content for the trunk
    tags: Floats | None
    completion: Floats | None
    factors: int
    trunk: TrunkSettings
    seed: int
    k: int


@dataclass(slots=True, eq=False)
class _Round:
    split: Split
    common: Floats  # Gram matrix of the titles that are left
    histories: Interactions
    is_warm: NDArray[np.bool_]
    k: int


def choose(problem: Problem, grid: Grid, warm_loss_limit: float) -> Chosen:
    """One thing after the other: EASE, then the kernel, then the trunk's share, then the scale."""
    rounds = [_simulate(problem, problem.seed + 1000 + r) for r in range(grid.rounds)]
    regularisation = max(grid.regularisations, key=lambda v: _mean(_warm_recall(r, v) for r in rounds))
    warms = {s: [learn_warm(r.common, regularisation, problem.factors, s) for r in rounds] for s in grid.smoothings}
    kernels = {w: kernel(problem.distance, w) for w in grid.widths}

    def by_kernel(setting: tuple[float, float, float]) -> list[NDArray]:
        smoothing, width, penalty = setting
        return [
            kernel_columns(w, kernels[width], r.is_warm, penalty) for w, r in zip(warms[smoothing], rounds, strict=True)
        ]

    settings = list(product(grid.smoothings, grid.widths, grid.penalties))
    setting = max(settings, key=lambda s: _cold_recall(rounds, by_kernel(s)))
    base, warm = by_kernel(setting), warms[setting[0]]
    trunks = _trunks(problem, rounds, warm) if set(grid.trunk_shares) != {0.0} else base
    blends = {s: [(1 - s) * k + s * t for k, t in zip(base, trunks, strict=True)] for s in grid.trunk_shares}
    share = max(grid.trunk_shares, key=lambda s: _cold_recall(rounds, blends[s]))
    frontier = _frontier(rounds, warm, blends[share], grid.scales)
    alone = max(frontier[0].warm_recall, 1e-9)
    found = max(_cold_recall(rounds, blends[share]), 1e-9)
    balanced = max(frontier[1:], key=lambda p: p.cold_recall / found + p.warm_recall / alone)
    within = [p for p in frontier[1:] if p.warm_loss <= warm_loss_limit] or [frontier[1]]
    protective = max(within, key=lambda p: p.cold_recall)
    return Chosen(regularisation, *setting, share, balanced, protective, tuple(frontier), found)


def _simulate(problem: Problem, seed: int) -> _Round:
    users, items = pairs(problem.train)
    log = make_log(users, items, None, *size(problem.train))
    split = make_split(log, 0.2, seed)
    is_warm = users_of_each(split.train) > 0
    histories = columns(split.train, is_warm)
    return _Round(split, gram(histories), histories, is_warm, problem.k)


def _warm_recall(given: _Round, regularisation: float) -> float:
    scores = np.zeros(size(given.split.train), np.float32)
    scores[:, given.is_warm] = times(given.histories, ease_weights(given.common, regularisation))
    return float(np.nanmean(rank(scores, given.split, "warm", "warm", given.k).recall))


def _cold_recall(rounds: list[_Round], found: list[NDArray]) -> float:
    return _mean(
        float(np.nanmean(rank(_scores(r, None, c), r.split, "cold", "cold", r.k).recall))
        for r, c in zip(rounds, found, strict=True)
    )


def _trunks(problem: Problem, rounds: list[_Round], warm: list[Warm]) -> list[NDArray]:
    return [
        trunk_columns(w, problem.rows, r.is_warm, problem.trunk, problem.tags, problem.completion)[0]
        for w, r in zip(warm, rounds, strict=True)
    ]


def _frontier(rounds: list[_Round], warm: list[Warm], found: list[NDArray], scales: tuple[float, ...]) -> list[Point]:
    """What every scale gives, from no cold title (scale 0) upwards."""
    lists = [MixedLists(_scores(r, w, c), r.split, r.k) for r, w, c in zip(rounds, warm, found, strict=True)]
    points: list[Point] = []
    for scale in (0.0, *sorted(scales)):
        cold, kept = np.mean([m.recalls(scale) for m in lists], axis=0).tolist()
        loss = 1 - kept / max(points[0].warm_recall, 1e-9) if points else 0.0
        points.append(Point(scale, cold, kept, loss))
    return points


def _scores(given: _Round, warm: Warm | None, found: NDArray) -> Floats:
    scores = np.zeros(size(given.split.train), np.float32)
    if warm is not None:
        scores[:, given.is_warm] = times(given.histories, warm.weights)
    scores[:, ~given.is_warm] = times(given.histories, found)
    return scores


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
