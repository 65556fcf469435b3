"""PP-OCR's text detector: a map of text probability, and the rectangles around what stands out in it.

Liao et al. 2020, Real-time Scene Text Detection with Differentiable Binarization; thresholds are those of rapidocr 3.10.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.nets.dnn_net import DnnNet

MULTIPLE = 32  # the network takes sides that are multiples of it
TEXT = 0.3
"""Probability from which a pixel counts as text."""
SURE = 0.5
"""Least mean probability over a rectangle."""
GROWTH = 1.6
"""The map marks the core of a line; rectangles grow by this share of area over perimeter on each side."""
MOST_LINES = 1000
_LEAST_PX = 3

Corners = NDArray[np.float32]
"""(4, 2) x, y in pixels: top left, top right, bottom right, bottom left."""


@dataclass(frozen=True, slots=True, eq=False)
class TextLine:
    """One line of text: where it is, and how sure the detector is, in [0.5, 1]."""

    corners: Corners
    score: float


class TextDetector:
    """Finds lines of text. `longest_side`: pictures are looked at with a longer side of at most so many pixels."""

    LEAST_SIDE = MULTIPLE

    def __init__(self, path: Path, longest_side: int = 960) -> None:
        if not self.LEAST_SIDE <= longest_side <= 4096:
            raise InvalidValue(f"longest_side {longest_side} px must lie in [{self.LEAST_SIDE}, 4096]")
        self._net, self.longest_side = DnnNet(path), longest_side

    def __call__(self, picture: NDArray[np.uint8]) -> list[TextLine]:
        """(H, W, 3) BGR -> its lines, from top to bottom and left to right."""
        height, width = picture.shape[:2]
        scale = min(1.0, self.longest_side / max(height, width))
        side = [max(MULTIPLE, round(s * scale / MULTIPLE) * MULTIPLE) for s in (width, height)]
        small = cv2.resize(picture, side, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        values = np.asarray((small / 255.0 - 0.5) / 0.5, np.float32).transpose(2, 0, 1)[None]
        found = lines_of(self._net(values)[0, 0])
        stretch = np.array([width / side[0], height / side[1]], np.float32)
        limit = np.array([width - 1, height - 1], np.float32)
        lines = [TextLine(np.clip(line.corners * stretch, 0, limit), line.score) for line in found]
        return in_reading_order([line for line in lines if min(sides(line.corners)) > _LEAST_PX])


def lines_of(probability: NDArray[np.float32]) -> list[TextLine]:
    """(h, w) map of text probability -> rectangles in its pixels."""
    mask = cv2.dilate((probability > TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours[:MOST_LINES]:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < _LEAST_PX:
            continue
        core = np.asarray(cv2.boxPoints((centre, (width, height), angle)), np.float32)
        score = _mean_inside(probability, core)
        if score < SURE:
            continue
        more = width * height * GROWTH / (2 * (width + height))
        grown = cv2.boxPoints((centre, (width + 2 * more, height + 2 * more), angle))
        found.append(TextLine(ordered(np.asarray(grown, np.float32)), score))
    return found


def _mean_inside(probability: NDArray[np.float32], corners: Corners) -> float:
    height, width = probability.shape
    low = np.clip(np.floor(corners.min(0)), 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(corners.max(0)), 0, [width - 1, height - 1]).astype(int)
    window = np.ascontiguousarray(probability[low[1] : high[1] + 1, low[0] : high[0] + 1])
    mask = np.zeros(window.shape, np.uint8)
    cv2.fillPoly(mask, [(corners - low).astype(np.int32)], [1])
    return float(cv2.mean(window, mask)[0])


def ordered(corners: NDArray[np.float32]) -> Corners:
    """Four corners in any order -> top left, top right, bottom right, bottom left."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (pair[np.argsort(pair[:, 1], kind="stable")] for pair in (by_x[:2], by_x[2:]))
    return np.array([left[0], right[0], right[1], left[1]], np.float32)


def sides(corners: Corners) -> tuple[float, float]:
    """Width and height of the rectangle, in pixels."""
    return float(np.linalg.norm(corners[1] - corners[0])), float(np.linalg.norm(corners[3] - corners[0]))


def in_reading_order(lines: list[TextLine]) -> list[TextLine]:
    """From top to bottom; lines whose middles differ by less than half a line's height, from left to right."""
    waiting = sorted(lines, key=lambda t: float(t.corners[:, 1].mean()))
    rows: list[list[TextLine]] = []
    for line in waiting:
        middle = float(line.corners[:, 1].mean())
        if rows and middle - float(rows[-1][0].corners[:, 1].mean()) < sides(rows[-1][0].corners)[1] / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda t: float(t.corners[0, 0]))]
