"""Which pooling from shots to a title keeps the title recognisable? Real pictures, assembled into titles of known content.

    OMP_NUM_THREADS=1 python -m benchmarks.pooling SHARED_DATA [--cache embeddings.npz]

A title has four scenes (pictures), now and then a picture from elsewhere, and shots that every title has: black and credits.
It is cut in two halves that share scenes but no crop. Measured: how often the pooled vector of one half finds the other half
of its title first, among 160 titles (cosine about the mean of all). Four amounts of credits, five seeds each.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mediaml import weights
from mediaml.derive.label_space import LOGITS_DIVISOR, TOP_CLASSES, class_vectors, lite0_head, mix_classes
from mediaml.nets.lite0 import SIZE, Lite0
from mediaml.rec.pooling import PoolingSettings, pool

Vectors = NDArray[np.float32]
CROPS, GENERIC, TITLES, SCENES, SEEDS = 6, 60, 160, 4, 5
POOLINGS = {
    "mean": PoolingSettings("mean"),
    "mean, weighted by seconds": PoolingSettings("mean", duration_power=1),
    "generalized mean, power 2": PoolingSettings("gem", gem_power=2),
    "generalized mean, power 3": PoolingSettings("gem", gem_power=3),
    "generalized mean, power 5": PoolingSettings("gem", gem_power=5),
    "power 3, weighted by sqrt(seconds)": PoolingSettings("gem", gem_power=3, duration_power=0.5),
}
WORDS = ["DIRECTED", "PRODUCED", "MUSIC", "EDITOR", "CASTING", "SOUND", "CAMERA", "ASSISTANT", "STUDIO", "PRESENTS"]


def embed(net: Lite0, picture: Image.Image) -> Vectors:
    small = np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)).copy()
    with torch.inference_mode():
        return net(torch.from_numpy(small).permute(2, 0, 1)[None])[0].numpy()


def pictures(shared: Path) -> tuple[Vectors, Vectors]:
    """(pictures, CROPS, 1280) of ImageNet and COCO samples, (GENERIC, 1280) of black and credits."""
    net = Lite0(torch.load(weights.resolve("efficientnet_lite0"), map_location="cpu", weights_only=True))
    rng = np.random.default_rng(0)
    folders = (shared / "img-tag", shared / "img-det")
    files = sorted(f for d in folders for f in d.rglob("*") if f.suffix.lower() in (".jpeg", ".jpg", ".png"))
    scenes = []
    for file in files:
        picture = Image.open(file).convert("RGB")
        for _ in range(CROPS):
            w, h = (int(s * rng.uniform(0.4, 0.85)) for s in picture.size)
            x, y = rng.integers(0, picture.width - w + 1), rng.integers(0, picture.height - h + 1)
            scenes.append(embed(net, picture.crop((x, y, x + w, y + h))))
    generic = []
    for k in range(GENERIC):
        slate = Image.new("RGB", (320, 180), (int(rng.integers(0, 12)),) * 3)
        for row in range(int(rng.integers(2, 9)) if k % 3 else 0):
            text = " ".join(rng.choice(WORDS, 2))
            ImageDraw.Draw(slate).text((rng.integers(10, 200), row * 20 + 5), text, fill=(230,) * 3)
        generic.append(embed(net, slate))
    return np.stack(scenes).reshape(len(files), CROPS, -1), np.stack(generic)


def in_label_space(vectors: Vectors) -> Vectors:
    """The same pictures in the 384-d sentence space, whose elements have signs."""
    weight, bias = lite0_head()
    classes = class_vectors()
    flat = torch.from_numpy(vectors.reshape(-1, vectors.shape[-1]))
    mixed = mix_classes(((flat @ weight.T + bias) / LOGITS_DIVISOR).softmax(1), classes, TOP_CLASSES).numpy()
    return mixed.reshape(*vectors.shape[:-1], -1)


def half(
    rng: np.random.Generator, scenes: Vectors, generic: Vectors, chosen: NDArray, crops: range, amount: float
) -> tuple[Vectors, NDArray[np.float64]]:
    """The shots and seconds of half a title."""
    shots, seconds = [], []
    for scene in chosen:
        for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.5 else 1):
            shots.append(scenes[scene, rng.choice(crops)])
            seconds.append(rng.lognormal(1, 0.8))
    for _ in range(rng.poisson(1)):
        shots.append(scenes[rng.integers(len(scenes)), rng.integers(CROPS)])
        seconds.append(rng.lognormal(0.5, 0.8))
    for _ in range(rng.poisson(amount) + (not shots)):
        shots.append(generic[rng.integers(len(generic))])
        seconds.append(rng.lognormal(1.6, 1))
    return np.stack(shots), np.array(seconds)


def trial(seed: int, scenes: Vectors, generic: Vectors, amount: float) -> Mapping[str, float]:
    """Pooling -> share of titles whose other half is found first."""
    rng = np.random.default_rng(seed)
    halves: tuple[list, list] = ([], [])
    for _ in range(TITLES):
        chosen = rng.choice(len(scenes), SCENES, replace=False)
        for side, crops in zip(halves, (range(CROPS // 2), range(CROPS // 2, CROPS)), strict=True):
            side.append(half(rng, scenes, generic, chosen, crops, amount))
    found = {}
    for name, settings in POOLINGS.items():
        a, b = (np.stack([pool(v, s, settings) for v, s in side]) for side in halves)
        a, b = a - a.mean(0), b - b.mean(0)
        a, b = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
        found[name] = float(((a @ b.T).argmax(1) == np.arange(TITLES)).mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("--cache", type=Path, help="keep the pictures' vectors here")
    args = parser.parse_args()
    if args.cache and args.cache.exists():
        with np.load(args.cache) as cached:
            scenes, generic = cached["scenes"], cached["generic"]
    else:
        scenes, generic = pictures(args.shared_data)
        if args.cache:
            np.savez(args.cache, scenes=scenes, generic=generic)
    amounts = (0.0, 1.0, 3.0, 8.0)
    for space, a, b in (
        ("EfficientNet-Lite0", scenes, generic),
        ("label space", *map(in_label_space, (scenes, generic))),
    ):
        print(f"\n| {space}: credits a half | {' | '.join(f'{n:g}' for n in amounts)} |\n|---|{'---|' * len(amounts)}")
        results = [[trial(s, a, b, amount) for s in range(SEEDS)] for amount in amounts]
        for name in POOLINGS:
            cells = [[r[name] for r in seeds] for seeds in results]
            print(f"| {name} | {' | '.join(f'{np.mean(c):.3f} +- {np.std(c):.3f}' for c in cells)} |")


if __name__ == "__main__":
    main()
