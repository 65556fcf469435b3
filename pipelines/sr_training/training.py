"""Patches -> weights of `mediaml_sr_x2` and of its estimator of compression strength."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from mediaml.nets.mediaml_sr import KNOTS, MediamlSr, StrengthEstimator, lanczos_x2
from mediaml.restore.luma import bfloat16_is_fast
from pipelines.sr_training.pairs import PATCH, Pairs

Report = Callable[[int, float, float, MediamlSr], None]  # step, share of the time, loss, net
BATCH, CROP = 16, 48
PEAK_RATE, LAST_SHARE, WARM_UP = (
    2e-3,
    3e-3,
    200,
)  # of Muon, with the root mean square of Adam's steps; share of it; steps
OTHERS_RATE = 0.75  # of Adam, which has biases, gate and modulation, as a share of Muon's
GATE_FROM, GATE_RATE = (
    0.15,
    0.23,
)  # share of the time before which the gate stays open; its rate as a share of Muon's
MODULATION_RATE = 2.25  # each knot is seen by a few of the patches only
EMA = 0.999
SAVE_SECONDS = 240
CLEAN = 0.3  # share of pictures that were never coded, of those that the estimator is shown
_SEEN = 0.005  # share of the pairs that make a knot known
DECIBELS_FROM = 0.5  # share of the time after which the loss is in dB instead of Charbonnier's
WORSE = 1.0  # weight of each dB by which a patch is worse than Lanczos, beside the mean of all dB
_FLOOR = (0.7 / 255) ** 2  # squared error that is rounding, and no longer worth fighting
LABEL_NOISE, ESTIMATE_NOISE = 0.03, 0.06  # deviation of a strength that the decoder exports, and of an estimated one


def train(
    pairs: Pairs,
    minutes: float,
    state: Path,
    *,
    channels: int,
    depth: int,
    report: Report,
    seed: int = 0,
) -> MediamlSr:
    """The averaged net after `minutes` by the clock.

    The learning rate falls as a cosine of elapsed time, so a slower machine does fewer steps of the same schedule. Everything
    is written to `state` every four minutes, and a call that finds the file goes on from there, with the pairs of this call.
    """
    run = _Run(channels, depth, seed)
    if state.is_file():
        run.load(state)
    chance = np.cumsum(sampling(pairs))
    begun = saved = time.monotonic() - run.elapsed
    while (share := (time.monotonic() - begun) / (minutes * 60)) < 1:
        run.rates(share)
        loss = run.learn(pairs, chance, decibels=share > DECIBELS_FROM)
        if time.monotonic() - saved > SAVE_SECONDS:
            saved, run.elapsed = time.monotonic(), time.monotonic() - begun
            run.save(state)
            report(run.step, share, loss, run.average)
    run.elapsed = minutes * 60
    run.save(state)
    return run.average


class _Run:
    """The net, its average, the optimizers, and how far they are.

    Kernels are trained by Muon (Jordan et al. 2024; steps scaled as by Liu et al. 2025, arXiv:2502.16982), as matrices of
    output channels by all else; what is left, by Adam.
    """

    def __init__(self, channels: int, depth: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.net = MediamlSr(channels, depth)
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()  # computes in float32
        if bfloat16_is_fast(torch.device("cpu")):
            self.net.compute_dtype = torch.bfloat16
        self.kernels = [c.weight for c in self.net.convolutions()]
        # PyTorch's Muon takes matrices only: these share the kernels' memory
        self.matrices = [nn.Parameter(kernel.detach().flatten(1)) for kernel in self.kernels]
        self.muon = torch.optim.Muon(self.matrices, lr=PEAK_RATE, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
        groups = [[c.bias for c in self.net.convolutions()], [*self.net.gate.parameters()], [self.net.modulation]]
        self.adam = torch.optim.Adam([{"params": g} for g in groups], lr=PEAK_RATE, betas=(0.9, 0.99), fused=True)
        self.step, self.elapsed, self.seed = 0, 0.0, seed

    def rates(self, share: float) -> None:
        """Sets the learning rates at this share of the time."""
        rate = PEAK_RATE * (LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * share)))
        rate *= min(1.0, (self.step + 1) / WARM_UP)
        self.muon.param_groups[0]["lr"] = rate
        # a gate that may close while the residual is still noise never opens again
        factors = (OTHERS_RATE, GATE_RATE if share > GATE_FROM else 0.0, MODULATION_RATE)
        for group, factor in zip(self.adam.param_groups, factors, strict=True):
            group["lr"] = rate * factor

    def learn(self, pairs: Pairs, chance: NDArray[np.float64], *, decibels: bool) -> float:
        """One step; the loss."""
        low, high, strength = _batch(pairs, chance, np.random.default_rng([self.seed, self.step]))
        shown = self.net(low, strength)
        loss = _decibels(shown, high, low) if decibels else _charbonnier(shown, high)
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for kernel, matrix in zip(self.kernels, self.matrices, strict=True):
            assert kernel.grad is not None
            matrix.grad = kernel.grad.flatten(1)
        self.muon.step()
        self.adam.step()
        self.step += 1
        follow(self.average, self.net, min(EMA, self.step / (self.step + 100)))
        return float(loss.detach())

    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        states = {name: kept.state_dict() for name, kept in self._parts().items()}
        torch.save(states | {"step": self.step, "elapsed": self.elapsed}, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        found: dict[str, Any] = torch.load(path, weights_only=True)
        for name, kept in self._parts().items():
            kept.load_state_dict(found[name])
        self.step, self.elapsed = found["step"], found["elapsed"]

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {"net": self.net, "average": self.average, "muon": self.muon, "adam": self.adam}


def as_estimated(pairs: Pairs, estimator: StrengthEstimator) -> Pairs:
    """The pairs whose codec exports no quantizer, with the strength that a player would estimate."""
    with torch.inference_mode():
        found = [float(estimator(torch.from_numpy(f)[None, None].float() / 255)[0]) for f in pairs.frames]
    estimated = np.where(pairs.frame < 0, pairs.strength, np.array(found)[pairs.frame]).astype(np.float32)
    return replace(pairs, strength=estimated)


def train_estimator(pairs: Pairs, steps: int = 1500, seed: int = 0) -> StrengthEstimator:
    """The estimator of compression strength, from whole decoded frames; under a minute."""
    torch.manual_seed(seed)
    net = StrengthEstimator()
    label = torch.from_numpy(np.tile(pairs.frame_strength, 2))
    with torch.no_grad():
        # the grid of blocks is not always where the picture begins
        luma = (torch.from_numpy(f[at:, at:])[None, None].float() / 255 for at in (0, 4) for f in pairs.frames)
        features = torch.cat([net.features(x) for x in luma])
        net.mean.copy_(features.mean(dim=0))
        net.deviation.copy_(features.std(dim=0) + 1e-3)
    optimizer = torch.optim.AdamW(net.head.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    clean = label == 0
    chance = torch.where(clean, CLEAN / clean.sum().clamp(min=1), (1 - CLEAN) / (~clean).sum().clamp(min=1))
    for _ in range(steps):
        which = torch.multinomial(chance, 256, replacement=True)
        shown = net.unbounded(features[which] + 0.05 * torch.randn_like(features[which]) * net.deviation)
        loss = F.smooth_l1_loss(shown, label[which], beta=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def fill_unseen_knots(net: MediamlSr, strengths: Sequence[float] | NDArray[np.float32]) -> None:
    """Knots between which no pair of the training lies take the nearest other one's values: estimates may fall there."""
    place = np.asarray(strengths) * (KNOTS - 1)
    near = np.clip(1 - np.abs(place[:, None] - np.arange(KNOTS)), 0, None).sum(axis=0)  # (KNOTS,)
    seen = np.flatnonzero(near > _SEEN * len(place))
    with torch.no_grad():
        for knot in range(KNOTS):
            net.modulation[knot] = net.modulation[int(seen[np.argmin(np.abs(seen - knot))])].clone()


