"""Columns gathered batch by batch."""

from __future__ import annotations

import torch

from mediaml.ops.gathered import Gathered


def test_gathered_batches_are_copies_in_order() -> None:
    gathered = Gathered()
    assert not len(gathered) and gathered.columns() == {}
    batch = {"a": torch.arange(700, dtype=torch.float32), "v": torch.ones(700, 3)}
    for _ in range(3):
        gathered.add(batch)
    batch["a"][:] = -1
    columns = gathered.columns()
    assert columns["a"].tolist() == [*range(700)] * 3 and columns["v"].shape == (2100, 3)
