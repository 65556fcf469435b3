"""Objects: mean average precision of `objects` on 128 labelled COCO pictures, by COCO's definition (101 points, IoU .5:.95).

    OMP_NUM_THREADS=1 python -m benchmarks.objects

The 128 pictures come from COCO's training set, which YOLOX was trained on: the figures flatter it.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml import weights
from mediaml.nets.yolox import COCO_80, Objects, Yolox

SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FOLDER = SHARED / "img-det/lightly-ai+coco128_yolo"
OWN = SHARED / "tag-weights/Bigisland1729+object-detection-models/yolox_nano.onnx"
LIMITS = np.arange(0.5, 0.951, 0.05)


def truth(name: str, width: int, height: int) -> tuple[NDArray, NDArray]:
    """Boxes (K, 4) in px and kinds (K,) of a picture."""
    path = FOLDER / "object_detection/labels/train2017" / f"{name}.txt"
    rows = np.loadtxt(path, ndmin=2) if path.is_file() and path.stat().st_size else np.zeros((0, 5))
    middle, size = rows[:, 1:3] * (width, height), rows[:, 3:5] * (width, height)
    return np.concatenate([middle - size / 2, middle + size / 2], 1), rows[:, 0].astype(int)


def overlap(a: NDArray, b: NDArray) -> NDArray:
    """(N, 4), (M, 4) -> intersection over union (N, M)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def average_precision(scores: NDArray, right: NDArray, there: int) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    recall, precision = hits / there, hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1] if len(precision) else precision
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.mean([precision[i] if i < len(precision) else 0.0 for i in at]))


def of_kind(kind: int, found: list[Objects], labels: list[tuple[NDArray, NDArray]], limit: float) -> float | None:
    """Average precision of one kind at one overlap; None where no picture has it."""
    scores, right, there = [], [], 0
    for things, (boxes, kinds) in zip(found, labels, strict=True):
        wanted = boxes[kinds == kind]
        there += len(wanted)
        mine = things.kinds == kind
        order = np.argsort(-things.scores[mine], kind="stable")
        shares = overlap(things.boxes[mine][order], wanted)
        free = np.ones(len(wanted), bool)
        for row, score in zip(shares, things.scores[mine][order], strict=True):
            best = int(np.argmax(np.where(free, row, -1))) if free.any() else -1
            good = best >= 0 and row[best] >= limit
            if good:
                free[best] = False
            scores.append(score)
            right.append(good)
    return average_precision(np.array(scores), np.array(right), there) if there else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="an ONNX file; the pulled yolox_nano or that of the shared data")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    path = given.weights or (OWN if OWN.is_file() else weights.resolve("yolox_nano"))
    net = Yolox(path)
    found, labels, seconds = [], [], 0.0
    for file in sorted((FOLDER / "images/train2017").glob("*.jpg")):
        picture = cv2.imread(str(file))
        assert picture is not None, file
        began = time.process_time()
        found.append(net(np.asarray(picture, np.uint8), 0.01))
        seconds += time.process_time() - began
        labels.append(truth(file.stem, picture.shape[1], picture.shape[0]))
    table = np.array([[of_kind(k, found, labels, t) for t in LIMITS] for k in range(len(COCO_80))], float)
    seen = ~np.isnan(table[:, 0])
    boxes_there = sum(len(k) for _, k in labels)
    print(
        f"{len(found)} pictures, {seen.sum()} kinds, {boxes_there} boxes; {seconds / len(found) * 1000:.0f} CPU ms each"
    )
    print(f"mAP@.5:.95 {table[seen].mean():.3f}, mAP@.5 {table[seen, 0].mean():.3f}")
    print(f"person: AP@.5:.95 {table[0].mean():.3f}, AP@.5 {table[0, 0]:.3f}")
    for least in (0.2, 0.3, 0.4, 0.5):
        right = there = said = 0
        for things, (boxes, kinds) in zip(found, labels, strict=True):
            sure = (things.scores >= least) & (things.kinds == 0)
            shares = overlap(things.boxes[sure], boxes[kinds == 0])
            said, there = said + int(sure.sum()), there + int((kinds == 0).sum())
            right += int((shares.max(0) >= 0.5).sum()) if shares.size else 0
        print(f"people at score {least}: {right} of {there} found, {said} said")


if __name__ == "__main__":
    main()
