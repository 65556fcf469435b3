"""YOLOX (Ge et al. 2021, arXiv:2107.08430): boxes of the 80 classes of COCO, from an ONNX file as its authors export it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.errors import WeightsCorrupt
from mediaml.nets.dnn_net import DnnNet
from mediaml.nets.suppression import batched_nms

SIDE = 416
STRIDES = (8, 16, 32)
_PADDING = 114.0
_OVERLAP = 0.45  # boxes of one kind that share more than this (intersection over union) are one thing

COCO_80 = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis",
    "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier",
    "toothbrush",
)  # fmt: skip
"""The kinds in the order of the network's outputs."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Things in one picture, the surest first.

    boxes   (K, 4) left, top, right, bottom in px
    scores  (K,) objectness times probability of the kind, in [0, 1]
    kinds   (K,) index in `COCO_80`
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    kinds: NDArray[np.int64]


class Yolox:
    """A detector for 416x416 px (nano, tiny). Raises WeightsCorrupt where the file gives other outputs."""

    def __init__(self, path: Path) -> None:
        self._name, self._net = path.name, DnnNet(path)
        grids = [np.stack(np.meshgrid(*[np.arange(SIDE // s)] * 2), 2).reshape(-1, 2) for s in STRIDES]
        self._cells = np.concatenate(grids).astype(np.float32)  # (3549, 2) x, y
        self._strides = np.repeat(np.array(STRIDES, np.float32), [len(g) for g in grids])[:, None]

    def __call__(self, picture: NDArray[np.uint8], least_score: float = 0.3) -> Objects:
        """(H, W, 3) BGR -> the things of score `least_score` and more: objectness times probability of the kind."""
        height, width = picture.shape[:2]
        scale = min(SIDE / height, SIDE / width)
        small = cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
        values = np.full((1, 3, SIDE, SIDE), _PADDING, np.float32)
        values[0, :, : small.shape[0], : small.shape[1]] = small.transpose(2, 0, 1)
        raw = self._net(values)[0]
        if raw.shape != (len(self._cells), 5 + len(COCO_80)):
            raise WeightsCorrupt(
                f"{self._name} gives {raw.shape}, not ({len(self._cells)}, {5 + len(COCO_80)}): "
                "a YOLOX of 416x416 px and 80 classes, exported without decoding, is wanted"
            )
        return self._things(raw, least_score, scale, (width, height))

    def _things(self, raw: NDArray[np.float32], least: float, scale: float, size: tuple[int, int]) -> Objects:
        """(3549, 85) -> boxes in the pixels of the picture, overlapping ones of a kind suppressed."""
        chances = raw[:, 4:5] * raw[:, 5:]  # (3549, 80)
        cells, kinds = np.nonzero(chances >= least)
        scores = chances[cells, kinds]
        middle = (raw[cells, :2] + self._cells[cells]) * self._strides[cells]
        half = np.exp(raw[cells, 2:4]) * self._strides[cells] / 2
        boxes = np.concatenate([middle - half, middle + half], 1) / scale
        boxes = np.clip(boxes, 0, np.array([*size, *size], np.float32))
        at, likely, kind = (torch.from_numpy(a) for a in (boxes, scores, kinds))
        kept = batched_nms(at, likely, kind, _OVERLAP).numpy()
        return Objects(boxes[kept].astype(np.float32), scores[kept], kinds[kept])
