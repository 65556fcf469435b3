"""Protocols: which events a model may learn from, which it must find again, and over which candidates it is ranked.

`make_split` hides a share of the items with all their events (cold start) and, of every user, the last event among the
others (leave-last-out; a random one where the log has no times). Rankings are over all candidates, never over a sample.
Hiding items at random is not a launch calendar: a hidden item's content is older than the events it is tested on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.rec.blocks import Content
from mediaml.rec.matrices import Interactions, columns, dense, from_pairs, pairs, size, users_of_each
from mediaml.rec.metrics import NEVER, coverage, ndcg_at_k, novelty, recall_at_k, relevance, top_k

Scores = NDArray[np.floating]
Catalogue = Literal["cold", "warm", "whole"]
"""Candidates and what counts: cold items among cold, warm among warm, or either among all."""


class Recommender(Protocol):
    """Learns from `train` and scores every item for histories. Items without events in `train` are cold to it."""

    name: str

    def fit(self, train: Interactions, content: Content) -> Self: ...

    def score(self, histories: Interactions) -> Scores:
        """Higher is better, finite. # (U, I) -> (U, I)"""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Who had what, once each: positions of users and items, and when (None: the log has no times)."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.float64] | None
    user_count: int
    item_count: int


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    train: Interactions  # (U, I) 0/1; columns of cold items are empty
    warm_held: Interactions  # at most one a user
    cold_held: Interactions
    cold: NDArray[np.bool_]  # (I,)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What one model reached on one split. `recall` and `ndcg` have a row a user, NaN where nothing was to be found."""

    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    coverage: float
    novelty_bits: float


def make_log(
    users: NDArray, items: NDArray, times: NDArray | None, user_count: int | None = None, item_count: int | None = None
) -> Log:
    """A log of unique (user, item) pairs; of repeated ones the first in time stays. Raises InvalidValue for an empty log."""
    if len(users) == 0:
        raise InvalidValue("the log is empty: there is nothing to learn from")
    if not len(users) == len(items) == (len(users) if times is None else len(times)):
        raise InvalidValue(f"{len(users)} users, {len(items)} items: a log has one of each an event")
    order = np.arange(len(users)) if times is None else np.argsort(times, kind="stable")
    pairs = np.stack([users[order], items[order]], axis=1)
    first = order[np.sort(np.unique(pairs, axis=0, return_index=True)[1])]
    stamps = None if times is None else np.asarray(times, np.float64)[first]
    counts = (user_count or int(users.max()) + 1, item_count or int(items.max()) + 1)
    return Log(users[first].astype(np.int64), items[first].astype(np.int64), stamps, *counts)


def make_split(log: Log, hidden_share: float = 0.2, seed: int = 0, least_events: int = 3) -> Split:
    """Hides `hidden_share` of the items, and the last warm event of every user who has `least_events` of them.

    An event is not held out if its item would be left without any.

    Raises InvalidValue unless 0 < hidden_share < 1 and something is left on both sides.
    """
    if not 0 < hidden_share < 1:
        raise InvalidValue(f"hidden_share {hidden_share}; it must lie between 0 and 1, 0.2 is usual")
    rng = np.random.default_rng(seed)
    cold = np.zeros(log.item_count, bool)
    cold[rng.permutation(log.item_count)[: round(log.item_count * hidden_share)]] = True
    is_cold = cold[log.items]
    when = rng.random(len(log.users)) if log.times is None else log.times
    last = last_event(log, ~is_cold, when, least_events)
    left = np.bincount(log.items[~is_cold & ~last], minlength=log.item_count)
    last &= left[log.items] > 0  # an item's only events stay in training: it would be cold otherwise
    if is_cold.all() or not is_cold.any() or not last.any():
        raise InvalidValue("the log is too small to hide items and hold out events; give more events or items")
    return Split(_matrix(log, ~is_cold & ~last), _matrix(log, last), _matrix(log, is_cold), cold)


def last_event(log: Log, among: NDArray[np.bool_], when: NDArray[np.float64], least_events: int) -> NDArray[np.bool_]:
    """The latest event of each user among the given ones, if the user has at least `least_events` of them."""
    counts = np.bincount(log.users[among], minlength=log.user_count)
    chosen = np.flatnonzero(among)
    chosen = chosen[np.lexsort((when[chosen], log.users[chosen]))]
    ends = np.append(log.users[chosen][1:] != log.users[chosen][:-1], True)
    picked = chosen[ends]
    out = np.zeros(len(log.users), bool)
    out[picked[counts[log.users[picked]] >= least_events]] = True
    return out


