"""Intervals that cover, pairs that are paired, p values that are honest."""

from __future__ import annotations

import numpy as np
import pytest

from mediaml.errors import InvalidValue
from mediaml.rec.statistics import interval, paired_interval, permutation_p, relative_interval


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        found = interval(rng.exponential(1.0, (1, 120)), resamples=300, seed=seed)
        inside += found.low <= 1.0 <= found.high
    assert 178 <= inside <= 200  # 95 % nominal


def test_mean_is_over_splits_of_means_over_users() -> None:
    found = interval(np.array([[1.0, np.nan, np.nan], [0.0, 0.0, 3.0]]))
    assert found.mean == pytest.approx((1.0 + 1.0) / 2)
    assert found.users == 3


def test_users_are_drawn_whole() -> None:
    """Copies of a split add no information: the interval must not shrink."""
    rows = np.random.default_rng(2).random((1, 60))
    one, five = interval(rows), interval(np.repeat(rows, 5, axis=0))
    assert (five.low, five.high) == pytest.approx((one.low, one.high))


def test_pairing_cancels_what_users_have_in_common() -> None:
    rng = np.random.default_rng(3)
    base = rng.random((1, 100))
    better = base + 0.01 + rng.normal(0, 0.002, base.shape)
    found = paired_interval(better, base)
    assert 0.009 < found.low < found.mean < found.high < 0.011
    assert interval(base).high - interval(base).low > 0.05


def test_relative_interval() -> None:
    base = np.random.default_rng(4).random((2, 50))
    same = relative_interval(base, base)
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)
    assert relative_interval(1.1 * base, base).mean == pytest.approx(0.1)
    assert relative_interval(1.1 * base, base).within(0.09, 0.11)
    with pytest.raises(InvalidValue, match="undefined"):
        relative_interval(base, np.zeros_like(base))


def test_permutation_p() -> None:
    assert permutation_p(1.0, [0.0] * 99) == 0.01
    assert permutation_p(0.5, [0.5, 0.4, 0.6]) == 0.75
    with pytest.raises(InvalidValue, match="permutation"):
        permutation_p(1.0, [])


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(InvalidValue, match="fewer hidden items"):
        interval(np.array([[1.0, 2.0], [np.nan, np.nan]]))
