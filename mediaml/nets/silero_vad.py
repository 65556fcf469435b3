"""The 16 kHz branch of Silero VAD (MIT) in torch, with the tensors of its ONNX file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mediaml.errors import WeightsCorrupt
from mediaml.nets.onnx_tensors import onnx_tensors

SAMPLE_RATE = 16000
CHUNK = 512  # samples a probability
CONTEXT = 64  # samples of the chunk before that each chunk is seen with
_BINS = 129

State = tuple[Tensor, Tensor]


class SileroVad(nn.Module):
    """Samples -> the probability of speech, a value each 32 ms.

    A convolution holds the short-time spectrum's basis; four more and a recurrent cell follow. All chunks of a call go
    through the convolutions at once; only the cell runs in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * _BINS, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(_BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    @classmethod
    def from_file(cls, path: Path) -> SileroVad:
        """From the ONNX file of the 16 kHz branch. Raises WeightsCorrupt where tensors are missing or of another shape."""
        names = {"model.stft.forward_basis_buffer": "stft_conv.weight"}
        for kind in ("weight", "bias"):
            names[f"model.decoder.decoder.2.{kind}"] = f"final_conv.{kind}"
            names |= {f"model.encoder.{k}.reparam_conv.{kind}": f"conv{k + 1}.{kind}" for k in range(4)}
            names |= {f"model.decoder.rnn.{kind}_{to}": f"lstm.{kind}_{to}_l0" for to in ("ih", "hh")}
        tensors = onnx_tensors(path)
        net = cls()
        try:
            net.load_state_dict({new: tensors[old] for old, new in names.items()})
        except (KeyError, RuntimeError) as error:
            raise WeightsCorrupt(f"{path.name} does not hold Silero VAD's 16 kHz network: {error}") from error
        return net.eval().requires_grad_(False)

    def forward(self, chunks: Tensor, state: State | None) -> tuple[Tensor, State]:
        """(N, CONTEXT + CHUNK) consecutive chunks, each after the end of the one before -> (N,) probabilities, new state."""
        x = nn.functional.pad(chunks[:, None], (0, 64), mode="reflect")
        x = self.stft_conv(x)  # (N, 258, 4)
        x = (x[:, :_BINS].square() + x[:, _BINS:].square()).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        hidden, after = self.lstm(x.squeeze(-1)[:, None], state)  # (N, 1, 128)
        return self.final_conv(hidden.relu().permute(0, 2, 1)).sigmoid().flatten(), after


class SpeechProbability:
    """Silero VAD over consecutive samples of one run; it carries the context and the state of the cell."""

    def __init__(self, net: SileroVad) -> None:
        self._net = net
        self._past: Tensor | None = None  # the context, then samples that fill no chunk
        self._state: State | None = None

    def push(self, samples: Tensor) -> Tensor:
        """(T,) at 16 kHz -> (N,): a probability for every chunk that is complete."""
        past = samples.new_zeros(CONTEXT) if self._past is None else self._past
        joined = torch.cat([past, samples])
        count = (joined.shape[0] - CONTEXT) // CHUNK
        self._past = joined[count * CHUNK :].clone()
        if count == 0:
            return samples.new_zeros(0)
        chunks = joined.unfold(0, CONTEXT + CHUNK, CHUNK)[:count]
        out, self._state = self._net(chunks, self._state)
        return out

    def flush(self) -> Tensor:
        """The probability of the rest, filled up with silence; (0,) where nothing is left."""
        if self._past is None or self._past.shape[0] <= CONTEXT:
            return torch.zeros(0)
        return self.push(self._past.new_zeros(CONTEXT + CHUNK - self._past.shape[0]))