def rank(scores: Scores, split: Split, among: Catalogue, counts: Catalogue, k: int = 10, seed: int = 0) -> Ranking:
    """Measures of a full ranking `among` those candidates that a user has not had; what `counts` is to be found again.

    Args:
        counts: whose held-out events are relevant: of cold items, of warm items, or ("whole") of both.
    """
    return rank_each(scores, split, among, (counts,), k, seed)[0]


def rank_each(
    scores: Scores, split: Split, among: Catalogue, counts: Sequence[Catalogue], k: int = 10, seed: int = 0
) -> list[Ranking]:
    """`rank` for several answers to what is to be found, by one sorting."""
    candidates, ranked = ranked_items(scores, split, among, k, seed)
    popularity = users_of_each(split.train)[candidates]
    rankings = []
    for counted in counts:
        held = {"cold": split.cold_held, "warm": split.warm_held}
        parts = [dense(columns(held[c], candidates)) > 0 for c in held if counted in (c, "whole")]
        relevant = np.logical_or.reduce(parts)
        hits, count = relevance(ranked, relevant), relevant.sum(axis=1)
        shown = ranked[count > 0]
        measures = recall_at_k(hits, count), ndcg_at_k(hits, count)
        bits = novelty(shown, popularity, size(split.train)[0])
        rankings.append(Ranking(*measures, coverage(shown, len(candidates)), bits))
    return rankings


def ranked_items(
    scores: Scores, split: Split, among: Catalogue, k: int, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(candidates, positions among them of the k best that a user has not had). # (C,), (U, k)"""
    warm = users_of_each(split.train) > 0  # an item that nobody had and that was not hidden is no candidate
    chosen = {"cold": split.cold, "warm": warm, "whole": warm | split.cold}
    candidates = np.flatnonzero(chosen[among])
    open_scores = scores[:, candidates]  # a copy
    open_scores[pairs(columns(split.train, candidates))] = NEVER
    return candidates, top_k(open_scores, k, seed)


class MixedLists:
    """The best k of all titles for any scale of the cold ones' scores: they are among the k best warm and the k best cold."""

    def __init__(self, scores: Scores, split: Split, k: int = 10) -> None:
        found = []
        for part, held in (("warm", split.warm_held), ("cold", split.cold_held)):
            candidates, ranked = ranked_items(scores, split, part, k)  # pyright: ignore[reportArgumentType]
            values = np.take_along_axis(scores[:, candidates], ranked.clip(0), axis=1)
            relevant = dense(columns(held, candidates)) > 0
            found.append((np.where(ranked < 0, NEVER, values), relevance(ranked, relevant), relevant.sum(axis=1)))
        self.k = k
        (self.warm, self.warm_hits, self.warm_count), (self.cold, self.cold_hits, self.cold_count) = found

    def recalls(self, scale: float) -> tuple[float, float]:
        """(cold, warm) mean recall in the whole catalogue; at scale 0 no cold title is listed."""
        cold = self.cold * scale if scale else np.full_like(self.cold, NEVER)
        best = np.argsort(-np.concatenate([self.warm, cold], axis=1), axis=1, kind="stable")[:, : self.k]
        none = np.zeros_like(self.warm_hits)
        cold_hits = np.take_along_axis(np.concatenate([none, self.cold_hits], axis=1), best, axis=1)
        warm_hits = np.take_along_axis(np.concatenate([self.warm_hits, none], axis=1), best, axis=1)
        recalls = recall_at_k(cold_hits, self.cold_count), recall_at_k(warm_hits, self.warm_count)
        return float(np.nanmean(recalls[0])), float(np.nanmean(recalls[1]))


def cold_items(train: Interactions) -> NDArray[np.bool_]:
    """Items without an event: what a model must score by content alone. # (I,)"""
    return users_of_each(train) == 0


def _matrix(log: Log, chosen: NDArray[np.bool_]) -> Interactions:
    return from_pairs(log.users[chosen], log.items[chosen], (log.user_count, log.item_count))
