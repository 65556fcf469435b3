"""MTCNN: faces by three networks in a row, each looking closer at what the one before proposes.

Zhang et al. 2016, Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks, IEEE SPL 23(10).
The steps (rounding of boxes, area resampling, thresholds, both kinds of suppression) are those of facenet-pytorch 2.6.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediaml.errors import InvalidValue
from mediaml.nets.suppression import nms

THRESHOLDS = (0.6, 0.7, 0.7)
"""Least probability of a face that passes each network."""
PYRAMID_FACTOR = 0.709
_CELL, _STRIDE = 12, 2  # the proposal network sees 12x12 pixels, every second pixel
_AT_ONCE = 512  # candidates in one call of a network


class _Proposal(nn.Module):
    """(N, 3, H, W) in [-1, 1] -> box corrections (N, 4, h, w), probability of a face (N, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), self.conv4_1(x).softmax(1)[:, 1]


class _Refinement(nn.Module):
    """(N, 3, 24, 24) in [-1, 1] -> box corrections (N, 4), probability of a face (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense4(_columns_first(x)))
        return self.dense5_2(x), self.dense5_1(x).softmax(1)[:, 1]


class _Output(nn.Module):
    """(N, 3, 48, 48) in [-1, 1] -> box corrections (N, 4), landmarks (N, 10: five x, then five y), probability (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.pool3(self.prelu3(self.conv3(x)))
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense5(_columns_first(x)))
        return self.dense6_2(x), self.dense6_3(x), self.dense6_1(x).softmax(1)[:, 1]


def _columns_first(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, W * H * C): the order in which the published weights were trained."""
    return x.permute(0, 3, 2, 1).flatten(1)


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces of one picture, the surest first. Boxes may reach beyond the picture.

    boxes      (K, 4) left, top, right, bottom in pixels
    scores     (K,) probability of a face, in (0.7, 1]
    landmarks  (K, 5, 2) x, y in pixels: left eye, right eye, nose, left and right corner of the mouth, as seen in the picture
    """

    boxes: Tensor
    scores: Tensor
    landmarks: Tensor

    def __len__(self) -> int:
        return len(self.scores)


