"""Trains mediaml_nr from nothing: makes encodes of known sources (nr_data.py), trains, calibrates its intervals, writes the weights.

    python -m pipelines.train_nr DATA -o weights/mediaml_nr.safetensors                     # encodes made before by nr_data
    python -m pipelines.train_nr DATA -o net.safetensors --make --shared ../shared/data     # makes them first

The committed weights: `--steps 420 --seed 1`. On a GPU add `--device cuda --steps 6000`. Regression (Huber) on VMAF of the picture, at the source's size or
at the encode's own, plus a ranking loss between encodes of one source, plus the likelihood of the error for the spread. Facts of the bitstream are
left out at random, all or the quantiser alone, so that the network works without them.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.nets.mediaml_nr import Calibration, MediamlNr, Prediction, save
from pipelines.nr_encodes import Encode, looks, predictions, random_fragments, read_all

SOURCES, PER_SOURCE, FRAGMENTS = 8, 4, 3  # of one step
COVERAGE = 0.95


def batches(encodes: list[Encode], steps: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
    """(fragments (32, 3, 6, 48, 48), facts (32, 10), scale (32,), VMAF (32,), source (32,)), `steps` times."""
    by_group: dict[str, list[Encode]] = defaultdict(list)
    for encode in encodes:
        by_group[encode.group].append(encode)
    names = sorted(by_group)
    weights = np.sqrt([len(by_group[n]) for n in names])
    for _ in range(steps):
        rows = []
        chosen = rng.choice(len(names), min(SOURCES, len(names)), replace=False, p=weights / weights.sum())
        for source in chosen:
            group = by_group[names[source]]
            for i in rng.choice(len(group), PER_SOURCE, replace=len(group) < PER_SOURCE):
                rows.append((*example(group[i], rng), torch.tensor(int(source))))
        yield tuple(torch.stack(column) for column in zip(*rows, strict=True))


def example(encode: Encode, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A random picture of an encode: fragments, facts with some left out, scale, VMAF."""
    picture, own_size = int(rng.integers(3)), bool(rng.random() < 0.35)
    facts = encode.facts(math.exp(rng.uniform(math.log(12), math.log(250))))[picture].clone()
    luck = rng.random()
    if luck < 0.2:
        facts[:] = math.nan
    elif luck < 0.4:  # what HEVC and AV1 give
        facts[[0, 1, 8]] = math.nan
    if rng.random() < 0.15:
        facts[7] = math.nan
    scale = torch.tensor(1.0 if own_size else encode.scale)
    return random_fragments(encode, picture, FRAGMENTS, rng), facts, scale, encode.vmaf[int(own_size), picture]


def loss_of(predicted: Prediction, vmaf: Tensor, source: Tensor) -> Tensor:
    """Huber on the quality, logistic ranking within a source, Laplace likelihood of the error under the spread."""
    error = (predicted.quality - vmaf).abs()
    regression = F.huber_loss(predicted.quality, vmaf, delta=6.0) / 6.0
    apart = vmaf[:, None] - vmaf[None]
    pairs = (source[:, None] == source[None]) & (apart > 2)
    ranking = F.softplus(-(predicted.quality[:, None] - predicted.quality[None])[pairs] / 4).mean()
    likelihood = (error.detach() / predicted.spread + predicted.spread.log()).mean()
    return regression + 2.0 * ranking + 0.3 * likelihood


def train(encodes: list[Encode], steps: int, device: torch.device, seed: int) -> MediamlNr:
    """A network after `steps` steps; its weights are averaged over the last ones."""
    torch.manual_seed(seed)
    net = MediamlNr().to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.1)
    mean = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.97), use_buffers=True
    )
    began, shown = time.perf_counter(), 0.0
    for step, batch in enumerate(batches(encodes, steps, np.random.default_rng(seed)), 1):
        fragments, facts, scale, vmaf, source = (t.to(device) for t in batch)
        predicted = net(fragments, facts, scale)
        loss = loss_of(predicted, vmaf, source)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        mean.update_parameters(net)
        off = float((predicted.quality - vmaf).detach().abs().mean())
        shown = off if step == 1 else 0.95 * shown + 0.05 * off
        if step % 20 == 0:
            print(f"step {step}: loss {float(loss.detach()):.3f}, error {shown:.2f} points, {time.perf_counter() - began:.0f} s", flush=True)
    net.load_state_dict(mean.module.state_dict())
    return net.cpu().eval()


def calibrate(net: MediamlNr, encodes: list[Encode]) -> Calibration:
    """Split-conformal factors from sources not trained on, normalised by the spread (Lei et al. 2018, section 5.2).

    Each source weighs the same, however many encodes it has: intervals are for new sources.
    """
    seen = looks(net, encodes)
    pictures, clips = [], []
    for own_size in (False, True):
        for encode, p in zip(encodes, predictions(net, seen, encodes, own_size=own_size), strict=True):
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
    parser.add_argument("--steps", type=int, default=420)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    settings = parser.parse_args()
    if settings.make:
        shared = ["--shared", str(settings.shared)] if settings.shared else []
        subprocess.run([sys.executable, "-m", "pipelines.nr_data", str(settings.data), *shared], check=True)
    encodes = read_all(settings.data, "train")
    print(f"{len(encodes)} encodes of {len({e.group for e in encodes})} sources")
    net = train(encodes, settings.steps, torch.device(settings.device), settings.seed)
    calibration = calibrate(net, read_all(settings.data, "calibrate"))
    save(settings.out, net, calibration)
    print(f"{settings.out}: {settings.out.stat().st_size} bytes; {calibration}; measure it: python -m benchmarks.no_reference")


if __name__ == "__main__":
    main()
