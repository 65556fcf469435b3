"""One side of a pair: a decoded frame -> planes in the pair's common form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from mediaml.decode.colour import SWS_MATRICES, Source
from mediaml.decode.frame_reader import TimedFrame, VideoFile
from mediaml.decode.interlaced import WholePictures
from mediaml.decode.lanes import Pictures
from mediaml.decode.pair.format import PairFormat
from mediaml.decode.planes import PlaneReader, plane_array

_BICUBIC = Interpolation.BICUBIC


class Crop(NamedTuple):
    """A part of the decoded picture, in luma samples."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Planes of one frame (y, or y, u, v) and its place in time."""

    planes: tuple[NDArray, ...]
    pts_seconds: float
    duration_seconds: float
    index: int
    key_frame: bool

    @property
    def nbytes(self) -> int:
        return sum(p.nbytes for p in self.planes)


class PairPictures:
    """Brings the frames of one file to the pair's form; a frame that has it already is not touched by any filter."""

    def __init__(
        self, file: VideoFile, form: PairFormat, side: Literal["distorted", "reference"], crop: Crop | None = None
    ) -> None:
        self._form = form
        self._side: Literal["distorted", "reference"] = side
        self._crop = crop
        self._reader = PlaneReader()
        self._sources = Pictures(file.video)
        self._scaler = VideoReformatter()
        self._whole = WholePictures()

    def make(self, timed: TimedFrame) -> Picture:
        frame = timed.frame
        source = self._sources.source(frame)
        planes = self._planes(frame, source)
        key = bool(frame.key_frame)
        return Picture(planes, timed.pts_seconds, timed.duration_seconds, timed.index, key)

    def _planes(self, frame: av.VideoFrame, source: Source) -> tuple[NDArray, ...]:
        form = self._form
        if self._crop is not None:
            frame = cropped(frame, self._crop)
        if self._needs_conversion(frame, source):
            frame = self._converted(frame, source)
            count = 1 if form.grey else 3
            return tuple(plane_array(frame, i, form.bit_depth) for i in range(count))
        planes, depth = self._reader.read(frame, source, luma_only=form.grey)
        if depth == form.bit_depth:
            return tuple(planes)
        return tuple(np.left_shift(p.astype(np.uint16), form.bit_depth - depth) for p in planes)

    def _needs_conversion(self, frame: av.VideoFrame, source: Source) -> bool:
        form = self._form
        if (frame.width, frame.height) != form.size:
            return True
        if self._side == "distorted" and _coding(form.distorted_colour) != _coding(form.colour):
            return True
        if form.grey:
            return False
        if source.is_rgb:
            return form.base != "yuv444p" or _coding(source.colour) != _coding(form.colour)
        return not _subsampled_like(frame, form.base) or (
            form.colour.range == "full" and not _deep_enough(frame, form.bit_depth)
        )

    def _converted(self, frame: av.VideoFrame, source: Source) -> av.VideoFrame:
        form = self._form
        colour = form.distorted_colour if self._side == "distorted" else form.colour
        matrix = source.sws_matrix if source.is_rgb else SWS_MATRICES.get(colour.matrix, source.sws_matrix)
        ranges = [ColorRange.JPEG if r == "full" else ColorRange.MPEG for r in (colour.range, form.colour.range)]
        if source.is_rgb:
            ranges[0] = ColorRange.JPEG
        if form.grey:
            ranges = [ColorRange.JPEG, ColorRange.JPEG]
        return self._scaler.reformat(
            self._whole.whole(frame),
            width=form.size[0],
            height=form.size[1],
            format=form.pixel_format,
            src_colorspace=matrix,
            dst_colorspace=SWS_MATRICES.get(form.colour.matrix, matrix),
            src_color_range=ranges[0],
            dst_color_range=ranges[1],
            interpolation=_BICUBIC,
            threads=1,
        )


def _coding(colour: object) -> tuple[str, str]:
    matrix = getattr(colour, "matrix", "")
    return ("smpte170m" if matrix == "bt470bg" else matrix, getattr(colour, "range", ""))


def _subsampled_like(frame: av.VideoFrame, base: str) -> bool:
    mine, wanted = frame.format, av.VideoFormat(base, 16, 16)
    same_width = mine.chroma_width(16) == wanted.chroma_width(16)
    return same_width and mine.chroma_height(16) == wanted.chroma_height(16)


def _deep_enough(frame: av.VideoFrame, bit_depth: int) -> bool:
    """Full range is not shifted up but stretched (255 -> 1023), which swscale does."""
    return max(c.bits for c in frame.format.components if not c.is_alpha) >= bit_depth


def cropped(frame: av.VideoFrame, crop: Crop) -> av.VideoFrame:
    """A copy of a part of the frame; x, y and size must lie on the chroma grid. Planar and semi-planar formats only."""
    out = av.VideoFrame(crop.width, crop.height, frame.format.name)
    for source, target in zip(frame.planes, out.planes, strict=True):
        across, down = source.width / frame.width, source.height / frame.height
        step = abs(source.line_size) and _sample_bytes(frame, source.width)
        rows = np.frombuffer(source, np.uint8).reshape(source.height, -1)  # type: ignore[arg-type]
        room = np.frombuffer(target, np.uint8).reshape(target.height, -1)  # type: ignore[arg-type]
        x, y = round(crop.x * across) * step, round(crop.y * down)
        width = target.width * step
        room[:, :width] = rows[y : y + target.height, x : x + width]
    out.colorspace, out.color_range = frame.colorspace, frame.color_range
    return out


def _sample_bytes(frame: av.VideoFrame, plane_width: int) -> int:
    """Bytes a sample position of a plane (both chroma samples of a semi-planar one)."""
    parts = frame.format.components
    bits = (max(c.bits for c in parts) + 7) // 8
    semi = len(parts) >= 3 and parts[1].plane == parts[2].plane == 1 and plane_width < frame.width
    return bits * 2 if semi else bits
