"""What a decoded frame's code values mean: names for FFmpeg's enumerations, and defaults where nothing is stated.

Frame over stream over default. Where neither says, the practice of players and of FFmpeg is followed:

matrix      that of the stated primaries or transfer if these are BT.2020 or HDR; else BT.709 from 720 lines up, BT.601 below
primaries   those of the matrix
range       full for RGB, for the yuvj formats and for grey still pictures; else limited (H.273: video_full_range_flag = 0)
transfer    sRGB for RGB pictures, else BT.709
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import av
from av.video.reformatter import ColorRange, Colorspace

from mediaml.decode.colour_names import MATRIX, PRIMARIES, TRANSFER
from mediaml.frames import Colour
from mediaml.media import VideoStream

# Matrices that swscale can invert.
SWS_MATRICES = {
    "bt709": Colorspace.ITU709, "fcc": Colorspace.FCC, "bt470bg": Colorspace.ITU601, "smpte170m": Colorspace.ITU601,
    "smpte240m": Colorspace.SMPTE240M, "bt2020nc": Colorspace.BT2020,
}  # fmt: skip
_SWS_NEAREST = {"bt2020c": Colorspace.BT2020, "ictcp": Colorspace.BT2020, "ipt-c2": Colorspace.BT2020}
_PRIMARIES_OF_MATRIX = {"bt2020nc": "bt2020", "bt2020c": "bt2020", "ictcp": "bt2020", "smpte170m": "smpte170m",
                        "bt470bg": "bt470bg", "smpte240m": "smpte240m"}  # fmt: skip
_STILL_CODECS = frozenset({"png", "apng", "bmp", "tiff", "gif", "webp", "jpeg2000", "jpegls", "ppm", "pgm", "pam", "pbm",
                           "targa", "sgi", "sunrast", "pcx", "psd", "qoi", "exr", "dpx", "fits", "pgmyuv"})  # fmt: skip


class FrameTraits(NamedTuple):
    """The facts of a frame on which conversions depend; equal traits, equal conversion."""

    format: str
    width: int
    height: int
    matrix: int
    range: int
    transfer: int
    primaries: int


@dataclass(frozen=True, slots=True)
class Source:
    """How to read frames of some traits.

    colour     of the native planes (of the YUV that RGB sources are converted to, see planes.py)
    is_rgb, is_grey   what the samples are as decoded
    sws_matrix        swscale's number of the matrix
    exact             False where swscale has no such matrix and the nearest one stands in
    """

    traits: FrameTraits
    colour: Colour
    is_rgb: bool
    is_grey: bool
    sws_matrix: Colorspace
    exact: bool

    @property
    def sws_range(self) -> ColorRange:
        """swscale takes grey formats as full range whatever the frame says; views.py expands limited grey itself."""
        if self.is_rgb or self.is_grey:
            return ColorRange.JPEG
        return ColorRange.JPEG if self.colour.range == "full" else ColorRange.MPEG


def luma_matrix(matrix: str) -> str:
    """The matrix that RGB views use for `matrix`: itself, or the stand-in where swscale cannot invert it."""
    if matrix in SWS_MATRICES:
        return matrix
    return "bt2020nc" if matrix in _SWS_NEAREST else "bt709"


def traits(frame: av.VideoFrame) -> FrameTraits:
    return FrameTraits(
        frame.format.name,
        frame.width,
        frame.height,
        frame.colorspace,
        frame.color_range,
        frame.color_trc,
        frame.color_primaries,
    )


@lru_cache(maxsize=64)
def source_of(seen: FrameTraits, stream: VideoStream) -> Source:
    """Resolves what a frame does not say, by the rules at the head of this module."""
    layout = av.VideoFormat(seen.format, 16, 16)
    is_rgb = layout.is_rgb or seen.format == "pal8" or seen.format.startswith(("xyz", "bayer"))
    is_grey = not is_rgb and sum(1 for c in layout.components if not c.is_alpha) == 1
    transfer = TRANSFER.get(seen.transfer) or stream.transfer
    stated_primaries = PRIMARIES.get(seen.primaries) or stream.primaries
    if is_rgb:
        colour = Colour("bt709", "full", transfer or "iec61966-2-1", stated_primaries or "bt709")
        return Source(seen, colour, True, False, Colorspace.ITU709, True)
    matrix = _matrix(seen, stream, transfer, stated_primaries)
    primaries = stated_primaries or _PRIMARIES_OF_MATRIX.get(matrix, "bt709")
    colour = Colour(matrix, _range(seen, stream, is_grey), transfer or "bt709", primaries)
    sws = SWS_MATRICES.get(matrix)
    nearest = sws or _SWS_NEAREST.get(matrix, Colorspace.ITU709)
    return Source(seen, colour, False, is_grey, nearest, sws is not None or is_grey)


def _matrix(seen: FrameTraits, stream: VideoStream, transfer: str | None, primaries: str | None) -> str:
    stated = MATRIX.get(seen.matrix) or stream.matrix
    if stated and stated != "gbr":
        return stated
    if primaries == "bt2020" or transfer in ("smpte2084", "arib-std-b67"):
        return "bt2020nc"
    return "bt709" if seen.height >= 720 else "smpte170m"


def _range(seen: FrameTraits, stream: VideoStream, is_grey: bool) -> Literal["limited", "full"]:
    if seen.range in (ColorRange.MPEG, ColorRange.JPEG):
        return "full" if seen.range == ColorRange.JPEG else "limited"
    if seen.format.startswith("yuvj"):
        return "full"
    if stream.range is not None:
        return stream.range
    return "full" if is_grey and stream.codec in _STILL_CODECS else "limited"
