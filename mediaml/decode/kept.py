"""Decoded frames of a short file, kept so that a second look needs no second decode.

Frames are kept as the decoder gave them, in its own buffers: width x height x 1.5 bytes in 8-bit 4:2:0. Two files share one
budget; whether they fit is told from their headers, and checked again while they are decoded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import av
import numpy as np

from mediaml.decode.frame_reader import TimedFrame, VideoFile, read_frames
from mediaml.decode.report import DecodeReport

KEPT_BYTES = 768 << 20  # of both files of a pair together


class KeptFrames:
    """The frames of one file, in order, once all are decoded; `report` tells of that decoding.

    Filled by one thread through `add`; looked at by `__iter__` any number of times; given away once by `take`.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.report = DecodeReport()
        self._frames: deque[TimedFrame] = deque()
        self._bytes = 0
        self._whole = True

    def add(self, timed: TimedFrame) -> None:
        """Keeps a frame, or, where that is over the limit, lets all go."""
        if not self._whole:
            return
        self._bytes += frame_bytes(timed.frame)
        if self._bytes > self.limit_bytes:
            self.drop()
            return
        self._frames.append(timed)

    def drop(self) -> None:
        self._whole = False
        self._frames.clear()

    @property
    def usable(self) -> bool:
        """Whether every frame is here."""
        return self._whole and bool(self._frames)

    @property
    def nbytes(self) -> int:
        return self._bytes if self._whole else 0

    def __iter__(self) -> Iterator[TimedFrame]:
        return iter(tuple(self._frames))

    def take(self) -> Iterator[TimedFrame]:
        """Gives the frames away, one by one: memory falls as they are used. Afterwards nothing is usable."""
        self._whole = False
        while self._frames:
            yield self._frames.popleft()

    def leave(self) -> None:
        """`take` never waits."""


def frames_of(
    file: VideoFile, report: DecodeReport, kept: KeptFrames | None, max_pixels: int | None = None
) -> Iterator[TimedFrame]:
    """A file's frames: those kept, for any number of looks, or decoded."""
    if kept is not None and kept.usable:
        return iter(kept)
    return read_frames(file, report, max_pixels=max_pixels)


def room_for(files: Sequence[VideoFile], budget_bytes: int = KEPT_BYTES) -> list[KeptFrames] | None:
    """Where all frames of all files fit into the budget by what their headers say, places to keep them; else None."""
    sizes = [_expected_bytes(file) for file in files]
    if any(size is None for size in sizes):
        return None
    total = sum(size for size in sizes if size is not None)
    if total > budget_bytes:
        return None
    spare = (budget_bytes - total) / len(sizes)
    return [KeptFrames(int(size + spare)) for size in sizes if size is not None]


def frame_bytes(frame: av.VideoFrame) -> int:
    """Of its planes, with the decoder's padding of lines."""
    return sum(abs(p.line_size) * p.height for p in frame.planes)


def expected_frame_bytes(file: VideoFile) -> float | None:
    """Of a decoded frame, by what the header says; None where it says no size."""
    video = file.video
    if not video.width or not video.height:
        return None
    per_pixel = av.VideoFormat(video.pixel_format, 16, 16) if video.pixel_format else None
    bits = 24.0 if per_pixel is None else _bits(per_pixel)
    return video.width * video.height * bits / 8


def _expected_bytes(file: VideoFile) -> float | None:
    video, each = file.video, expected_frame_bytes(file)
    count = float(video.frames_header or 0)
    if not count and video.frame_rate and file.media.duration_seconds:
        count = np.ceil(video.frame_rate * file.media.duration_seconds) + 1
    return count * each if count and each is not None else None


def _bits(form: av.VideoFormat) -> float:
    """Bits a pixel in memory."""
    total = 0.0
    for component in form.components:
        stored = 8 * ((component.bits + 7) // 8)
        total += stored * component.width * component.height / 256
    return total
