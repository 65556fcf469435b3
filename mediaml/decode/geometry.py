"""Where the distorted picture lies in the reference's: whole, a part of it, within bars; or shifted, turned: refused.

A few aligned, detailed pairs, all brought to one working size, give an affine map from the distorted picture to the
reference's (decode/picture_map.py). A crop on either side is undone to the even samples where the pictures differ least. A
map that is neither the whole, a part nor a frame of the other raises: a shift of a pixel halves VMAF, silently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.kept import KeptFrames, frames_of
from mediaml.decode.lanes import Pictures
from mediaml.decode.pair.pictures import Crop
from mediaml.decode.picture_map import picture_map, plainly_whole
from mediaml.decode.report import DecodeReport
from mediaml.errors import GeometryDiffers
from mediaml.spec import View

_WORKING_WIDTH = 640
_LOOKED_AT = (150, 1500)  # matched frames among which detailed ones are sought, the second where the first tell nothing
_PAIRS = 5
_TOLERANCE_PIXELS = 0.75  # at the working size
_TURN_DEGREES = 0.4
_SHEAR = 0.01
_BETTER = 0.97  # of the squared difference of the whole pictures
_MOST_MOVES = 4
_SMALLEST = 32

Crops = tuple[Crop | None, Crop | None]
Pairs = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]


class Span(NamedTuple):
    """Where the distorted picture begins and ends along one axis of the reference, which is [0, 1]."""

    start: float
    stop: float


@dataclass(frozen=True, slots=True)
class Geometry:
    """crops: parts of the distorted and of the reference picture that show the same; None for the whole. checked: whether
    the pictures told."""

    crops: Crops = (None, None)
    notes: tuple[str, ...] = ()
    checked: bool = True


def find_geometry(
    distorted: VideoFile,
    reference: VideoFile,
    alignment: Alignment,
    max_pixels: int | None = None,
    kept: Sequence[KeptFrames] | None = None,
) -> Geometry:
    """Decodes both files up to a few detailed pairs, or looks at the frames kept. Raises GeometryDiffers."""
    sizes = [(f.video.width, f.video.height) for f in (distorted, reference)]
    if min(min(s) for s in sizes) < _SMALLEST:
        return Geometry(notes=("geometry not checked: the pictures are too small",), checked=False)
    maps: list[NDArray[np.float64]] = []
    pairs: Pairs = []
    for chosen in _choices(alignment):
        if not maps:
            pairs = _pairs(distorted, reference, chosen, max_pixels, kept)
            maps = _maps(pairs)
    if not maps:
        return Geometry(notes=("geometry not checked: too little detail in the pictures",), checked=False)
    matrix = np.median(np.stack(maps), axis=0)
    working = _working_size(sizes[0], sizes[1])
    _refuse_turned(matrix, distorted.path)
    spans = [_span(matrix, axis, working) for axis in (0, 1)]
    tolerance = [_TOLERANCE_PIXELS / w for w in working]
    for axis, span in enumerate(spans):
        _refuse_shifted(span, tolerance[axis], axis, sizes[1][axis], distorted.path)
    crops = _crops(spans, tolerance, sizes[0], sizes[1])
    if not any(crops):
        return Geometry()
    crops = _nearby(pairs, crops, sizes)
    return Geometry(crops, _notes(crops)) if _fits_better(pairs, crops, sizes) else Geometry()


def _span(matrix: NDArray[np.float64], axis: int, working: tuple[int, int]) -> Span:
    """Half-way across the picture: what is left of a turn or a shear moves opposite edges to opposite sides."""
    size, begin = working[axis], matrix[axis, 2] + matrix[axis, 1 - axis] * working[1 - axis] / 2
    return Span(begin / size, (matrix[axis, axis] * size + begin) / size)


def _fits_better(pairs: Pairs, crops: Crops, sizes: list[tuple[int, int]]) -> bool:
    """Whether the pictures differ less within the crops than whole: key points of a blurred picture, half a pixel off, can
    make a crop of two lines where there is none, and that costs 5 VMAF."""
    return _difference(pairs, crops, sizes) < _BETTER * _difference(pairs, (None, None), sizes)


def _nearby(pairs: Pairs, crops: Crops, sizes: list[tuple[int, int]]) -> Crops:
    """The crops moved by even samples to where the pictures differ least: key points may lie a pixel off."""
    best, least = crops, _difference(pairs, crops, sizes)
    for _ in range(_MOST_MOVES):
        for moved in _moved(best, sizes):
            found = _difference(pairs, moved, sizes)
            if found < least:
                crops, least = moved, found
        if crops == best:
            break
        best = crops
    return best


def _moved(crops: Crops, sizes: list[tuple[int, int]]) -> list[Crops]:
    """Each of the crops two samples further to either side, where the picture goes on there."""
    found: list[Crops] = []
    for side, crop in enumerate(crops):
        if crop is None:
            continue
        wide, high = sizes[side]
        for x, y in ((-2, 0), (2, 0), (0, -2), (0, 2)):
            moved = Crop(crop.x + x, crop.y + y, crop.width, crop.height)
            if moved.x >= 0 and moved.y >= 0 and moved.x + moved.width <= wide and moved.y + moved.height <= high:
                found.append((moved, crops[1]) if side == 0 else (crops[0], moved))
    return found


def _difference(pairs: Pairs, crops: Crops, sizes: list[tuple[int, int]]) -> float:
    """The median squared difference of the pairs within the crops."""
    found = []
    for pair in pairs:
        parts = [_part(p, crop, size) for p, crop, size in zip(pair, crops, sizes, strict=True)]
        found.append(float(((parts[0] - parts[1]) ** 2).mean()))
    return float(np.median(found))


def _part(picture: NDArray[np.uint8], crop: Crop | None, size: tuple[int, int]) -> NDArray[np.float32]:
    """The part of a picture at the working size, stretched to that size; the crop is of a picture of `size` (w, h)."""
    high, wide = picture.shape
    part = Crop(0, 0, *size) if crop is None else crop
    across, down = wide / size[0], high / size[1]
    scale = (part.width * across / wide, part.height * down / high)
    matrix = np.array([[scale[0], 0, part.x * across], [0, scale[1], part.y * down]], np.float32)
    matrix[:, 2] += 0.5 * (np.array(scale) - 1)  # from centres of samples
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(
        picture.astype(np.float32), matrix, (wide, high), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(made, np.float32)


def _choices(alignment: Alignment) -> list[NDArray[np.int64]]:
    """A few detailed pairs: the earliest, and some from further on."""
    pairs = alignment.pairs()
    chosen = []
    for count, every in zip(_LOOKED_AT, (1, _LOOKED_AT[1] // _LOOKED_AT[0]), strict=True):
        near = pairs[:count:every]
        detail = alignment.detail[near[:, 0]]
        good = np.flatnonzero(detail >= 0.6 * detail.max())
        chosen.append(near[good[np.unique(np.linspace(0, min(len(good) - 1, 24), _PAIRS).astype(int))]])
    return chosen


def _maps(pairs: Pairs) -> list[NDArray[np.float64]]:
    """Of those pairs that tell; one is enough where it is plain that nothing moved."""
    maps = []
    for a, b in pairs:
        found = picture_map(a, b)
        if found is not None:
            maps.append(found)
            if plainly_whole(found, a.shape):
                break
    return maps


def _pairs(
    distorted: VideoFile,
    reference: VideoFile,
    chosen: NDArray[np.int64],
    max_pixels: int | None,
    kept: Sequence[KeptFrames] | None,
) -> Pairs:
    """Luma of aligned pairs at the working size."""
    working = _working_size(*((f.video.width, f.video.height) for f in (distorted, reference)))
    sides = [
        _pictures(file, set(chosen[:, column].tolist()), working, max_pixels, kept[column] if kept else None)
        for column, file in enumerate((distorted, reference))
    ]
    return [(sides[0][i], sides[1][j]) for i, j in chosen.tolist() if i in sides[0] and j in sides[1]]


def _pictures(
    file: VideoFile, wanted: set[int], size: tuple[int, int], max_pixels: int | None, kept: KeptFrames | None
) -> dict[int, NDArray[np.uint8]]:
    pictures, found, last = Pictures(file.video), {}, max(wanted)
    for timed in frames_of(file, DecodeReport(), kept, max_pixels):
        if timed.index in wanted:
            (luma, *_), depth = pictures.make(View.luma(), timed.frame, pictures.source(timed.frame))
            eight = luma if depth == 8 else np.right_shift(luma, depth - 8).astype(np.uint8)
            shrinks = luma.shape[1] > size[0]
            found[timed.index] = cv2.resize(
                np.ascontiguousarray(eight), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            )
        if timed.index >= last:
            break
    return found


def _working_size(distorted: tuple[int, int], reference: tuple[int, int]) -> tuple[int, int]:
    """(w, h): the reference's, at most `_WORKING_WIDTH` wide; both whole pictures are stretched to it."""
    width = min(_WORKING_WIDTH, max(distorted[0], reference[0]))
    return width, max(_SMALLEST, round(width * reference[1] / reference[0]))


