"""Every file of the sample directory: its name, what it is made from, and how."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sample_media import synthetic
from sample_media.encode import Picture, fitted, read_pictures, read_sound, write
from sample_media.sources import MEMBERS

Make = Callable[[Path], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One file; `revision` is raised when `make` gives something else, so that an old file is made again."""

    path: str
    make: Make
    needs: tuple[str, ...] = ()
    revision: int = 1


def _copy(member: str) -> Make:
    def make(path: Path) -> None:
        shutil.copyfile(MEMBERS[member].cached, path)

    return make


def _again(member: str, change: Callable[[Picture], Picture] | None = None, **settings: Any) -> Make:
    """Encode a member again, each picture changed by `change`; with its sound where `sound=True`."""
    with_sound = settings.pop("sound", False)

    def make(path: Path) -> None:
        source = MEMBERS[member].cached
        pictures = map(change, read_pictures(source)) if change else read_pictures(source)
        write(path, pictures, sound=read_sound(source) if with_sound else None, **settings)

    return make


def _upscaled(picture: Picture) -> Picture:
    """What a 320x180 master looks like when it is sold as 720p."""
    return fitted(fitted(picture, 320, 180), picture.shape[1], picture.shape[0])


def _noisy(picture: Picture) -> Picture:
    """Sensor noise with a standard deviation of 14 code values; the same for the same picture."""
    rng = np.random.default_rng(int(picture[::16, ::16].sum()))
    return np.clip(picture + rng.normal(0, 14, picture.shape), 0, 255).astype(np.uint8)


_SLIDES = ("astronaut", "china", "chelsea", "flower", "rocket", "coffee")


def _slideshow(path: Path) -> dict[str, Any]:
    """Six photographs, 2 s each with a slow zoom, cut hard, under 12 s of music."""

    def pictures() -> Iterator[Picture]:
        for name in _SLIDES:
            photograph = next(read_pictures(MEMBERS[name].cached))
            for i in range(50):
                dx, dy = (round(side * (0.02 + 0.001 * i)) for side in (photograph.shape[1], photograph.shape[0]))
                yield fitted(photograph[dy:-dy, dx:-dx], 960, 540)

    sound = read_sound(MEMBERS["music"].cached)[:, : 12 * 48000]
    write(path, pictures(), sound=sound, options={"crf": "21", "preset": "veryfast"})
    return {"fps": 25, "duration": 12.0, "cuts": [2.0, 4.0, 6.0, 8.0, 10.0], "scenes": list(_SLIDES)}


def _truncated(path: Path) -> None:
    """The index promises 10 s; the file ends after 45 % of its bytes."""
    whole = path.with_name("." + path.name + ".whole.mp4")
    _again("bikes", options={"crf": "24", "preset": "veryfast"}, container_options={"movflags": "+faststart"})(whole)
    data = whole.read_bytes()
    whole.unlink()
    path.write_bytes(data[: len(data) * 45 // 100])


def _text(path: Path) -> None:
    path.write_text("This is a text file that somebody renamed.\n" * 20, encoding="utf-8")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


_FAST = {"preset": "veryfast"}
RECIPES: tuple[Recipe, ...] = (
    Recipe("real/bunny_720p.mp4", _copy("bigbuckbunny"), ("bigbuckbunny",)),
    Recipe(
        "real/bunny_720p_crf40.mp4",
        _again("bigbuckbunny", sound=True, options={"crf": "40", **_FAST}),
        ("bigbuckbunny",),
    ),
    Recipe(
        "real/bunny_180p_upscaled_to_720p.mp4",
        _again("bigbuckbunny", _upscaled, sound=True, options={"crf": "20", **_FAST}),
        ("bigbuckbunny",),
    ),
    Recipe(
        "real/bunny_720p_10bit.mkv",
        _again(
            "bigbuckbunny",
            sound=True,
            codec="libx265",
            pix_fmt="yuv420p10le",
            options={"crf": "26", "preset": "ultrafast", "x265-params": "log-level=none"},
            colour={"color_primaries": 1, "color_trc": 1, "colorspace": 1, "color_range": 1},
        ),
        ("bigbuckbunny",),
    ),
    Recipe(
        "real/bunny_rotated.mp4",
        _again("bigbuckbunny", lambda p: fitted(p, 640, 360), rotation_degrees=90, options={"crf": "23", **_FAST}),
        ("bigbuckbunny",),
    ),
    Recipe("real/bikes_crf20.mp4", _again("bikes", options={"crf": "20", **_FAST}), ("bikes",)),
    Recipe("real/bikes_crf40.mp4", _again("bikes", options={"crf": "40", **_FAST}), ("bikes",)),
    Recipe("real/bikes_noisy.mp4", _again("bikes", _noisy, options={"crf": "27", **_FAST}), ("bikes",)),
    Recipe(
        "real/bikes_vp9.webm",
        _again(
            "bikes",
            codec="libvpx-vp9",
            options={"crf": "34", "b": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"},
        ),
        ("bikes",),
    ),
    Recipe(
        "real/bikes_av1.mkv",
        _again("bikes", codec="libsvtav1", options={"crf": "38", "preset": "9"}),
        ("bikes",),
    ),
    Recipe("real/carphone_pristine.mp4", _copy("carphone_pristine"), ("carphone_pristine",)),
    Recipe("real/carphone_distorted.mp4", _copy("carphone_distorted"), ("carphone_distorted",)),
    Recipe("real/concert.webm", _copy("concert"), ("concert",)),
    Recipe("real/slideshow_960x540.mp4", _slideshow, (*_SLIDES, "music")),
    Recipe("real/music_24bit.wav", _copy("music"), ("music",)),
    Recipe("real/music_with_cover.mp3", _copy("music_cover"), ("music_cover",)),
    Recipe("real/photo_astronaut.png", _copy("astronaut"), ("astronaut",)),
    Recipe("real/photo_china.jpg", _copy("china"), ("china",)),
    Recipe("synthetic/cuts_and_dissolve.mp4", synthetic.cuts_and_dissolve),
    Recipe("synthetic/black_freeze_silence.mp4", synthetic.black_freeze_silence),
    Recipe("synthetic/colour_bars.mp4", synthetic.colour_bars),
    Recipe("synthetic/speaking_face.mp4", synthetic.speaking_face),
    Recipe("synthetic/speaking_face_sound_late.mp4", synthetic.sound_late),
    Recipe("synthetic/variable_frame_rate.mp4", synthetic.variable_frame_rate),
    Recipe("synthetic/hdr_pq.mp4", synthetic.hdr_pq),
    Recipe("synthetic/loudness_steps.wav", synthetic.loudness_steps),
    Recipe("broken/truncated.mp4", _truncated, ("bikes",)),
    Recipe("broken/text_named.mp4", _text),
    Recipe("broken/empty.mp4", _empty),
)
