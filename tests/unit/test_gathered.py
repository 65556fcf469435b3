"""Columns gathered batch by batch."""

from __future__ import annotations

import numpy as np

from mediaml.engine.gathered import Gathered


def test_gathered_batches_are_copies_in_order() -> None:
    gathered = Gathered()
    assert not len(gathered) and gathered.arrays() == {}
    batch = {"a": np.arange(700, dtype=np.float32), "v": np.ones((700, 3), np.float32)}
    for _ in range(3):
        gathered.add(batch)
    batch["a"][:] = -1
    arrays = gathered.arrays()
    assert arrays["a"].tolist() == [*range(700)] * 3 and arrays["v"].shape == (2100, 3)
