"""Splits that leak nothing, rankings over the right candidates."""

from __future__ import annotations

import numpy as np
import pytest

from mediaml.errors import InvalidValue
from mediaml.rec.evaluation import MixedLists, make_log, make_split, rank, rank_each, ranked_items
from mediaml.rec.matrices import dense, users_of_each
from tests.unit.rec_worlds import world


def test_split_is_a_partition_and_cold_items_have_no_training_event() -> None:
    log, _ = world(1.0)
    split = make_split(log, 0.25, seed=4)
    assert split.cold.sum() == 20
    assert users_of_each(split.train)[split.cold].sum() == 0
    assert users_of_each(split.warm_held)[split.cold].sum() == 0
    assert users_of_each(split.cold_held)[~split.cold].sum() == 0
    total = dense(split.train) + dense(split.warm_held) + dense(split.cold_held)
    assert total.max() == 1
    assert total.sum() == len(log.users)


def test_the_last_event_is_held_out_and_only_from_those_who_have_enough() -> None:
    users = np.repeat([0, 1, 2], [6, 2, 5])
    items = np.array([0, 1, 2, 3, 4, 5, 0, 1, 3, 2, 0, 4, 5])
    times = np.array([5.0, 9, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7])
    log = make_log(users, items, times)
    for seed in range(20):
        split = make_split(log, 0.2, seed)
        held = dense(split.warm_held)
        assert held[1].sum() == 0  # two events
        if not split.cold[1]:
            assert held[0, 1] == 1  # the latest of user 0
            break
    else:
        pytest.fail("no seed left item 1 warm")


def test_splits_are_reproducible_and_differ_by_seed() -> None:
    log, _ = world(1.0)
    a, b, c = (make_split(log, 0.2, s) for s in (1, 1, 2))
    assert (dense(a.train) == dense(b.train)).all()
    assert (a.cold != c.cold).any()


def test_repeated_pairs_count_once_at_their_first_time() -> None:
    log = make_log(np.array([0, 0, 0]), np.array([1, 1, 0]), np.array([7.0, 3.0, 5.0]))
    assert sorted(zip(log.items.tolist(), log.times.tolist(), strict=True)) == [(0, 5.0), (1, 3.0)]


def test_random_scores_reach_what_chance_says() -> None:
    log, _ = world(1.0, users=400)
    split = make_split(log, 0.25, seed=0)  # 20 cold
    noise = np.random.default_rng(0).random((400, 80), np.float32)
    assert np.nanmean(rank(noise, split, "cold", "cold", k=5).recall) == pytest.approx(5 / 20, abs=0.03)


def test_an_oracle_finds_everything_and_seen_items_are_no_candidates() -> None:
    log, _ = world(1.0)
    split = make_split(log, 0.2, seed=0)
    truth = dense(split.cold_held) + dense(split.warm_held) + 5 * dense(split.train)
    for found in rank_each(truth, split, "whole", ("cold", "warm", "whole"), k=12):
        assert np.nanmin(found.recall) == 1.0
        assert np.nanmin(found.ndcg) > 0.3


def test_mixed_lists_equal_ranking_everything() -> None:
    log, _ = world(1.0)
    split = make_split(log, 0.2, seed=0)
    scores = np.random.default_rng(1).standard_normal((150, 80)).astype(np.float32)
    lists = MixedLists(scores, split)
    for scale in (0.3, 1.0, 4.0):
        scaled = np.where(split.cold, scale * scores, scores)
        cold, warm = rank_each(scaled, split, "whole", ("cold", "warm"))
        assert lists.recalls(scale) == pytest.approx((np.nanmean(cold.recall), np.nanmean(warm.recall)), abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_bad_share(share: float) -> None:
    with pytest.raises(InvalidValue, match="between 0 and 1"):
        make_split(world(1.0)[0], share)


def test_empty_and_tiny_logs() -> None:
    none = np.array([], int)
    with pytest.raises(InvalidValue, match="empty"):
        make_log(none, none, None)
    with pytest.raises(InvalidValue, match="too small"):
        make_split(make_log(np.array([0]), np.array([0]), None, 1, 5))


def test_an_item_is_never_made_cold_by_holding_out() -> None:
    users = np.repeat(np.arange(6), 5)
    items = np.concatenate(
        [np.append(np.arange(4), 4 + u) for u in range(6)]
    )  # items 4..9 have one event each, the last
    log = make_log(users, items, np.tile(np.arange(5.0), 6))
    split = make_split(log, 0.2, seed=1)
    warm = users_of_each(split.train) > 0
    assert (warm | split.cold).all()
    scores = np.ones((6, 10), np.float32)
    _, ranked = ranked_items(scores, split, "warm", 10)
    assert (ranked >= 0).sum(axis=1).max() <= warm.sum()
