"""mediaml_music: whether music plays in each 0.16 s, under speech too. Our own small network over FireRedVAD's.

In: what FireRedVAD's network holds before its last layers, and the salience of semitones. A linear layer, then three dilated
convolutions over time: a step's value sees 2.9 s on either side.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import conv1d, relu

from mediaml.errors import WeightsCorrupt
from mediaml.nets.audio_classes import ClassFrames
from mediaml.ops.pitch_salience import COLUMNS, HOP, REACH, SAMPLE_RATE, SEMITONES, WINDOW, PitchSalience, with_lasting

STEP_SECONDS = HOP / SAMPLE_RATE
FRAMES = 16  # of 10 ms in a step
FIRST_CENTRE = (FRAMES * 160 + 240) / 2 / SAMPLE_RATE  # seconds, of step 0
INPUTS = 128 + COLUMNS
_WIDE, _TAPS, _DILATIONS = 32, 5, (1, 2, 4)
CONTEXT = REACH + sum(_TAPS // 2 * d for d in _DILATIONS)  # steps on either side
LEAD = WINDOW // 2 - (FRAMES * 160 + 240) // 2  # zeros before the first sample: both kinds of windows share a centre


class MediamlMusic(nn.Module):
    """(S, INPUTS) of consecutive steps -> (S,) logits. 23 thousand weights."""

    centre: Tensor
    width: Tensor

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(INPUTS))
        self.register_buffer("width", torch.ones(INPUTS))
        self.entry = nn.Linear(INPUTS, _WIDE)
        self.layers = nn.ModuleList(nn.Conv1d(_WIDE, _WIDE, _TAPS, dilation=d) for d in _DILATIONS)
        self.exit = nn.Linear(_WIDE, 1)
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def from_file(cls, path: Path) -> MediamlMusic:
        """Raises WeightsCorrupt where the file does not hold this network."""
        net = cls()
        try:
            net.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        except (SafetensorError, RuntimeError) as error:
            raise WeightsCorrupt(f"{path.name} does not hold mediaml_music: {error}") from error
        return net.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Half precision."""
        save_file({k: v.half().contiguous() for k, v in self.state_dict().items()}, path)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., S, INPUTS) -> (..., S); beyond the ends counts as nothing."""
        x = ((inputs - self.centre) / self.width).clamp(-6, 6)
        x = relu(self.entry(self.dropout(x))).transpose(-1, -2)  # (..., 32, S)
        for layer, dilation in zip(self.layers, _DILATIONS, strict=True):
            assert isinstance(layer, nn.Conv1d)
            padded = nn.functional.pad(self.dropout(x), (_TAPS // 2 * dilation,) * 2)
            x = x + relu(conv1d(padded, layer.weight, layer.bias, dilation=dilation))
        return self.exit(x.transpose(-1, -2))[..., 0]


def step_inputs(frames: ClassFrames, salience: Tensor) -> Tensor:
    """(S, INPUTS): the mean of 16 frames a step, and its semitones."""
    steps = min(frames.memory.shape[0] // FRAMES, salience.shape[0])
    memory = frames.memory[: steps * FRAMES].reshape(steps, FRAMES, -1).mean(dim=1)
    return torch.cat([memory, with_lasting(salience[:steps])], dim=1)


class MusicProbabilities:
    """The network over consecutive samples and FireRedVAD's frames of one run, exact wherever the blocks end."""

    def __init__(self, net: MediamlMusic, window_steps: int = 200) -> None:
        self._net, self._pitch, self._window = net, PitchSalience(), window_steps
        self._samples = torch.zeros(LEAD)
        self._frames = ClassFrames.none()
        self._salience = torch.zeros(0, SEMITONES)
        self._done = 0  # steps at the front whose values were given

    def push(self, samples: Tensor, frames: ClassFrames) -> Tensor:
        """(T,) at 16 kHz, and those frames that are ready -> (S,) probabilities of the steps that are complete."""
        joined = torch.cat([self._samples.to(samples.device), samples])
        new = self._pitch(joined)
        self._samples = joined[new.shape[0] * HOP :].clone()
        self._salience = torch.cat([self._salience.to(new.device), new])
        self._frames = self._frames.then(frames)
        ready = min(self._salience.shape[0], self._frames.memory.shape[0] // FRAMES) - CONTEXT
        return self._give(ready) if ready - self._done >= self._window else samples.new_zeros(0)

    def flush(self, frames: ClassFrames) -> Tensor:
        """The remaining steps; the last whole one is where samples for its windows end."""
        self._frames = self._frames.then(frames)
        steps = min(self._salience.shape[0], self._frames.memory.shape[0] // FRAMES)
        return self._give(steps) if steps > self._done else torch.zeros(0)

    def _give(self, stop: int) -> Tensor:
        out = self._net(step_inputs(self._frames, self._salience)).sigmoid()[self._done : stop]
        drop = max(0, stop - CONTEXT)
        self._frames, self._salience = self._frames.after(drop * FRAMES), self._salience[drop:].clone()
        self._done = stop - drop
        return out
