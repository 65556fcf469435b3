"""The affine map between two pictures: key points tell roughly, all samples together precisely.

SIFT key points (Lowe 2004) lie half a pixel to a pixel off in a starved encode, which looks like a shear of one or two per
cent. From their map on, the correlation of the whole pictures is maximised (ECC, Evangelidis & Psarakis 2008), to which
coding errors, which lie anywhere, are no bias.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_FAINT = 0.005  # contrast of key points, of full scale: blurred and dark pictures have no others
_INLIERS = 25
_STILL_PIXELS = 0.5  # at the pictures' size; a few key points in one place tell no more than that they stay
_STEPS, _STEP_GAIN, _BLUR = 50, 1e-4, 5
_MOST_MOVED = 8.0  # pixels at a corner, by which the whole pictures may correct the key points

Luma = NDArray[np.uint8]
Map = NDArray[np.float64]


def picture_map(distorted: Luma, reference: Luma) -> Map | None:
    """(2, 3) from distorted to reference coordinates (sample centres at + 0.5), of two pictures of one size; None where too
    little matches. The map of nothing moved is exact."""
    found = _of_key_points(distorted, reference)
    if found is None or plainly_whole(found, distorted.shape):
        return found
    return _of_all_samples(distorted, reference, found)


def plainly_whole(matrix: Map, shape: tuple[int, ...]) -> bool:
    """Whether the corners stay where they are within a third of a pixel."""
    return _at_corners(matrix, np.eye(2, 3), shape) < 1 / 3


def _of_key_points(distorted: Luma, reference: Luma) -> Map | None:
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


def _off(a: Map, b: Map, matrix: Map) -> float:
    """Median distance, in pixels, of points a from b once mapped."""
    return float(np.median(np.hypot(*(a @ matrix[:, :2].T + matrix[:, 2] - b).T)))


def _upright(a: Map, b: Map) -> Map:
    """The map of a to b that only scales and shifts. Key points that it explains within half a pixel are no sign of a turn or
    a shear, however a map that may turn fits the last of them."""
    matrix = np.zeros((2, 3))
    for axis in (0, 1):
        matrix[axis, axis], matrix[axis, 2] = np.polyfit(a[:, axis], b[:, axis], 1)
    return matrix


def _of_all_samples(distorted: Luma, reference: Luma, guess: Map) -> Map:
    """`guess` where the search does not converge near it."""
    to_centres = np.array([0.5, 0.5])
    start = guess.copy()
    start[:, 2] += start[:, :2] @ to_centres - to_centres
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _STEP_GAIN)
    nothing: Any = None
    try:
        _, found = cv2.findTransformECC(
            distorted, reference, start.astype(np.float32), cv2.MOTION_AFFINE, stop, nothing, _BLUR
        )
    except cv2.error:  # it does not converge
        return guess
    refined = np.asarray(found, np.float64)
    refined[:, 2] -= refined[:, :2] @ to_centres - to_centres
    return refined if _at_corners(refined, guess, distorted.shape) <= _MOST_MOVED else guess


def _at_corners(a: Map, b: Map, shape: tuple[int, ...]) -> float:
    """By how many pixels two maps differ at most, at a picture's corners and along one axis."""
    corners = np.array([[0, 0], [shape[1], 0], [0, shape[0]], [shape[1], shape[0]]], np.float64)
    return float(np.abs(corners @ (a - b)[:, :2].T + (a - b)[:, 2]).max())
