"""Moving columns to the host."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mediaml.engine.pack import check_update, to_host
from mediaml.errors import ContractBreach
from tests.plugins import TestMean


def test_arrays_keep_type_shape_and_values() -> None:
    tensors = [torch.arange(6.0).reshape(3, 2), torch.tensor([1, -2, 3]), torch.tensor([True, False, True])]
    arrays = to_host(tensors)
    assert [a.dtype for a in arrays] == [np.float32, np.int64, np.bool_]
    for array, tensor in zip(arrays, tensors, strict=True):
        assert np.array_equal(array, tensor.numpy())


def test_accelerator_tensors_travel_in_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in device: tensors that say they are elsewhere. Exactly one `.cpu()` call is allowed."""
    copies = []
    real_cpu = torch.Tensor.cpu

    def counted(self: torch.Tensor) -> torch.Tensor:
        copies.append(self.shape)
        return real_cpu(self.as_subclass(torch.Tensor))

    monkeypatch.setattr(torch.Tensor, "cpu", counted)

    class Elsewhere(torch.Tensor):
        @property
        def device(self) -> torch.device:  # type: ignore[override]
            return torch.device("meta")

    tensors = [torch.rand(4, 3), torch.arange(4), torch.rand(4).double(), torch.tensor([True, False, True, True])]
    arrays = to_host([t.as_subclass(Elsewhere) for t in tensors])
    assert len(copies) == 1
    for array, tensor in zip(arrays, tensors, strict=True):
        assert array.dtype == tensor.numpy().dtype
        assert np.array_equal(array, tensor.numpy())


def test_undeclared_and_misshapen_columns_are_breaches() -> None:
    good = {"test_mean": torch.zeros(2), "test_step": torch.zeros(2)}
    check_update(TestMean.spec, good, 2)
    check_update(TestMean.spec, {}, 2)
    with pytest.raises(ContractBreach, match="test_mean"):
        check_update(TestMean.spec, {"test_mean": torch.zeros(2)}, 2)
    with pytest.raises(ContractBreach, match="shape"):
        check_update(TestMean.spec, {**good, "test_step": torch.zeros(2, 1)}, 2)
