"""An opinion score from BRISQUE's features: a kernel regression trained on KoNViD-1k.

    python -m pipelines.train_konvid ../shared/data/ugc-mos -o weights/brisque_konvid.safetensors

The features (36 a video, mean over its frames) and mean opinion scores (1 to 5) are those that the UGC-VQA study
published (Tu et al. 2021, IEEE TIP 30). First cross-validation within each set as in the study: random splits into 80 and
20 %, settings chosen inside the 80; the median is reported, beside the study's own figure for BRISQUE with a support
vector regression. Then training on all of KoNViD-1k and a test on YouTube-UGC, none of which was trained on.
"""

from __future__ import annotations

import argparse
import csv
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from mediaml.analyzers.quality_nr.mat5 import read_mat5
from mediaml.nets.kernel_ridge import KernelRidge

FOLDER = "vztu+BVQA_Benchmark/data"
GAMMAS, PENALTIES = (0.06, 0.2, 0.6), (0.01, 0.03, 0.1, 0.3)
PUBLISHED = {"KoNViD-1k": 0.657, "YouTube-UGC": 0.382}  # Tu et al. 2021, table IV: BRISQUE, SRCC, within each set
FEATURES = 36


def read(root: Path, name: str, column: str) -> tuple[Tensor, Tensor]:
    """(M, 36) features and (M,) opinion scores of the videos whose features are all known."""
    features = read_mat5(root / FOLDER / f"{name}_BRISQUE_feats.mat")["feats_mat"]
    with (root / FOLDER / f"{name}_metadata.csv").open(encoding="utf-8") as file:
        opinions = torch.tensor([float(row[column]) for row in csv.DictReader(file)], dtype=torch.float64)
    known = features.isfinite().all(dim=1) & opinions.isfinite()
    return features[known], opinions[known]


def choose(features: Tensor, opinions: Tensor, rng: np.random.Generator) -> tuple[float, float]:
    """(gamma, penalty) by three inner splits."""
    score: dict[tuple[float, float], float] = {}
    for fit, held in splits(len(features), 3, rng):
        for gamma, penalty in product(GAMMAS, PENALTIES):
            predicted = KernelRidge.fit(features[fit], opinions[fit], gamma, penalty)(features[held])
            score[gamma, penalty] = score.get((gamma, penalty), 0.0) + agreement(predicted, opinions[held])[0]
    return max(score, key=lambda k: score[k])


def splits(count: int, times: int, rng: np.random.Generator) -> list[tuple[NDArray, NDArray]]:
    """(80 %, 20 %) of 0..count - 1, at random."""
    orders = [rng.permutation(count) for _ in range(times)]
    return [(order[: count * 4 // 5], order[count * 4 // 5 :]) for order in orders]


def cross_validated(
    features: Tensor, opinions: Tensor, times: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """(SRCC, PLCC, standard deviation of SRCC over the splits): medians; settings are chosen inside each split's 80 %."""
    found = []
    for fit, held in splits(len(features), times, rng):
        net = KernelRidge.fit(features[fit], opinions[fit], *choose(features[fit], opinions[fit], rng))
        found.append(agreement(net(features[held]), opinions[held]))
    srcc, plcc = np.median(found, axis=0)
    return float(srcc), float(plcc), float(np.std([s for s, _ in found]))


def agreement(predicted: Tensor, opinions: Tensor) -> tuple[float, float]:
    """(SRCC, PLCC)."""
    ranks = float(np.asarray(spearmanr(predicted, opinions))[0])
    return ranks, float(np.corrcoef(predicted, opinions)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder ugc-mos of the shared data")
    parser.add_argument("-o", "--out", type=Path, help="the weights to be written")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(settings.seed)
    sets = {
        "KoNViD-1k": read(settings.data, "KONVID_1K", "mos"),
        "YouTube-UGC": read(settings.data, "YOUTUBE_UGC", "MOSFull"),
    }
    print("| trained on | measured on | videos | SRCC | PLCC | published, within the set |\n|---|---|---|---|---|---|")
    for name, (features, opinions) in sets.items():
        srcc, plcc, spread = cross_validated(features, opinions, settings.splits, rng)
        cells = f"{len(features)} | {srcc:.3f} +- {spread:.3f} | {plcc:.3f} | {PUBLISHED[name]}"
        print(f"| {name}, 80 % | {name}, 20 % | {cells} |", flush=True)
    features, opinions = sets["KoNViD-1k"]
    gamma, penalty = choose(features, opinions, rng)
    net = KernelRidge.fit(features, opinions, gamma, penalty)
    other, truth = sets["YouTube-UGC"]
    across = agreement(net(other), truth)
    print(f"| KoNViD-1k | YouTube-UGC | {len(other)} | {across[0]:.3f} | {across[1]:.3f} | |")
    if settings.out:
        net.save(settings.out)
        print(f"{settings.out}: {settings.out.stat().st_size} bytes; gamma {gamma}, penalty {penalty}")


if __name__ == "__main__":
    main()
