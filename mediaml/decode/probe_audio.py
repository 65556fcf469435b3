"""Facts of one audio stream."""

from __future__ import annotations

import re

from av.audio.stream import AudioStream as AvAudioStream
from av.stream import Disposition

from mediaml.decode.probe_video import start_seconds
from mediaml.decode.references import Track
from mediaml.decode.tags import bitrate_bps, duration_seconds, language, title
from mediaml.media import AudioStream

_PCM_BITS = re.compile(r"pcm_[sfu](\d+)")


def audio_stream(stream: AvAudioStream, track: Track | None) -> tuple[AudioStream, list[str]]:
    """The stream's facts and what is odd about it."""
    context = stream.codec_context
    warnings = []
    if context is None:
        name = f"codec {track.fourcc!r}" if track else "its codec"
        warnings.append(f"stream {stream.index}: no decoder for {name}; its sound cannot be analysed")
    return AudioStream(
        index=stream.index,
        codec=context.codec.canonical_name if context else (track.fourcc if track else "unknown"),
        profile=context.profile if context else None,
        sample_rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        layout=_layout(context.layout.name, context.channels) if context else "unknown",
        sample_format=context.format.name if context and context.format else None,
        bits_per_sample=_bits(context.codec.canonical_name, context.extradata) if context else None,
        bitrate_bps=bitrate_bps(stream),
        start_seconds=start_seconds(stream),
        duration_seconds_header=duration_seconds(stream),
        language=language(stream),
        title=title(stream),
        default=bool(stream.disposition & Disposition.default),
    ), warnings


def _layout(name: str, channels: int) -> str:
    """FFmpeg's layout name; one and two channels without a stated order are mono and stereo."""
    unordered = name.endswith(" channels")
    return {1: "mono", 2: "stereo"}.get(channels, name) if unordered else name


def _bits(codec: str, extradata: bytes | None) -> int | None:
    """Bits a sample of PCM and FLAC (STREAMINFO, RFC 9639, 8.2); lossy codecs have none."""
    pcm = _PCM_BITS.match(codec)
    if pcm:
        return int(pcm.group(1))
    if codec == "flac" and extradata and len(extradata) >= 14:
        return ((extradata[12] & 1) << 4 | extradata[13] >> 4) + 1
    return None
