"""Reads the real matrices of a MATLAB level 5 file (MAT-File Format, MathWorks 2019), and nothing else of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mediaml.errors import WeightsCorrupt

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_DOUBLE_CLASS, _COMPLEX_FLAG = 6, 0x08
_LARGEST = 16 << 20


def read_mat5(path: Path) -> dict[str, Tensor]:
    """name -> float64 tensor, for every real double matrix of a little-endian file of at most 16 MB.

    Raises WeightsCorrupt where the file is damaged or of another format.
    """
    if (size := path.stat().st_size) > _LARGEST:
        raise WeightsCorrupt(f"{path}: {size} bytes, a MAT file of parameters may have {_LARGEST}")
    data = path.read_bytes()
    if data[124:128] != b"\x00\x01IM":
        raise WeightsCorrupt(f"{path}: not a little-endian MATLAB level 5 file")
    try:
        return dict(_matrices(data[128:]))
    except (struct.error, ValueError, IndexError, KeyError, zlib.error, UnicodeDecodeError) as error:
        raise WeightsCorrupt(f"{path}: damaged MATLAB file: {error}") from error


def _matrices(data: bytes) -> Iterator[tuple[str, Tensor]]:
    for kind, body in _elements(data):
        if kind == _COMPRESSED:
            yield from _matrices(zlib.decompressobj().decompress(body, _LARGEST))
        elif kind == _MATRIX:
            parts = _elements(body)
            flags, dimensions, name, real = (next(parts)[1], next(parts)[1], next(parts)[1], next(parts, None))
            if flags[0] == _DOUBLE_CLASS and not flags[1] & _COMPLEX_FLAG and real is not None:
                shape = np.frombuffer(dimensions, "<i4")
                values = np.frombuffer(real[1], "<" + _NUMBERS[real[0]]).astype(np.float64)
                yield name.decode("ascii"), torch.from_numpy(values.reshape(shape, order="F").copy())


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind >> 16:  # small element: type and length in one word, up to four bytes of data in the next
            kind, length, start, step = kind & 0xFFFF, kind >> 16, at + 4, 8
        else:
            start, step = at + 8, 8 + (length if kind == _COMPRESSED else -(-length // 8) * 8)
        if start + length > len(data):
            raise ValueError(f"an element of {length} bytes at {at} runs past the end")
        yield kind, data[start : start + length]
        at += step
