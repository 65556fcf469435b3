"""Native pictures at the size of their chroma planes, as signals from black 0 to white 1: for levels and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.ops.colour import code_range, coded_luma, luma_weights

Signal = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ChromaSamples:
    """One picture. luma (h, w), nominal 0..1, not clamped; cb, cr (h, w) in -0.5..0.5, or None for grey; matrix as stated."""

    luma: Signal
    cb: Signal | None
    cr: Signal | None
    matrix: str

    def rgb(self, matrix: str | None = None) -> tuple[Signal, Signal, Signal] | None:
        """R', G', B' by `matrix` (the stated one by default), not clamped; None for grey, and where there is no such sum."""
        if self.cb is None or self.cr is None:
            return None
        try:
            kr, kg, kb = luma_weights(matrix or self.matrix)
        except InvalidValue:
            return None
        red = self.luma + np.float32(2 * (1 - kr)) * self.cr
        blue = self.luma + np.float32(2 * (1 - kb)) * self.cb
        green = (self.luma - np.float32(kr) * red - np.float32(kb) * blue) / np.float32(kg)
        return _signal(red), _signal(green), _signal(blue)


def _signal(values: NDArray[Any]) -> Signal:
    return np.asarray(values, np.float32)


def chroma_samples(batch: FrameBatch) -> list[ChromaSamples]:
    """One for each frame of a batch of native planes; luma is the mean of the samples that share a chroma sample.

    Point-sampled luma beside averaged chroma would leave R'G'B' at every coloured edge (EBU R 103 has signals filtered, too).
    """

    def make() -> list[ChromaSamples]:
        luma, bits = coded_luma(batch)
        codes = code_range(bits, batch.colour.range)
        planes = batch.planes
        grey = planes is None or planes.u is None or planes.v is None
        size = luma.shape[2:] if grey else planes.u.shape[2:]  # type: ignore[union-attr]
        y = np.stack([_at_size(picture, (int(size[1]), int(size[0]))) for picture in luma[:, 0].cpu().numpy()])
        y = (y - np.float32(codes.black)) / np.float32(codes.white - codes.black)
        if grey:
            return [ChromaSamples(picture, None, None, batch.colour.matrix) for picture in y]
        half = np.float32(2 * codes.chroma_half_span)
        assert planes is not None and planes.u is not None and planes.v is not None
        cb, cr = (
            (p[:, 0, : y.shape[1], : y.shape[2]].cpu().numpy().astype(np.float32) - np.float32(codes.chroma_zero))
            / half
            for p in (planes.u, planes.v)
        )
        return [ChromaSamples(*parts, batch.colour.matrix) for parts in zip(y, cb, cr, strict=True)]

    return batch.shared("artifacts.chroma_samples", make)


def _at_size(luma: NDArray[Any], size: tuple[int, int]) -> Signal:
    """(H, W) codes to float32 of `size` (width, height), by area."""
    if luma.shape == size[::-1]:
        return luma.astype(np.float32)
    codes = luma if luma.dtype == np.uint8 else luma.astype(np.float32)
    return np.asarray(cv2.resize(codes, size, interpolation=cv2.INTER_AREA), np.float32)
