"""The seed corpus: tiny media in many containers and codecs, vocabularies, profiles and lakes, all made here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.clips import gradient, make_clip, sine

Kind = Literal["media", "vocabulary", "profile", "lake"]
SIZE = (48, 32)
FRAMES = 5

VOCABULARY = """\
id = "fuzz"
title = "Fuzz"
threshold = 0.5
templates = ["{}", "a photo of {}"]

[[tags]]
id = "animals"
label = "animals"
prompts = ["an animal", "a pet"]

[[tags]]
id = "cats"
label = "cats"
parent = "animals"
prompts = ["a cat"]
"""


@dataclass(frozen=True, slots=True)
class Seed:
    """A valid input: `name` says what it is and, by its ending, how it is written to disk."""

    kind: Kind
    name: str
    data: bytes


def _clip(size: tuple[int, int] = SIZE, **given: Any) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        return make_clip(path, lambda i: gradient(i, *size), FRAMES, **given)

    return make


def _fragmented(path: Path) -> Path:
    """An MP4 of fragments, remuxed."""
    import av

    whole = _clip(options={"g": "2"})(path.with_suffix(".whole.mp4"))
    with (
        av.open(str(whole)) as source,
        av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole.unlink()
    return path


def _sound(codec: str) -> Callable[[Path], Path]:
    return lambda path: make_clip(path, 0, audio=sine(0.1), audio_codec=codec)


MEDIA: dict[str, Callable[[Path], Path]] = {
    "h264.mp4": _clip(audio=sine(0.2)),
    "fragmented.mp4": _fragmented,
    "hevc.mkv": _clip(size=(128, 96), codec="libx265", options={"x265-params": "log-level=none"}),
    "vp9.webm": _clip(codec="libvpx-vp9", audio=sine(0.2), audio_codec="libopus"),
    "av1.ivf": _clip(codec="libsvtav1", options={"svtav1-params": "preset=12"}),
    "mpeg2.ts": _clip(codec="mpeg2video", audio=sine(0.2), audio_codec="mp2"),
    "mpeg4.avi": _clip(codec="mpeg4", audio=sine(0.2), audio_codec="libmp3lame"),
    "prores.mov": _clip(codec="prores_ks", pix_fmt="yuv422p10le"),
    "ffv1.mkv": _clip(codec="ffv1", pix_fmt="yuv444p"),
    "mjpeg.avi": _clip(codec="mjpeg", pix_fmt="yuvj420p"),
    "pal.gif": _clip(codec="gif", pix_fmt="rgb8"),
    "still.png": _clip(codec="png", pix_fmt="rgb24"),
    "theora.flv": _clip(codec="flv1"),
    "tone.wav": _sound("pcm_s16le"),
    "tone.flac": _sound("flac"),
    "tone.mp3": _sound("libmp3lame"),
    "tone.ogg": _sound("libopus"),
    "tone.m4a": _sound("aac"),
}


def make_seeds(folder: Path) -> list[Seed]:
    """Every seed that this machine's encoders can make, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    return [*_media(folder), *_texts(), _lake(folder)]


def _media(folder: Path) -> Iterator[Seed]:
    from av.error import FFmpegError

    for name, make in MEDIA.items():
        path = folder / name
        try:
            if name == "still.png":
                _one_png(path)
            else:
                make(path)
        except (FFmpegError, ValueError):  # an encoder or a format that this build of FFmpeg lacks
            path.unlink(missing_ok=True)
            continue
        yield Seed("media", name, path.read_bytes())


def _one_png(path: Path) -> None:
    from PIL import Image

    Image.fromarray(gradient(1, *SIZE)).save(path)


def _texts() -> Iterator[Seed]:
    yield Seed("vocabulary", "small.toml", VOCABULARY.encode())
    shipped = Path(__file__).resolve().parents[2] / "mediaml"
    sources: tuple[tuple[Kind, str], ...] = (("vocabulary", "derive/**/*.toml"), ("profile", "**/qc/profiles/*.toml"))
    for kind, pattern in sources:
        for file in sorted(shipped.glob(pattern))[:3]:
            yield Seed(kind, file.name, file.read_bytes())


def _lake(folder: Path) -> Seed:
    """A small lake as a tar, so that one mutation hits one byte of one of its files."""
    from mediaml.tables import Lake
    from tests.unit.lakes import luma, media_id, tags

    root = folder / "lake"
    lake = Lake.open(root, create=True)
    for i in range(3):
        lake.commit([lake.stage(media_id(str(i)), analyzers=[luma()])])
    lake.replace_derived("tags:v", [tags([media_id("0")], ["cat"])])
    lake.renew_checkpoint()
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            tar.add(file, file.relative_to(root).as_posix())
    return Seed("lake", "lake.tar", sink.getvalue())
