"""The constant tensors of an ONNX file by name, without running it: a reader of the few protobuf fields that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mediaml.errors import WeightsCorrupt

_GRAPH, _INITIALIZER, _METADATA = 7, 5, 14  # field numbers of ModelProto and GraphProto (onnx.proto3)
_DIMS, _TYPE, _FLOATS, _NAME, _RAW = 1, 2, 4, 8, 9  # of TensorProto
_NUMPY = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}


def onnx_tensors(path: Path) -> dict[str, Tensor]:
    """name -> tensor of every initializer. Raises WeightsCorrupt where the file is no ONNX model."""
    data = memoryview(path.read_bytes())
    try:
        graph = next(
            value for field, value in protobuf_fields(data) if field == _GRAPH and isinstance(value, memoryview)
        )
        found = dict(_tensor(v) for f, v in protobuf_fields(graph) if f == _INITIALIZER and isinstance(v, memoryview))
    except (StopIteration, ValueError, IndexError, KeyError) as error:
        raise WeightsCorrupt(f"{path.name} is not an ONNX model that can be read: {error!r}") from error
    return found


def onnx_metadata(path: Path) -> dict[str, str]:
    """The key-value pairs that an ONNX file carries beside its graph. Raises WeightsCorrupt as `onnx_tensors` does."""
    try:
        entries = [
            dict(protobuf_fields(value))
            for field, value in protobuf_fields(memoryview(path.read_bytes()))
            if field == _METADATA and isinstance(value, memoryview)
        ]
        return {bytes(e[1]).decode(): bytes(e[2]).decode() for e in entries}  # type: ignore[arg-type]
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise WeightsCorrupt(f"{path.name} is not an ONNX model that can be read: {error!r}") from error


def _tensor(data: memoryview) -> tuple[str, Tensor]:
    dims: list[int] = []
    kind, name, raw = 1, "", memoryview(b"")
    for field, value in protobuf_fields(data):
        if field == _DIMS:
            dims += [value] if isinstance(value, int) else list(_varints(value))
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif field in (_RAW, _FLOATS) and isinstance(value, memoryview):
            raw = value
    return name, torch.from_numpy(np.frombuffer(raw, _NUMPY[kind]).copy().reshape(dims))


def protobuf_fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field of a message: an integer, or the bytes of anything longer."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
            yield key >> 3, value
        elif wire in (1, 2, 5):
            size, at = (8, at) if wire == 1 else (4, at) if wire == 5 else varint(data, at)
            if at + size > len(data):
                raise ValueError("a field is longer than its message")
            yield key >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire}")


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """(value, byte after it) of a variable-length integer. Raises IndexError beyond the end."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
