"""Ranking measures over full rankings, one value a user; no sampled negatives.

All take the relevance of a user's list in rank order, so they do not know what the items are. Binary relevance; the ideal
DCG counts min(k, relevant) items (Jarvelin and Kekalainen, 2002). Users without any relevant item get NaN, never zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue

Floats = NDArray[np.float64]
NEVER = -np.inf  # the score of an item that is no candidate


def top_k(scores: NDArray[np.floating], k: int, seed: int = 0) -> NDArray[np.int64]:
    """The k best items a user, best first; -1 where fewer are candidates. # (U, I) -> (U, min(k, I))

    Equal scores are ordered by a seeded shuffle of the items: their index may tell their popularity. Items at `NEVER` are
    no candidates. Raises InvalidValue for NaN or k < 1.
    """
    if k < 1:
        raise InvalidValue(f"k = {k}; a ranking has at least 1 place")
    if np.isnan(scores).any():
        raise InvalidValue("scores hold NaN; a model that cannot score an item gives -inf")
    shuffle = np.random.default_rng(seed).permutation(scores.shape[1])
    mixed = scores[:, shuffle]
    k = min(k, mixed.shape[1])
    best = np.argpartition(-mixed, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(mixed, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    items = shuffle[np.take_along_axis(best, order, axis=1)]
    return np.where(np.take_along_axis(values, order, axis=1) == NEVER, -1, items)


def relevance(ranked: NDArray[np.int64], relevant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each ranked item is relevant. # (U, k), (U, I) -> (U, k)"""
    found = np.take_along_axis(relevant, ranked.clip(0), axis=1)
    return found & (ranked >= 0)


def recall_at_k(hits: NDArray[np.bool_], relevant_count: NDArray[np.integer]) -> Floats:
    """Share of a user's relevant items in the list, [0, 1]. # (U, k), (U,) -> (U,)"""
    return _over(hits.sum(axis=1), relevant_count)


def ndcg_at_k(hits: NDArray[np.bool_], relevant_count: NDArray[np.integer]) -> Floats:
    """Discounted gain over that of the ideal list, [0, 1]; discount 1 / log2(rank + 1). # (U, k), (U,) -> (U,)"""
    discount = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant_count, hits.shape[1])]
    return _over(hits @ discount, ideal)


def coverage(ranked: NDArray[np.int64], candidates: int) -> float:
    """Share of the candidate items that stand in at least one list, [0, 1]."""
    shown = np.unique(ranked)
    return float((shown >= 0).sum() / candidates)


def novelty(ranked: NDArray[np.int64], popularity: NDArray[np.floating], users: int) -> float:
    """Mean self-information of the listed items in bits: -log2 of the share of users who had it (Zhou et al., 2010).

    An item that nobody had counts as had by one, so that cold items are as novel as the rarest.
    """
    items = ranked[ranked >= 0]
    return float(-np.log2(np.maximum(popularity[items], 1.0) / users).mean()) if items.size else float("nan")


def _over(gained: NDArray, possible: NDArray) -> Floats:
    out = np.full(len(gained), np.nan)
    np.divide(gained, possible, out=out, where=possible > 0)
    return out
