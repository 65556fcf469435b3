"""Native planes of a decoded frame, as numpy arrays, without loss.

=========================  =================================================================================
decoded as                 planes given
=========================  =================================================================================
planar YUV, grey           as they are, 8..16 bit, any chroma subsampling; alpha is dropped
NV12, P010 and relatives   U and V taken apart; the P formats' unused low bits shifted away
packed YUV, big-endian     unpacked by swscale to the planar format of equal depth and subsampling (no resampling)
1-bit, float grey          8-bit, 16-bit full-range grey
RGB, palette, XYZ, Bayer   4:4:4 full-range BT.709 Y'CbCr of the same depth (16 bit for float). Not lossless: Y'CbCr is
                           rounded, which costs up to one or two code values of R', G' and B'
=========================  =================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from mediaml.decode.colour import Source

Plane = NDArray[np.uint8] | NDArray[np.uint16]  # (h, w)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How to read one pixel format. `convert_to` is set where swscale has to make it planar first."""

    bit_depth: int
    grey: bool
    semi_planar: bool
    swapped: bool  # V before U
    shift: int
    convert_to: str | None
    is_rgb: bool = False


@lru_cache(maxsize=64)
def _layout(name: str, is_rgb: bool) -> _Layout:
    form = av.VideoFormat(name, 16, 16)
    parts = [c for c in form.components if not c.is_alpha]
    bits = max(c.bits for c in parts)
    depth = _stored_depth(bits)
    grey = len(parts) == 1 and not is_rgb
    if is_rgb:
        return _Layout(depth, False, False, False, 0, _planar_name("gbrp", depth), is_rgb=True)
    semi = len(parts) == 3 and parts[1].plane == parts[2].plane == 1
    native = (grey or semi or form.is_planar) and not form.is_big_endian and not form.is_bit_stream and bits <= 16
    if native and grey:
        native = len(form.components) == 1 and form.name.startswith("gray")
    if native:
        shift = 16 - bits if semi and bits > 8 else 0
        return _Layout(bits, grey, semi, name in ("nv21", "nv42"), shift, None)
    base = "gray" if grey else _subsampling(name)
    return _Layout(depth, grey, False, False, 0, _planar_name(base, depth))


def _stored_depth(bits: int) -> int:
    """The depth of a planar format that holds `bits` (1-bit as 8, float as 16)."""
    return next((d for d in (8, 9, 10, 12, 14, 16) if d >= bits), 16)


def _planar_name(base: str, depth: int) -> str:
    return base if depth == 8 else f"{base}{depth}le"


def _subsampling(name: str) -> str:
    chroma = av.VideoFormat(name, 16, 16).components[1]
    return {(16, 16): "yuv444p", (8, 16): "yuv422p", (8, 8): "yuv420p", (4, 16): "yuv411p", (16, 8): "yuv440p",
            (4, 4): "yuv410p"}[chroma.width, chroma.height]  # fmt: skip


class PlaneReader:
    """Reads frames of one stream; keeps one swscale context for formats that need unpacking."""

    def __init__(self) -> None:
        self._unpacker = VideoReformatter()

    def read(self, frame: av.VideoFrame, source: Source, *, luma_only: bool = False) -> tuple[list[Plane], int]:
        """([y, u, v] or [y], bit depth). The arrays are views of the frame's memory where the format allows."""
        layout = _layout(source.traits.format, source.is_rgb)
        if layout.convert_to is not None:
            frame = self._unpack(frame, source, layout.convert_to)
        if layout.is_rgb:
            g, b, r = (plane_array(frame, i, layout.bit_depth) for i in range(3))
            return _bt709(r, g, b, layout.bit_depth, luma_only=luma_only), layout.bit_depth
        planes = frame.planes
        y = _unpadded(_array(planes[0], layout.bit_depth), layout.shift)
        if layout.grey or luma_only:
            return [y], layout.bit_depth
        if not layout.semi_planar:
            return [y, *(_array(plane, layout.bit_depth) for plane in planes[1:3])], layout.bit_depth
        both = _unpadded(_array(planes[1], layout.bit_depth, samples=2), layout.shift)
        u, v = both[:, 0::2], both[:, 1::2]
        return ([y, v, u] if layout.swapped else [y, u, v]), layout.bit_depth

    def _unpack(self, frame: av.VideoFrame, source: Source, name: str) -> av.VideoFrame:
        colour_range = ColorRange.JPEG if source.is_rgb or source.is_grey else source.sws_range
        return self._unpacker.reformat(
            frame,
            format=name,
            src_colorspace=source.sws_matrix,
            dst_colorspace=source.sws_matrix,
            src_color_range=colour_range,
            dst_color_range=colour_range,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            threads=1,
        )


def plane_array(frame: av.VideoFrame, index: int, bit_depth: int, *, samples: int = 1) -> Plane:
    """Plane `index` as (h, w * samples) uint8 or little-endian uint16: a view of the frame's memory, without padding."""
    return _array(frame.planes[index], bit_depth, samples=samples)


def _array(plane: VideoPlane, bit_depth: int, *, samples: int = 1) -> Plane:
    step, dtype = plane.line_size, np.uint16 if bit_depth > 8 else np.uint8
    size = plane.height, plane.width * samples
    if step >= 0:
        return np.ndarray(size, dtype, plane, strides=(step, dtype().itemsize))  # type: ignore[arg-type]
    whole = np.frombuffer(plane, np.uint8).reshape(plane.height, -step)[::-1]  # type: ignore[arg-type]
    return whole.view(dtype)[:, : size[1]]


def byte_planes(frame: av.VideoFrame, width: int) -> list[NDArray[np.uint8]]:
    """All planes of an 8-bit frame whose planes are of one size, (h, width) each: views of the frame's memory."""
    planes = frame.planes
    size = (frame.height, abs(planes[0].line_size))
    return [np.frombuffer(plane, np.uint8).reshape(size)[:, :width] for plane in planes]  # type: ignore[arg-type]


def _unpadded(plane: Plane, shift: int) -> Plane:
    """Without the unused low bits."""
    return np.right_shift(plane, shift, dtype=plane.dtype) if shift else plane


def _bt709(r: Plane, g: Plane, b: Plane, bit_depth: int, *, luma_only: bool) -> list[Plane]:
    """R'G'B' to full-range BT.709 Y'CbCr of the same depth (H.273, full range)."""
    top, middle = (1 << bit_depth) - 1, 1 << (bit_depth - 1)
    red, blue = r.astype(np.float32), b.astype(np.float32)
    y = 0.2126 * red + 0.7152 * g.astype(np.float32) + 0.0722 * blue
    signals = [y] if luma_only else [y, (blue - y) / 1.8556 + middle, (red - y) / 1.5748 + middle]
    return [cast(Plane, np.clip(np.rint(s), 0, top).astype(r.dtype)) for s in signals]
