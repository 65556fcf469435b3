"""How many pixels of a code, and of codes a few steps away, lie around each pixel: the heart of CAMBI, and its cost.

On the CPU tile by tile: few codes occur in a tile, each is a 0-1 picture, and OpenCV sums all of them in one box filter.
Elsewhere code by code over the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_TILE = 64
_ZERO = cv2.BORDER_CONSTANT
_NONE = 4095  # a pixel that does not count
_CODES = 1024
_CONTRAST = (1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9)


@dataclass(frozen=True, slots=True)
class Steps:
    """Which steps between codes count: one to `len(highest)` codes.

    highest  for each step, the highest code from which it is visible
    darkest  a step counts where code + number of steps + step is above it
    """

    highest: tuple[int, ...]
    darkest: int

    @property
    def number(self) -> int:
        return len(self.highest)

    def limits(self, step: int) -> tuple[int, int]:
        """Codes from which `step` counts: first and last."""
        return self.darkest - self.number - step + 1, self.highest[step - 1]


def contrasts(image: Tensor, mask: Tensor, window: int, steps: Steps) -> Tensor:
    """(H, W) int16 10-bit codes, (H, W) bool -> c-values of the masked pixels, float32, in any order, some zeros left out."""
    counted = torch.where(mask, image, image.new_full((), _NONE))
    if image.device.type == "cpu":
        return torch.from_numpy(_by_tiles(counted.numpy(), window // 2, steps))
    return _by_codes(counted, window, steps)


def _by_tiles(counted: NDArray[np.int16], pad: int, steps: Steps) -> NDArray[np.float32]:
    height, width = counted.shape
    padded = np.pad(counted, pad, constant_values=_NONE)
    found = [np.zeros(0, np.float32)]
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            rows, columns = min(_TILE, height - top), min(_TILE, width - left)
            part = padded[top : top + rows + 2 * pad, left : left + columns + 2 * pad]
            found.append(_one_tile(part, rows, columns, pad, steps))
    return np.concatenate(found)


def _one_tile(part: NDArray[np.int16], rows: int, columns: int, pad: int, steps: Steps) -> NDArray[np.float32]:
    """A tile with `pad` pixels around it -> its c-values."""
    centre = part[pad : pad + rows, pad : pad + columns]
    at = np.flatnonzero(centre != _NONE)
    if at.size == 0:
        return np.zeros(0, np.float32)
    codes = centre.ravel()[at]
    present = _present(part, codes, steps.number)
    if len(present) < 2:
        return np.zeros(0, np.float32)
    slots = np.zeros(_CODES + 2 * steps.number + 1, np.int32)  # of a code + steps.number; slot 0 counts nothing
    slots[present + steps.number] = np.arange(1, len(present) + 1)
    counts = _box_counts(part, present, pad)  # (slots * rows', columns')
    across = part.shape[1]
    place = (at // columns + pad) * across + at % columns + pad
    area = part.size
    return _strongest(counts.reshape(-1), area, slots, codes.astype(np.int32) + steps.number, place, steps)


def _present(part: NDArray[np.int16], codes: NDArray[np.int16], reach: int) -> NDArray[np.int64]:
    """The codes in the tile's surroundings that are, or lie within `reach` of, one in the tile, and have such a neighbour."""
    around = np.bincount(part.ravel(), minlength=_NONE + 1)[:_CODES] > 0
    wanted = np.bincount(codes, minlength=_CODES) > 0
    near = np.convolve(wanted, np.ones(2 * reach + 1), "same") > 0
    return np.flatnonzero(around & near)


def _box_counts(part: NDArray[np.int16], present: NDArray[np.int64], pad: int) -> NDArray[np.uint16]:
    """((len(present) + 1) * rows, columns): how many pixels of each code lie in the box around; first nothing.

    The 0-1 pictures stand on top of each other; only rows and columns `pad` away from their edges are right.
    """
    rows = part.shape[0]
    stack = np.zeros((len(present) + 1, rows, part.shape[1]), np.uint8)
    np.equal(part[None], present.astype(np.int16)[:, None, None], out=stack[1:].view(bool))
    side = 2 * pad + 1
    counts = np.empty((stack.shape[0] * rows, stack.shape[2]), np.uint16)
    cv2.boxFilter(stack.reshape(counts.shape), cv2.CV_16U, (side, side), dst=counts, normalize=False, borderType=_ZERO)
    return counts


def _strongest(
    counts: NDArray[np.uint16],
    area: int,
    slots: NDArray[np.int32],
    shifted: NDArray[np.int32],
    place: NDArray[np.int64],
    steps: Steps,
) -> NDArray[np.float32]:
    """The largest c-value over the steps, for pixels at `place` with codes `shifted` (by the number of steps)."""
    of_code = counts[slots[shifted] * area + place].astype(np.float32)
    best = np.zeros(len(place), np.float32)
    for step in range(1, steps.number + 1):
        above = counts[slots[shifted + step] * area + place]
        below = counts[slots[shifted - step] * area + place]
        neighbour = np.maximum(above, below).astype(np.float32)
        value = _CONTRAST[step - 1] * of_code * neighbour / (neighbour + of_code)
        first, last = (limit + steps.number for limit in steps.limits(step))
        if shifted.max() > last or shifted.min() < first:
            value = np.where((shifted >= first) & (shifted <= last), value, 0)
        np.maximum(best, value, out=best)
    return best


def _by_codes(counted: Tensor, window: int, steps: Steps) -> Tensor:
    """The same for any device: a box filter of the whole picture for each code that occurs."""
    present = counted.unique().tolist()
    here = [c for c in present if c != _NONE]
    kept: dict[int, Tensor] = {}
    found = [counted.new_zeros(0, dtype=torch.float32)]
    for code in here:
        for c in range(code - steps.number, code + steps.number + 1):
            if c not in kept and c in here:
                kept[c] = _box_sum(counted == c, window)
        for old in [c for c in kept if c < code - steps.number]:
            del kept[old]
        found.append(_strongest_of(code, counted == code, kept, steps))
    return torch.cat(found)


def _box_sum(x: Tensor, window: int) -> Tensor:
    """(H, W) bool -> float32 counts in the box around each pixel, by an integral image."""
    pad = window // 2
    total = F.pad(x.to(torch.int32), (pad + 1, pad, pad + 1, pad)).cumsum(0).cumsum(1)
    down = total[window:] - total[:-window]
    return (down[:, window:] - down[:, :-window]).to(torch.float32)


def _strongest_of(code: int, where: Tensor, kept: dict[int, Tensor], steps: Steps) -> Tensor:
    of_code = kept[code][where]
    best = torch.zeros_like(of_code)
    for step in range(1, steps.number + 1):
        first, last = steps.limits(step)
        for other in (code + step, code - step):
            if other in kept and first <= code <= last:
                neighbour = kept[other][where]
                best = torch.maximum(best, _CONTRAST[step - 1] * of_code * neighbour / (neighbour + of_code))
    return best
