"""The tensors of a TensorFlow checkpoint (an index and one data file) by name, read without TensorFlow.

The index is a sorted string table (as LevelDB's, without compression) whose values are BundleEntryProto messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mediaml.errors import WeightsCorrupt
from mediaml.nets.onnx_tensors import protobuf_fields, varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE = 1, 2, 3, 4, 5  # fields of BundleEntryProto
_FLOAT = 1


def checkpoint_tensors(index: Path, data: Path) -> dict[str, Tensor]:
    """name -> float32 tensor of every float tensor. Raises WeightsCorrupt where the two are no such pair."""
    table, content = memoryview(index.read_bytes()), data.read_bytes()
    try:
        if len(table) < _FOOTER or struct.unpack("<Q", table[-8:])[0] != _MAGIC:
            raise ValueError("no table")
        footer = table[-_FOOTER:]
        _, at = varint(footer, 0)
        _, at = varint(footer, at)  # where the metaindex lies
        start, at = varint(footer, at)
        size, _ = varint(footer, at)
        found: dict[str, Tensor] = {}
        for _, handle in _entries(table[start : start + size]):
            block, k = varint(handle, 0)
            length, _ = varint(handle, k)
            if table[block + length] != 0:
                raise ValueError("the table is compressed")
            for key, value in _entries(table[block : block + length]):
                tensor = _tensor(value, content) if key else None
                if tensor is not None:
                    found[key.decode()] = tensor
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise WeightsCorrupt(f"{index.name} and {data.name} are no TensorFlow checkpoint: {error!r}") from error
    return found


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """(key, value) of a block; keys share beginnings with the key before."""
    restarts = struct.unpack("<I", block[-4:])[0]
    end, at, key = len(block) - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        key = key[:shared] + bytes(block[at : at + own])
        yield key, block[at + own : at + own + length]
        at += own + length


def _tensor(entry: memoryview, content: bytes) -> Tensor | None:
    fields = dict(protobuf_fields(entry))
    if fields.get(_DTYPE) != _FLOAT:
        return None
    shape = []
    dims = fields.get(_SHAPE, memoryview(b""))
    for field, dim in protobuf_fields(dims) if isinstance(dims, memoryview) else ():
        if field == 2 and isinstance(dim, memoryview):
            shape.append(dict(protobuf_fields(dim)).get(1, 0))
    offset, size = fields.get(_OFFSET, 0), fields.get(_SIZE, 0)
    if not isinstance(offset, int) or not isinstance(size, int) or offset + size > len(content):
        raise ValueError("a tensor lies beyond the data")
    values = np.frombuffer(content, "<f4", size // 4, offset).reshape([int(s) for s in shape])
    return torch.from_numpy(values.copy())
