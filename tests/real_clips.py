"""Frames of real clips, and encodes of them with faults, made by the tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (H * 3 / 2, W) yuv420p


def frames_of(path: Path, count: int, size: tuple[int, int] | None = None) -> list[Picture]:
    """The first frames as yuv420p arrays, scaled to (w, h) where given."""
    shown: list[Picture] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if len(shown) == count:
                break
            width, height = size or (frame.width, frame.height)
            small = frame.reformat(width=width, height=height, format="yuv420p", interpolation="BICUBIC")
            shown.append(small.to_ndarray())
    return shown


def write(
    path: Path, shown: Sequence[Picture], *, crf: int = 23, fps: Fraction | int = 25, pts: Sequence[int] | None = None
) -> Path:
    """An H.264 encode; `pts` in units of 1 / fps."""
    rate = Fraction(fps)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = shown[0].shape[0] * 2 // 3, shown[0].shape[1], "yuv420p"
        stream.codec_context.time_base = 1 / rate
        for i, picture in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="yuv420p")
            frame.pts, frame.time_base = (i if pts is None else pts[i]), 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
