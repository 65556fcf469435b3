"""Encodes whose sources are known, with the VMAF that a no-reference model should predict of them.

    python -m pipelines.nr_data DATA --shared ../shared/data --clips 3 --encodes 4 --parts train test
    python -m pipelines.nr_data DATA --shared ../shared/data --round 2 --clips 3 --encodes 5 --parts train
    python -m pipelines.nr_data DATA --shared ../shared/data --round 3 --clips 1 --encodes 4 --parts train
    python -m pipelines.nr_data DATA --shared ../shared/data --round 4 --clips 1 --encodes 3 --parts train

Sources (nr_sources.py) are windows of licensed pictures under a moving camera at native scale, and of real clips of the
shared data folder where it is named. A window of 512x288 stands for a piece of a 1080-line picture: quality then concerns
pixels, and an encode costs a fourteenth of a whole picture's. Each window is spoiled (noise, blur, an earlier encode, an
upscale), scaled and encoded (nr_recipes.py): in the first round by x264, x265, SVT-AV1 or VP9, in the second by any of
nr_encoders.py, in the third the same with much noise and more sizes, in the fourth by AV1's encoders. VMAF is libvmaf's
(v0.6.1, out of the package imageio-ffmpeg), at the window's size after a bicubic upscale and at the encode's own size
against the reference scaled to it; the reference is what went into the encoder, spoiled as it was, or the source.

One .npz an encode: the encoded file and these four labels a frame. What a model sees of it is found when it is read
(nr_encodes.py). Sources of the parts "test", "test2" and "test3" are never trained on; in them stand also sizes that no
training encode has, and more AV1 than in training: a model that is fitted without it is measured on a codec it never saw.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from mediaml.engine.upscale.encoder import keeping_priority
from pipelines import nr_encoders
from pipelines.nr_recipes import (
    PRESETS,
    Recipe,
    draw_av1_recipe,
    draw_noisy_recipe,
    draw_recipe,
    draw_wider_recipe,
    scaled,
    spoiled,
)
from pipelines.nr_sources import (
    PARTS,
    ROUNDS,
    Source,
    added_sources,
    fresh_sources,
    picture_sources,
    real_sources,
    reserved_sources,
    still_sources,
)
from pipelines.training_media import encodes
from pipelines.training_media.encodes import Codec, Planes

PARTS_MADE = {1: ("train", "test"), 2: PARTS[:3], 3: ("train", "test3"), 4: ("train",)}  # by each round
LABELS = ("vmaf_of_input", "vmaf_of_input_own_size", "vmaf_of_source", "vmaf_of_source_own_size")


def vmaf(encode: Path, source: Path, size: tuple[int, int], folder: Path) -> list[float]:
    """libvmaf's VMAF v0.6.1 a frame; the encode is brought to the source's (width, height), bicubic, and to limited range."""
    import imageio_ffmpeg

    width, height = size
    graph = (
        f"[0:v]scale={width}:{height}:flags=bicubic:out_range=tv,format=yuv420p,setpts=N/25/TB[d];[1:v]setpts=N/25/TB[r];"
        f"[d][r]libvmaf=log_fmt=json:log_path={folder / 'vmaf.json'}:n_threads=1"
    )
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", "25", "-i", str(source)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1", "-i", str(encode), *raw]
    subprocess.run([*command, "-filter_complex_threads", "1", "-lavfi", graph, "-f", "null", "-"], check=True)
    return [f["metrics"]["vmaf"] for f in json.loads((folder / "vmaf.json").read_text())["frames"]]


def make(source: Source, recipe: Recipe, raw: Path, folder: Path, rng: np.random.Generator) -> dict | None:
    """One encode of `source` (whose frames lie in the file `raw`); None where the encoder dropped pictures, as Theora's
    does where nothing changes."""
    given = spoiled(source.frames, recipe, rng)
    ready = scaled(given, recipe.scale)
    encode = folder / "encode.mkv"
    about = asdict(recipe) | {"source": source.name, "group": source.group, "part": source.part, "whole": source.whole}
    if recipe.codec in PRESETS:
        codec = cast(Codec, recipe.codec)
        with keeping_priority():
            content = encodes.encode(
                ready, codec, recipe.crf, preset=PRESETS[codec], key_frame_interval=recipe.interval
            )
        encode.write_bytes(content)
    else:
        nr_encoders.encode(ready, recipe.codec, recipe.crf, recipe.variant, recipe.interval, encode)
    with av.open(str(encode)) as container:
        if sum(1 for _ in container.decode(video=0)) != len(ready):
            return None
    size = ready[0][0].shape[1], ready[0][0].shape[0]
    about |= {"width": size[0], "height": size[1], "source_height": source.size[1], "fps": 25.0}
    found = labels(source, recipe, encode, raw, (given, ready), folder)
    return {"encode": np.frombuffer(encode.read_bytes(), np.uint8), "facts": np.array(json.dumps(about | found))}


def labels(
    source: Source, recipe: Recipe, encode: Path, raw: Path, went_in: tuple[list[Planes], list[Planes]], folder: Path
) -> dict[str, list[float]]:
    """The four labels a frame; `went_in`: what the recipe makes of the source, before it is scaled and after. Of spoiled
    encodes of the later rounds' training only those that are learned from, the others NaN."""
    given, ready = went_in
    size = ready[0][0].shape[1], ready[0][0].shape[0]
    if source.part == "train" and recipe.spoil != "none" and recipe.codec not in PRESETS:
        unknown = [math.nan] * len(ready)
        of_input = of_input_own = vmaf(encode, _raw(folder, given), source.size, folder)
        if recipe.scale != 1.0:
            of_input_own = vmaf(encode, _raw(folder, ready), size, folder)
        return dict(zip(LABELS, (of_input, of_input_own, unknown, unknown), strict=True))
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


