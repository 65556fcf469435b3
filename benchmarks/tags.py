"""Do tags' scores mean what they say? Calibration of vocabularies on labelled pictures: fitted on half, checked on the rest.

    python -m benchmarks.tags --shared ../shared/data --cache /tmp/views.npz

coco_80 on img-det (128 COCO pictures with boxes, many classes a picture), imagenet_1k on img-tag (200 ImageNet pictures, one
class each; the backbone was trained on ImageNet, so its figures are of the best case), scenes on both (as far as their labels
tell scenes: benchmarks/scene_labels.py). Prints Platt's slope and offset, which the vocabularies hold, and the reliability
table of the other half. For the other vocabularies there are no labelled pictures here: they have no calibration.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import scene_labels
from benchmarks.retrieval import Sets, average_precision
from mediaml.derive.label_space import LOGITS_DIVISOR, TOP_CLASSES, class_vectors, lite0_head, mix_classes
from mediaml.derive.vocabulary import Vocabulary, find_vocabulary
from mediaml.derive.vocabulary_tags import VocabularyTags

BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def platt(cosine: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """(slope, offset) of the likeliest sigmoid, by Newton's method, with Platt's smoothed targets."""
    positive, negative = truth.sum(), (~truth).sum()
    target = np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2))
    x = np.stack([cosine, np.ones_like(cosine)], 1)
    beta = np.array([10.0, -8.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -60, 60)))
        gradient = x.T @ (p - target)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        beta -= step / max(1.0, float(np.abs(step).max()) / 10)
        if np.abs(step).max() < 1e-8:
            break
    return float(beta[0]), float(beta[1])


def reliability(p: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Prints the table; the expected calibration error."""
    error = 0.0
    print("  score          pairs   mean score   share right")
    for low, high in itertools.pairwise(BINS):
        chosen = (p >= low) & ((p < high) | (high == 1.0))
        if chosen.any():
            print(
                f"  {low:4.2f} to {high:4.2f} {chosen.sum():8d} {p[chosen].mean():10.3f} {truth[chosen].mean():12.3f}"
            )
            error += chosen.mean() * abs(p[chosen].mean() - truth[chosen].mean())
    return float(error)


def check(name: str, cosine: NDArray[np.float64], truth: NDArray[np.bool_]) -> None:
    """Fits on pictures of even number, checks on the others."""
    slope, offset = platt(cosine[::2].ravel(), truth[::2].ravel())
    p = 1 / (1 + np.exp(-(slope * cosine + offset)))
    print(f"{name}: slope {slope:.3f}, offset {offset:.3f}, fitted on {len(cosine[::2])} pictures")
    error = reliability(p[1::2].ravel(), truth[1::2].ravel())
    odd = truth[1::2]
    ap = [average_precision(cosine[1::2, k], odd[:, k]) for k in range(odd.shape[1]) if odd[:, k].any()]
    print(f"  the other half: expected calibration error {error:.4f}, mAP {np.mean(ap):.3f} over {len(ap)} classes")
    for threshold in (0.3, 0.5, 0.7):
        given = p[1::2] >= threshold
        right = (given & odd).sum()
        print(
            f"  threshold {threshold}: {given.sum()} tags, precision {right / max(1, given.sum()):.3f}, "
            f"recall {right / odd.sum():.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    sets = Sets(options.shared, options.cache)
    weight, bias = lite0_head()
    posteriors = ((sets.features[:, 0] @ weight.T + bias) / LOGITS_DIVISOR).softmax(1)
    vectors = mix_classes(posteriors, class_vectors(), TOP_CLASSES).numpy()

    words = find_vocabulary("coco_80")
    cosine = cosines(words.model_copy(update={"calibration": {}}), vectors[sets.detections])
    of = {t.label: i for i, t in enumerate(words.tags) if not t.id.startswith("group_")}
    truth = np.zeros((len(sets.detections), len(words.tags)), bool)
    truth[:, [of[w] for w in sets.det_words]] = sets.truth
    kept = list(of.values())
    check("coco_80 on img-det", cosine[:, kept], truth[:, kept])

    words = find_vocabulary("imagenet_1k")
    cosine = cosines(words.model_copy(update={"calibration": {}}), vectors[sets.tags])
    of = {t.label.lower(): i for i, t in enumerate(words.tags) if t.id.startswith("class_")}
    number = {t.id: i for i, t in enumerate(words.tags)}
    answers = [number[f"class_{c}"] for c in class_numbers(sets)]
    truth = np.zeros_like(cosine, dtype=bool)
    truth[np.arange(len(answers)), answers] = True
    check("imagenet_1k on img-tag", cosine[:, list(of.values())], truth[:, list(of.values())])

    softmax = (sets.features[sets.tags, 0] @ weight.T + bias).softmax(1).numpy().astype(np.float64)
    right = np.zeros_like(softmax, dtype=bool)
    right[np.arange(len(answers)), class_numbers(sets)] = True
    print("tags_imagenet (the classifier's own softmax) on img-tag, all 200 pictures, nothing fitted")
    error, first = reliability(softmax.ravel(), right.ravel()), right[np.arange(len(answers)), softmax.argmax(1)].mean()
    print(f"  expected calibration error {error:.5f}, top-1 {first:.3f}")
    check_scenes(sets, vectors)


def check_scenes(sets: Sets, vectors: NDArray[np.float32]) -> None:
    """Of the tags that labels tell: half of the pictures against the other, then half of the tags against the other."""
    words = find_vocabulary("scenes").model_copy(update={"calibration": {}})
    at = [[t.id for t in words.tags].index(tag) for tag in scene_labels.TAGS]
    cosine = np.concatenate([cosines(words, vectors[i])[:, at] for i in (sets.tags, sets.detections)])
    truth = np.concatenate(
        [scene_labels.of_classes(class_numbers(sets)), scene_labels.of_boxes(sets.truth, sets.det_words)]
    )
    check(f"scenes, {len(at)} tags, on img-tag and img-det", cosine, truth)
    for which in (0, 1):
        fitted, other = slice(which, None, 2), slice(1 - which, None, 2)
        slope, offset = platt(cosine[:, fitted].ravel(), truth[:, fitted].ravel())
        p = 1 / (1 + np.exp(-(slope * cosine[:, other] + offset)))
        print(
            f"scenes, fitted on every other tag (slope {slope:.3f}, offset {offset:.3f}), checked on the tags between"
        )
        print(f"  expected calibration error {reliability(p.ravel(), truth[:, other].ravel()):.4f}")


def cosines(words: Vocabulary, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, tags) raw cosines."""
    tags = VocabularyTags(words)
    tags.setup()
    return tags.scores(vectors).astype(np.float64)


def class_numbers(sets: Sets) -> list[int]:
    """The ImageNet number of each picture of img-tag, by its name (the likelier where two classes share one)."""
    from torchvision.models import EfficientNet_B0_Weights

    names = [n.lower().replace("-", " ") for n in EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]]
    weight, bias = lite0_head()
    logits = sets.features[sets.tags, 0] @ weight.T + bias
    found = []
    for row, word in zip(logits, sets.tag_words, strict=True):
        alike = [i for i, n in enumerate(names) if n == word.lower().replace("-", " ")]
        found.append(max(alike, key=lambda i, r=row: float(r[i])) if alike else int(torch.argmax(row)))
    return found


if __name__ == "__main__":
    main()
