"""mediaml_nr: predicts full-reference VMAF from fragments of a picture at native size and facts of its bitstream.

Our own network. A fixed convolution (nr_statistics.py) turns each fragment into statistics of its spectrum; learned
layers turn those into a vector and a weight a fragment, and the weighted mean meets the facts and the size at which the
picture is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mediaml.errors import WeightsCorrupt
from mediaml.nets.nr_statistics import STATISTICS

FACTS = 10  # numbers in `nr_facts.facts_vector`
MAX_SCALE = 3.0  # shown at up to this many times its own height in training
_WIDE, _LOOK, _STATED = 384, 256, 48


class Prediction(NamedTuple):
    """quality (N,) in VMAF's points, 0..100; spread (N,) > 0, the error to be expected, in points, before calibration."""

    quality: Tensor
    spread: Tensor


class MediamlNr(nn.Module):
    """See `forward`. 0.36 M learned parameters. In training mode quality is not cut to 0..100, so that its slope is not
    lost."""

    centre: Tensor
    width: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(STATISTICS))  # of the statistics in training: mean and deviation
        self.register_buffer("width", torch.ones(STATISTICS))
        self.fragment = nn.Sequential(
            nn.Linear(STATISTICS, _WIDE),
            nn.GELU(),
            nn.Dropout(0.4),
            nn.Linear(_WIDE, _LOOK),
            nn.GELU(),
            nn.Dropout(0.4),
        )
        self.weigh = nn.Linear(_LOOK, 1)
        self.facts = nn.Sequential(nn.Linear(2 * FACTS, _STATED), nn.SiLU(), nn.Linear(_STATED, _STATED), nn.SiLU())
        self.head = nn.Sequential(
            nn.Linear(_LOOK + _STATED + 1, 160),
            nn.SiLU(),
            nn.Dropout(0.4),
            nn.Linear(160, 64),
            nn.SiLU(),
            nn.Linear(64, 2),
        )

    def look(self, statistics: Tensor) -> Tensor:
        """(N, K, 524) of K fragments -> (N, 256), the picture's vector: what does not depend on facts and size."""
        vectors = self.fragment(((statistics - self.centre) / self.width).clamp(-5, 5))
        return (vectors * torch.softmax(self.weigh(vectors), dim=1)).sum(dim=1)

    def judge(self, looks: Tensor, facts: Tensor, scale: Tensor) -> Prediction:
        """Looks (N, 256), facts (N, 10) with NaN where unknown, and scale (N,): height it is shown at over its own."""
        known = facts.isfinite()
        stated = self.facts(torch.cat([torch.where(known, facts, 0.0).clamp(-5, 5), known.float()], dim=1))
        size = scale.clamp(1.0, MAX_SCALE).log2()[:, None]
        raw, spread = self.head(torch.cat([looks, stated, size], dim=1)).unbind(1)
        quality = 65 + 25 * raw
        return Prediction(quality if self.training else quality.clamp(0, 100), F.softplus(spread) * 5 + 0.5)

    def forward(self, statistics: Tensor, facts: Tensor, scale: Tensor) -> Prediction:
        """(N, K, 524) statistics, (N, 10) facts, (N,) scale -> Prediction."""
        return self.judge(self.look(statistics), facts, scale)


class Calibration(NamedTuple):
    """Split-conformal factors: an interval is the prediction plus and minus factor x spread, cut at 0 and 100.

    picture  for the quality of one picture
    clip     for the mean over several pictures of a file, with the mean of their spreads
    """

    picture: float
    clip: float


def interval(quality: Tensor, spread: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """(lower, upper) ends, equally shaped, within 0..100."""
    return (quality - factor * spread).clamp(0, 100), (quality + factor * spread).clamp(0, 100)


def load(path: Path, device: torch.device) -> tuple[MediamlNr, Calibration]:
    """The network, ready for inference, and its calibration. Raises WeightsCorrupt where the file holds something else."""
    try:
        state = load_file(path)
        factors = [float(state.pop(f"calibration.{name}")) for name in Calibration._fields]
        net = MediamlNr()
        net.load_state_dict({name: t.float() for name, t in state.items()})
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise WeightsCorrupt(f"{path}: not the weights of mediaml_nr: {error}") from error
    return net.to(device).eval().requires_grad_(False), Calibration(*factors)


def save(path: Path, net: MediamlNr, calibration: Calibration) -> None:
    """Half precision; the calibration in full."""
    state = {name: t.half().contiguous() for name, t in net.state_dict().items()}
    factors = {f"calibration.{name}": torch.tensor(value) for name, value in calibration._asdict().items()}
    save_file(state | factors, path)
