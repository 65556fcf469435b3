"""PP-OCR's text recogniser: a picture of one line -> its characters, by connectionist temporal classification (CTC)."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.errors import WeightsCorrupt
from mediaml.nets.dnn_net import DnnNet
from mediaml.nets.onnx_tensors import onnx_metadata
from mediaml.nets.text_detector import Corners, sides

HEIGHT, LEAST_WIDTH, WIDTH_STEP, MOST_WIDTH = 48, 320, 160, 3200
"""Lines are 48 px high; their widths are filled up to few different ones, for which the engine keeps its plans."""
_UPRIGHT = 1.5  # a rectangle so many times higher than wide holds a line that runs downwards


class TextRecognizer:
    """Reads lines. Its characters are in the file's metadata: 18,708 of them for PP-OCRv6, mostly Chinese."""

    def __init__(self, path: Path) -> None:
        self._net = DnnNet(path)
        try:
            listed = onnx_metadata(path)["character"].splitlines()
        except KeyError:
            raise WeightsCorrupt(f"{path.name} has no list of characters in its metadata") from None
        self.characters = ["", *listed, " "]  # CTC's blank first, the space last

    def __call__(self, line: NDArray[np.uint8]) -> tuple[str, float]:
        """(h, w, 3) BGR of one line -> text ("" if nothing is read), mean probability of its characters."""
        wide = min(MOST_WIDTH, max(1, math.ceil(HEIGHT * line.shape[1] / line.shape[0])))
        filled = max(LEAST_WIDTH, -(-wide // WIDTH_STEP) * WIDTH_STEP)
        values = np.zeros((1, 3, HEIGHT, filled), np.float32)
        resized = cv2.resize(line, (wide, HEIGHT)).astype(np.float32)
        values[0, :, :, :wide] = ((resized / 255 - 0.5) / 0.5).transpose(2, 0, 1)
        chances = self._net(values)[0]  # (steps, characters)
        if chances.shape[1] != len(self.characters):
            raise WeightsCorrupt(
                f"the text recogniser tells {chances.shape[1]} characters apart, its metadata lists {len(self.characters)}"
            )
        return self.read(chances)

    def read(self, chances: NDArray[np.float32]) -> tuple[str, float]:
        """(steps, characters) probabilities -> the best path's text: repeats joined, blanks dropped."""
        best = chances.argmax(1)
        said = best != 0
        said[1:] &= best[1:] != best[:-1]
        if not said.any():
            return "", 0.0
        text = "".join(self.characters[i] for i in best[said]).strip()
        return text, float(chances.max(1)[said].mean()) if text else 0.0


def line_picture(picture: NDArray[np.uint8], corners: Corners) -> NDArray[np.uint8]:
    """The rectangle of a line set straight, (h, w, 3); one that is much higher than wide is turned to lie."""
    width, height = (max(1, round(s)) for s in sides(corners))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getPerspectiveTransform(corners, target)
    straight = cv2.warpPerspective(
        picture, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(np.rot90(straight) if height >= _UPRIGHT * width else straight).astype(np.uint8)
