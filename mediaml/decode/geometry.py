"""Where the distorted picture lies in the reference's: whole, a part of it, within bars; or shifted, turned: refused.

SIFT key points (Lowe 2004) of a few aligned, detailed pairs give an affine map from the distorted picture to the reference's,
both brought to one working size; RANSAC leaves out what moved. A crop on either side is undone to the nearest even sample. A
map that is neither the whole, a part nor a frame of the other raises: a shift of a pixel halves VMAF, silently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.kept import KeptFrames, frames_of
from mediaml.decode.lanes import Pictures
from mediaml.decode.pair.pictures import Crop
from mediaml.decode.report import DecodeReport
from mediaml.errors import GeometryDiffers
from mediaml.spec import View

_WORKING_WIDTH = 640
_LOOKED_AT = (150, 1500)  # matched frames among which detailed ones are sought, the second where the first tell nothing
_FAINT = 0.005  # contrast of key points, of full scale: blurred and dark pictures have no others
_PAIRS = 3
_INLIERS = 25
_TOLERANCE_PIXELS = 0.75  # at the working size
_STILL_PIXELS = 0.5  # the same; a few key points in one place tell no more than that they stay
_TURN_DEGREES = 0.4
_SHEAR = 0.01
_BETTER = 0.97  # of the squared difference of the whole pictures
_SMALLEST = 32


class Span(NamedTuple):
    """Where the distorted picture begins and ends along one axis of the reference, which is [0, 1]."""

    start: float
    stop: float


@dataclass(frozen=True, slots=True)
class Geometry:
    """crops: parts of the distorted and of the reference picture that show the same; None for the whole. checked: whether
    the pictures told."""

    crops: tuple[Crop | None, Crop | None] = (None, None)
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
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    for chosen in _choices(alignment):
        if not maps:
            pairs = _pairs(distorted, reference, chosen, max_pixels, kept)
            maps = _maps(pairs)
    if not maps:
        return Geometry(notes=("geometry not checked: too little detail in the pictures",), checked=False)
    matrix = np.median(np.stack(maps), axis=0)
    working = _working_size(sizes[0], sizes[1])
    _refuse_turned(matrix, distorted.path)
    spans = [
        Span(matrix[axis, 2] / working[axis], (matrix[axis, axis] * working[axis] + matrix[axis, 2]) / working[axis])
        for axis in (0, 1)
    ]
    tolerance = [_TOLERANCE_PIXELS / w for w in working]
    for axis, span in enumerate(spans):
        _refuse_shifted(span, tolerance[axis], axis, sizes[1][axis], distorted.path)
    found = _crops(spans, tolerance, sizes[0], sizes[1])
    return found if not any(found.crops) or _fits_better(pairs, found.crops, sizes) else Geometry()


def _fits_better(
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    crops: tuple[Crop | None, Crop | None],
    sizes: list[tuple[int, int]],
) -> bool:
    """Whether the pictures differ less within the crops than whole: key points of a blurred picture, half a pixel off, can
    make a crop of two lines where there is none, and that costs 5 VMAF."""
    whole, within = [], []
    for pair in pairs:
        whole.append(float(((pair[0].astype(np.float32) - pair[1]) ** 2).mean()))
        parts = [_part(p, crop, size) for p, crop, size in zip(pair, crops, sizes, strict=True)]
        within.append(float(((parts[0] - parts[1]) ** 2).mean()))
    return float(np.median(within)) < _BETTER * float(np.median(whole))


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


def _maps(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> list[NDArray[np.float64]]:
    """Of those pairs that tell; one is enough where it is plain that nothing moved."""
    maps = []
    for a, b in pairs:
        found = _affine(a, b)
        if found is not None:
            maps.append(found)
            if _plainly_whole(found, a.shape):
                break
    return maps


def _pairs(
    distorted: VideoFile,
    reference: VideoFile,
    chosen: NDArray[np.int64],
    max_pixels: int | None,
    kept: Sequence[KeptFrames] | None,
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
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


def _affine(distorted: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """(2, 3) from distorted to reference coordinates (sample centres at + 0.5); None where too little matches."""
    finder: Any = cv2.SIFT.create(nfeatures=1200, contrastThreshold=_FAINT)
    found = [finder.detectAndCompute(p, None) for p in (distorted, reference)]
    if any(d is None or len(d) < _INLIERS for _, d in found):
        return None
    matches = cv2.BFMatcher(cv2.NORM_L2).knnMatch(found[0][1], found[1][1], k=2)
    good = [m[0] for m in matches if len(m) == 2 and m[0].distance < 0.75 * m[1].distance]
    if len(good) < _INLIERS:
        return None
    a = np.array([found[0][0][m.queryIdx].pt for m in good]) + 0.5
    b = np.array([found[1][0][m.trainIdx].pt for m in good]) + 0.5
    matrix, inliers = cv2.estimateAffine2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=1.5, maxIters=4000)
    if matrix is None or int(inliers.sum()) < max(_INLIERS, 0.3 * len(good)):
        return None
    found_map, whole = np.asarray(matrix, np.float64), np.eye(2, 3)
    kept, shown = a[inliers.ravel() > 0], b[inliers.ravel() > 0]  # where the key points are, not at the corners
    if _off(kept, kept, found_map) < _STILL_PIXELS:
        return whole
    upright = _upright(kept, shown)
    return upright if _off(kept, shown, upright) < _STILL_PIXELS else found_map


def _off(a: NDArray[np.float64], b: NDArray[np.float64], matrix: NDArray[np.float64]) -> float:
    """Median distance, in pixels, of points a from b once mapped."""
    return float(np.median(np.hypot(*(a @ matrix[:, :2].T + matrix[:, 2] - b).T)))


def _upright(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map of a to b that only scales and shifts. Key points that it explains within half a pixel are no sign of a turn or
    a shear, however a map that may turn fits the last of them."""
    matrix = np.zeros((2, 3))
    for axis in (0, 1):
        matrix[axis, axis], matrix[axis, 2] = np.polyfit(a[:, axis], b[:, axis], 1)
    return matrix


def _plainly_whole(matrix: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether the corners stay where they are within a third of a pixel: then one pair is enough."""
    corners = np.array([[0, 0], [shape[1], 0], [0, shape[0]], [shape[1], shape[0]]], np.float64)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    return bool(np.abs(moved - corners).max() < 1 / 3)


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


def _crops(
    spans: list[Span], tolerance: list[float], distorted: tuple[int, int], reference: tuple[int, int]
) -> Geometry:
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
    crops, notes = [], []
    for part, size, name in zip(parts, (distorted, reference), ("distorted", "reference"), strict=True):
        crop = Crop(part[0][0], part[1][0], part[0][1], part[1][1])
        whole = (crop.width, crop.height) == size
        crops.append(None if whole else crop)
        if not whole:
            other = (
                "bars around the other's picture" if name == "distorted" else "more than the distorted picture shows"
            )
            notes.append(
                f"the {name} picture has {other}: compared within {crop.width}x{crop.height} at ({crop.x}, {crop.y})"
            )
    return Geometry((crops[0], crops[1]), tuple(notes))


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
