"""YAMNet: 521 AudioSet classes from 0.975 s of sound, for weights that the user supplies (Plakal & Ellis 2020).

The network is MobileNet v1 on log-mels; batch normalisation is folded into the convolutions, as it is in the .tflite file.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from mediaml.errors import WeightsCorrupt
from mediaml.nets.tflite_tensors import tflite_tensors
from mediaml.ops.mel import triangles_in_mel

SAMPLE_RATE, PATCH, HOP = 16000, 15600, 7800  # samples: 0.975 s, moved by half of it
CLASSES, DIMENSIONS = 521, 1024
_FRAME, _STEP, _FFT, _BANDS = 400, 160, 512, 64
_STRIDES = {1: 2, 3: 2, 5: 2, 7: 2, 13: 2}
_LAYERS = 14
_LOG_OFFSET = 1e-3


class LogMel(nn.Module):
    """(N, 15600) samples -> (N, 1, 96, 64): log of 64 mel bands (125 to 7500 Hz) of the magnitude spectrum, + 0.001.

    25 ms periodic Hann windows every 10 ms, FFT of 512.
    """

    def __init__(self) -> None:
        super().__init__()
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(_FRAME))
        self.register_buffer("bank", triangles_in_mel(_FFT // 2 + 1, _BANDS, SAMPLE_RATE / 2, 125.0, 7500.0))

    def forward(self, samples: Tensor) -> Tensor:
        frames = samples.unfold(1, _FRAME, _STEP) * self.window  # (N, 96, 400)
        magnitude = torch.fft.rfft(frames, _FFT).abs()
        return (magnitude @ self.bank + _LOG_OFFSET).log()[:, None]


class Yamnet(nn.Module):
    """(N, 15600) -> scores (N, 521) in [0, 1], embeddings (N, 1024)."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.features = LogMel()
        self.names = sorted(tensors)
        for name in self.names:
            self.register_buffer(name, tensors[name])

    @classmethod
    def from_file(cls, path: Path) -> Yamnet:
        """From the user's `yamnet.tflite` or a .safetensors of the same tensors. Raises WeightsCorrupt."""
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(path)
        else:
            tensors = _named(tflite_tensors(path))
        wanted = _shapes()
        wrong = [n for n, s in wanted.items() if n not in tensors or tuple(tensors[n].shape) != s]
        if wrong:
            raise WeightsCorrupt(
                f"{path.name} does not hold YAMNet: {', '.join(wrong[:3])} missing or of another shape"
            )
        return cls({n: tensors[n] for n in wanted}).eval()

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        x = self._layer(self.features(samples), "layer1_conv", _STRIDES[1], groups=1)
        for k in range(2, _LAYERS + 1):
            x = self._layer(x, f"layer{k}_depthwise", _STRIDES.get(k, 1), groups=x.shape[1])
            x = self._layer(x, f"layer{k}_pointwise", 1, groups=1)
        embedding = x.mean(dim=(2, 3))
        scores = embedding @ self.get_buffer("dense_weight").T + self.get_buffer("dense_bias")
        return scores.sigmoid(), embedding

    def _layer(self, x: Tensor, name: str, stride: int, groups: int) -> Tensor:
        """Convolution with TensorFlow's SAME padding, bias, ReLU."""
        weight = self.get_buffer(f"{name}_weight")
        size = weight.shape[2]
        if size > 1:
            sides = []
            for length in (x.shape[3], x.shape[2]):
                total = max((-(-length // stride) - 1) * stride + size - length, 0)
                sides += [total // 2, total - total // 2]
            x = pad(x, sides)
        return conv2d(x, weight, self.get_buffer(f"{name}_bias"), stride=stride, groups=groups).relu()


def _shapes() -> dict[str, tuple[int, ...]]:
    widths = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    shapes: dict[str, tuple[int, ...]] = {"layer1_conv_weight": (32, 1, 3, 3), "layer1_conv_bias": (32,)}
    for k in range(2, _LAYERS + 1):
        before, after = widths[k - 2], widths[k - 1]
        shapes[f"layer{k}_depthwise_weight"], shapes[f"layer{k}_depthwise_bias"] = (before, 1, 3, 3), (before,)
        shapes[f"layer{k}_pointwise_weight"], shapes[f"layer{k}_pointwise_bias"] = (after, before, 1, 1), (after,)
    return shapes | {"dense_weight": (CLASSES, DIMENSIONS), "dense_bias": (CLASSES,)}


def _named(found: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The file's tensors under our names and in torch's order of dimensions."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in found:
        layer = re.search(r"/layer(\d+)/(conv|depthwise_conv|pointwise_conv)/", name)
        if layer:
            key = f"layer{layer[1]}_{layer[2].removesuffix('_conv')}"
            if tensor.ndim == 1:
                tensors[f"{key}_bias"] = tensor
            elif layer[2] == "depthwise_conv":
                tensors[f"{key}_weight"] = tensor.permute(3, 0, 1, 2).contiguous()  # (1, 3, 3, C)
            else:
                tensors[f"{key}_weight"] = tensor.permute(0, 3, 1, 2).contiguous()  # (O, kH, kW, I)
        elif tuple(tensor.shape) == (CLASSES, DIMENSIONS):
            tensors["dense_weight"] = tensor
        elif tuple(tensor.shape) == (CLASSES,):
            tensors["dense_bias"] = tensor
    return tensors
