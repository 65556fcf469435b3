"""Trains mediaml_nr from nothing: makes encodes of known sources (nr_data.py), fits it to them, calibrates its intervals,
writes the weights.

    python -m pipelines.train_nr DATA -o weights/mediaml_nr.safetensors                     # encodes made before by nr_data
    python -m pipelines.train_nr DATA -o net.safetensors --make --shared ../shared/data     # makes them first

The committed weights: weights/cards/mediaml_nr.md. Everything is fitted in closed form: principal components of the
statistics, then a kernel regression on VMAF against what went into the encoder, at the source's size and at the encode's
own, over the encodes.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mediaml.nets.mediaml_nr import COMPONENTS, Calibration, MediamlNr, Seen, save
from mediaml.nets.nr_kernel import LeftOut
from pipelines.nr_encodes import Encode, read_all

FLOOR = 2e-3  # of the largest component's variance: smaller ones are not made as large
COVERAGE = 0.95
Score = tuple[str, float]  # a source, and an error over the error expected


def fit_inputs(net: MediamlNr, seen: Sequence[Seen]) -> None:
    """The net's centre, width, middle and basis: principal components of the pooled statistics, the larger ones larger;
    and mean and deviation of the probes."""
    every = torch.cat([s.statistics for s in seen])  # (P, 12, 524)
    net.centre.copy_(every.mean(dim=(0, 1)))
    net.width.copy_(every.flatten(0, 1).std(dim=0) + 0.01)
    pooled = net.pool(every)
    net.middle.copy_(pooled.mean(dim=0))
    values, vectors = torch.linalg.eigh(torch.cov((pooled - net.middle).T))
    values, vectors = values.flip(0)[:COMPONENTS].clamp(min=0), vectors.flip(1)[:, :COMPONENTS]
    deviations = values.clamp(min=FLOOR * float(values[0])).sqrt()
    net.basis.copy_(vectors / deviations * (deviations / deviations.mean()).sqrt())
    probed = torch.cat([torch.cat([s.plain, s.quantised], dim=1) for s in seen])
    known = probed[probed.isfinite().all(dim=1)]
    net.probes_centre.copy_(known.mean(dim=0))
    net.probes_width.copy_(known.std(dim=0) + 1e-3)


def fit(encodes: Sequence[Encode], seen: Sequence[Seen]) -> tuple[MediamlNr, Calibration]:
    """The model and its calibration. A point an encode and size: shown at the source's, and at its own."""
    net = MediamlNr()
    fit_inputs(net, seen)
    points, quality, inputs = [], [], []
    for encode, pictures in zip(encodes, seen, strict=True):
        for own_size in _sizes(encode):
            scale = torch.full((len(pictures.plain),), 1.0 if own_size else encode.scale)
            inputs.append(net.inputs(pictures, encode.facts(), scale))  # (3, 213)
            points.append(inputs[-1].mean(dim=0))
            quality.append(encode.vmaf_clip[own_size])
    groups = [e.group for e in encodes for _ in _sizes(e)]
    left_out = net.kernel.fit(torch.stack(points), torch.tensor(quality), groups)
    return net, calibrate(left_out, encodes, inputs)


def _sizes(encode: Encode) -> tuple[int, ...]:
    """The labels to learn: 0 at the source's size, 1 at the encode's own."""
    return (0, 1) if encode.scale != 1.0 else (1,)


def calibrate(left_out: LeftOut, encodes: Sequence[Encode], inputs: Sequence[Tensor]) -> Calibration:
    """Conformal factors: each source is predicted by a model without it (CV+, Barber et al. 2021), its errors normalised by
    the spread (Lei et al. 2018, section 5.2)."""
    pictures: list[Score] = []
    clips: list[Score] = []
    squares = []
    for (encode, label), rows in zip([(e, n) for e in encodes for n in _sizes(e)], inputs, strict=True):
        quality, spread = left_out(rows, encode.group)
        quality = quality.clamp(0, 100)
        pictures += [(encode.group, float(e)) for e in (quality - encode.vmaf[label]).abs() / spread]
        error = abs(float(quality.mean()) - encode.vmaf_clip[label])
        clips.append((encode.group, error / float(spread.mean())))
        squares.append(error**2)
    print(f"{len(inputs)} points; error for training sources left out: {math.sqrt(np.mean(squares)):.2f} points")
    return Calibration(_quantile(pictures), _quantile(clips))


def _quantile(scores: list[Score]) -> float:
    """The (1 - alpha)(1 + 1 / n) quantile of n sources, each of the same weight, however many encodes it has: intervals are
    for new sources."""
    counts: dict[str, int] = defaultdict(int)
    for group, _ in scores:
        counts[group] += 1
    ordered = sorted(scores, key=lambda s: s[1])
    weight = np.cumsum([1 / counts[group] for group, _ in ordered]) / len(counts)
    wanted = min(1.0, COVERAGE * (1 + 1 / len(counts)))
    return ordered[int(np.searchsorted(weight, wanted - 1e-9).clip(0, len(ordered) - 1))][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of encodes, as nr_data.py makes them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the weights to be written")
    parser.add_argument("--make", action="store_true", help="make the encodes first")
    parser.add_argument("--shared", type=Path, help="with --make: the shared data folder, for real clips")
    parser.add_argument("--pictures", type=int, help="with --make: only so many pictures, for a trial (default: all)")
    parser.add_argument("--clips", type=int, default=3, help="with --make: windows a picture")
    parser.add_argument("--encodes", type=int, default=4, help="with --make: encodes a window")
    settings = parser.parse_args()
    if settings.make:
        counts = ["--clips", str(settings.clips), "--encodes", str(settings.encodes)]
        counts += ["--pictures", str(settings.pictures)] if settings.pictures else []
        counts += ["--shared", str(settings.shared)] if settings.shared else []
        subprocess.run([sys.executable, "-m", "pipelines.nr_data", str(settings.data), *counts], check=True)
    encodes, seen = read_all(settings.data, "train")
    print(f"{len(encodes)} encodes of {len({e.group for e in encodes})} sources", flush=True)
    net, calibration = fit(encodes, seen)
    save(settings.out, net, calibration)
    print(
        f"{settings.out}: {settings.out.stat().st_size} bytes; {calibration}; measure it: python -m benchmarks.no_reference"
    )


if __name__ == "__main__":
    main()
