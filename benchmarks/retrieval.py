"""How well words find pictures without an image-text model: the label space and what was tried to better it.

    python -m benchmarks.retrieval --shared ../shared/data --cache /tmp/views.npz

img-tag: 200 ImageNet pictures, one a class; each class name is a query and its one picture the answer (R@1, R@5, mAP).
img-det: 128 COCO pictures with boxes; each class name is a query and every picture with such a box an answer (mAP). Both
are small, and the backbone was trained on ImageNet, of which img-tag is a sample: its figures are of the best case.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from mediaml import weights
from mediaml.derive.imagenet_groups import groups_of
from mediaml.derive.label_space import BACKBONE, class_names, lite0_head, mix_classes, sentence_embedder
from mediaml.derive.vocabulary import find_vocabulary
from mediaml.nets.lite0 import Lite0

COCO_NAMES = [tag.label for tag in find_vocabulary("coco_80").tags if not tag.id.startswith("group_")]
VIEWS = ("centre", "whole", "top left", "top right", "bottom left", "bottom right")
Score = Callable[[Tensor], Tensor]
"""(Q, 384) query vectors -> (Q, pictures) scores."""


def views(picture: Image.Image) -> Tensor:
    """(6, 3, 224, 224) uint8: the centre, the whole squashed, and four corners of 60 % of the sides."""
    picture = picture.convert("RGB")
    w, h = picture.size
    ratio = 224 / min(w, h)
    scaled = picture.resize((max(224, round(w * ratio)), max(224, round(h * ratio))), Image.Resampling.BICUBIC)
    left, top = (scaled.width - 224) // 2, (scaled.height - 224) // 2
    made = [scaled.crop((left, top, left + 224, top + 224)), picture.resize((224, 224), Image.Resampling.BICUBIC)]
    cw, ch = int(w * 0.6), int(h * 0.6)
    for x, y in ((0, 0), (w - cw, 0), (0, h - ch), (w - cw, h - ch)):
        made.append(picture.resize((224, 224), Image.Resampling.BICUBIC, box=(x, y, x + cw, y + ch)))
    return torch.from_numpy(np.stack([np.asarray(m) for m in made])).permute(0, 3, 1, 2)


def features(shared: Path, cache: Path | None) -> tuple[Tensor, list[Path]]:
    """(pictures, 6, 1280) of all views of both sets, and the files."""
    files = sorted((shared / "img-tag").rglob("*.JPEG")) + sorted((shared / "img-det").rglob("*.jpg"))
    if cache is not None and cache.is_file():
        held = np.load(cache)
        if [Path(n).name for n in held["names"]] == [f.name for f in files]:
            return torch.from_numpy(held["f"]), files
    net = Lite0(torch.load(weights.resolve(BACKBONE), map_location="cpu", weights_only=True))
    found = []
    with torch.inference_mode():
        for file in files:
            with Image.open(file) as picture:
                found.append(net(views(picture)).numpy())
    if cache is not None:
        np.savez(cache, f=np.stack(found), names=[str(f) for f in files])
    return torch.from_numpy(np.stack(found)), files


def average_precision(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> float:
    """Mean precision at each relevant item; ties are broken against the system."""
    order = np.lexsort((relevant, -scores))
    hits = relevant[order]
    ranks = np.flatnonzero(hits) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else float("nan")


class Sets:
    """Both sets: features, queries and answers."""

    def __init__(self, shared: Path, cache: Path | None) -> None:
        self.features, files = features(shared, cache)
        self.tags = [i for i, f in enumerate(files) if f.suffix == ".JPEG"]
        self.detections = [i for i, f in enumerate(files) if f.suffix == ".jpg"]
        self.tag_words = [files[i].stem.split("_", 1)[1].replace("_", " ") for i in self.tags]
        labels = {p.stem: p for p in (shared / "img-det").rglob("*.txt")}
        truth = np.zeros((len(self.detections), len(COCO_NAMES)), bool)
        for row, i in enumerate(self.detections):
            label = labels.get(files[i].stem)  # a picture without any object has none
            for line in label.read_text().splitlines() if label else ():
                truth[row, int(line.split()[0])] = True
        self.present = np.flatnonzero(truth.any(0))
        self.truth = truth[:, self.present]
        self.det_words = [COCO_NAMES[i] for i in self.present]


def measure(
    sets: Sets, queries: Mapping[str, Tensor], make: Callable[[Tensor], Score]
) -> tuple[float, float, float, float]:
    """R@1, R@5 and mAP on img-tag, mAP on img-det. `make` takes the (N, 6, 1280) features of the pictures to be found."""
    tag = make(sets.features[sets.tags])(queries["tag"]).double().numpy()
    own = np.diag(tag)
    rank = (tag > own[:, None]).sum(1) + 1 + (tag == own[:, None]).sum(1) - 1
    det = make(sets.features[sets.detections])(queries["det"]).double().numpy()
    ap = [average_precision(det[q], sets.truth[:, q]) for q in range(det.shape[0])]
    return float((rank == 1).mean()), float((rank <= 5).mean()), float((1 / rank).mean()), float(np.mean(ap))


def hypernym_vectors(classes: Tensor, share: float) -> Tensor:
    """Class vectors with `share` of the vector of their narrowest and widest group's name."""
    names = sorted({g for groups in groups_of() for g in groups})
    told = dict(zip(names, sentence_embedder().embed([n.replace("_", " ") for n in names]), strict=True))
    rows = []
    for vector, groups in zip(classes, groups_of(), strict=True):
        above = [told[g] for g in dict.fromkeys((*groups[:1], *groups[-1:]))]
        rows.append(vector + share * torch.stack(above).mean(0) if above else vector)
    return normalize(torch.stack(rows), dim=1)


