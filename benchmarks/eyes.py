"""Eye openness: does it put open eyes before shut ones? Ten real faces, and the same with their lids painted shut.

    OMP_NUM_THREADS=1 python -m benchmarks.eyes

No labelled pictures of shut eyes are at hand. The shut eyes are painted: skin, interpolated from the rim of the eye, over the
opening, and across its lower third the dark line of the lashes. Of each face: is the painted one below the open one (what a
choice within a shot needs)? Of all pairs of faces: the area under the ROC curve. At the pictures' own size and shrunk, so
that it shows from which size on it works. Then other faces, by eye: what the measure says of them.
"""

from __future__ import annotations

import math
import os

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.objects import FOLDER
from mediaml.ops import eyes

FACES = {
    "open": {
        110: (56, 227, 96, 233, 63, 258),
        165: (152, 83, 187, 87, 170, 102),
        294: (134, 121, 163, 121, 149, 136),
        326: (198, 159, 223, 142, 214, 163),
        370: (176, 153, 264, 128, 223, 177),
        389: (286, 152, 333, 151, 312, 174),
        395: (231, 263, 279, 277, 235, 296),
        428: (367, 116, 420, 119, 382, 136),
        436: (194, 132, 246, 140, 208, 168),
        459: (160, 168, 207, 172, 177, 196),
    },
    "looks down": {-110: (451, 54, 514, 63, 461, 95), 623: (189, 112, 223, 112, 206, 142)},
    "dark glasses": {308: (37, 119, 67, 123, 53, 139)},
    "deep shadow": {36: (234, 237, 266, 223, 250, 247)},
    "no face (food)": {438: (236, 274, 311, 260, 288, 310), -438: (91, 356, 139, 344, 122, 382)},
}
"""By eye: number of the picture (a second face of it: minus) -> left eye, right eye, nose in px, as MTCNN puts them."""


def picture(number: int) -> NDArray[np.float32]:
    found = cv2.imread(os.fspath(FOLDER / "images/train2017" / f"{abs(number):012d}.jpg"), cv2.IMREAD_GRAYSCALE)
    assert found is not None, number
    return np.asarray(found, np.float32) / 255


def painted(luma: NDArray[np.float32], points: tuple[int, ...], lashes: float) -> NDArray[np.float32]:
    """The face with its eyes shut; `lashes`: thickness of their line in distances of the eyes."""
    luma = luma.copy()
    left, right = np.array(points[:2], float), np.array(points[2:4], float)
    along = right - left
    distance = float(np.hypot(*along))
    down = np.array([-along[1], along[0]])
    for eye in (left, right):
        mask = np.zeros(luma.shape, np.uint8)
        angle = math.degrees(math.atan2(along[1], along[0]))
        size = (0.27 * distance, 0.15 * distance)
        axes = (max(2, round(size[0])), max(2, round(size[1])))
        cv2.ellipse(mask, (round(eye[0]), round(eye[1])), axes, angle, 0, 360, 255, -1)
        skin = cv2.inpaint(np.round(luma * 255).astype(np.uint8), mask, max(2.0, 0.05 * distance), cv2.INPAINT_TELEA)
        soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(0.6, 0.02 * distance))
        luma = luma * (1 - soft) + np.asarray(skin, np.float32) / 255 * soft
        fine = 8  # the line is drawn at 8 times the size and averaged, so that its thickness may be a part of a pixel
        line = np.zeros((luma.shape[0] * fine, luma.shape[1] * fine), np.uint8)
        bent = [eye + x * along + (0.05 + 0.05 * (1 - (x / 0.2) ** 2)) * down for x in np.linspace(-0.2, 0.2, 15)]
        points_fine = np.round((np.array(bent) + 0.5) * fine).astype(np.int32)
        cv2.polylines(line, [points_fine], False, 255, max(1, round(lashes * distance * fine)))
        share = cv2.resize(line, luma.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        luma = luma * (1 - 0.7 * share)
    return np.asarray(luma, np.float32)


def openness(luma: NDArray[np.float32], points: tuple[int, ...], scale: float = 1.0) -> float:
    """Of the face, in the picture shrunk by `scale`; however small its eyes are."""
    if scale < 1:
        luma = np.asarray(cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32)
    scaled = [float((v + 0.5) * scale - 0.5) for v in points]
    left, right, nose = [(scaled[i], scaled[i + 1]) for i in (0, 2, 4)]
    return eyes.eye_openness(torch.from_numpy(luma), left, right, nose)


def area_under_curve(high: NDArray[np.float64], low: NDArray[np.float64]) -> float:
    return float(((high[:, None] > low[None]) + 0.5 * (high[:, None] == low[None])).mean())


def main() -> None:
    shipped, eyes.LEAST_DISTANCE_PX = eyes.LEAST_DISTANCE_PX, 0.0
    print("| distance of the eyes, px | lashes | same face in order | AUC, all pairs | painted / open, median |")
    print("|---|---|---|---|---|")
    for target in (60, 40, 28, 20, 14):
        for lashes in (0.03, 0.05):
            high, low = [], []
            for number, points in FACES["open"].items():
                scale = min(1.0, target / math.dist(points[:2], points[2:4]))
                luma = picture(number)
                high.append(openness(luma, points, scale))
                low.append(openness(painted(luma, points, lashes), points, scale))
            a, b = np.array(high), np.array(low)
            print(
                f"| {target} or less | {lashes:.2f} | {(a > b).sum()} of {len(a)} | {area_under_curve(a, b):.2f} | "
                f"{np.median(b / a):.2f} |"
            )
    print(f"the least distance in use: {shipped:g} px")
    for what, faces in FACES.items():
        print(f"{what}: " + ", ".join(f"{openness(picture(n), p):.3f}" for n, p in faces.items()))


if __name__ == "__main__":
    main()
