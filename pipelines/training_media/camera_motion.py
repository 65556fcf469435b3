"""Picture -> clip: a moving camera over a still picture, with parallax, moving things, captions and film grain.

Everything is drawn at sub-pixel positions from a mip level of the picture, at twice the size, and then averaged 2x2: no
aliasing and no sharpness that comes and goes. The same seed gives the same clip on every machine with the same OpenCV.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # (H, W, 3) RGB
_SUPERSAMPLING = 2
SHARP, SOFT = (1.0, 3.5), (0.4, 1.0)  # source pixels an output pixel covers
_CAPTIONS = (
    "The quick brown fox",
    "LIVE 21:45",
    "Season 2, Episode 7",
    "- What did you say?",
    "42 %",
    "mediaml 0123456789",
)


@dataclass(frozen=True, slots=True)
class CameraPath:
    """How the camera moves; `t` runs from 0 to 1 over the clip.

    centre             (x, y) in source pixels at t = 0
    travel             (x, y) in source pixels over the clip
    source_per_pixel   source pixels an output pixel covers at t = 0 (1: as sharp as the picture gets)
    zoom               factor on source_per_pixel over the clip
    turn_degrees       rotation at t = 0, and over the clip
    shake_pixels       amplitude of the hand's tremor, output pixels
    """

    centre: tuple[float, float]
    travel: tuple[float, float]
    source_per_pixel: float
    zoom: float
    turn_degrees: tuple[float, float]
    shake_pixels: float

    def matrix(self, t: float, size: tuple[int, int]) -> NDArray[np.float64]:
        """(2, 3): output pixel of a (width, height) frame -> source pixel."""
        scale = self.source_per_pixel * self.zoom**t
        angle = math.radians(self.turn_degrees[0] + self.turn_degrees[1] * t)
        shake = [self.shake_pixels * math.sin(k * t + p) for k, p in ((23.0, 0.3), (31.0, 1.9))]
        a, b = scale * math.cos(angle), scale * math.sin(angle)
        x = self.centre[0] + self.travel[0] * t + scale * shake[0]
        y = self.centre[1] + self.travel[1] * t + scale * shake[1]
        cx, cy = (size[0] - 1) / 2, (size[1] - 1) / 2
        return np.array([[a, -b, x - a * cx + b * cy], [b, a, y - b * cx - a * cy]])


def camera_path(
    picture_size: tuple[int, int],
    size: tuple[int, int],
    rng: np.random.Generator,
    source_per_pixel: tuple[float, float] = SHARP,
) -> CameraPath:
    """A path that stays over a (width, height) picture: one in four stands still, the others pan, zoom or turn slowly."""
    room = min(picture_size[0] / size[0], picture_size[1] / size[1]) / 1.15
    scale = float(np.clip(rng.uniform(*source_per_pixel), 0.25, max(room, 0.25)))
    half = scale * np.array(size) / 2 * 1.1
    low, high = half, np.maximum(np.array(picture_size) - half, half + 1)
    start = rng.uniform(low, high)
    still = rng.random() < 0.25
    speed = 0.0 if still else rng.exponential(0.12) * scale * size[0]  # source pixels over the clip
    direction = rng.uniform(0, 2 * math.pi)
    end = np.clip(start + speed * np.array([math.cos(direction), math.sin(direction)]), low, high)
    turning = not still and rng.random() < 0.3
    return CameraPath(
        centre=(float(start[0]), float(start[1])),
        travel=(float(end[0] - start[0]), float(end[1] - start[1])),
        source_per_pixel=scale,
        zoom=1.0 if still or rng.random() < 0.5 else float(np.exp(rng.normal(0, 0.12))),
        turn_degrees=(float(rng.normal(0, 3)), float(rng.normal(0, 3))) if turning else (0.0, 0.0),
        shake_pixels=0.0 if still or rng.random() < 0.6 else float(rng.uniform(0.2, 1.5)),
    )


def clip(
    pictures: Sequence[Frame], size: tuple[int, int], frames: int, seed: int, *, plain: bool = False, soft: bool = False
) -> Iterator[Frame]:
    """`frames` frames (H, W, 3) uint8 RGB of `size` (width, height), `pictures[0]` behind, the others moving before it.

    The camera looks where there is detail: at the busiest of four places. With other pictures given, half of the clips
    have a soft-edged piece of one as a foreground that moves faster (parallax); a third have a caption, a fifth film
    grain, a tenth a change of brightness. `plain` leaves only the camera's motion;
    `soft` comes so close that the picture is no longer sharp.
    """
    rng = np.random.default_rng(seed)
    paths = [camera_path(_size(pictures[0]), size, rng, SOFT if soft else SHARP) for _ in range(4)]
    back = _Layer(pictures[0], max(paths, key=lambda path: _detail(pictures[0], path, size)), size)
    front = None
    if not plain and len(pictures) > 1 and rng.random() < 0.5:
        front = _foreground(pictures[1 + int(rng.integers(len(pictures) - 1))], size, rng)
    caption = _caption(size, rng) if not plain and rng.random() < 0.33 else None
    ink = 235.0 if rng.random() < 0.7 else 20.0
    grain = float(rng.uniform(1, 5)) if not plain and rng.random() < 0.2 else 0.0
    fade = float(rng.normal(0, 0.3)) if not plain and rng.random() < 0.1 else 0.0
    for i in range(frames):
        t = i / max(frames - 1, 1)
        shown = back.draw(t).astype(np.float32)
        if front is not None:
            shown = front.over(shown, t)
        if caption is not None:
            shown += caption * np.float32(ink) - caption * shown
        if fade:
            shown *= 1 + fade * (t - 0.5)
        if grain:
            shown += rng.normal(0, grain, (*shown.shape[:2], 1)).astype(np.float32)
        yield np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def _detail(picture: Frame, path: CameraPath, size: tuple[int, int]) -> float:
    """Mean gradient of what the camera sees first, at a quarter of the size."""
    small = max(size[0] // 4, 1), max(size[1] // 4, 1)
    matrix = path.matrix(0.0, size) @ np.array([[4.0, 0, 1.5], [0, 4.0, 1.5], [0, 0, 1]])
    seen = cv2.warpAffine(picture, matrix, small, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return float(np.abs(np.diff(seen[..., 1].astype(np.float32), axis=1)).mean())


class _Layer:
    """A picture seen by a moving camera."""

    def __init__(self, picture: Frame, path: CameraPath, size: tuple[int, int]) -> None:
        step = min(path.source_per_pixel, path.source_per_pixel * path.zoom) / _SUPERSAMPLING
        level = max(1.0, step)  # source pixels a pixel of the mip level
        if level > 1.0:
            small = (max(1, round(picture.shape[1] / level)), max(1, round(picture.shape[0] / level)))
            self._picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        else:
            self._picture = picture
        self._level = (picture.shape[1] / self._picture.shape[1], picture.shape[0] / self._picture.shape[0])
        self._path, self._size = path, size

    def draw(self, t: float) -> Frame:
        """(H, W, 3) uint8."""
        return cv2.resize(self.warped(self._picture, t), self._size, interpolation=cv2.INTER_AREA).astype(np.uint8)

    def warped(self, picture: NDArray, t: float, border: int = cv2.BORDER_REFLECT_101) -> NDArray:
        """`picture` (of the mip level's size) as the camera sees it, at twice the size."""
        large = (self._size[0] * _SUPERSAMPLING, self._size[1] * _SUPERSAMPLING)
        # the source position of a fine sample: p_out = (p_fine + 0.5) / 2 - 0.5, then centre to centre of the mip level
        m = self._path.matrix(t, self._size)
        m[:, 2] += m[:, :2] @ np.full(2, 0.5 / _SUPERSAMPLING - 0.5)
        m[:, :2] /= _SUPERSAMPLING
        for row, level in enumerate(self._level):
            m[row, 2] = (m[row, 2] + 0.5) / level - 0.5
            m[row, :2] /= level
        return cv2.warpAffine(picture, m, large, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=border)


class _Foreground(_Layer):
    """A soft-edged piece of a picture that moves before the background."""

    def __init__(self, picture: Frame, path: CameraPath, size: tuple[int, int], mask: Frame) -> None:
        super().__init__(picture, path, size)
        self._mask = cv2.resize(mask, (self._picture.shape[1], self._picture.shape[0]), interpolation=cv2.INTER_LINEAR)

    def over(self, shown: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        mask = cv2.resize(self.warped(self._mask, t, cv2.BORDER_CONSTANT), self._size, interpolation=cv2.INTER_AREA)
        share = mask.astype(np.float32)[..., None] / 255
        return (shown + share * (self.draw(t) - shown)).astype(np.float32)


def _foreground(picture: Frame, size: tuple[int, int], rng: np.random.Generator) -> _Foreground:
    path = camera_path(_size(picture), size, rng)
    reach = path.source_per_pixel * min(size)
    angle, speed = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.6) * reach
    path = replace(path, travel=(speed * math.cos(angle), speed * math.sin(angle)), zoom=1.0)
    mask = np.zeros(picture.shape[:2], np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        centre = np.array(path.centre) + rng.normal(0, 0.25, 2) * reach
        axes = rng.uniform(0.06, 0.25, 2) * reach
        box = (centre.tolist(), (2 * axes).tolist(), float(rng.uniform(0, 180)))
        cv2.ellipse(mask, box, 255, -1)
    soft = rng.uniform(0.5, 3.0) * path.source_per_pixel
    return _Foreground(picture, path, size, cv2.GaussianBlur(mask, (0, 0), soft).astype(np.uint8))


def _caption(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """(H, W, 1) coverage of one line of text, antialiased by drawing at four times the size."""
    large = np.zeros((size[1] * 4, size[0] * 4), np.uint8)
    text = _CAPTIONS[int(rng.integers(len(_CAPTIONS)))]
    height = float(rng.uniform(0.6, 1.6)) * size[1] / 90
    place = (int(rng.uniform(0.02, 0.4) * large.shape[1]), int(rng.uniform(0.15, 0.95) * large.shape[0]))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    cv2.putText(large, text, place, font, height, 255, max(1, round(height * 2)), cv2.LINE_AA)
    return cv2.resize(large, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] * np.float32(1 / 255)


def _size(picture: Frame) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]
