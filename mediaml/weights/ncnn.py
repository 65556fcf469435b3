"""Reads ncnn's .param (text) and .bin files into plain tensors: enough for convolutions and PReLU.

Format, as ncnn's own loader reads it: the .param begins with the magic 7767517, then the numbers of layers and blobs, then a
line a layer (type, name, inputs, outputs, blob names, `key=value`). The .bin holds the weights in the order of the layers; a
convolution's kernel begins with a 4-byte tag: 0x01306B47 means half precision, padded to 4 bytes; 0 means float32. Biases and
PReLU slopes are float32 without a tag.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.errors import WeightsCorrupt

_MAGIC = "7767517"
_HALF = 0x01306B47
Layer = tuple[str, list[Tensor]]  # type, flat float32 tensors


def read_ncnn(param: Path, content: Path) -> list[Layer]:
    """Layers that hold weights, in the file's order: ("Convolution", [kernel, bias]) and ("PReLU", [slopes]), all flat.

    Raises WeightsCorrupt for another format, another kind of weights, and a .bin that is too short or too long.
    """
    lines = param.read_text("ascii", errors="replace").split("\n")
    if lines[0].strip() != _MAGIC:
        raise WeightsCorrupt(f"{param} is not an ncnn graph: it begins with {lines[0][:20]!r}, not {_MAGIC}")
    reader = _Reader(content)
    layers: list[Layer] = []
    for line in lines[2:]:
        words = line.split()
        if not words:
            continue
        values = dict(w.split("=", 1) for w in words[4 + int(words[2]) + int(words[3]) :])
        if words[0] == "Convolution":
            kernel = reader.tagged(int(values["6"]))
            layers.append((words[0], [kernel, reader.floats(int(values["0"]))] if values.get("5") == "1" else [kernel]))
        elif words[0] == "PReLU":
            layers.append((words[0], [reader.floats(int(values["0"]))]))
        elif words[0] in _WITH_WEIGHTS:
            raise WeightsCorrupt(f"{param}: layer {words[1]} is a {words[0]}, whose weights are not read here")
    reader.finish()
    return layers


_WITH_WEIGHTS = frozenset({"ConvolutionDepthWise", "Deconvolution", "InnerProduct", "BatchNorm", "Scale", "MemoryData"})


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path, self._content, self._at = path, path.read_bytes(), 0

    def tagged(self, count: int) -> Tensor:
        tag = struct.unpack("<I", self._take(4))[0]
        if tag == _HALF:
            values = np.frombuffer(self._take(2 * count), "<f2")
            self._take(-2 * count % 4)
            return _tensor(values)
        if tag == 0:
            return self.floats(count)
        raise WeightsCorrupt(f"{self._path}: weights of kind {tag:#x} at byte {self._at - 4} are not read here")

    def floats(self, count: int) -> Tensor:
        return _tensor(np.frombuffer(self._take(4 * count), "<f4"))

    def finish(self) -> None:
        if self._at != len(self._content):
            raise WeightsCorrupt(f"{self._path} holds {len(self._content) - self._at} bytes more than its graph says")

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._content):
            raise WeightsCorrupt(f"{self._path} ends at byte {len(self._content)}, its graph needs more")
        self._at += count
        return self._content[self._at - count : self._at]


def _tensor(values: NDArray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
