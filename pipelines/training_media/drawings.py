"""Pictures drawn by a program: sharp edges, thin lines, gratings and text, which photographs have too few of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,:;-+()%?!"


def drawing(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of `size` (width, height): shapes over a smooth ground, drawn at twice the size."""
    rng = np.random.default_rng([seed, 7])
    width, height = size[0] * 2, size[1] * 2
    ground = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    canvas = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
    canvas = np.ascontiguousarray(canvas.astype(np.uint8))
    for _ in range(int(rng.integers(25, 70))):
        _DRAW[int(rng.integers(len(_DRAW)))](canvas, rng)
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = rng.integers(0, 256, 3)
    return int(r), int(g), int(b)


def _point(canvas: NDArray[np.uint8], rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(canvas.shape[1])), int(rng.integers(canvas.shape[0]))


def _polygon(canvas: NDArray[np.uint8], rng: np.random.Generator) -> None:
    spread = float(rng.uniform(0.03, 0.2)) * canvas.shape[1]
    corners = np.array(_point(canvas, rng)) + rng.normal(0, spread, (int(rng.integers(3, 6)), 2))
    cv2.fillPoly(canvas, [corners.astype(np.int32)], _colour(rng), cv2.LINE_AA)


def _ellipse(canvas: NDArray[np.uint8], rng: np.random.Generator) -> None:
    axes = rng.uniform(0.005, 0.12, 2) * canvas.shape[1]
    thickness = -1 if rng.random() < 0.5 else int(rng.integers(1, 12))
    box = ([float(v) for v in _point(canvas, rng)], (2 * axes).tolist(), float(rng.uniform(0, 180)))
    cv2.ellipse(canvas, box, _colour(rng), thickness, cv2.LINE_AA)


def _lines(canvas: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """A fan or a grating of thin lines."""
    start, end = np.array(_point(canvas, rng)), np.array(_point(canvas, rng))
    step, turn = rng.normal(0, 14, 2), rng.normal(0, 5, 2)
    colour, thickness = _colour(rng), int(rng.integers(1, 8))
    for k in range(int(rng.integers(1, 25))):
        a, b = (start + k * step).astype(int).tolist(), (end + k * (step + turn)).astype(int).tolist()
        cv2.line(canvas, a, b, colour, thickness, cv2.LINE_AA)


def _text(canvas: NDArray[np.uint8], rng: np.random.Generator) -> None:
    text = "".join(_LETTERS[int(i)] for i in rng.integers(0, len(_LETTERS), int(rng.integers(3, 30))))
    scale = float(rng.uniform(0.6, 4.0))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    cv2.putText(canvas, text, _point(canvas, rng), font, scale, _colour(rng), max(1, round(scale * 1.5)), cv2.LINE_AA)


_DRAW = (_polygon, _ellipse, _lines, _text)
