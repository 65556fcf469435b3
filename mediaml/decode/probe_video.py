"""Facts of one video stream, from its codec parameters and its first picture."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

import av
from av.stream import Disposition
from av.video.format import VideoFormat
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.colour_names import FIELD_ORDER, MATRIX, PRIMARIES, TRANSFER, chroma_location
from mediaml.decode.hdr import UNSAFE_CODECS, has_dolby_vision, hdr_info, orientation, readable
from mediaml.decode.packet_scan import Scan
from mediaml.decode.references import Track
from mediaml.decode.tags import bitrate_bps, duration_seconds, frame_count, language
from mediaml.decode.timing import frame_rate, key_frame_interval_seconds, variable_frame_rate
from mediaml.media import VideoStream

_MAX_ASPECT = 20
_SUBSAMPLING = re.compile(r"(?:yuvj?a?|ya?uv)(\d{3})p?")
_CHROMA_BY_NAME = {"nv12": "420", "nv21": "420", "nv16": "422", "nv24": "444", "nv42": "444", "yuyv422": "422"}


def video_stream(
    stream: AvVideoStream, container: str, scan: Scan, track: Track | None, attached: bool, still: bool
) -> tuple[VideoStream, list[str]]:
    """The stream's facts and what is odd about it. `attached`: a cover; `still`: the file has no timeline."""
    frame = scan.pictures.get(stream.index)
    context = stream.codec_context
    timeless = still or attached
    warnings = _undecodable(stream, frame, scan, track)
    width, height = (context.width, context.height) if context else (0, 0)
    if not width and track is not None:
        width, height = track.width, track.height
    aspect = _aspect(stream if context else None, warnings)
    codec = context.codec.canonical_name if context else _foreign_codec(track, container)
    degrees, mirrored, exact = orientation(frame, codec)
    if codec not in UNSAFE_CODECS and not readable(frame, codec):
        warnings.append(
            f"stream {stream.index}: HDR metadata and mirroring are hidden by side data that PyAV cannot read"
        )
    if not exact:
        warnings.append(f"stream {stream.index}: its display matrix is no multiple of 90 degrees; {degrees} is used")
    shown = (max(1, round(width * aspect)), height) if width else (0, 0)
    pixel_format = frame.format if frame is not None else context.format if context else None
    dolby_vision = track.dolby_vision_profile if track else None
    if dolby_vision is None and has_dolby_vision(frame, codec):
        warnings.append(f"stream {stream.index}: carries Dolby Vision metadata; the profile is not in the container")
    level = context.level if context else -99
    return VideoStream(
        index=stream.index,
        codec=codec,
        profile=context.profile if context else None,
        level=level if level >= 0 else None,
        width=width,
        height=height,
        display_width=shown[1] if degrees % 180 else shown[0],
        display_height=shown[0] if degrees % 180 else shown[1],
        sample_aspect_ratio=aspect,
        rotation_degrees=degrees,
        mirrored=mirrored,
        field_order=_field_order(context.field_order if context else 0, frame),
        frame_rate=None if timeless else frame_rate(stream, scan),
        frame_rate_nominal=None if timeless else _rate(stream.base_rate),
        variable_frame_rate=None if timeless else variable_frame_rate(stream, container, scan),
        pixel_format=pixel_format.name if pixel_format else None,
        bit_depth=_bit_depth(pixel_format),
        chroma=chroma(pixel_format),
        has_alpha=bool(pixel_format) and any(c.is_alpha for c in pixel_format.components),
        matrix=MATRIX.get(context.colorspace) if context else None,
        range=_range(context, pixel_format),
        transfer=TRANSFER.get(context.color_trc) if context else None,
        primaries=PRIMARIES.get(context.color_primaries) if context else None,
        chroma_location=chroma_location(codec, chroma(pixel_format), context.extradata if context else None),
        hdr=hdr_info(frame, codec, dolby_vision),
        bitrate_bps=bitrate_bps(stream),
        start_seconds=None if timeless else start_seconds(stream),
        duration_seconds_header=None if timeless else duration_seconds(stream),
        frames_header=None if timeless else frame_count(stream),
        key_frame_interval_seconds=None if timeless else key_frame_interval_seconds(stream, scan),
        is_attached_picture=attached,
        language=language(stream),
        default=bool(stream.disposition & Disposition.default),
    ), warnings


def _foreign_codec(track: Track | None, container: str) -> str:
    if track is not None:
        return track.fourcc
    return container.removesuffix("_pipe") if container.endswith("_pipe") else "unknown"


def start_seconds(stream: av.VideoStream | av.AudioStream) -> float | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def chroma(format: VideoFormat | None) -> str | None:
    """Chroma subsampling as "420", "422", "444", "440", "411", "410"; "400" for grey; None for RGB and palettes."""
    if format is None or format.is_rgb or format.has_palette or format.is_bayer:
        return None
    if all(c.is_luma or c.is_alpha for c in format.components):
        return "400"
    if format.name in _CHROMA_BY_NAME:
        return _CHROMA_BY_NAME[format.name]
    found = _SUBSAMPLING.match(format.name)
    if found:
        return found.group(1)
    across, down = format.chroma_width(16), format.chroma_height(16)
    return {(16, 16): "444", (8, 16): "422", (8, 8): "420", (16, 8): "440", (4, 16): "411", (4, 4): "410"}.get(
        (across, down)
    )


def _undecodable(stream: AvVideoStream, frame: av.VideoFrame | None, scan: Scan, track: Track | None) -> list[str]:
    if stream.codec_context is None:
        name = f"codec {track.fourcc!r}" if track else "its codec"
        return [f"stream {stream.index}: no decoder for {name}; its pictures cannot be analysed"]
    if frame is None and not scan.streams[stream.index].packets:
        return [f"stream {stream.index}: the header announces video, but no packet of it was found"]
    if frame is None and not stream.codec_context.width:
        return [
            f"stream {stream.index}: {stream.codec_context.codec.canonical_name} of a kind without a decoder; no size known"
        ]
    if frame is None:
        return [f"stream {stream.index}: no picture came out of its first packets"]
    return []


def _aspect(stream: AvVideoStream | None, warnings: list[str]) -> Fraction:
    ratio = stream.sample_aspect_ratio if stream is not None else None
    if not ratio:
        return Fraction(1)
    if not Fraction(1, _MAX_ASPECT) <= ratio <= _MAX_ASPECT:
        warnings.append(f"stream {stream.index}: sample aspect ratio {ratio} is implausible; 1 is used")  # type: ignore[union-attr]
        return Fraction(1)
    return Fraction(ratio)


def _field_order(value: int, frame: av.VideoFrame | None) -> str:
    named = FIELD_ORDER.get(value, "unknown")
    if named in ("unknown", "progressive") and frame is not None:
        return "unknown" if frame.interlaced_frame else "progressive"
    return named


def _rate(rate: Fraction | None) -> float | None:
    return float(rate) if rate else None


def _bit_depth(format: VideoFormat | None) -> int | None:
    if format is None or not format.components:
        return None
    return 8 if format.has_palette else max(c.bits for c in format.components)


def _range(context: av.VideoCodecContext | None, format: VideoFormat | None) -> Literal["limited", "full"] | None:
    if context is not None and context.color_range in (1, 2):
        return "limited" if context.color_range == 1 else "full"
    return "full" if format is not None and format.name.startswith("yuvj") else None