def sources(settings: argparse.Namespace) -> Iterator[Source]:
    """Real clips first, then pictures, window by window."""
    start = settings.first + ROUNDS[settings.round]
    clips = range(start, settings.clips + start - settings.first)
    parts = [p for p in settings.parts if p in PARTS_MADE[settings.round]]
    if settings.shared:
        yield from real_sources(settings.shared, clips, settings.seed, parts)
        yield from still_sources(settings.shared, clips, settings.seed, parts)
    if "test2" in parts:
        yield from reserved_sources(clips, settings.seed)
    if "test3" in parts:
        yield from fresh_sources(settings.shared, clips, settings.seed)
    if settings.round >= 3:
        yield from added_sources(clips, settings.seed, parts, settings.pictures)
    yield from picture_sources(clips, settings.seed, parts, settings.pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder for the encodes; what lies there is not made again")
    parser.add_argument("--shared", type=Path, help="the shared data folder, for real clips; without: pictures only")
    parser.add_argument(
        "--round", type=int, choices=(1, 2, 3, 4), default=1, help="2: many encoders; 3: much noise; 4: AV1"
    )
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
    for source in sources(settings):
        _encodes(source, settings.encodes, settings.data, number_of_round=settings.round)


def _encodes(source: Source, count: int, data: Path, *, number_of_round: int) -> None:
    """All encodes of one source; its random numbers follow from its name, so that a part of the data can be made alone."""
    rng = np.random.default_rng([ord(c) for c in source.name])
    count = count // 2 if source.whole else count
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        raw = folder / "source.yuv"
        _write_raw(raw, source.frames)
        for number in range(count):
            if number_of_round > 1:
                rng = np.random.default_rng([*(ord(c) for c in source.name), number])
            recipe = _drawn(source, number_of_round, rng)
            target = data / f"{source.part}-{source.name}-{number}.npz"
            if not target.exists():
                made = make(source, recipe, raw, folder, rng)
                if made is not None:
                    np.savez(folder / "made.npz", **made)
                    target.write_bytes((folder / "made.npz").read_bytes())
            elif recipe.spoil == "noise" and number_of_round == 1:
                spoiled(source.frames, recipe, rng)  # takes as many random numbers as when it was made
        print(f"{source.part} {source.name}: {count} encodes", flush=True)


def _drawn(source: Source, number_of_round: int, rng: np.random.Generator) -> Recipe:
    if number_of_round == 1:
        return draw_recipe(source.part, rng)
    if number_of_round == 3 and source.part == "train":
        return draw_noisy_recipe(source.size, rng)
    if number_of_round == 4:
        return draw_av1_recipe(source.size, rng)
    return draw_wider_recipe(source.part, source.size, rng)


if __name__ == "__main__":
    main()
