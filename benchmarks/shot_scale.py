"""Shot scale against labels by eye: a confusion table over the COCO pictures that show people.

    OMP_NUM_THREADS=1 python -m benchmarks.shot_scale

57 of the 61 pictures of coco128 with a person box were labelled by eye, before the predictions were seen, by what shows of
the person who is largest: the head and shoulders, to the chest, to the waist, to the knees, the whole figure, or a figure
lost in its surroundings (Bordwell & Thompson, Film Art; the classes of Savardi et al. 2018). Left out: two pictures of a body
without a head, one of hands alone, one of a person cut by the side of the picture. None is a close-up of a face alone.
"""

from __future__ import annotations

import os
from collections import Counter

import cv2
import numpy as np
import torch

from benchmarks.objects import FOLDER, OWN
from mediaml import weights
from mediaml.derive.shot_scale import FACE_SCALES, scale_of
from mediaml.nets.checkpoint import read_checkpoint
from mediaml.nets.mtcnn import Mtcnn
from mediaml.nets.yolox import Yolox

LABELS = {
    "medium_close_up": ("110 370 389 395 428"),
    "medium_shot": ("36 113 165 294 326 436 459 623"),
    "medium_long_shot": ("241 308 446 536"),
    "long_shot": ("77 86 192 257 260 315 322 328 338 368 415 431 474 488 510 529 532 542 544 564 569 572 589 625 634"),
    "extreme_long_shot": ("49 61 74 109 127 149 151 201 357 360 382 471 520 531 641"),
}
"""Class -> numbers of the pictures."""


def heights(found: torch.Tensor, height: int) -> list[float]:
    """(N, 4) boxes in px -> their heights as shares of the picture's, clipped to it, largest area first."""
    boxes = np.asarray(found, np.float64).reshape(-1, 4)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    clipped = np.clip(boxes[:, [1, 3]], 0, height) / height
    return (clipped[:, 1] - clipped[:, 0])[np.argsort(-area)].tolist()


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    nets = [read_checkpoint(weights.resolve(f"mtcnn_{n}net")) for n in "pro"]
    faces, people = (
        Mtcnn(*nets, device="cpu", smallest=20),
        Yolox(OWN if OWN.is_file() else weights.resolve("yolox_nano")),
    )
    table: Counter[tuple[str, str]] = Counter()
    for wanted, numbers in LABELS.items():
        for number in numbers.split():
            picture = cv2.imread(os.fspath(FOLDER / "images/train2017" / f"{int(number):012d}.jpg"))
            assert picture is not None, number
            rgb = torch.from_numpy(np.ascontiguousarray(picture[:, :, ::-1])).permute(2, 0, 1)
            face = heights(faces(rgb).boxes, len(picture))
            things = people(np.asarray(picture, np.uint8), 0.3)
            person = heights(things.boxes[things.kinds == 0], len(picture))
            given, _ = scale_of(face[0] if face else None, max(person, default=None))
            table[wanted, given or "none"] += 1
    names = [*reversed([n for _, n in FACE_SCALES]), "none"]
    print("| by eye, below; told, right | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for wanted in names[:-1]:
        if row := [table[wanted, given] for given in names]:
            print(f"| {wanted} | " + " | ".join(str(n or "") for n in row) + " |")
    order = {n: i for i, n in enumerate(names[:-1])}
    told = {k: n for k, n in table.items() if k[1] != "none"}
    right = sum(n for (a, b), n in told.items() if a == b)
    near = sum(n for (a, b), n in told.items() if abs(order[a] - order[b]) <= 1)
    print(f"{sum(table.values())} pictures: {right} right, {near} right or one class off, {sum(told.values())} told")


if __name__ == "__main__":
    main()
