"""Metadata tags, bounded, and the stream facts that Matroska keeps in tags."""

from __future__ import annotations

import re
from collections.abc import Mapping

from av.stream import Stream

_MAX_TAGS, _MAX_KEY, _MAX_VALUE = 64, 64, 1024
_MPEG1_VARIABLE = 0x3FFFF * 400  # ISO/IEC 11172-2, 2.4.3.2: all ones means variable
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def bounded(tags: Mapping[str, str]) -> dict[str, str]:
    """At most 64 tags; longer keys (64) and values (1024 characters) are cut with an ellipsis."""
    kept = sorted(tags.items())[:_MAX_TAGS]
    return {_cut(str(k), _MAX_KEY): _cut(str(v), _MAX_VALUE) for k, v in kept}


def language(stream: Stream) -> str | None:
    """The stream's language tag; None for "und"."""
    value = stream.metadata.get("language", "").strip()
    return _cut(value, _MAX_KEY) if value and value != "und" else None


def title(stream: Stream) -> str | None:
    value = stream.metadata.get("title") or stream.metadata.get("filename")
    return _cut(value, _MAX_VALUE) if value else None


def bitrate_bps(stream: Stream) -> int | None:
    """From the codec parameters, else from the statistics tag that mkvmerge writes."""
    context = stream.codec_context
    known = getattr(context, "bit_rate", None) if context is not None else None
    return (known if known != _MPEG1_VARIABLE else None) or _whole(_statistic(stream, "BPS"))


def frame_count(stream: Stream) -> int | None:
    return getattr(stream, "frames", 0) or _whole(_statistic(stream, "NUMBER_OF_FRAMES"))


def duration_seconds(stream: Stream) -> float | None:
    """The stream's duration as its header gives it."""
    if stream.duration is not None and stream.time_base is not None and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    found = _CLOCK.match(_statistic(stream, "DURATION"))
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _statistic(stream: Stream, name: str) -> str:
    return next((v for k, v in stream.metadata.items() if k.upper().split("-")[0] == name), "")


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 and int(text) else None


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