def variants() -> dict[str, Callable[[Tensor], Score]]:
    """Name -> from features of the pictures to a scorer."""
    weight, bias = lite0_head()
    names = class_names()
    both = [sentence_embedder().embed([pair[i] for pair in names]) for i in (0, 1)]
    classes = normalize(both[0] + both[1], dim=1)

    def posteriors(f: Tensor, which: Sequence[int], temperature: float = 1.0, pool: str = "mean") -> Tensor:
        p = ((f[:, list(which)] @ weight.T + bias) / temperature).softmax(-1)  # (N, V, 1000)
        pooled = p.mean(1) if pool == "mean" else p.amax(1)
        return pooled / pooled.sum(1, keepdim=True)

    def conse(
        which: Sequence[int] = (0,),
        top: int = 10,
        vectors: Tensor = classes,
        temperature: float = 1.0,
        pool: str = "mean",
    ) -> Callable[[Tensor], Score]:
        def make(f: Tensor) -> Score:
            mixed = mix_classes(posteriors(f, which, temperature, pool), vectors, top)
            return lambda q: q @ mixed.T

        return make

    def centred(which: Sequence[int], top: int, pool: str = "mean", share: float = 0.0) -> Callable[[Tensor], Score]:
        base = hypernym_vectors(classes, share) if share else classes
        middle = base.mean(0)
        moved = normalize(base - middle, dim=1)

        def make(f: Tensor) -> Score:
            mixed = mix_classes(posteriors(f, which, 1.0, pool), moved, top)
            return lambda q: normalize(q - middle, dim=1) @ mixed.T

        return make

    def expanded(
        which: Sequence[int], tau: float, power: float, pool: str = "mean", vectors: Tensor = classes
    ) -> Callable[[Tensor], Score]:
        def make(f: Tensor) -> Score:
            p = posteriors(f, which, 1.0, pool) ** power
            p = p / p.norm(dim=1, keepdim=True)
            return lambda q: ((q @ vectors.T) / tau).softmax(1) @ p.T

        return make

    def ridge(which: Sequence[int], strength: float) -> Callable[[Tensor], Score]:
        rows = normalize(weight, dim=1)
        middle = classes.mean(0)
        gram = rows.T @ rows + strength * torch.eye(rows.shape[1])
        mapping = torch.linalg.solve(gram, rows.T @ (classes - middle))

        def make(f: Tensor) -> Score:
            mapped = normalize(normalize(f[:, list(which)].mean(1), dim=1) @ mapping, dim=1)
            return lambda q: normalize(q - middle, dim=1) @ mapped.T

        return make

    every = range(6)
    found: dict[str, Callable[[Tensor], Score]] = {"ConSE, centre, 10 classes (label_space@1)": conse()}
    found |= {f"ConSE, {n} classes": conse(top=n) for n in (1, 3, 5, 20, 50, 1000)}
    found |= {
        "ConSE, whole picture squashed": conse((1,)),
        "ConSE, centre and whole": conse((0, 1)),
        "ConSE, six views, mean": conse(every),
        "ConSE, six views, maximum": conse(every, pool="max"),
        "ConSE, six views, maximum, 20 classes": conse(every, 20, pool="max"),
    }
    found |= {f"ConSE, logits divided by {t:g}": conse(temperature=t) for t in (0.5, 0.7, 1.5, 2.0)}
    for name, vectors in (("first", both[0]), ("second", both[1])):
        found[f"ConSE, {name} name of each class alone"] = conse(vectors=vectors)
    found |= {f"ConSE, hypernyms x {s:g}": conse(vectors=hypernym_vectors(classes, s)) for s in (0.25, 0.5, 1.0)}
    found |= {
        "ConSE, mean class removed": centred((0,), 10),
        "ConSE, mean class removed, six views": centred(every, 10),
        "ConSE, mean class removed, six views, maximum": centred(every, 10, "max"),
        "ConSE, mean class removed, six views, maximum, 20": centred(every, 20, "max"),
        "ConSE, mean removed, six views, max, hypernyms x 0.25": centred(every, 10, "max", 0.25),
        "ConSE, mean removed, six views, max, hypernyms x 0.5": centred(every, 10, "max", 0.5),
        "ConSE, mean removed, centre, hypernyms x 0.25": centred((0,), 10, "mean", 0.25),
    }
    for t, top, share in ((2, 20, 0), (2, 50, 0), (3, 10, 0), (3, 20, 0), (2, 10, 0.25), (2, 20, 0.5), (3, 20, 0.5)):
        vectors = hypernym_vectors(classes, share) if share else classes
        found[f"ConSE, logits / {t}, {top} classes, hypernyms x {share:g}"] = conse((0,), top, vectors, t)
    found["ConSE, logits / 2, 20 classes, hypernyms x 0.5, six views"] = conse(
        every, 20, hypernym_vectors(classes, 0.5), 2
    )
    for tau in (0.03, 0.06, 0.1):
        for power in (0.5, 1.0):
            found[f"query as classes, tau {tau:g}, p^{power:g}, centre"] = expanded((0,), tau, power)
    found |= {
        "query as classes, tau 0.06, p^0.5, six views": expanded(every, 0.06, 0.5),
        "query as classes, tau 0.06, p^0.5, six views, max": expanded(every, 0.06, 0.5, "max"),
        "query as classes, same, hypernyms x 0.25": expanded(every, 0.06, 0.5, "max", hypernym_vectors(classes, 0.25)),
    }
    found |= {f"ridge from classifier rows to names, {s:g}": ridge((0,), s) for s in (0.1, 1.0, 10.0)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--only", default="", help="variants whose name holds this text")
    options = parser.parse_args()
    sets = Sets(options.shared, options.cache)
    embedder = sentence_embedder()
    print(f"{len(sets.tags)} pictures of img-tag, {len(sets.detections)} of img-det with {len(sets.det_words)} classes")
    print(f"{'variant':<58} {'template':<16} R@1   R@5   mAP   mAP img-det")
    for name, make in variants().items():
        if options.only not in name:
            continue
        for template in ("{}", "a photo of a {}") if name.endswith("(label_space@1)") else ("{}",):
            queries = {
                "tag": embedder.embed([template.replace("{}", w) for w in sets.tag_words]),
                "det": embedder.embed([template.replace("{}", w) for w in sets.det_words]),
            }
            r1, r5, ap, det = measure(sets, queries, make)
            print(f"{name:<58} {template:<16} {r1:.3f} {r5:.3f} {ap:.3f} {det:.3f}", flush=True)


if __name__ == "__main__":
    main()
