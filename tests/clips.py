"""Tiny media made by the tests themselves, with PyAV. Every clip is deterministic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (H, W, 3) RGB


def gradient(index: int, width: int = 64, height: int = 48) -> Picture:
    """A moving diagonal gradient: every frame differs from its neighbours."""
    y, x = np.mgrid[0:height, 0:width]
    base = (x * 3 + y * 2 + index * 7) % 256
    return np.stack([base, (base * 2) % 256, 255 - base], axis=-1).astype(np.uint8)


def solid(level: int, width: int = 64, height: int = 48) -> Picture:
    return np.full((height, width, 3), level, np.uint8)


def sine(seconds: float, hz: float = 440.0, rate: int = 48000, channels: int = 2, amplitude: float = 0.25) -> NDArray:
    """(C, T) float32."""
    t = np.arange(round(seconds * rate)) / rate
    return np.tile(amplitude * np.sin(2 * np.pi * hz * t), (channels, 1)).astype(np.float32)


def make_clip(
    path: Path,
    frames: int | Sequence[Picture] | Callable[[int], Picture] = 10,
    count: int | None = None,
    *,
    fps: Fraction | int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    audio: NDArray | None = None,
    audio_rate: int = 48000,
    audio_codec: str = "aac",
    colour: dict[str, int] | None = None,
) -> Path:
    """Write `path`; `frames` is a number, a list of RGB pictures, or index -> picture with `count`.

    `pts` gives each frame's presentation time in units of 1 / fps (variable frame rate); `colour` sets codec-context
    fields such as colorspace=1; `audio` is (C, T) float32.
    """
    if isinstance(frames, int):
        pictures = [gradient(i) for i in range(frames)]
    elif callable(frames):
        pictures = [frames(i) for i in range(count or 10)]
    else:
        pictures = list(frames)
    with av.open(str(path), "w") as out:
        rate = Fraction(fps)
        video = None
        if pictures:
            video = out.add_stream(codec, rate=rate, options=options or {})
            video.height, video.width = pictures[0].shape[:2]
            video.pix_fmt = pix_fmt
            video.codec_context.time_base = 1 / rate
            for key, value in (colour or {}).items():
                setattr(video.codec_context, key, value)
        sound = None
        if audio is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[audio.shape[0]]
            sound = out.add_stream(audio_codec, rate=audio_rate, layout=layout)
        if video is not None:
            for i, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
                    format=pix_fmt
                )
                frame.pts = pts[i] if pts else i
                frame.time_base = 1 / rate
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if sound is not None and audio is not None:
            _write_audio(out, sound, audio, audio_rate)
    return path


def _write_audio(out: av.container.OutputContainer, stream: av.AudioStream, audio: NDArray, rate: int) -> None:
    layout = stream.codec_context.layout.name
    for start in range(0, audio.shape[1], 1024):
        block = np.ascontiguousarray(audio[:, start : start + 1024], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = start
        frame.time_base = Fraction(1, rate)
        for packet in stream.encode(frame):
            out.mux(packet)
    for packet in stream.encode(None):
        out.mux(packet)


def texture(width: int, height: int, at: int) -> NDArray[np.uint8]:
    """(height, width, 3): random blobs, the window starting at column `at` of a wide picture."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 255, (height // 14 + 2, (width + 200) // 14, 3), dtype=np.uint8)
    wide = cv2.resize(small, (width + 200, height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(wide[:, at : at + width])
