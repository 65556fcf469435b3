"""Moves analyzers' outputs to the host: one copy a batch, however many analyzers and columns there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.errors import ContractBreach
from mediaml.spec import Column, Spec, Table

PER_FRAME = (Table.FRAMES, Table.EMBEDDINGS)
Arrays = dict[str, NDArray[Any]]


def per_frame_columns(spec: Spec) -> tuple[Column, ...]:
    """The columns that `update` gives, one value (or vector) a frame."""
    return tuple(c for table in PER_FRAME for c in spec.columns(table))


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """The tensors as numpy arrays; from an accelerator they travel as one buffer, in one copy."""
    if not tensors:
        return []
    if all(t.device.type == "cpu" for t in tensors):
        return [t.detach().numpy() for t in tensors]
    parts = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in tensors]
    buffer = torch.cat(parts).cpu().numpy()
    arrays, start = [], 0
    for tensor, part in zip(tensors, parts, strict=True):
        stop = start + part.numel()
        dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
        arrays.append(buffer[start:stop].copy().view(dtype).reshape(tuple(tensor.shape)))
        start = stop
    return arrays


def check_update(spec: Spec, output: Mapping[str, Tensor], frames: int) -> None:
    """Raises ContractBreach unless `output` is empty or has exactly the declared per-frame columns in their shapes."""
    declared = {c.name: c for c in per_frame_columns(spec)}
    if output and set(output) != set(declared):
        raise ContractBreach(spec.name, f"update gave columns {sorted(output)}, its spec declares {sorted(declared)}")
    for name, tensor in output.items():
        length = declared[name].length
        shape = (frames,) if length is None else (frames, length)
        if tuple(tensor.shape) != shape:
            raise ContractBreach(spec.name, f"column {name} has shape {tuple(tensor.shape)}, must be {shape}")
