"""Trains mediaml_nr from nothing: makes encodes of known sources (nr_data.py), fits it to them, calibrates its intervals,
writes the weights.

    python -m pipelines.train_nr DATA -o weights/mediaml_nr.safetensors                     # encodes made before by nr_data
    python -m pipelines.train_nr DATA -o net.safetensors --make --shared ../shared/data     # makes them first
    python -m pipelines.train_nr DATA -o net.safetensors --without av1      # to be measured on a codec it never saw

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
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mediaml.nets.mediaml_nr import CODECS, COMPONENTS, Calibration, MediamlNr, Seen, codec_number, save, views_known
from pipelines import nr_fit
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


class Point(NamedTuple):
    """An encode shown at one size: inputs (3, 213) of the pictures looked at, and which label is its truth."""

    encode: Encode
    label: int
    inputs: Tensor


def fit(encodes: Sequence[Encode], seen: Sequence[Seen]) -> tuple[MediamlNr, Calibration]:
    """The model and its calibration."""
    net = MediamlNr()
    fit_inputs(net, seen)
    points = []
    for encode, pictures in zip(encodes, seen, strict=True):
        for label in encode.learned:
            scale = torch.full((len(pictures.plain),), 1.0 if label else encode.scale)
            points.append(Point(encode, label, net.inputs(pictures, encode.facts(), scale)))
    truth = torch.tensor([p.encode.vmaf_clip[p.label] for p in points])
    groups = {name: i for i, name in enumerate(dict.fromkeys(p.encode.group for p in points))}
    data = nr_fit.Data(
        torch.stack([p.inputs for p in points]),
        truth,
        torch.tensor([groups[p.encode.group] for p in points]),
        torch.tensor([codec_number(p.encode.codec) for p in points]),
    )
    seen_by = torch.stack([views_known(p.encode.facts()).all(dim=1) for p in points], dim=1)
    at, *left_out = nr_fit.fit(net.kernel, data, seen_by)
    chosen = [points[i] for i in at.tolist()]
    return net, Calibration(*(_quantile(s) for found in left_out for s in scores(chosen, found)))


def scores(points: Sequence[Point], found: nr_fit.LeftOut) -> tuple[list[Score], list[Score]]:
    """Of pictures and of clips, each source predicted by a model without it (CV+, Barber et al. 2021): the errors,
    normalised by the spread (Lei et al. 2018, section 5.2)."""
    pictures: list[Score] = []
    clips: list[Score] = []
    squares = defaultdict(list)
    for point, quality, spread in zip(points, *found, strict=True):
        off = (quality - point.encode.vmaf[point.label]).abs() / spread
        pictures += [(point.encode.group, float(e)) for e in off]
        error = abs(float(quality.mean()) - point.encode.vmaf_clip[point.label])
        clips.append((point.encode.group, error / float(spread.mean())))
        for what in ("all", point.encode.codec):
            squares[what].append(error**2)
    each = ", ".join(f"{what} {math.sqrt(np.mean(s)):.2f} ({len(s)})" for what, s in squares.items())
    print(f"points off for what was left out: {each}", flush=True)
    return pictures, clips


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


def _makes(settings: argparse.Namespace) -> list[list[str]]:
    """The arguments of nr_data.py for what the committed weights were fitted to: real clips and stills, then pictures, of
    all rounds."""
    found = []
    for turn, real, drawn, encodes in ((1, 8, 3, 4), (2, 4, 3, 5), (3, 0, 1, 4), (4, 2, 1, 3)):
        same = ["--round", str(turn), "--encodes", str(settings.encodes or encodes), "--parts", "train"]
        if settings.shared and real:
            clips = str(settings.clips or real)
            found.append([*same, "--clips", clips, "--pictures", "1", "--shared", str(settings.shared)])
        pictures = ["--pictures", str(settings.pictures)] if settings.pictures else []
        found.append([*same, "--clips", str(settings.clips or drawn), *pictures])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of encodes, as nr_data.py makes them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the weights to be written")
    parser.add_argument("--make", action="store_true", help="make the encodes first")
    parser.add_argument("--shared", type=Path, help="with --make: the shared data folder, for real clips")
    parser.add_argument("--pictures", type=int, help="with --make: only so many pictures, for a trial (default: all)")
    parser.add_argument(
        "--clips", type=int, help="with --make: windows a picture, for a trial (default: 3, 3, 1 and 1)"
    )
    parser.add_argument(
        "--encodes", type=int, help="with --make: encodes a window, for a trial (default: 4, 5, 4 and 3)"
    )
    parser.add_argument("--without", choices=CODECS, help="leave the encodes of a codec out")
    settings = parser.parse_args()
    if settings.make:
        for arguments in _makes(settings):
            subprocess.run([sys.executable, "-m", "pipelines.nr_data", str(settings.data), *arguments], check=True)
    encodes, seen = read_all(settings.data, "train")
    kept = [i for i, e in enumerate(encodes) if settings.without != CODECS[codec_number(e.codec)]]
    encodes, seen = [encodes[i] for i in kept], [seen[i] for i in kept]
    print(f"{len(encodes)} encodes of {len({e.group for e in encodes})} sources", flush=True)
    net, calibration = fit(encodes, seen)
    save(settings.out, net, calibration)
    print(
        f"{settings.out}: {settings.out.stat().st_size} bytes; {calibration}; measure it: python -m benchmarks.no_reference"
    )


if __name__ == "__main__":
    main()
