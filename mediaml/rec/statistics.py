"""How sure a figure is: bootstrap over users, paired differences, permutation tests. Seeded.

The unit that is drawn is the user: lists of one user in several splits are no independent observations. A figure is the mean
over splits of the mean over users, and every resample draws whole users, with all their splits (Efron and Tibshirani, 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its percentile interval; `users` had at least one value."""

    mean: float
    low: float
    high: float
    users: int

    def within(self, low: float, high: float) -> bool:
        """Whether the whole interval lies in [low, high]."""
        return low <= self.low and self.high <= high


def interval(values: Floats, *, resamples: int = 2000, level: float = 0.95, seed: int = 0) -> Estimate:
    """Mean and bootstrap interval. # (splits, users), NaN where a user has no value in a split"""
    grid = np.atleast_2d(values)
    known = ~np.isnan(grid)
    if not known.any(axis=1).all():
        raise InvalidValue("a split without any user's value has no mean; use fewer hidden items or more events")
    filled = np.where(known, grid, 0.0)
    counts = _draws(grid.shape[1], resamples, seed)
    # (resamples, splits); a resample without one user of a split leaves that split out
    totals, sizes = counts @ filled.T, counts @ known.T.astype(np.float64)
    means = np.nanmean(np.where(sizes > 0, totals / np.maximum(sizes, 1.0), np.nan), axis=1)
    return _estimate(float((filled.sum(1) / known.sum(1)).mean()), means, level, int(known.any(axis=0).sum()))


def paired_interval(
    ours: Floats, theirs: Floats, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Mean difference `ours - theirs` over the users and splits that have both."""
    return interval(np.atleast_2d(ours) - np.atleast_2d(theirs), resamples=resamples, level=level, seed=seed)


def relative_interval(
    ours: Floats, theirs: Floats, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Estimate:
    """`mean(ours) / mean(theirs) - 1`, both means over the same resampled users. Raises InvalidValue where theirs is 0."""
    first, second = np.atleast_2d(ours), np.atleast_2d(theirs)
    both = ~(np.isnan(first) | np.isnan(second))
    a, b = (np.where(both, v, 0.0).sum(axis=0) for v in (first, second))
    if b.sum() == 0:
        raise InvalidValue("a change relative to 0 is undefined: the baseline found nothing")
    counts = _draws(first.shape[1], resamples, seed)
    below = counts @ b
    ratios = (counts @ a)[below > 0] / below[below > 0] - 1
    return _estimate(float(a.sum() / b.sum() - 1), ratios, level, int(both.any(axis=0).sum()))


def permutation_p(observed: float, null: Sequence[float]) -> float:
    """One-sided p that `observed` is no greater than chance: (1 + nulls as great) / (1 + nulls) (Phipson and Smyth, 2010)."""
    if len(null) < 1:
        raise InvalidValue("a permutation test needs at least 1 permutation; 100 give p down to .0099")
    return (1 + sum(n >= observed for n in null)) / (1 + len(null))


def _draws(users: int, resamples: int, seed: int) -> Floats:
    """How often each user is drawn. # (resamples, users)"""
    rng = np.random.default_rng(seed)
    return rng.multinomial(users, np.full(users, 1.0 / users), size=resamples).astype(np.float64)


def _estimate(mean: float, resampled: Floats, level: float, users: int) -> Estimate:
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high), users)
