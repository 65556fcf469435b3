"""HDR metadata and display orientation, read from the side data of the first decoded frame.

FFmpeg copies a stream's side data (display matrix, mastering display, light level) to every frame, so one frame tells both
what the container and what the bitstream say. Layouts: libavutil/mastering_display_metadata.h and display.h, FFmpeg 8;
a block of another size is left alone.
"""

from __future__ import annotations

import math
import struct
from typing import cast

import av
from av.sidedata.sidedata import SideData, SideDataContainer, Type

from mediaml.media import HdrInfo

_MASTERING = struct.Struct("@20i2i")  # 10 rationals (num, den): r, g, b, white as x, y; min, max luminance; two flags
_LIGHT_LEVEL = struct.Struct("@2I")
_DISPLAY_MATRIX = struct.Struct("@9i")
UNSAFE_CODECS = ("png", "apng")


def hdr_info(frame: av.VideoFrame | None, codec: str, dolby_vision_profile: int | None) -> HdrInfo | None:
    """What the file says about its HDR mastering; None where it says nothing."""
    blocks = _blocks(frame, codec)
    primaries, low, high = _mastering(blocks.get(Type.MASTERING_DISPLAY_METADATA, b""))
    max_cll, max_fall = _light_level(blocks.get(Type.CONTENT_LIGHT_LEVEL, b""))
    info = HdrInfo(
        max_cll=max_cll,
        max_fall=max_fall,
        mastering_max_luminance=high,
        mastering_min_luminance=low,
        mastering_primaries=primaries,
        dolby_vision_profile=dolby_vision_profile,
        hdr10_plus=Type.DYNAMIC_HDR_PLUS in blocks,
    )
    return info if info != HdrInfo() else None


def has_dolby_vision(frame: av.VideoFrame | None, codec: str) -> bool:
    """Whether the frame carries Dolby Vision metadata (an RPU)."""
    return not _blocks(frame, codec).keys().isdisjoint((Type.DOVI_METADATA, Type.DOVI_RPU_BUFFER))


def orientation(frame: av.VideoFrame | None, codec: str) -> tuple[int, bool, bool]:
    """(clockwise degrees, mirrored, exact): for display, mirror left to right first, then turn.

    `exact` is False where the display matrix is no multiple of 90 degrees; the nearest one is given.
    """
    if frame is not None and not readable(frame, codec):
        return round(-frame.rotation / 90) * 90 % 360, False, frame.rotation % 90 == 0
    block = _blocks(frame, codec).get(Type.DISPLAYMATRIX, b"")
    if len(block) != _DISPLAY_MATRIX.size:
        return 0, False, True
    a, b, _, c, d, _, _, _, _ = _DISPLAY_MATRIX.unpack(block)  # (x, y) -> (a x + c y, b x + d y), y downwards
    if not (a or b) or not (c or d):
        return 0, False, False
    mirrored = a * d - b * c < 0
    degrees = math.degrees(math.atan2(-b, -a) if mirrored else math.atan2(b, a)) % 360
    nearest = round(degrees / 90) * 90
    return nearest % 360, mirrored, abs(degrees - nearest) < 1.0


def readable(frame: av.VideoFrame | None, codec: str) -> bool:
    """Whether PyAV may be asked for the picture's side data.

    False for kinds that it cannot name (EXIF, view ids: it then gives none at all), and for PNG: there an ICC profile's own
    metadata would be freed twice, which ends the process (PyAV 18.1, `SideData.__init__` owns what the frame owns).
    """
    if codec in UNSAFE_CODECS:
        return False
    try:
        _ = frame.side_data if frame is not None else None
    except ValueError:
        return False
    return True


def _blocks(frame: av.VideoFrame | None, codec: str) -> dict[Type, bytes]:
    if frame is None or not readable(frame, codec):
        return {}
    blocks = cast("SideDataContainer", frame.side_data)
    found = (cast("SideData", blocks[i]) for i in range(len(blocks)))
    return {block.type: bytes(block) for block in found}


def _mastering(block: bytes) -> tuple[tuple[tuple[float, float], ...] | None, float | None, float | None]:
    if len(block) != _MASTERING.size:
        return None, None, None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack(block)
    values = [n / d if d else 0.0 for n, d in zip(numbers[0::2], numbers[1::2], strict=True)]
    primaries = tuple((values[i], values[i + 1]) for i in range(0, 8, 2)) if has_primaries else None
    return (primaries, values[8], values[9]) if has_luminance else (primaries, None, None)


def _light_level(block: bytes) -> tuple[float | None, float | None]:
    if len(block) != _LIGHT_LEVEL.size:
        return None, None
    max_cll, max_fall = _LIGHT_LEVEL.unpack(block)
    return float(max_cll) or None, float(max_fall) or None
