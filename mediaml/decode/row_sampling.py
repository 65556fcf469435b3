"""Small RGB pictures from every n-th row of the native planes: the "fast_bilinear" of Y'CbCr and grey pictures.

A decoded 1080p frame is 3.1 MB that no longer lie in the processor's nearer caches, and fetching them costs more than scaling
does. So rows are left out before anything is scaled: of luma every n-th is read, n the largest odd number that leaves 95 % of
the view's rows; of chroma likewise 75 % (4:2:0 itself has 50). Odd, so that the rows read lie in the middle of those they
stand for and both fields of an interlaced picture are seen. Between those rows, and between the columns nearest to a sample,
the value is interpolated linearly (OpenCV, INTER_LINEAR), plane by plane; the small planes become R'G'B' by the matrix and
range of the frame (Rec. ITU-T H.273). Chroma is taken as lying in the centre of its luma samples.

Two rows n apart keep noise and grain, as two neighbours do, but less of what aliases: benchmarks/results.md, "Decode".
"""

from __future__ import annotations

from functools import lru_cache

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.decode.colour import Source, luma_matrix
from mediaml.decode.planes import Plane, PlaneReader
from mediaml.frames import Colour
from mediaml.ops.colour import code_range, luma_weights

LUMA_SHARE, CHROMA_SHARE = 0.95, 0.75
LINE_BYTES = 64


@lru_cache(maxsize=256)
def sampled_rows(rows: int, target: int, share: float) -> slice:
    """Which of `rows` are read for `target` rows of a picture: at least `share` * `target`, evenly, from the middle out.

    Not exactly `target` of several: then every row of the picture would be a row of the source, and nothing would blend.
    """
    step = max(1, int(rows / max(1.0, share * target)))
    step -= 1 - step % 2
    while step > 1 and (rows // step < share * target or rows // step == target):
        step -= 2
    count = rows // step
    first = (rows - step * (count - 1) - 1) // 2
    return slice(first, first + step * (count - 1) + 1, step)


def rgb_matrix(colour: Colour, bit_depth: int, white: float) -> NDArray[np.float32]:
    """(3, 4): from Y', Cb, Cr code values and 1 to R', G', B' in [0, `white`]."""
    kr, kg, kb = luma_weights(luma_matrix(colour.matrix))
    codes = code_range(bit_depth, colour.range)
    luma, chroma = 1 / (codes.white - codes.black), 1 / codes.chroma_half_span
    red, blue = (1 - kr) * chroma, (1 - kb) * chroma
    linear = np.array([[luma, 0, red], [luma, -kb / kg * blue, -kr / kg * red], [luma, blue, 0]])
    offset = -linear @ [codes.black, codes.chroma_zero, codes.chroma_zero]
    return (white * np.column_stack([linear, offset])).astype(np.float32)


class RowSampler:
    """Makes pictures of one stream's frames; keeps what follows from their traits, and room for what lies between."""

    def __init__(self) -> None:
        self._reader = PlaneReader()
        self._for: tuple[Source | None, tuple[int, int], int] = (None, (0, 0), 0)
        self._parts: list[tuple[slice, NDArray]] = []  # of each plane: the rows read, the small plane
        self._merged = np.empty(0, np.uint8)
        self._matrix = np.empty(0, np.float32)

    def make(self, frame: av.VideoFrame, source: Source, size: tuple[int, int], white: int = 255) -> NDArray:
        """(H, W, 3) R'G'B' of `size` (W, H): uint8, or uint16 where `white` is above 255. Not for RGB sources."""
        planes, depth = self._reader.read(frame, source)
        if self._for != (source, size, white):
            self._prepare(planes, depth, source, size, white)
            self._for = (source, size, white)
        for plane, (rows, small) in zip(planes, self._parts, strict=False):
            read = plane[rows]
            if self._merged.dtype != read.dtype:
                read = read.astype(np.float32)
            else:
                read[:, ::LINE_BYTES].copy()  # asks for all cache lines at once; scaling waits for each
            cv2.resize(read, size, small, interpolation=cv2.INTER_LINEAR)
        cv2.merge([small for _, small in self._parts], self._merged)
        picture = cv2.transform(self._merged, self._matrix)
        if picture.dtype == np.uint8:
            return picture
        return np.rint(picture).clip(0, white).astype(np.uint8 if white == 255 else np.uint16)

    def _prepare(self, planes: list[Plane], depth: int, source: Source, size: tuple[int, int], white: int) -> None:
        width, height = size
        dtype = np.uint8 if depth == 8 and white == 255 else np.float32
        neutral = np.full((height, width), 1 << (depth - 1), dtype)  # what grey pictures have for chroma
        shares = (LUMA_SHARE, CHROMA_SHARE, CHROMA_SHARE)[: len(planes)]
        rows = [sampled_rows(p.shape[0], height, share) for p, share in zip(planes, shares, strict=True)]
        self._parts = [(r, np.empty_like(neutral)) for r in rows] + [(slice(0), neutral)] * (3 - len(planes))
        self._merged = np.empty((height, width, 3), dtype)
        self._matrix = rgb_matrix(source.colour, depth, white)
