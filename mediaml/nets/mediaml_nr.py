"""mediaml_nr: predicts full-reference VMAF from fragments of a picture at native size and facts of its bitstream.

Our own network. A fixed convolution (nr_statistics.py) turns each fragment into statistics of its spectrum; their mean and
deviation over the fragments are projected to the components in which training pictures vary most. Those, the facts and the
size at which the picture is shown go to several small perceptrons and to a kernel regression over the training encodes; the
prediction is the mean of both halves, or the perceptrons' where facts that the regression needs are not known.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mediaml.errors import WeightsCorrupt
from mediaml.nets.nr_kernel import Kernel
from mediaml.nets.nr_statistics import STATISTICS

FACTS = 12  # numbers in `nr_facts.facts_vector`
MAX_SCALE = 3.0  # shown at up to this many times its own height in training
NEEDED = (0, 2, 6, 10)  # facts the kernel needs: the step, the picture's bits, the stream's, the change
COMPONENTS = 160
HEADS = 6
_WIDE, _NARROW = 128, 64
_INPUTS = COMPONENTS + 2 * FACTS + 1


class Prediction(NamedTuple):
    """quality (N,) in VMAF's points, 0..100; spread (N,) > 0, the error to be expected, in points, before calibration."""

    quality: Tensor
    spread: Tensor


class Heads(nn.Module):
    """`HEADS` perceptrons side by side, each with its own dropout: (N, I) -> (HEADS, N, 2)."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        sizes = (_INPUTS, _WIDE, _NARROW, 2)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(HEADS, a, b) * math.sqrt((1.0 if b == 2 else 2.0) / a)) for a, b in pairwise(sizes)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(HEADS, 1, b)) for b in sizes[1:])
        self._dropout = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        found = inputs.expand(HEADS, -1, -1)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if number:
                found = F.dropout(F.silu(found), self._dropout, self.training)
            found = torch.baddbmm(bias, found, weight)
        return found


class MediamlNr(nn.Module):
    """See `forward`. 0.37 M learned numbers in the projection and the heads; `points` encodes in the kernel."""

    centre: Tensor
    width: Tensor
    middle: Tensor
    basis: Tensor

    def __init__(self, points: int = 0, dropout: float = 0.2) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(STATISTICS))  # of the statistics in training: mean and deviation
        self.register_buffer("width", torch.ones(STATISTICS))
        self.register_buffer("middle", torch.zeros(2 * STATISTICS))  # of the pooled ones, in those units
        self.register_buffer("basis", torch.zeros(2 * STATISTICS, COMPONENTS))
        self.heads = Heads(dropout)
        self.kernel = Kernel(points, COMPONENTS, FACTS)

    def pool(self, statistics: Tensor) -> Tensor:
        """(N, K, 524) of K fragments -> (N, 1048): mean and deviation over the fragments, in deviations of training."""
        scaled = ((statistics - self.centre) / self.width).clamp(-5, 5)
        return torch.cat([scaled.mean(dim=1), scaled.std(dim=1, correction=0)], dim=1)

    def look(self, statistics: Tensor) -> Tensor:
        """(N, K, 524) -> (N, 160), the picture's components: what does not depend on facts and size."""
        return (self.pool(statistics) - self.middle) @ self.basis

    def each(self, looks: Tensor, facts: Tensor, scale: Tensor) -> Prediction:
        """What each head says, (HEADS, N) each; quality is not cut to 0..100."""
        known = facts.isfinite()
        stated = torch.cat([torch.where(known, facts, 0.0).clamp(-5, 5), known.float()], dim=1)
        raw, spread = self.heads(torch.cat([looks.clamp(-5, 5), stated, size_of(scale)], dim=1)).unbind(2)
        return Prediction(65 + 25 * raw, F.softplus(spread) * 5 + 0.5)

    def judge(self, looks: Tensor, facts: Tensor, scale: Tensor) -> Prediction:
        """Looks (N, 160), facts (N, 12) with NaN where unknown, and scale (N,): height it is shown at over its own.

        The spread holds what each head expects, how far the heads lie apart, and how far the two halves do.
        """
        each, spread = self.each(looks, facts, scale)
        quality = each.mean(dim=0).clamp(0, 100)
        apart = each.var(dim=0, correction=0)
        if len(self.kernel.points):
            known = facts[:, NEEDED].isfinite().all(dim=1)
            remembered = self.kernel(looks, facts, size_of(scale)).clamp(0, 100)
            half = torch.where(known, (remembered - quality) / 2, 0.0)
            quality, apart = quality + half, apart + half.square()
        return Prediction(quality, (spread.mean(dim=0).square() + apart).sqrt())

    def forward(self, statistics: Tensor, facts: Tensor, scale: Tensor) -> Prediction:
        """(N, K, 524) statistics, (N, 12) facts, (N,) scale -> Prediction."""
        return self.judge(self.look(statistics), facts, scale)


def size_of(scale: Tensor) -> Tensor:
    """(N,) height shown over own height -> (N, 1) log2, within what was trained."""
    return scale.clamp(1.0, MAX_SCALE).log2()[:, None]


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
        net = MediamlNr(points=len(state["kernel.points"]))
        net.load_state_dict({name: t.float() for name, t in state.items()})
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise WeightsCorrupt(f"{path}: not the weights of mediaml_nr: {error}") from error
    return net.to(device).eval().requires_grad_(False), Calibration(*factors)


def save(path: Path, net: MediamlNr, calibration: Calibration) -> None:
    """Half precision; the kernel's coefficients and the calibration in full."""
    full = ("kernel.coefficients", "kernel.middle")
    state = {name: (t if name in full else t.half()).contiguous() for name, t in net.state_dict().items()}
    factors = {f"calibration.{name}": torch.tensor(value) for name, value in calibration._asdict().items()}
    save_file(state | factors, path)
