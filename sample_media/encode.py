"""Reading pictures and sound, and encoding them again, with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.container
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (H, W, 3) RGB
DeepPicture = NDArray[np.uint16]  # the same with 16 bits a channel
Sound = NDArray[np.float32]  # (C, T), full scale 1

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def read_pictures(path: Path) -> Iterator[Picture]:
    """Every frame of the first video stream, or the one picture of an image file."""
    with av.open(str(path)) as source:
        for frame in source.decode(video=0):
            yield cast(Picture, frame.to_ndarray(format="rgb24"))


def read_sound(path: Path, rate: int = 48000) -> Sound:
    """The first audio stream as stereo at `rate` Hz: (2, T)."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
    with av.open(str(path)) as source:
        blocks = [out.to_ndarray() for frame in source.decode(audio=0) for out in resampler.resample(frame)]
    blocks += [out.to_ndarray() for out in resampler.resample(None)]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def write(
    path: Path,
    pictures: Iterable[Picture | DeepPicture] = (),
    *,
    fps: int | Fraction = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    colour: Mapping[str, int] | None = None,
    matrix: str = "ITU709",
    pts: Callable[[int], int] | None = None,
    rotation_degrees: int = 0,
    sound: Sound | None = None,
    rate: int = 48000,
    audio_codec: str = "aac",
    container_options: Mapping[str, str] | None = None,
) -> None:
    """Encode `pictures` and `sound` into `path`; the container follows from the suffix.

    `pts` gives the presentation time of picture i in units of 1 / fps (variable frame rate). `rotation_degrees` turns
    the picture counterclockwise on display. `colour` sets codec-context fields by FFmpeg's numbers, `matrix` is
    PyAV's name of the RGB to YUV matrix.
    """
    with av.open(str(path), "w", options=dict(container_options or {})) as out:
        time_base = 1 / Fraction(fps)
        video = audio = None
        for index, picture in enumerate(pictures):
            rgb = "rgb24" if picture.dtype == np.uint8 else "rgb48le"
            frame = av.VideoFrame.from_ndarray(cast(Picture, np.ascontiguousarray(picture)), format=rgb)
            if video is None:
                video = out.add_stream(codec, rate=Fraction(fps), options=dict(options or {}))
                assert isinstance(video, av.VideoStream)
                video.width, video.height, video.pix_fmt = frame.width, frame.height, pix_fmt
                video.codec_context.time_base = time_base
                for field, value in (colour or {}).items():
                    setattr(video.codec_context, field, value)
                if rotation_degrees:
                    video.set_display_rotation(rotation_degrees)
                audio = _audio_stream(out, sound, rate, audio_codec)
            frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range="MPEG")
            frame.pts, frame.time_base = (pts(index) if pts else index), time_base
            out.mux(video.encode(frame))
        if video is not None:
            out.mux(video.encode(None))
        audio = audio or _audio_stream(out, sound, rate, audio_codec)
        if audio is not None and sound is not None:
            _encode_sound(out, audio, sound, rate)


def _audio_stream(
    out: av.container.OutputContainer, sound: Sound | None, rate: int, codec: str
) -> av.AudioStream | None:
    if sound is None:
        return None
    stream = out.add_stream(codec, rate=rate, layout=_LAYOUTS[sound.shape[0]])
    assert isinstance(stream, av.AudioStream)
    return stream


def _encode_sound(out: av.container.OutputContainer, stream: av.AudioStream, sound: Sound, rate: int) -> None:
    layout = stream.codec_context.layout.name
    wanted = stream.codec_context.format.name
    resampler = av.AudioResampler(format=wanted, layout=layout, rate=rate)
    for start in range(0, sound.shape[1], 1024):
        block = np.ascontiguousarray(sound[:, start : start + 1024], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for converted in resampler.resample(frame):
            out.mux(stream.encode(converted))
    for converted in resampler.resample(None):
        out.mux(stream.encode(converted))
    out.mux(stream.encode(None))


def fitted(picture: Picture, width: int, height: int) -> Picture:
    """The picture scaled to cover width x height, cropped in the middle across and a quarter down, where faces are."""
    import cv2

    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4
    grown = np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)
    x, y = (size[0] - width) // 2, (size[1] - height) // 4
    return grown[y : y + height, x : x + width]