def _refuse_turned(matrix: NDArray[np.float64], path: str) -> None:
    degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    if abs(degrees) > _TURN_DEGREES:
        raise GeometryDiffers(
            path, f"is turned by {abs(degrees):.1f} degrees against its reference; turn it back before scoring"
        )
    if abs(matrix[0, 1]) > _SHEAR or abs(matrix[1, 0]) > _SHEAR:
        raise GeometryDiffers(path, "is sheared against its reference; a score would not mean anything")


def _refuse_shifted(span: Span, tolerance: float, axis: int, pixels: int, path: str) -> None:
    inside = span.start >= -tolerance and span.stop <= 1 + tolerance
    around = span.start <= tolerance and span.stop >= 1 - tolerance
    if inside or around:
        return
    by = (span.start + span.stop - 1) / 2 * pixels
    way = (("left", "right"), ("up", "down"))[axis][int(by < 0)]
    raise GeometryDiffers(
        path,
        f"is shifted by {abs(by):.1f} pixels {way} against its reference; shift it back before scoring "
        "(a shift of one pixel halves most scores)",
    )


def _crops(spans: list[Span], tolerance: list[float], distorted: tuple[int, int], reference: tuple[int, int]) -> Crops:
    parts: list[list[tuple[int, int]]] = [[], []]  # of the distorted, of the reference: (start, length) along x, y
    for axis, span in enumerate(spans):
        start = span.start if span.start > tolerance[axis] else 0.0
        stop = span.stop if span.stop < 1 - tolerance[axis] else 1.0
        of_reference = _whole_samples(start, stop, reference[axis], distorted[axis])
        length = span.stop - span.start
        low = -span.start / length if span.start < -tolerance[axis] else 0.0
        high = (1 - span.start) / length if span.stop > 1 + tolerance[axis] else 1.0
        parts[0].append(_whole_samples(low, high, distorted[axis], reference[axis]))
        parts[1].append(of_reference)
    crops = [Crop(part[0][0], part[1][0], part[0][1], part[1][1]) for part in parts]
    whole = [(c.width, c.height) == size for c, size in zip(crops, (distorted, reference), strict=True)]
    return None if whole[0] else crops[0], None if whole[1] else crops[1]


def _notes(crops: Crops) -> tuple[str, ...]:
    what = (
        "the distorted picture has bars around the other's picture",
        "the reference picture has more than the distorted picture shows",
    )
    return tuple(
        f"{text}: compared within {crop.width}x{crop.height} at ({crop.x}, {crop.y})"
        for text, crop in zip(what, crops, strict=True)
        if crop is not None
    )


def _whole_samples(start: float, stop: float, size: int, other: int) -> tuple[int, int]:
    """(first sample, count), even, of [start, stop] of `size`; the `other` picture's count where it is that within 1 %."""
    if start == 0.0 and stop == 1.0:
        return 0, size
    length = (stop - start) * size
    count = (
        other
        if abs(length - other) <= max(2.0, 0.01 * size) and other <= size and other % 2 == 0
        else 2 * round(length / 2)
    )
    middle = (start + stop) / 2 * size
    first = 2 * round((middle - count / 2) / 2)
    return max(0, min(first, size - count)), count
