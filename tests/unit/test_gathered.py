"""Columns gathered batch by batch."""

from __future__ import annotations

import torch

from mediaml.ops.gathered import Gathered, GatheredColumn


def test_gathered_batches_are_copies_in_order() -> None:
    gathered = Gathered()
    assert not len(gathered) and gathered.columns() == {}
    batch = {"a": torch.arange(700, dtype=torch.float32), "v": torch.ones(700, 3)}
    for _ in range(3):
        gathered.add(batch)
    batch["a"][:] = -1
    columns = gathered.columns()
    assert columns["a"].tolist() == [*range(700)] * 3 and columns["v"].shape == (2100, 3)


def test_a_column_takes_empty_batches_and_keeps_its_type() -> None:
    column = GatheredColumn()
    assert column.values().shape == (0,)
    column.add(torch.zeros(0, 2, dtype=torch.float16))
    assert column.values().shape == (0, 2)
    for k in range(1500):
        column.add(torch.full((1, 2), k, dtype=torch.float16))
    assert len(column) == 1500 and column.values().dtype == torch.float16
    assert column.values()[:, 0].tolist() == list(range(1500))
