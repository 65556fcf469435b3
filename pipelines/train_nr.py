"""Trains mediaml_nr from nothing: makes encodes of known sources (nr_data.py), trains, calibrates its intervals, writes
the weights.

    python -m pipelines.train_nr DATA -o weights/mediaml_nr.safetensors                     # encodes made before by nr_data
    python -m pipelines.train_nr DATA -o net.safetensors --make --shared ../shared/data     # makes them first

The committed weights: weights/cards/mediaml_nr.md. On a GPU add `--device cuda`. The perceptrons: regression (Huber) on
VMAF of the picture, at the source's size or at the encode's own, plus a ranking loss between encodes of one source, plus the
likelihood of the error for the spread; facts of the bitstream are left out at random, all or the quantiser alone, so that
they work without them. The kernel regression: in closed form, over the encodes.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mediaml.nets.mediaml_nr import COMPONENTS, FACTS, Calibration, MediamlNr, Prediction, save, size_of
from pipelines.nr_encodes import Encode, predictions, read_all

SOURCES, PER_SOURCE = 16, 6  # of one step
FLOOR = 2e-3  # of the largest component's variance: smaller ones are not made as large
COVERAGE = 0.95
NOISE = 0.3  # on the components of a picture, in their standard deviations
_LENGTHS = np.geomspace(12, 250, 4)  # frames between key frames, which the clips are too short to show
_QUANTISER = torch.tensor([i in (0, 1, 8) for i in range(FACTS)])  # the facts that need it


class Examples:
    """All encodes of a part as tensors: what one step draws from."""

    def __init__(
        self, net: MediamlNr, encodes: Sequence[Encode], found: Sequence[Tensor], device: torch.device
    ) -> None:
        with torch.no_grad():
            self.looks = torch.stack([net.look(f) for f in found]).to(device)  # (E, 3, 160)
        facts = [torch.stack([e.facts(n) for n in _LENGTHS]) for e in encodes]
        self.facts = torch.stack(facts).to(device)  # (E, 4, 3, 12)
        self.vmaf = torch.stack([e.vmaf[:2] for e in encodes]).to(device)  # (E, 2, 3)
        self.scale = torch.tensor([[e.scale, 1.0] for e in encodes]).to(device)  # (E, 2)
        names = sorted({e.group for e in encodes})
        self.groups = [torch.tensor([i for i, e in enumerate(encodes) if e.group == name]) for name in names]

    def draw(self, rng: torch.Generator) -> tuple[Tensor, ...]:
        """(looks (B, 160), facts (B, 12), scale (B,), VMAF (B,), source (B,)) of one step."""
        sources = torch.randperm(len(self.groups), generator=rng)[:SOURCES]
        picks = [
            self.groups[s][torch.randint(len(self.groups[s]), (PER_SOURCE,), generator=rng)] for s in sources.tolist()
        ]
        encode, source = torch.cat(picks), sources.repeat_interleave(PER_SOURCE)
        many = len(encode)
        picture = torch.randint(3, (many,), generator=rng)
        own = (torch.rand(many, generator=rng) < 0.35).long()
        facts = self.facts[encode, torch.randint(len(_LENGTHS), (many,), generator=rng), picture].clone()
        luck = torch.rand(many, 3, generator=rng)
        facts[luck[:, 0] < 0.08] = math.nan
        facts[(luck[:, 0] < 0.16)[:, None] & _QUANTISER] = math.nan
        facts[luck[:, 0] > 0.92, 10:] = math.nan  # the first picture of a file
        facts[luck[:, 1] < 0.3, 1] = math.nan  # the quantiser's spread, which HEVC and AV1 do not tell
        facts[luck[:, 2] < 0.5, 7] = math.nan  # a codec whose generation is not known
        return self.looks[encode, picture], facts, self.scale[encode, own], self.vmaf[encode, own, picture], source


def fit_projection(net: MediamlNr, found: Sequence[Tensor]) -> None:
    """The net's centre, width, middle and basis: principal components of the pooled statistics, each of deviation 1."""
    every = torch.stack(list(found)).flatten(0, 1)  # (P, 12, 524)
    net.centre.copy_(every.mean(dim=(0, 1)))
    net.width.copy_(every.flatten(0, 1).std(dim=0) + 0.01)
    pooled = net.pool(every)
    net.middle.copy_(pooled.mean(dim=0))
    values, vectors = torch.linalg.eigh(torch.cov((pooled - net.middle).T))
    values, vectors = values.flip(0)[:COMPONENTS], vectors.flip(1)[:, :COMPONENTS]
    scale = values.clamp(min=FLOOR * float(values[0])).sqrt()
    net.basis.copy_(vectors / scale)
    net.kernel.stretch.copy_(scale / values.sqrt() * (values.sqrt() / values.sqrt().mean()).sqrt())


