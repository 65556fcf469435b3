"""When an encode begins, by its first picture at full size.

An intra picture inherits no error: nothing in it is older than its source. Against full-size pictures it fits the reference
frame that it was made of, also where a scene stands nearly still and thumbnails of it tell nothing (a difference of 0.2
squared codes a frame under a coding error of 14). Predicted pictures there show whichever earlier picture was cheapest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from mediaml.decode.alignment.path import CAP
from mediaml.decode.alignment.signal import Signal, Window
from mediaml.decode.frame_reader import TimedFrame, VideoFile
from mediaml.decode.kept import KeptFrames, frames_of
from mediaml.decode.lanes import Pictures
from mediaml.decode.report import DecodeReport
from mediaml.spec import View

_AROUND = 24  # reference frames to each side
_SLOW = 4.0  # squared codes a frame: where thumbnails move more, they tell
_FLOOR = 0.05  # squared codes: differences below are rounding
_WIDEST = 640

Luma = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """costs (k,): how much worse reference frames from `first` on fit the encode's first picture than the best of them, in
    units of what neighbours differ by, at most `CAP`."""

    first: int
    costs: NDArray[np.float64]

    def at(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of any reference frames; those beyond the ones looked at cost what the nearest of them does."""
        return self.costs[np.clip(frames - self.first, 0, len(self.costs) - 1)]


def find_anchor(
    files: Sequence[VideoFile],
    signals: Sequence[Signal],
    windows: Sequence[Window],
    start: int,
    max_pixels: int | None = None,
    kept: Sequence[KeptFrames] | None = None,
) -> Anchor | None:
    """Of (distorted, reference), where the alignment so far begins at reference frame `start`. None where thumbnails tell
    enough, or the encode does not begin with an intra picture. Decodes the reference up to there, unless frames are kept."""
    low, high = max(0, start - _AROUND), min(len(signals[1]), start + _AROUND + 1)
    if high - low < 2 or not _slow(signals[1], low, high):
        return None
    places = kept or (None, None)
    (shown,) = _pictures(files[0], range(1), windows[0], None, max_pixels, places[0]) or (None,)
    if shown is None:
        return None
    size = shown.shape[1], shown.shape[0]
    pictures = _pictures(files[1], range(low, high), windows[1], size, max_pixels, places[1])
    if len(pictures) < high - low:
        return None
    return Anchor(low, anchor_costs(shown, np.stack(pictures)))


def anchor_costs(shown: Luma, pictures: Luma) -> NDArray[np.float64]:
    """(h, w) and (k, h, w) luma -> (k,)."""
    misfits = np.array([((p - shown) ** 2).mean() for p in pictures], np.float64)
    steps = np.array([((b - a) ** 2).mean() for a, b in pairwise(pictures)], np.float64)
    return np.minimum((misfits - misfits.min()) / (np.median(steps) + _FLOOR), CAP)


def _slow(reference: Signal, low: int, high: int) -> bool:
    luma = reference.luma(slice(low, high))
    return bool(np.median((np.diff(luma, axis=0) ** 2).mean((1, 2))) < _SLOW)


def _pictures(
    file: VideoFile,
    wanted: range,
    window: Window,
    size: tuple[int, int] | None,
    max_pixels: int | None,
    kept: KeptFrames | None,
) -> list[Luma]:
    """8-bit luma of some frames; without a `size` of one intra picture alone, at most `_WIDEST` wide."""
    made, pictures = [], Pictures(file.video)
    for timed in frames_of(file, DecodeReport(), kept, max_pixels):
        if timed.index in wanted:
            if size is None and timed.frame.pict_type != PictureType.I:
                break
            made.append(_luma(timed, pictures, window, size))
        if timed.index >= wanted[-1]:
            break
    return made


def _luma(timed: TimedFrame, pictures: Pictures, window: Window, size: tuple[int, int] | None) -> Luma:
    (luma, *_), depth = pictures.make(View.luma(), timed.frame, pictures.source(timed.frame))
    high, wide = luma.shape
    rows = slice(round(window.top * high), round(window.bottom * high))
    columns = slice(round(window.left * wide), round(window.right * wide))
    part = luma[rows, columns].astype(np.float32) * np.float32(2.0 ** (8 - depth))
    if size is None:
        scale = min(1.0, _WIDEST / part.shape[1])
        size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    if size == (part.shape[1], part.shape[0]):
        return part
    shrinks = part.shape[1] > size[0]
    resized = cv2.resize(part, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, np.float32)
