"""Columns gathered batch by batch."""

from __future__ import annotations

import pytest
import torch

from mediaml.errors import OutputUnwritable
from mediaml.ops.gathered import IN_MEMORY, Gathered, GatheredColumn


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


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.bool, torch.int32])
def test_what_is_beyond_128_kib_lies_in_a_file_and_reads_the_same(kind: torch.dtype) -> None:
    column, batches = (
        GatheredColumn(),
        [(torch.arange(k * 7000, (k + 1) * 7000) % 5).to(kind)[:, None] for k in range(24)],
    )
    for batch in batches[:20]:
        column.add(batch)
    assert torch.equal(column.values(), torch.cat(batches[:20])) and column.values().dtype == kind
    for batch in batches[20:]:
        column.add(batch)
    values = column.values()
    assert len(column) == 168_000 and torch.equal(values, torch.cat(batches))
    assert column._file is not None and column._room is not None and column._room.nbytes <= 2 * IN_MEMORY
    del column
    assert torch.equal(values, torch.cat(batches))  # the mapping outlives the file


def test_a_full_folder_for_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    column = GatheredColumn()
    column.add(torch.zeros(20_000, dtype=torch.float64))
    with pytest.raises(OutputUnwritable, match="TMPDIR"):
        column.add(torch.zeros(20_000, dtype=torch.float64))
