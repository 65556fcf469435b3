"""Ranking measures against implicit's own evaluation, a brute-force oracle, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mediaml.errors import InvalidValue
from mediaml.rec.metrics import NEVER, coverage, ndcg_at_k, novelty, recall_at_k, relevance, top_k

K = 5


@pytest.fixture(scope="module")
def world() -> tuple[NDArray, NDArray, NDArray]:
    """(scores with what was seen at NEVER, relevant, ranked); every user has something relevant."""
    rng = np.random.default_rng(5)
    scores = rng.standard_normal((40, 60)).astype(np.float32)
    seen = rng.random(scores.shape) < 0.1
    relevant = (rng.random(scores.shape) < 0.08) & ~seen
    relevant[np.arange(40), np.argmin(seen, axis=1)] = True
    scores[seen] = NEVER
    return scores, relevant, top_k(scores, K)


class Fixed:
    """What implicit's evaluation asks of a model, with our lists."""

    def __init__(self, ranked: NDArray) -> None:
        self.ranked = ranked

    def recommend(self, users: NDArray, seen: object, N: int) -> tuple[NDArray, NDArray]:
        return self.ranked[users].astype(np.int32), np.zeros((len(users), N), np.float32)


def test_ndcg_and_hits_equal_implicit(world: tuple[NDArray, NDArray, NDArray]) -> None:
    evaluation = pytest.importorskip("implicit.evaluation")
    _, relevant, ranked = world
    test = csr_matrix(relevant.astype(np.float64))
    theirs = evaluation.ranking_metrics_at_k(
        Fixed(ranked), csr_matrix(relevant.shape), test, K=K, show_progress=False, num_threads=1
    )
    hits, count = relevance(ranked, relevant), relevant.sum(axis=1)
    assert ndcg_at_k(hits, count).mean() == pytest.approx(theirs["ndcg"], abs=1e-9)
    # implicit's precision divides by what could have been found: min(k, relevant)
    found = (recall_at_k(hits, count) * count).sum() / np.minimum(count, K).sum()
    assert found == pytest.approx(theirs["precision"], abs=1e-9)


def test_measures_equal_brute_force(world: tuple[NDArray, NDArray, NDArray]) -> None:
    scores, relevant, ranked = world
    hits, count = relevance(ranked, relevant), relevant.sum(axis=1)
    recall, ndcg = recall_at_k(hits, count), ndcg_at_k(hits, count)
    for user in range(len(scores)):
        best = sorted(range(scores.shape[1]), key=lambda i: -scores[user, i])[:K]
        assert ranked[user].tolist() == best
        gains = [1 / math.log2(r + 2) for r, i in enumerate(best) if relevant[user, i]]
        ideal = sum(1 / math.log2(r + 2) for r in range(min(K, count[user])))
        assert recall[user] == pytest.approx(len(gains) / count[user], abs=1e-12)
        assert ndcg[user] == pytest.approx(sum(gains) / ideal, abs=1e-12)


def test_nothing_to_find_is_nan_and_not_zero() -> None:
    hits = np.zeros((2, 3), bool)
    assert np.isnan(recall_at_k(hits, np.array([0, 2]))).tolist() == [True, False]
    assert np.isnan(ndcg_at_k(hits, np.array([0, 2]))).tolist() == [True, False]


def test_candidates_that_are_none_leave_places_empty() -> None:
    scores = np.full((1, 4), NEVER, np.float32)
    scores[0, 2] = -3.0
    assert top_k(scores, 3).tolist() == [[2, -1, -1]]
    assert not relevance(top_k(scores, 3), np.array([[True, True, False, True]])).any()


def test_ties_do_not_follow_the_index() -> None:
    """Items are often numbered by popularity: tied lists must not."""
    lists = {tuple(top_k(np.zeros((1, 50), np.float32), 5, seed)[0]) for seed in range(20)}
    assert len(lists) > 10
    assert np.mean([np.mean(v) for v in lists]) == pytest.approx(24.5, abs=6)


def test_coverage_and_novelty_by_hand() -> None:
    ranked = np.array([[0, 1], [0, -1]])
    assert coverage(ranked, 4) == 0.5
    # shares of 8 users: item 0 had by 4, item 1 by none (counts as 1)
    assert novelty(ranked, np.array([4.0, 0, 0, 0]), 8) == pytest.approx((1 + 3 + 1) / 3)


def test_refusals() -> None:
    with pytest.raises(InvalidValue, match="at least 1 place"):
        top_k(np.zeros((1, 2)), 0)
    with pytest.raises(InvalidValue, match="NaN"):
        top_k(np.array([[np.nan, 1.0]]), 1)
