"""The small picture that every frame-accurate detector looks at: one need, so that the decoder makes it once.

256x144 R'G'B' costs about a twentieth of a 1080p decode. "fast_bilinear" samples points, which keeps noise and grain: a
live picture of a still scene differs from frame to frame, a repeated one does not.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.frames import FrameBatch
from mediaml.spec import Need, View

WIDTH, HEIGHT = 256, 144
BLOCK = 8
BLOCKS = (HEIGHT // BLOCK, WIDTH // BLOCK)  # 18 rows, 32 columns
_BINS = 32
SMALL = Need(View.rgb(WIDTH, HEIGHT))

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def pictures(batch: FrameBatch) -> Bytes:
    """(N, 144, 256, 3) R'G'B' on the host."""

    def make() -> Bytes:
        view = batch.view(SMALL.view)  # type: ignore[arg-type]  # (N, 3, H, W), channels last in memory
        return np.ascontiguousarray(view.permute(0, 2, 3, 1).cpu().numpy())

    return batch.shared("artifacts.small", make)


def grey(batch: FrameBatch) -> Bytes:
    """(N, 144, 256) luma of the small picture, 0.299 R' + 0.587 G' + 0.114 B'."""

    def make() -> Bytes:
        rgb = pictures(batch)
        flat = cv2.cvtColor(rgb.reshape(-1, WIDTH, 3), cv2.COLOR_RGB2GRAY)
        return np.asarray(flat, np.uint8).reshape(len(rgb), HEIGHT, WIDTH)

    return batch.shared("artifacts.small_grey", make)


def block_means(batch: FrameBatch) -> Floats:
    """(N, 18, 32) means of 8x8 blocks of `grey`."""

    def make() -> Floats:
        values = grey(batch).reshape(-1, WIDTH).astype(np.float32)
        small = cv2.resize(values, (BLOCKS[1], len(values) // BLOCK), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32).reshape(-1, *BLOCKS)

    return batch.shared("artifacts.small_blocks", make)


def histogram(frame: Bytes) -> NDArray[np.float64]:
    """(32,) shares of the levels of an (H, W) picture, each shared with its neighbours."""
    counts = np.bincount(frame.ravel() >> 3, minlength=_BINS)
    return np.convolve(counts, (0.25, 0.5, 0.25), "same") / frame.size


class Change:
    """How much each frame differs from the one before; several detectors that see the same batches share the work."""

    def __init__(self) -> None:
        self._before: tuple[Bytes, Floats] | None = None

    def measure(self, batch: FrameBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N,) mean absolute difference of `grey`, and (N,) largest difference of a block mean; NaN for the first frame."""
        values = batch.shared("artifacts.small_change", lambda: self._compare(batch))
        self._before = (grey(batch)[-1].copy(), block_means(batch)[-1].copy())
        return values

    def _compare(self, batch: FrameBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        now, blocks = grey(batch), block_means(batch)
        before = self._before or (now[0], blocks[0])
        earlier = np.concatenate([before[0][None], now[:-1]])
        difference = cv2.absdiff(now.reshape(-1, WIDTH), earlier.reshape(-1, WIDTH))
        rows = cv2.reduce(difference, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).reshape(len(now), HEIGHT)
        mean = rows.mean(axis=1, dtype=np.float64)
        largest = np.abs(blocks - np.concatenate([before[1][None], blocks[:-1]])).max(axis=(1, 2)).astype(np.float64)
        if self._before is None:
            mean[0] = largest[0] = np.nan
        return mean, largest