def save(net: MediamlSr, path: Path, estimator: StrengthEstimator | None = None) -> None:
    """Both nets as one safetensors file; its metadata say how to build them."""
    tensors = {f"sr.{k}": v.contiguous() for k, v in net.state_dict().items()}
    if estimator is not None:
        tensors |= {f"strength.{k}": v.contiguous() for k, v in estimator.state_dict().items()}
    metadata = {"architecture": "mediaml_sr", "channels": str(net.channels), "depth": str(net.depth), "scale": "2"}
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata=metadata)
    part.replace(path)


def sampling(pairs: Pairs) -> NDArray[np.float64]:
    """(M,) probability of each patch: patches with detail are drawn up to ten times as often as flat ones."""
    detail = np.array([np.abs(np.diff(p.astype(np.int16))).mean() for p in pairs.high])
    chance = np.clip(detail, 0.6, 6.0)
    return chance / chance.sum()


def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights."""
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)


def _charbonnier(shown: Tensor, high: Tensor) -> Tensor:
    return torch.sqrt((shown - high).square() + 1e-6).mean()


def _decibels(shown: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """Minus the mean PSNR of the patches, with each dB below Lanczos counted once more."""
    ours, lanczos = (
        10 * torch.log10((x - high).square().mean(dim=(1, 2, 3)) + _FLOOR) for x in (shown, lanczos_x2(low))
    )
    return (ours + WORSE * (ours - lanczos).clamp(min=0)).mean() / 10


def _batch(pairs: Pairs, chance: NDArray[np.float64], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 1, 48, 48), (B, 1, 96, 96), (B,): a random part of each patch, turned and mirrored at random.

    `chance` is cumulative.
    """
    which = np.searchsorted(chance, rng.random(BATCH)).clip(max=len(chance) - 1)
    y, x = 2 * rng.integers(0, (PATCH - CROP) // 2 + 1, size=2)
    low = torch.from_numpy(pairs.low[which, y : y + CROP, x : x + CROP])[:, None].float() / 255
    high = torch.from_numpy(pairs.high[which, 2 * y : 2 * (y + CROP), 2 * x : 2 * (x + CROP)])[:, None].float() / 255
    strength = torch.from_numpy(pairs.strength[which])
    deviation = np.where(pairs.frame[which] < 0, LABEL_NOISE, ESTIMATE_NOISE)
    noise = torch.from_numpy((deviation * rng.normal(size=BATCH)).astype(np.float32))
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    low, high = (torch.rot90(t.flip(3) if mirrored else t, turns, (2, 3)).contiguous() for t in (low, high))
    return low, high, (strength + noise).clamp(0, 1)
