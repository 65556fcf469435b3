"""Runs an ONNX file on the CPU with OpenCV's own engine: no package beside the required ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.errors import UsageError, WeightsCorrupt

LEAST_OPENCV = 5
"""Major version of OpenCV whose engine reads these files; earlier ones lack operators or dynamic shapes."""


class DnnNet:
    """One model. OpenCV's thread setting applies (the engine gives each worker its share).

    Raises UsageError where OpenCV is too old, WeightsCorrupt where the file cannot be read as ONNX.
    """

    def __init__(self, path: Path) -> None:
        if int(cv2.__version__.split(".")[0]) < LEAST_OPENCV:
            raise UsageError(
                f"{path.name} needs OpenCV {LEAST_OPENCV} or newer, this is {cv2.__version__}; "
                "run: pip install -U 'opencv-python-headless>=5'"
            )
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise WeightsCorrupt(f"{path.name} is not an ONNX model that OpenCV can read: {error.err}") from error

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first output for the first input; the array is the caller's own."""
        self._net.setInput(np.ascontiguousarray(values))
        return np.array(self._net.forward(), np.float32)