class Mtcnn:
    """Face detector. `smallest` is the side of the smallest face looked for, in pixels (at least 12; the authors use 20)."""

    def __init__(
        self,
        proposal: Mapping[str, Tensor],
        refinement: Mapping[str, Tensor],
        output: Mapping[str, Tensor],
        device: torch.device,
        smallest: int = 20,
    ) -> None:
        if smallest < _CELL:
            raise InvalidValue(f"smallest face {smallest} px must be at least {_CELL}, which the first network sees")
        self.smallest = smallest
        self._proposal, self._refinement, self._output = _Proposal(), _Refinement(), _Output()
        for net, state in zip(self._nets, (proposal, refinement, output), strict=True):
            net.load_state_dict(dict(state))
            net.eval().requires_grad_(False).to(device)

    @property
    def _nets(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return self._proposal, self._refinement, self._output

    @torch.inference_mode()
    def __call__(self, picture: Tensor) -> Faces:
        """(3, H, W) uint8 RGB -> the faces in it."""
        image = picture[None].to(torch.float32)  # (1, 3, H, W), 0..255
        boxes = _squared(self._propose(image))
        boxes, crops = _crops(image, boxes, 24)
        if not len(boxes):
            return _none(image)
        moves, scores = _in_parts(self._refinement, crops)
        sure = scores > THRESHOLDS[1]
        boxes, moves, scores = boxes[sure], moves[sure], scores[sure]
        kept = nms(boxes, scores, 0.7)
        boxes, crops = _crops(image, _squared(_moved(boxes[kept], moves[kept])), 48)
        if not len(boxes):
            return _none(image)
        moves, points, scores = _in_parts(self._output, crops)
        sure = scores > THRESHOLDS[2]
        boxes, moves, points, scores = boxes[sure], moves[sure], points[sure], scores[sure]
        size = boxes[:, 2:] - boxes[:, :2] + 1  # (K, 2)
        landmarks = points.view(-1, 2, 5).transpose(1, 2) * size[:, None] + boxes[:, None, :2] - 1
        boxes = _moved(boxes, moves)
        kept = _suppress_inner(boxes, scores, 0.7)
        return Faces(boxes[kept], scores[kept], landmarks[kept])

    def _propose(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) -> (K, 4) boxes in pixels."""
        height, width = image.shape[2:]
        scale = _CELL / self.smallest
        boxes, scores, moves = [], [], []
        while min(height, width) * scale >= _CELL:
            level = _seen(F.interpolate(image, (int(height * scale + 1), int(width * scale + 1)), mode="area"))
            correction, probability = self._proposal(level)
            rows, columns = (probability[0] >= THRESHOLDS[0]).nonzero(as_tuple=True)
            corner = torch.stack([columns, rows], 1) * float(_STRIDE)  # (K, 2) x, y
            box = torch.cat([((corner + 1) / scale).floor(), ((corner + _CELL) / scale).floor()], 1)
            score = probability[0, rows, columns]
            kept = nms(box, score, 0.5)
            boxes.append(box[kept])
            scores.append(score[kept])
            moves.append(correction[0][:, rows, columns].T[kept])
            scale *= PYRAMID_FACTOR
        if not boxes:
            return image.new_zeros(0, 4)
        box, move = torch.cat(boxes), torch.cat(moves)
        kept = nms(box, torch.cat(scores), 0.7)
        box, move = box[kept], move[kept]
        size = (box[:, 2:] - box[:, :2]).repeat(1, 2)
        return box + move * size


def _seen(values: Tensor) -> Tensor:
    """0..255 -> about [-1, 1], as the networks were trained."""
    return (values - 127.5) * 0.0078125


def _none(image: Tensor) -> Faces:
    return Faces(image.new_zeros(0, 4), image.new_zeros(0), image.new_zeros(0, 5, 2))


def _squared(boxes: Tensor) -> Tensor:
    """(K, 4) -> squares of the longer side about the same centres."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(1, keepdim=True) if len(boxes) else size[:, :1]
    start = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([start, start + side], 1)


def _moved(boxes: Tensor, moves: Tensor) -> Tensor:
    """(K, 4) boxes corrected by (K, 4) shares of their size, which counts both border pixels."""
    return boxes + moves * (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)


def _crops(image: Tensor, boxes: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """What lies in the boxes, at side x side, in [-1, 1]; boxes without a pixel of the picture are left out."""
    height, width = image.shape[2:]
    kept, found = [], []
    for k, (left, top, right, bottom) in enumerate(boxes.trunc().int().tolist()):
        left, top, right, bottom = max(left, 1), max(top, 1), min(right, width), min(bottom, height)
        if right >= left and bottom >= top:
            kept.append(k)
            found.append(F.interpolate(image[:, :, top - 1 : bottom, left - 1 : right], (side, side), mode="area"))
    if not kept:
        return boxes[:0], image.new_zeros(0, 3, side, side)
    return boxes[kept], _seen(torch.cat(found))


def _in_parts(net: nn.Module, crops: Tensor) -> tuple[Tensor, ...]:
    parts = [net(part) for part in crops.split(_AT_ONCE)]
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))


def _suppress_inner(boxes: Tensor, scores: Tensor, limit: float) -> list[int]:
    """Indices to keep, best first: a box goes where a better one shares over `limit` of the smaller of the two."""
    start, end = boxes[:, :2], boxes[:, 2:]
    area = (end - start + 1).prod(1)
    waiting = scores.argsort(descending=True, stable=True).tolist()
    kept: list[int] = []
    while waiting:
        best, *rest = waiting
        kept.append(best)
        if not rest:
            break
        shared = (torch.minimum(end[best], end[rest]) - torch.maximum(start[best], start[rest]) + 1).clamp(min=0)
        share = shared.prod(1) / torch.minimum(area[best], area[rest])
        waiting = [k for k, s in zip(rest, share.tolist(), strict=True) if s <= limit]
    return kept
