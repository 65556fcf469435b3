"""Subtitles whose format the new container does not know, in the one that it does: FFmpeg's decoder, then its encoder.

MP4's 3GPP timed text becomes SubRip in Matroska and WebVTT in WebM; SubRip, ASS and WebVTT become 3GPP timed text in MP4.
Words, times, line breaks and what bold and italic both formats have are kept; places and fonts may not be. Pictures of
subtitles (DVD, Blu-ray, DVB) cannot become text.
"""

from __future__ import annotations

from typing import cast

import av
from av.codec import CodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext

_TEXT = ("mov_text", "subrip", "ass", "ssa", "webvtt", "text")
_HELD_AS = {"matroska": "subrip", "nut": "subrip", "mp4": "mov_text", "mov": "mov_text", "webm": "webvtt"}


def text_codec_for(stream: Stream, out: OutputContainer) -> str | None:
    """The codec in which `out` can hold this stream's words; None for pictures, for other streams, for other containers."""
    context = stream.codec_context
    if stream.type != "subtitle" or context is None or context.codec.canonical_name not in _TEXT:
        return None
    codec = _HELD_AS.get(out.format.name)
    return codec if codec is not None and codec in out.supported_codecs else None


class TextConverter:
    """Packets of one text stream -> packets of its copy in `out`, at the same times."""

    def __init__(self, stream: Stream, out: OutputContainer, codec: str) -> None:
        self._decoder = cast(SubtitleCodecContext, CodecContext.create(stream.codec_context.name, "r"))
        self._decoder.extradata = stream.codec_context.extradata
        self._decoder.open()
        self.stream = out.add_stream(codec)  # type: ignore[call-overload]
        self._encoder = cast(SubtitleCodecContext, self.stream.codec_context)
        self._encoder.subtitle_header = self._decoder.subtitle_header

    def convert(self, packet: Packet) -> Packet | None:
        """None for the empty samples that mark pauses in 3GPP timed text."""
        shown = self._decoder.decode2(packet)
        if shown is None or len(shown) == 0:
            return None
        made = av.Packet(bytes(self._encoder.encode_subtitle(shown)))
        made.pts, made.dts, made.duration, made.time_base = packet.pts, packet.pts, packet.duration, packet.time_base
        made.stream = self.stream
        return made
