"""How much of its residual the net may add at each strength of compression, so that no clip gets worse than Lanczos.

On clips of pictures that neither the training nor the benchmark uses. A residual r over Lanczos' error e, shrunk by s, leaves
a squared error of e^2 - 2 s e r + s^2 r^2: three means of each encode tell what every s would do to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.nets.mediaml_sr import KNOTS, MediamlSr, StrengthEstimator, lanczos_x2
from mediaml.restore.strength import Steady
from pipelines.sr_training.pairs import downscaled, strength_of
from pipelines.training_media.encodes import Codec, Planes, as_viewed

_STEPS = np.linspace(0, 1, 41)
_AIM = 0.01  # dB that every clip shall gain at least
_AVERSION = 20.0  # a dB lost below the aim weighs as much as this many dB gained elsewhere
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Leeway:
    """One encode of one clip: mean squares of Lanczos' error and of the residual, mean of their product, mean strength."""

    clip: str
    codec: Codec
    crf: int
    strength: float
    error: float
    product: float
    residual: float

    def gain(self, share: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """dB over Lanczos where `share` of the residual is added."""
        share = np.asarray(share, np.float64)
        left = self.error - 2 * share * self.product + share**2 * self.residual
        return 10 * np.log10(self.error / np.maximum(left, 1e-12))


def leeways(
    net: MediamlSr,
    estimator: StrengthEstimator,
    clips: Sequence[tuple[str, list[Planes]]],
    encodes: Sequence[tuple[Codec, int]],
) -> Iterator[Leeway]:
    """Each clip shrunk, inter-coded and decoded; the strength as a player finds it."""
    for name, high in clips:
        low = [(downscaled(y), downscaled(u, "area"), downscaled(v, "area")) for y, u, v in high]
        for codec, crf in encodes:
            track, sums, strengths = Steady(), [], []
            for index, (frame, original) in enumerate(zip(as_viewed(low, codec, crf), high, strict=True)):
                luma = torch.from_numpy(frame.planes[0])[None, None].float() / 255
                with torch.inference_mode():
                    if codec == "x264" or index == 0:
                        found = strength_of(codec, crf, frame.qp) if codec == "x264" else float(estimator(luma)[0])
                        strengths.append(track.next(found))
                    base = lanczos_x2(luma) * 255
                    residual = net(luma, torch.tensor([strengths[-1]])) * 255 - base
                error = torch.from_numpy(original[0]) - base[0, 0]
                sums.append(
                    [float((a * b).mean()) for a, b in ((error, error), (error, residual[0, 0]), (residual,) * 2)]
                )
            yield Leeway(name, codec, crf, float(np.mean(strengths)), *np.mean(sums, axis=0).tolist())


def shares(found: Sequence[Leeway]) -> NDArray[np.float64]:
    """(KNOTS,) in [0, 1]: the share of the residual at each knot of strength, between which it is linear.

    The best mean gain less `_AVERSION` times what a clip lacks to `_AIM`, knot by knot, several times over.
    """
    place = np.array([f.strength for f in found]) * (KNOTS - 1)
    weight = np.clip(1 - np.abs(place[:, None] - np.arange(KNOTS)), 0, None)  # (encodes, KNOTS)
    chosen = np.ones(KNOTS)
    for _ in range(_ROUNDS):
        for knot in np.flatnonzero(weight.sum(axis=0) > 0):
            chosen[knot] = max(_STEPS, key=lambda step: _worth(found, weight, chosen, int(knot), float(step)))
    return chosen


def _worth(
    found: Sequence[Leeway], weight: NDArray[np.float64], chosen: NDArray[np.float64], knot: int, step: float
) -> float:
    tried = chosen.copy()
    tried[knot] = step
    gains = np.array([float(f.gain(s)) for f, s in zip(found, weight @ tried, strict=True)])
    return float(gains.mean() - _AVERSION * np.clip(_AIM - gains, 0, None).mean())


def shrink(net: MediamlSr, share: NDArray[np.float64]) -> None:
    """Multiplies the last convolution's modulation, so that the residual is `share` (KNOTS,) of what it was. In place."""
    kept = torch.from_numpy(share).to(net.modulation)[:, None]
    middle = net.modulation.shape[1] // 2
    last = net.convolutions()[-1].bias.shape[0]
    with torch.no_grad():
        scale, shift = net.modulation[:, middle - last : middle], net.modulation[:, -last:]
        scale.copy_((1 + scale) * kept - 1)
        shift.mul_(kept)
