"""Trains mediaml_nr from nothing: makes encodes of known sources (nr_data.py), trains, calibrates its intervals, writes
the weights.

    python -m pipelines.train_nr DATA -o weights/mediaml_nr.safetensors                     # encodes made before by nr_data
    python -m pipelines.train_nr DATA -o net.safetensors --make --shared ../shared/data     # makes them first

The committed weights: as they stand. On a GPU add `--device cuda`. Regression (Huber) on VMAF of
the picture, at the source's size or at the encode's own, plus a ranking loss between encodes of one source, plus the
likelihood of the error for the spread. Facts of the bitstream are left out at random, all or the quantiser alone, so that
the network works without them.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mediaml.nets.mediaml_nr import Calibration, MediamlNr, Prediction, save
from pipelines.nr_encodes import Encode, predictions, read_all

SOURCES, PER_SOURCE, FRAGMENTS = 12, 6, 6  # of one step
COVERAGE = 0.95
NOISE = 0.5  # on the statistics of a picture and of each fragment, in their standard deviations


class Examples:
    """All encodes of a part as tensors: what one step draws from."""

    def __init__(self, encodes: list[Encode], found: list[Tensor], device: torch.device) -> None:
        lengths = np.geomspace(12, 250, 5)  # frames between key frames, which the clips are too short to show
        self.statistics = torch.stack(found).to(device)  # (E, 3, 12, 524)
        self.facts = torch.stack([torch.stack([e.facts(n) for n in lengths]) for e in encodes]).to(
            device
        )  # (E, 5, 3, 10)
        self.vmaf = torch.stack([e.vmaf for e in encodes]).to(device)  # (E, 2, 3)
        self.scale = torch.tensor([[e.scale, 1.0] for e in encodes]).to(device)  # (E, 2)
        names = sorted({e.group for e in encodes})
        self.groups = [torch.tensor([i for i, e in enumerate(encodes) if e.group == name]) for name in names]

    def draw(self, rng: torch.Generator) -> tuple[Tensor, ...]:
        """(statistics (B, 6, 524), facts (B, 10), scale (B,), VMAF (B,), source (B,)) of one step."""
        sources = torch.randperm(len(self.groups), generator=rng)[:SOURCES]
        picks = [
            self.groups[s][torch.randint(len(self.groups[s]), (PER_SOURCE,), generator=rng)] for s in sources.tolist()
        ]
        encode, source = torch.cat(picks), sources.repeat_interleave(PER_SOURCE)
        many = len(encode)
        picture = torch.randint(3, (many,), generator=rng)
        own = (torch.rand(many, generator=rng) < 0.35).long()
        places = torch.rand(many, 12, generator=rng).argsort(dim=1)[:, :FRAGMENTS]
        facts = self.facts[encode, torch.randint(5, (many,), generator=rng), picture].clone()
        luck = torch.rand(many, 2, generator=rng)
        facts[luck[:, 0] < 0.15] = math.nan
        facts[(luck[:, 0] < 0.35)[:, None] & torch.tensor([i in (0, 1, 8) for i in range(10)])] = (
            math.nan
        )  # as HEVC and AV1
        facts[luck[:, 1] < 0.3, 7] = math.nan  # a codec whose generation is not known
        statistics = self.statistics[encode[:, None], picture[:, None], places]
        return statistics, facts, self.scale[encode, own], self.vmaf[encode, own, picture], source


def loss_of(predicted: Prediction, vmaf: Tensor, source: Tensor) -> Tensor:
    """Huber on the quality, logistic ranking within a source, Laplace likelihood of the error under the spread."""
    error = (predicted.quality - vmaf).abs()
    regression = F.huber_loss(predicted.quality, vmaf, delta=8.0) / 8.0
    apart = vmaf[:, None] - vmaf[None]
    pairs = (source[:, None] == source[None]) & (apart > 2)
    ranking = F.softplus(-(predicted.quality[:, None] - predicted.quality[None])[pairs] / 4).mean()
    likelihood = (error.detach() / predicted.spread + predicted.spread.log()).mean()
    return regression + ranking + 0.3 * likelihood


def train(examples: Examples, steps: int, device: torch.device, seed: int) -> MediamlNr:
    """A network after `steps` steps; its weights are averaged over the last ones."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    net = MediamlNr().to(device).train()
    flat = examples.statistics.flatten(0, 2)
    net.centre.copy_(flat.mean(dim=0))
    net.width.copy_(flat.std(dim=0) + 0.01)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    began, shown = time.perf_counter(), 0.0
    for step in range(1, steps + 1):
        statistics, facts, scale, vmaf, source = (t.to(device) for t in examples.draw(rng))
        shared, own = torch.randn_like(statistics[:, :1]), torch.randn_like(statistics)
        statistics = statistics + NOISE * net.width * (shared + own)  # against learning the few sources by heart
        facts = facts + 0.1 * torch.randn_like(facts)
        predicted = net(statistics, facts, scale)
        loss = loss_of(predicted, vmaf, source)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        mean.update_parameters(net)
        off = float((predicted.quality - vmaf).detach().abs().mean())
        shown = off if step == 1 else 0.98 * shown + 0.02 * off
        if step % 200 == 0:
            spent = time.perf_counter() - began
            print(f"step {step}: loss {float(loss.detach()):.3f}, error {shown:.2f} points, {spent:.0f} s", flush=True)
    net.load_state_dict(mean.module.state_dict())
    return net.cpu().eval()


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
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    settings = parser.parse_args()
    if settings.make:
        shared = ["--shared", str(settings.shared)] if settings.shared else []
        subprocess.run([sys.executable, "-m", "pipelines.nr_data", str(settings.data), *shared], check=True)
    encodes, found = read_all(settings.data, "train")
    print(f"{len(encodes)} encodes of {len({e.group for e in encodes})} sources", flush=True)
    device = torch.device(settings.device)
    net = train(Examples(encodes, found, device), settings.steps, device, settings.seed)
    calibration = calibrate(net, *read_all(settings.data, "calibrate"))
    save(settings.out, net, calibration)
    print(
        f"{settings.out}: {settings.out.stat().st_size} bytes; {calibration}; measure it: python -m benchmarks.no_reference"
    )


if __name__ == "__main__":
    main()
