"""RGB views of decoded frames on the CPU: from rows of their planes (row_sampling.py), or through one swscale context a view.

Geometry, in display orientation: the sample aspect ratio is applied by swscale's own scaling, "cover" crops the centre
after scaling, then the mirror and the rotation are applied to the small picture.

Filters: "fast_bilinear" takes two source samples an output sample in each direction, from planes of which most rows are left
out: it aliases when it shrinks a lot, and is the only one that costs little beside a decode. "bilinear", "bicubic" and "area"
are swscale's: they widen with the ratio and do not alias; full chroma interpolation, accurate rounding (colours within one
code value of the formula). Two cases of "fast_bilinear" are swscale's too: RGB sources, which get "bilinear", and native
size, which gets the unscaled converter, eight times faster and up to 4 code values off.

Interlaced frames are scaled as whole pictures where that lowers their height (the fields blend), else field by field.

Colour: the matrix and range of the frame, 8-bit full-range R'G'B' out; alpha is dropped, not blended. HDR (PQ, HLG) is
tone-mapped at the view's size from 16-bit R'G'B' (tonemap.py); SDR pictures keep their transfer and primaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from mediaml.decode.colour import Source
from mediaml.decode.interlaced import WholePictures
from mediaml.decode.planes import byte_planes, plane_array
from mediaml.decode.row_sampling import RowSampler
from mediaml.decode.tonemap import ToneMap
from mediaml.media import VideoStream
from mediaml.spec import View

Picture = NDArray[np.uint8]  # (H, W, 3)

_ACCURATE = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_UNSCALED_FAST = Interpolation.FAST_BILINEAR | Interpolation.FULL_CHR_H_INT
_FILTERS = {
    "fast_bilinear": Interpolation.BILINEAR | _ACCURATE,  # of RGB sources
    "bilinear": Interpolation.BILINEAR | _ACCURATE,
    "bicubic": Interpolation.BICUBIC | _ACCURATE,
    "area": Interpolation.AREA | _ACCURATE,
}
# Numbers and formats, not enumerations and names: PyAV looks those up anew for every frame.
_FULL = int(ColorRange.JPEG)
_GBRP, _RGB24, _RGB48 = (av.VideoFormat(name) for name in ("gbrp", "rgb24", "rgb48le"))
_COVER_EXCESS = 16  # a cover that would scale to more than this times its own area crops before it scales


@dataclass(frozen=True, slots=True)
class Geometry:
    """scaled (w, h): what swscale makes, before the turn. crop (x, y, w, h): of the scaled picture. size (w, h): the view."""

    scaled: tuple[int, int]
    crop: tuple[int, int, int, int] | None
    size: tuple[int, int]


def display_size(width: int, height: int, aspect: Fraction, rotation_degrees: int) -> tuple[int, int]:
    """(w, h) on screen, at least 1x1: the sample aspect ratio widens or narrows the picture, then it is turned."""
    width, height = max(1, round(width * aspect) if aspect > 0 else width), max(1, height)
    return (height, width) if rotation_degrees in (90, 270) else (width, height)


def geometry(view: View, width: int, height: int, aspect: Fraction, rotation_degrees: int) -> Geometry:
    """The sizes for an rgb view of a decoded picture of `width` x `height`."""
    shown = display_size(width, height, aspect, rotation_degrees)
    turned = rotation_degrees in (90, 270)
    size = shown if view.width is None or view.height is None else (view.width, view.height)
    scaled, crop = size, None
    if view.fit != "stretch":
        ratios = (size[0] / shown[0], size[1] / shown[1])
        ratio = max(ratios) if view.fit == "cover" else min(ratios)
        scaled = (max(1, round(shown[0] * ratio)), max(1, round(shown[1] * ratio)))
        if view.fit == "contain":
            size = scaled = (min(scaled[0], size[0]), min(scaled[1], size[1]))
        else:
            scaled = (max(scaled[0], size[0]), max(scaled[1], size[1]))
    if turned:
        scaled = (scaled[1], scaled[0])
    inner = (size[1], size[0]) if turned else size
    if scaled != inner:
        crop = ((scaled[0] - inner[0]) // 2, (scaled[1] - inner[1]) // 2, *inner)
    return Geometry(scaled, crop, size)


class ViewMaker:
    """Makes one view of one stream's frames. Not thread-safe: it belongs to the stream's decode thread."""

    def __init__(self, view: View, stream: VideoStream) -> None:
        self.view = view
        self._stream = stream
        self._scaler = VideoReformatter()
        self._pre = VideoReformatter()
        self._pictures = WholePictures()
        self._flags = 0
        self._sampler: RowSampler | None = None
        self._geometry = Geometry((1, 1), None, (1, 1))
        self._source: Source | None = None
        self._matrix = self._range = 0
        self._tone: ToneMap | None = None
        self._grey: NDArray[np.uint8] | None = None

    def make(self, frame: av.VideoFrame, source: Source) -> Picture:
        """(H, W, 3) uint8 R'G'B', full range; may be a view of a larger array."""
        if source is not self._source:
            self._prepare(source)
        planned = self._geometry
        scaled, crop = planned.scaled, planned.crop
        if self._sampler is not None:
            picture = self._sampler.make(frame, source, scaled, 255 if self._tone is None else 65535)
        else:
            if scaled[1] < frame.height:
                frame = self._pictures.whole(frame)
            if _crops_first(planned):
                frame, scaled, crop = self._crop_first(frame, source, planned)
            picture = self._scale(frame, scaled)
        if crop:
            x, y, w, h = crop
            picture = picture[y : y + h, x : x + w]
        if self._tone is not None:
            picture = self._tone(picture)
        elif self._grey is not None:
            picture = self._grey[picture]
        return self._turn(picture)

    def _prepare(self, source: Source) -> None:
        stream = self._stream
        seen = source.traits
        self._geometry = geometry(
            self.view, seen.width, seen.height, stream.sample_aspect_ratio, stream.rotation_degrees
        )
        fast, native = self.view.filter == "fast_bilinear", self._geometry.scaled == (seen.width, seen.height)
        sampled = fast and not native and not source.is_rgb and not _crops_first(self._geometry)
        self._sampler = RowSampler() if sampled else None
        self._flags = int(_UNSCALED_FAST if fast and native else _FILTERS[self.view.filter])
        self._tone = ToneMap.of(source.colour, stream.hdr)
        limited_grey = source.is_grey and source.colour.range == "limited" and not sampled
        self._grey = _limited_to_full() if limited_grey else None
        self._matrix, self._range = int(source.sws_matrix), int(source.sws_range)
        self._source = source

    def _scale(self, frame: av.VideoFrame, size: tuple[int, int]) -> NDArray:
        deep = self._tone is not None
        # Scaling to planes runs vector code, to packed RGB it does not; without scaling it is the other way round.
        packed = deep or size == (frame.width, frame.height)
        out = self._scaler.reformat(
            frame,
            width=size[0],
            height=size[1],
            format=_RGB48 if deep else _RGB24 if packed else _GBRP,  # type: ignore[arg-type]  # the stub knows names only
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=self._range,
            dst_color_range=_FULL,
            interpolation=self._flags,
            threads=1,
        )
        if packed:
            return plane_array(out, 0, 16 if deep else 8, samples=3).reshape(size[1], size[0], 3)
        green, blue, red = byte_planes(out, size[0])
        return cv2.merge((red, green, blue))

    def _crop_first(
        self, frame: av.VideoFrame, source: Source, planned: Geometry
    ) -> tuple[av.VideoFrame, tuple[int, int], None]:
        """For very long or tall pictures: the centre of the source, so that only it is scaled."""
        assert planned.crop is not None
        whole = self._pre.reformat(
            frame,
            format="rgb48le",
            src_colorspace=source.sws_matrix,
            dst_colorspace=source.sws_matrix,
            src_color_range=source.sws_range,
            dst_color_range=ColorRange.JPEG,
            interpolation=_FILTERS["bicubic"],
            threads=1,
        )
        pixels = plane_array(whole, 0, 16, samples=3).reshape(frame.height, frame.width, 3)
        x, y, w, h = planned.crop
        sx, sy = frame.width / planned.scaled[0], frame.height / planned.scaled[1]
        x0, y0 = int(x * sx), int(y * sy)
        x1, y1 = max(x0 + 1, round((x + w) * sx)), max(y0 + 1, round((y + h) * sy))
        part = np.ascontiguousarray(pixels[y0:y1, x0:x1], dtype=np.uint16)
        return av.VideoFrame.from_ndarray(part, format="rgb48le"), (w, h), None

    def _turn(self, picture: Picture) -> Picture:
        if self._stream.mirrored:
            picture = picture[:, ::-1]
        turns = self._stream.rotation_degrees // 90 % 4
        return np.rot90(picture, -turns) if turns else picture


def _crops_first(planned: Geometry) -> bool:
    """Whether most of the scaled picture would be cropped away."""
    (w, h), crop = planned.scaled, planned.crop
    return crop is not None and w * h > _COVER_EXCESS * crop[2] * crop[3]


def _limited_to_full() -> NDArray[np.uint8]:
    """(256,) limited-range grey code values to full range."""
    return np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def scaled_area(view: View, stream: VideoStream) -> int:
    """Pixels that swscale makes for one picture of `view`: what a view costs, for the plan."""
    made = geometry(view, stream.width, stream.height, stream.sample_aspect_ratio, stream.rotation_degrees)
    w, h = made.scaled
    return w * h


def view_size(view: View, stream: VideoStream) -> tuple[int, int]:
    """(w, h) that `view` has for this stream."""
    made = geometry(view, stream.width, stream.height, stream.sample_aspect_ratio, stream.rotation_degrees)
    return made.size
