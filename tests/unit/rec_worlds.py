"""A small made-up world whose truth is known: users like titles whose content lies near their taste."""

from __future__ import annotations

import numpy as np

from mediaml.rec.blocks import Content, make_content
from mediaml.rec.bridge import BridgeSettings
from mediaml.rec.evaluation import Log, make_log
from mediaml.rec.proof import ProofSettings
from mediaml.rec.trunk import TrunkSettings
from mediaml.rec.tuning import Grid

FAST = BridgeSettings(
    factors=8,
    trunk=TrunkSettings(width=32, steps=30),
    grid=Grid(regularisations=(20.0,), smoothings=(0.75,), widths=(2.0,), penalties=(1.0,), rounds=1),
)


def world(effect: float, users: int = 150, titles: int = 80, seed: int = 0) -> tuple[Log, Content]:
    """`effect` 0: content says nothing of who likes what; 1: it says nearly everything."""
    rng = np.random.default_rng(seed)
    content = rng.standard_normal((titles, 6))
    hidden = rng.standard_normal((titles, 6))
    taste = rng.standard_normal((users, 6))
    liking = taste @ (effect * content + (1 - effect) * hidden).T + rng.gumbel(size=(users, titles)) * 0.7
    order = np.argsort(-liking, axis=1)[:, :12]
    who = np.repeat(np.arange(users), 12)
    return make_log(who, order.ravel(), None, users, titles), make_content([("made up", content)])


def fast(permutations: int = 0, splits: int = 2, k: int = 10) -> ProofSettings:
    return ProofSettings(splits=splits, k=k, permutations=permutations, resamples=200, with_ials=False, bridge=FAST)
