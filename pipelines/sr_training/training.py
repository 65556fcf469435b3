"""Patches -> weights of `mediaml_sr_x2` and of its estimator of compression strength."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from mediaml.nets.mediaml_sr import KNOTS, MediamlSr, StrengthEstimator
from pipelines.sr_training.pairs import PATCH, Pairs

Report = Callable[[int, float, MediamlSr], None]
BATCH, CROP = 8, 48
PEAK_RATE, LAST_RATE, WARM_UP = 1e-3, 1e-5, 200
GATE_FROM, GATE_RATE = (
    0.25,
    0.3,
)  # share of the time before which the gate stays open; its rate as a share of the others'
MODULATION_RATE = 3.0  # each knot is seen by a few of the patches only
EMA = 0.999
SAVE_SECONDS = 300
_SEEN = 0.005  # share of the pairs that make a knot known
SQUARES_FROM = 0.6  # share of the time after which the loss is the squared error instead of Charbonnier's
LABEL_NOISE = 0.03  # the strength of compression is never known better than this at inference


def train(
    pairs: Pairs,
    minutes: float,
    checkpoint: Path,
    *,
    channels: int,
    depth: int,
    wide: int | None,
    report: Report,
    start: MediamlSr | None = None,
    peak_rate: float = PEAK_RATE,
    seed: int = 0,
) -> MediamlSr:
    """The averaged, collapsed net after `minutes` by the clock; `checkpoint` gets the same every five minutes.

    `start` goes on from the weights of a run before (plain, so `wide` must be None). The learning rate falls as a cosine of
    elapsed time, so a slower machine does fewer steps of the same schedule.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = MediamlSr(channels, depth, wide).to(memory_format=torch.channels_last)
    if start is not None:
        net.load_state_dict(start.state_dict())
    average = copy.deepcopy(net).requires_grad_(False)
    gate = list(net.gate.parameters())
    kernels = list(net.blocks.parameters())
    groups = [{"params": kernels}, {"params": gate}, {"params": [net.modulation]}]
    optimizer = torch.optim.Adam(groups, lr=PEAK_RATE, betas=(0.9, 0.99), fused=True)
    chance = sampling(pairs)
    started = saved = time.monotonic()
    step = 0
    while (now := time.monotonic()) - started < minutes * 60:
        share = (now - started) / (minutes * 60)
        rate = LAST_RATE + (peak_rate - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
        rate *= min(1.0, (step + 1) / WARM_UP)
        # a gate that may close while the residual is still noise never opens again
        optimizer.param_groups[0]["lr"] = rate
        optimizer.param_groups[1]["lr"] = rate * GATE_RATE if share > GATE_FROM else 0.0
        optimizer.param_groups[2]["lr"] = rate * MODULATION_RATE
        low, high, strength = _batch(pairs, chance, rng)
        shown = net(low, strength)
        loss = F.mse_loss(shown, high) * 30 if share > SQUARES_FROM else _charbonnier(shown, high)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        follow(average, net, min(EMA, step / (step + 100)))
        if now - saved > SAVE_SECONDS:
            saved = now
            save(average.collapsed(), checkpoint)
            report(step, float(loss.detach()), average.collapsed())
    save(average.collapsed(), checkpoint)
    return average.collapsed()


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
    for _ in range(steps):
        which = torch.randint(len(label), (256,))
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


def _batch(pairs: Pairs, chance: NDArray[np.float64], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 1, 48, 48), (B, 1, 96, 96), (B,): a random part of each patch, turned and mirrored at random."""
    which = np.searchsorted(np.cumsum(chance), rng.random(BATCH)).clip(max=len(chance) - 1)
    y, x = 2 * rng.integers(0, (PATCH - CROP) // 2 + 1, size=2)
    low = torch.from_numpy(pairs.low[which, y : y + CROP, x : x + CROP])[:, None].float() / 255
    high = torch.from_numpy(pairs.high[which, 2 * y : 2 * (y + CROP), 2 * x : 2 * (x + CROP)])[:, None].float() / 255
    strength = torch.from_numpy(pairs.strength[which])
    noise = torch.from_numpy(rng.normal(0, LABEL_NOISE, BATCH).astype(np.float32))
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    low, high = (torch.rot90(t.flip(3) if mirrored else t, turns, (2, 3)) for t in (low, high))
    return low, high, (strength + noise).clamp(0, 1)
