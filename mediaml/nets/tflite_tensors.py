"""The constant tensors of a TensorFlow Lite file by name, dequantised, without running it: a small FlatBuffers reader."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mediaml.errors import WeightsCorrupt

# Field positions of the schema (tensorflow/lite/schema/schema.fbs).
_SUBGRAPHS, _BUFFERS = 2, 4
_TENSORS = 0
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTIZATION = 0, 1, 2, 3, 4
_SCALE, _ZERO_POINT, _DIMENSION = 2, 3, 6
_DATA = 0
_NUMPY = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 9: "i1"}


def tflite_tensors(path: Path) -> list[tuple[str, Tensor]]:
    """(name, float32 tensor) of every constant of the first subgraph, in order; names need not be unique.

    8-bit tensors with a scale become (value - zero point) * scale. Raises WeightsCorrupt where the file is no such model.
    """
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise WeightsCorrupt(f"{path.name} is not a TensorFlow Lite model")
    try:
        model = _Table(data, _u32(data, 0))
        buffers = list(model.tables(_BUFFERS))
        graph = next(iter(model.tables(_SUBGRAPHS)))
        found = [_constant(t, buffers) for t in graph.tables(_TENSORS)]
    except (struct.error, StopIteration, IndexError, ValueError, KeyError) as error:
        raise WeightsCorrupt(f"{path.name}: its tensors cannot be read: {error!r}") from error
    return [pair for pair in found if pair is not None]


class _Table:
    """A FlatBuffers table at byte `at`."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        self._fields = (struct.unpack_from("<H", data, self._vtable)[0] - 4) // 2

    def place(self, field: int) -> int | None:
        if field >= self._fields:
            return None
        offset = struct.unpack_from("<H", self.data, self._vtable + 4 + 2 * field)[0]
        return self.at + offset if offset else None

    def number(self, field: int, kind: str, default: int = 0) -> int:
        at = self.place(field)
        return default if at is None else struct.unpack_from(kind, self.data, at)[0]

    def table(self, field: int) -> _Table | None:
        at = self.place(field)
        return None if at is None else _Table(self.data, at + _u32(self.data, at))

    def vector(self, field: int, dtype: str) -> np.ndarray:
        at = self.place(field)
        if at is None:
            return np.zeros(0, dtype)
        start = at + _u32(self.data, at)
        return np.frombuffer(self.data, dtype, _u32(self.data, start), start + 4)

    def tables(self, field: int) -> Iterator[_Table]:
        at = self.place(field)
        if at is None:
            return
        start = at + _u32(self.data, at)
        for k in range(_u32(self.data, start)):
            place = start + 4 + 4 * k
            yield _Table(self.data, place + _u32(self.data, place))


def _constant(tensor: _Table, buffers: list[_Table]) -> tuple[str, Tensor] | None:
    raw = buffers[tensor.number(_BUFFER, "<I")].vector(_DATA, "u1")
    kind = _NUMPY.get(tensor.number(_TYPE, "<b"))
    if not raw.size or kind is None:
        return None
    name = tensor.vector(_NAME, "u1").tobytes().decode("utf-8", "replace")
    shape = tensor.vector(_SHAPE, "<i4").tolist()
    values = np.frombuffer(raw.tobytes(), kind).reshape(shape).astype(np.float32)
    quantization = tensor.table(_QUANTIZATION)
    scale = quantization.vector(_SCALE, "<f4") if quantization else np.zeros(0)
    if quantization is not None and scale.size:
        zero = quantization.vector(_ZERO_POINT, "<i8")
        axis = [1] * len(shape)
        if scale.size > 1:
            axis[quantization.number(_DIMENSION, "<i")] = scale.size
        zeros = zero if zero.size else np.zeros(scale.size)
        values = (values - zeros.reshape(axis).astype(np.float32)) * scale.reshape(axis)
    return name, torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _u32(data: bytes, at: int) -> int:
    return struct.unpack_from("<I", data, at)[0]
