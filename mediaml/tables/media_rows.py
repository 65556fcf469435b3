"""MediaInfo as rows: one of `media`, one of `streams` for every stream."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from fractions import Fraction
from typing import Any

from mediaml.media import AudioStream, MediaInfo, OtherStream, VideoStream
from mediaml.spec import Column, Dtype, Table


def _column(name: str, dtype: Dtype, unit: str, description: str) -> Column:
    return Column(name, dtype, unit, description, Table.FILES, nullable=True)


MEDIA_COLUMNS: tuple[Column, ...] = (
    _column("path", "string", "path", "where the content was last seen"),
    _column("kind", "string", "class", "video, image or audio"),
    _column("size_bytes", "int64", "B", "size of the file"),
    _column("container", "string", "name", "demuxer"),
    _column("container_long", "string", "name", "demuxer in words"),
    _column("bitrate_bps", "int64", "bit/s", "overall bitrate"),
    _column("start_seconds", "float64", "s", "first timestamp"),
    _column("duration_seconds", "float64", "s", "from the content where it was measured, else from the header"),
    _column("duration_seconds_header", "float64", "s", "duration that the header states"),
    _column("duration_seconds_content", "float64", "s", "duration from the packets' timestamps"),
    _column("video_streams", "int32", "streams", "number of video streams, attached pictures included"),
    _column("audio_streams", "int32", "streams", "number of audio streams"),
    _column("other_streams", "int32", "streams", "number of subtitle, data and attachment streams"),
    _column("video_codec", "string", "name", "codec of the main video stream"),
    _column("display_width", "int32", "px", "of the main video stream, after aspect ratio and rotation"),
    _column("display_height", "int32", "px", "of the main video stream, after aspect ratio and rotation"),
    _column("frame_rate", "float64", "frame/s", "average, of the main video stream"),
    _column("bit_depth", "int32", "bit", "of the main video stream"),
    _column("transfer", "string", "name", "transfer characteristic of the main video stream"),
    _column("audio_codec", "string", "name", "codec of the main audio stream"),
    _column("sample_rate", "int32", "Hz", "of the main audio stream"),
    _column("channels", "int32", "channels", "of the main audio stream"),
    _column("chapters", "string", "JSON", "list of start_seconds, end_seconds, title"),
    _column("tags", "string", "JSON", "the container's own tags"),
    _column("warnings", "string", "JSON", "what is odd about the file though it opens"),
)

STREAM_COLUMNS: tuple[Column, ...] = (
    _column("type", "string", "class", "video, audio, subtitle, data or attachment"),
    _column("codec", "string", "name", "codec"),
    _column("profile", "string", "name", "profile of the codec"),
    _column("level", "int32", "code", "level of the codec, as coded"),
    _column("width", "int32", "px", "as decoded, before rotation"),
    _column("height", "int32", "px", "as decoded, before rotation"),
    _column("display_width", "int32", "px", "after sample aspect ratio and rotation"),
    _column("display_height", "int32", "px", "after sample aspect ratio and rotation"),
    _column("sample_aspect_ratio", "float64", "1", "width of a sample over its height"),
    _column("rotation_degrees", "int32", "deg", "clockwise turn to be applied for display"),
    _column("mirrored", "bool", "1", "whether to be mirrored for display"),
    _column("field_order", "string", "class", "progressive, tt, bb, tb, bt or unknown"),
    _column("frame_rate", "float64", "frame/s", "average"),
    _column("frame_rate_nominal", "float64", "frame/s", "base rate"),
    _column("variable_frame_rate", "bool", "1", "whether frame distances vary"),
    _column("pixel_format", "string", "name", "FFmpeg's pixel format"),
    _column("bit_depth", "int32", "bit", "bits a sample"),
    _column("chroma", "string", "class", "420, 422, 444, 400, ..."),
    _column("has_alpha", "bool", "1", "whether there is an alpha plane"),
    _column("matrix", "string", "name", "colour matrix"),
    _column("range", "string", "class", "limited or full"),
    _column("transfer", "string", "name", "transfer characteristic"),
    _column("primaries", "string", "name", "colour primaries"),
    _column("chroma_location", "string", "name", "chroma sample location"),
    _column("max_cll", "float64", "cd/m2", "maximum content light level (CTA-861.3)"),
    _column("max_fall", "float64", "cd/m2", "maximum frame-average light level (CTA-861.3)"),
    _column("mastering_max_luminance", "float64", "cd/m2", "mastering display, SMPTE ST 2086"),
    _column("mastering_min_luminance", "float64", "cd/m2", "mastering display, SMPTE ST 2086"),
    _column("mastering_primaries", "string", "JSON", "CIE 1931 xy of red, green, blue, white"),
    _column("dolby_vision_profile", "int32", "code", "Dolby Vision profile"),
    _column("hdr10_plus", "bool", "1", "whether HDR10+ metadata is there"),
    _column("bitrate_bps", "int64", "bit/s", "bitrate of the stream"),
    _column("start_seconds", "float64", "s", "first timestamp"),
    _column("duration_seconds_header", "float64", "s", "duration that the header states"),
    _column("frames_header", "int64", "frames", "number of frames that the header states"),
    _column("key_frame_interval_seconds", "float64", "s", "median distance of key frames in the index"),
    _column("is_attached_picture", "bool", "1", "whether it is a cover picture"),
    _column("sample_rate", "int32", "Hz", "sampling rate"),
    _column("channels", "int32", "channels", "number of channels"),
    _column("layout", "string", "name", "channel layout"),
    _column("sample_format", "string", "name", "FFmpeg's sample format"),
    _column("bits_per_sample", "int32", "bit", "bits a sample of sound"),
    _column("language", "string", "ISO 639", "language"),
    _column("title", "string", "text", "title of the stream"),
    _column("is_default", "bool", "1", "whether the container marks it as default"),
)
_HDR = (
    "max_cll",
    "max_fall",
    "mastering_max_luminance",
    "mastering_min_luminance",
    "mastering_primaries",
    "dolby_vision_profile",
    "hdr10_plus",
)


def _value(value: Any) -> Any:
    """A plain value for a table: fractions as numbers, tuples as JSON, infinities and NaN as null."""
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (tuple, list, dict)):
        return json.dumps(value)
    return value


def media_columns(info: MediaInfo, stored_path: str) -> dict[str, list[Any]]:
    """Column -> one value, for the `media` table; `stored_path` in the lake's path encoding."""
    video, audio = info.main_video, info.main_audio
    row: dict[str, Any] = {c.name: getattr(info, c.name, None) for c in MEDIA_COLUMNS}
    row |= {
        "path": stored_path,
        "video_streams": len(info.video),
        "audio_streams": len(info.audio),
        "other_streams": len(info.other),
        "chapters": [asdict(c) for c in info.chapters],
        "tags": dict(sorted(info.tags.items())),
        "warnings": list(info.warnings),
    }
    if video is not None:
        row["video_codec"] = video.codec
        row |= {
            n: getattr(video, n) for n in ("display_width", "display_height", "frame_rate", "bit_depth", "transfer")
        }
    if audio is not None:
        row |= {"audio_codec": audio.codec, "sample_rate": audio.sample_rate, "channels": audio.channels}
    return {name: [_value(value)] for name, value in row.items()}


def stream_columns(info: MediaInfo) -> dict[str, list[Any]]:
    """Column -> one value a stream in container order, for the `streams` table."""
    streams: Sequence[VideoStream | AudioStream | OtherStream] = sorted(
        (*info.video, *info.audio, *info.other), key=lambda s: s.index
    )
    rows = [_stream(s) for s in streams]
    return {name: [row.get(name) for row in rows] for name in ("stream_index", *(c.name for c in STREAM_COLUMNS))}


def _stream(stream: VideoStream | AudioStream | OtherStream) -> dict[str, Any]:
    row: dict[str, Any] = {f.name: getattr(stream, f.name) for f in fields(stream)}
    row["stream_index"] = row.pop("index")
    row["is_default"] = row.pop("default", None)
    if isinstance(stream, VideoStream):
        row["type"] = "video"
        hdr = row.pop("hdr")
        row |= {name: getattr(hdr, name) for name in _HDR} if hdr is not None else {}
    elif isinstance(stream, AudioStream):
        row["type"] = "audio"
    return {name: _value(value) for name, value in row.items()}
