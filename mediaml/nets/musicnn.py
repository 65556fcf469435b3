"""musicnn: 50 tags of music from three seconds (Pons & Serra 2019), for its TensorFlow 1 checkpoints, in torch.

Timbral filters as high as a part of the spectrum, temporal ones as long as a second, three dense layers, pooling over time.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from mediaml.errors import WeightsCorrupt
from mediaml.nets.tf_checkpoint import checkpoint_tensors
from mediaml.ops.mel import slaney_bank

SAMPLE_RATE, FRAMES, BANDS, TAGS, DIMENSIONS = 16000, 187, 96, 50, 200
_FFT, _HOP = 512, 256
PATCH = (FRAMES - 1) * _HOP + _FFT  # samples that 187 frames see
STEP = FRAMES * _HOP  # one patch after the other, as the authors' default
_EPSILON = 1e-3  # TensorFlow's batch normalisation

MTT_TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo",
    "man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp",
    "cello", "no voice", "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip


class MusicLogMel:
    """(N, PATCH) samples -> (N, 187, 96): log10(10000 * mel power + 1), 512-sample Hann windows every 256, Slaney's bank."""

    def __init__(self) -> None:
        self._window, self._bank = torch.hann_window(_FFT), slaney_bank(_FFT, BANDS, SAMPLE_RATE)

    def __call__(self, samples: Tensor) -> Tensor:
        frames = samples.unfold(1, _FFT, _HOP)
        power = torch.fft.rfft(frames * self._window.to(samples.device)).abs().square()
        return (10000 * (power @ self._bank.to(samples.device)) + 1).log10()


class Musicnn(nn.Module):
    """(N, 187, 96) log-mels -> tag probabilities (N, 50), penultimate values (N, 200)."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self._scope = "model/" if any(n.startswith("model/") for n in tensors) else ""
        self._tensors = tensors

    @classmethod
    def from_files(cls, index: Path, data: Path) -> Musicnn:
        """From a checkpoint's two files. Raises WeightsCorrupt where they do not hold this network."""
        net = cls(checkpoint_tensors(index, data))
        try:
            with torch.inference_mode():
                scores, vectors = net(torch.zeros(1, FRAMES, BANDS))
        except (KeyError, RuntimeError) as error:
            raise WeightsCorrupt(f"{index.name} does not hold musicnn: {error}") from error
        if scores.shape != (1, TAGS) or vectors.shape != (1, DIMENSIONS):
            raise WeightsCorrupt(f"{index.name}: gives {tuple(scores.shape)} tags, not {TAGS}")
        return net

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        x = self._norm(log_mel[:, None], 0)  # (N, 1, T, F)
        padded = pad(x, (0, 0, 3, 3))
        front = [self._block(padded, k, k + 1) for k in range(2)]
        for k in range(2, 5):
            length = self._tensors[f"{self._scope}{_nth('conv2d', k)}/kernel"].shape[0]
            front.append(self._block(pad(x, (0, 0, (length - 1) // 2, length // 2)), k, k + 1))
        first = torch.cat(front, dim=1)  # (N, C, T)
        layers = [first]
        y = self._dense_layer(first, 5, 6)
        layers.append(y)
        for k in (6, 7):
            y = y + self._dense_layer(y, k, k + 1)
            layers.append(y)
        whole = torch.cat(layers, dim=1)  # (N, C, T)
        pooled = torch.stack([whole.amax(dim=2), whole.mean(dim=2)], dim=2).flatten(1)
        hidden = self._norm(pooled, 9)
        hidden = (hidden @ self._get("dense/kernel") + self._get("dense/bias")).relu()
        hidden = self._norm(hidden, 10)
        return (hidden @ self._get("dense_1/kernel") + self._get("dense_1/bias")).sigmoid(), hidden

    def _get(self, name: str) -> Tensor:
        return self._tensors[self._scope + name]

    def _block(self, x: Tensor, conv: int, norm: int) -> Tensor:
        """Convolution, ReLU, normalisation, then the greatest over frequency: (N, C, T)."""
        return self._norm(self._conv(x, conv), norm).amax(dim=3)

    def _dense_layer(self, x: Tensor, conv: int, norm: int) -> Tensor:
        """(N, C, T) -> (N, filters, T): a filter over 7 steps and all channels."""
        image = pad(x.transpose(1, 2)[:, None], (0, 0, 3, 3))  # (N, 1, T + 6, C)
        return self._norm(self._conv(image, conv), norm)[..., 0]

    def _conv(self, x: Tensor, k: int) -> Tensor:
        kernel = self._get(f"{_nth('conv2d', k)}/kernel").permute(3, 2, 0, 1)
        return conv2d(x, kernel, self._get(f"{_nth('conv2d', k)}/bias")).relu()

    def _norm(self, x: Tensor, k: int) -> Tensor:
        name = _nth("batch_normalization", k)
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean, variance, gamma, beta = (
            self._get(f"{name}/{part}").reshape(shape) for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return (x - mean) / (variance + _EPSILON).sqrt() * gamma + beta


def _nth(name: str, k: int) -> str:
    return name if k == 0 else f"{name}_{k}"