def fit_kernel(net: MediamlNr, encodes: Sequence[Encode], found: Sequence[Tensor]) -> None:
    """The kernel's points: each encode at the source's size, and at its own where that is another."""
    rows = []
    with torch.no_grad():
        for encode, statistics in zip(encodes, found, strict=True):
            look, facts = net.look(statistics).mean(dim=0), encode.facts().nanmean(dim=0)
            for label in range(1 if encode.scale == 1.0 else 2):
                size = size_of(torch.tensor([1.0 if label else encode.scale]))[0]
                rows.append((look, facts, size, torch.tensor(encode.vmaf_clip[label])))
        net.kernel.fit(*(torch.stack(column) for column in zip(*rows, strict=True)))


def loss_of(predicted: Prediction, vmaf: Tensor, source: Tensor) -> Tensor:
    """Huber on the quality, logistic ranking within a source, Laplace likelihood of the error under the spread; the mean
    over heads (H, N)."""
    error = (predicted.quality - vmaf).abs()
    regression = F.huber_loss(predicted.quality, vmaf.expand_as(error), delta=8.0) / 8.0
    apart = vmaf[:, None] - vmaf[None]
    pairs = (source[:, None] == source[None]) & (apart > 2)
    order = predicted.quality[:, :, None] - predicted.quality[:, None]
    ranking = F.softplus(-order[:, pairs] / 4).mean()
    likelihood = (error.detach() / predicted.spread + predicted.spread.log()).mean()
    return regression + 0.5 * ranking + 0.3 * likelihood


def train(
    encodes: Sequence[Encode], found: Sequence[Tensor], steps: int, device: torch.device, seed: int, rate: float = 4e-3
) -> MediamlNr:
    """A network after `steps` steps; its weights are averaged over the last ones."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    net = MediamlNr()
    fit_projection(net, found)
    examples = Examples(net, encodes, found, device)
    net = net.to(device).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    began, shown = time.perf_counter(), 0.0
    for step in range(1, steps + 1):
        looks, facts, scale, vmaf, source = (t.to(device) for t in examples.draw(rng))
        looks = looks + NOISE * torch.randn_like(looks)  # against learning the few sources by heart
        facts = facts + 0.05 * torch.randn_like(facts)
        predicted = net.each(looks, facts, scale)
        loss = loss_of(predicted, vmaf, source)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        mean.update_parameters(net)
        off = float((predicted.quality - vmaf).detach().abs().mean())
        shown = off if step == 1 else 0.98 * shown + 0.02 * off
        if step % 500 == 0:
            spent = time.perf_counter() - began
            print(f"step {step}: loss {float(loss.detach()):.3f}, error {shown:.2f} points, {spent:.0f} s", flush=True)
    net.load_state_dict(mean.module.state_dict())
    net = net.cpu().eval()
    fit_kernel(net, encodes, found)
    return net


def calibrate(net: MediamlNr, encodes: list[Encode], found: list[Tensor]) -> Calibration:
    """Split-conformal factors from sources not trained on, normalised by the spread (Lei et al. 2018, section 5.2).

    Each source weighs the same, however many encodes it has: intervals are for new sources.
    """
    pictures, clips = [], []
    for own_size in (False, True):
        for encode, p in zip(encodes, predictions(net, found, encodes, own_size=own_size), strict=True):
            pictures += [(encode.group, float(e)) for e in (p.quality - encode.vmaf[int(own_size)]).abs() / p.spread]
            clips.append((encode.group, float((p.quality.mean() - encode.vmaf_clip[own_size]).abs() / p.spread.mean())))
    return Calibration(_quantile(pictures), _quantile(clips))


def _quantile(scores: list[tuple[str, float]]) -> float:
    """The (1 - alpha)(1 + 1 / n) quantile, n sources of equal weight."""
    counts: dict[str, int] = defaultdict(int)
    for group, _ in scores:
        counts[group] += 1
    ordered = sorted(scores, key=lambda s: s[1])
    weight = np.cumsum([1 / counts[group] for group, _ in ordered]) / len(counts)
    wanted = min(1.0, COVERAGE * (1 + 1 / len(scores)))
    return ordered[int(np.searchsorted(weight, wanted - 1e-9).clip(0, len(ordered) - 1))][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of encodes, as nr_data.py makes them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the weights to be written")
    parser.add_argument("--make", action="store_true", help="make the encodes first")
    parser.add_argument("--shared", type=Path, help="with --make: the shared data folder, for real clips")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    settings = parser.parse_args()
    if settings.make:
        shared = ["--shared", str(settings.shared)] if settings.shared else []
        subprocess.run([sys.executable, "-m", "pipelines.nr_data", str(settings.data), *shared], check=True)
    encodes, found = read_all(settings.data, "train")
    print(f"{len(encodes)} encodes of {len({e.group for e in encodes})} sources", flush=True)
    device = torch.device(settings.device)
    net = train(encodes, found, settings.steps, device, settings.seed)
    calibration = calibrate(net, *read_all(settings.data, "calibrate"))
    save(settings.out, net, calibration)
    print(
        f"{settings.out}: {settings.out.stat().st_size} bytes; {calibration}; measure it: python -m benchmarks.no_reference"
    )


if __name__ == "__main__":
    main()
