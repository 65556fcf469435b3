"""Which pictures of the labelled sets show which scene of the vocabulary `scenes`, as far as their labels tell.

From ImageNet's class of a picture (its groups in `mediaml.derive.imagenet_groups`, or numbers) and from COCO's boxes. Tags
that no label tells (outdoors, indoors, garden, river_lake, farm, shop, underwater, stage, celebration) are left out. The
labels are weaker than the tags: a picture labelled "dog" may be by the sea and is a no for `seaside` all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mediaml.derive.imagenet_groups import members

IMAGENET: dict[str, tuple[str | int, ...]] = {
    "seaside": ("sea_shore",),
    "boats": ("boat",),
    "mountains": ("mountain",),
    "snow": (537, 795, 802, 803, 970),
    "street": ("street", "traffic_sign", 468, 654, 779, 874),
    "railway": ("train",),
    "aviation": ("aircraft",),
    "architecture": (483, 497, 663, 668, 698, 832),
    "kitchen": (),
    "bathroom": ("toilet", 435, 794, 896),
    "office": ("computer", 526),
    "meal": ("food",),
    "animals": ("animal",),
    "pets": ("dog", "cat"),
    "wildlife": ("bear", "elephant", "big_cat", "wild_dog", "monkey_ape", 340),
    "birds": ("bird",),
    "insects": ("insect",),
    "music": ("musical_instrument",),
    "ball_sports": ("ball", 981),
}
COCO: dict[str, str] = {
    "boats": "boat",
    "snow": "skis, snowboard",
    "street": "traffic light, stop sign, fire hydrant, parking meter, bus",
    "railway": "train",
    "aviation": "airplane",
    "kitchen": "oven, microwave, refrigerator, toaster",
    "bathroom": "toilet",
    "office": "laptop, keyboard, mouse",
    "meal": "banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake",
    "animals": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
    "pets": "cat, dog",
    "wildlife": "elephant, bear, zebra, giraffe",
    "birds": "bird",
    "ball_sports": "sports ball, baseball bat, baseball glove, tennis racket",
}
TAGS = tuple(IMAGENET)


def of_classes(classes: Sequence[int]) -> NDArray[np.bool_]:
    """ImageNet class numbers of N pictures -> (N, TAGS)."""
    groups = members()
    wanted = {
        tag: {c for part in parts for c in (groups[part] if isinstance(part, str) else (part,))}
        for tag, parts in IMAGENET.items()
    }
    return np.array([[c in wanted[tag] for tag in TAGS] for c in classes])


def of_boxes(truth: NDArray[np.bool_], labels: Sequence[str]) -> NDArray[np.bool_]:
    """(N, labels) which COCO classes N pictures show -> (N, TAGS)."""
    at = {label: i for i, label in enumerate(labels)}
    rows = np.zeros((len(truth), len(TAGS)), bool)
    for column, tag in enumerate(TAGS):
        for label in filter(None, COCO.get(tag, "").split(", ")):
            if label in at:
                rows[:, column] |= truth[:, at[label]]
    return rows
