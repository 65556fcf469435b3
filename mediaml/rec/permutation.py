"""What the regression would find if every title had some other title's content."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mediaml.rec.blocks import Content, distances, standardise
from mediaml.rec.evaluation import Split, cold_items
from mediaml.rec.item_map import kernel, kernel_columns, learn_warm
from mediaml.rec.matrices import columns, dense, gram, times
from mediaml.rec.metrics import recall_at_k, relevance, top_k
from mediaml.rec.tuning import Chosen


def null_recalls(
    split: Split, content: Content, chosen: Chosen, factors: int, permutations: int, seed: int, k: int = 10
) -> tuple[float, list[float]]:
    """(R@k among cold titles of the bridge's kernel regression, the same for each shuffle of the content's rows).

    The regression is refitted for every shuffle, with the settings chosen for the real content; the trunk takes no part.
    Shuffles depend on `seed` and their number only, so that shuffle n of every split is drawn alike.
    """
    warm = ~cold_items(split.train)
    known = columns(split.train, warm)
    learnt = learn_warm(gram(known), chosen.regularisation, factors, chosen.smoothing)
    similar = kernel(distances(standardise(content, warm)), chosen.width)
    hidden = split.cold[~warm]  # titles without events that were not hidden are scored by no one here
    relevant = dense(columns(split.cold_held, split.cold)) > 0
    count = relevant.sum(axis=1)
    users = np.flatnonzero(count)
    known, relevant, count = known[users], relevant[users], count[users]

    def recall(order: NDArray[np.int64]) -> float:
        columns = kernel_columns(learnt, similar[np.ix_(order, order)], warm, chosen.penalty)[:, hidden]
        ranked = top_k(times(known, columns), k)
        return float(recall_at_k(relevance(ranked, relevant), count).mean())

    drawn = [np.random.default_rng([seed, 31, n]).permutation(content.titles) for n in range(permutations)]
    return recall(np.arange(content.titles)), [recall(order) for order in drawn]
