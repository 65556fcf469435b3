"""What swscale's "fast_bilinear" does to horizontal positions, and how to undo it."""

from __future__ import annotations

from functools import lru_cache

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from mediaml.decode.planes import plane_array

FAST_BILINEAR = Interpolation.FAST_BILINEAR | Interpolation.FULL_CHR_H_INT
_ROWS = 16
_SPARE = 2


@lru_cache(maxsize=256)
def spare_columns(pixel_format: str, source: int, target: int) -> int:
    """How many columns to scale and throw away on the right so that the picture keeps its horizontal position: 0 or 2.

    On x86, swscale's fast scaler steps by (source - 2) / (target - 2) samples where source / target is right, so its
    picture is stretched by two columns; with two more columns to make, the step is right. Whether it does so depends on
    the processor and the sizes, so a ramp is scaled both ways once, and the better one is taken.
    """
    if min(source, target) < 8:
        return 0
    grey = np.tile(np.linspace(16, 235, source).astype(np.uint8), (_ROWS, 1))
    ramp = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format=pixel_format)
    expected = _line(_row(ramp, source, Interpolation.AREA), source)

    def error(spare: int) -> float:
        made = _line(_row(ramp, target + spare, FAST_BILINEAR)[:target], target)
        return float(np.abs(made - expected).sum())

    return min((0, _SPARE), key=error)


def _row(frame: av.VideoFrame, width: int, flags: Interpolation) -> np.ndarray:
    """One row of the red channel of `frame` at `width`."""
    made = VideoReformatter().reformat(frame, width, _ROWS, "rgb24", interpolation=flags, threads=1)
    return plane_array(made, 0, 8, samples=3)[_ROWS // 2, 0::3].astype(float)


def _line(row: np.ndarray, width: int) -> np.ndarray:
    """(2,) the values at the picture's left and right edge of the line fitted to `row`, without its outermost samples."""
    places = (np.arange(width) + 0.5) / width
    return np.polyval(np.polyfit(places[1:-1], row[1:-1], 1), np.array([0.0, 1.0]))
