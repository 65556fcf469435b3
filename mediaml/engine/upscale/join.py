"""Segments and what the source has beside its picture -> one file, with the source's own times."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.opening import open_container
from mediaml.engine.upscale.encoder import CodedPacket, configure, encoder_options, keeping_priority, read_segment
from mediaml.engine.upscale.plan import UpscalePlan, container_format
from mediaml.engine.upscale.timed_text import TextConverter, text_codec_for
from mediaml.errors import OutputUnwritable
from mediaml.frames import Colour

_MOVIE_TIMESCALE = (
    "90000"  # of edit lists, which say where a stream begins; FFmpeg's own milliseconds would move the sound
)


class Segments(NamedTuple):
    """The segments of a file in order, and what their encoder was told."""

    paths: list[Path]
    colour: Colour
    base: Fraction


def join(plan: UpscalePlan, segments: Segments, target: Path) -> None:
    """Writes `target`: the segments' video at its place among the source's streams, all others copied packet by packet,
    with chapters, attachments, metadata and dispositions. Subtitles that the container does not know are written in the
    format of text that it does. Raises OutputUnwritable where the container holds no such stream.
    """
    with open_container(plan.source) as source, _opened(plan, target) as out:
        copies: dict[int, Stream | TextConverter] = {}
        video: AvVideoStream | None = None
        for stream in source.streams:
            if stream.index == plan.video.index:
                video = _video_stream(plan, segments, stream, out)
            elif isinstance(stream, AttachmentStream):
                _attach(stream, out)
            elif stream.type in ("audio", "subtitle", "video", "data"):
                copies[stream.index] = _copied(plan, stream, out)
        assert video is not None
        out.metadata.update(source.metadata)
        out.set_chapters(source.chapters())
        with keeping_priority():
            out.start_encoding()
        _mux(source, out, copies, video, segments)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _opened(plan: UpscalePlan, target: Path) -> OutputContainer:
    name = container_format(plan.out).name
    options = {"movie_timescale": _MOVIE_TIMESCALE} if name in ("mp4", "mov") else {}
    return cast(OutputContainer, av.open(str(target), "w", format=name, options=options))


def _video_stream(plan: UpscalePlan, segments: Segments, like: Stream, out: OutputContainer) -> AvVideoStream:
    """The stream of the upscaled video; its encoder is opened for its headers only."""
    rate = Fraction(plan.video.frame_rate or 25).limit_denominator(60000)
    made = out.add_stream(plan.settings.codec, rate=rate, options=encoder_options(plan))
    stream = cast(AvVideoStream, made)
    configure(stream.codec_context, plan, segments.colour, segments.base)
    stream.time_base = segments.base
    _describe(stream, like)
    return stream


def check_copies(plan: UpscalePlan) -> None:
    """Raises OutputUnwritable, before hours of work, where the container cannot hold what `join` is to copy into it."""
    empty = av.open(io.BytesIO(), "w", format=container_format(plan.out).name)
    with open_container(plan.source) as source, cast(OutputContainer, empty) as out:
        for stream in source.streams:
            if stream.index != plan.video.index and stream.type in ("audio", "subtitle", "video"):
                _check_held(plan, stream, out)


def _is_held(stream: Stream, out: OutputContainer) -> bool:
    return stream.codec_context is None or stream.codec_context.codec.canonical_name in out.supported_codecs


def _check_held(plan: UpscalePlan, stream: Stream, out: OutputContainer) -> None:
    if _is_held(stream, out) or text_codec_for(stream, out) is not None:
        return
    other = ".mkv" if plan.out.suffix.lower() != ".mkv" else plan.source.suffix.lower()
    raise OutputUnwritable(
        f"{plan.out.name}: {out.format.name} cannot hold the source's {stream.type} stream {stream.index} "
        f"({stream.codec_context.name}), which is to be copied as it is; write an {other}"
    )


def _copied(plan: UpscalePlan, stream: Stream, out: OutputContainer) -> Stream | TextConverter:
    text = None if _is_held(stream, out) else text_codec_for(stream, out)
    if text is not None:
        converter = TextConverter(stream, out, text)
        _describe(converter.stream, stream)
        return converter
    name = stream.codec_context.name if stream.codec_context is not None else stream.type
    if stream.type != "data":
        _check_held(plan, stream, out)
    try:
        copy = out.add_stream_from_template(stream, opaque=True)
    except (ValueError, FFmpegError) as error:
        raise OutputUnwritable(f"{plan.out.name}: stream {stream.index} ({name}) cannot be copied: {error}") from error
    _describe(copy, stream)
    return copy


def _describe(copy: Stream, like: Stream) -> None:
    copy.metadata.update(like.metadata)
    copy.disposition = like.disposition


def _attach(stream: AttachmentStream, out: OutputContainer) -> None:
    """Fonts and the like; only Matroska has room for them."""
    if out.format.name == "matroska":
        name = stream.metadata.get("filename", f"attachment_{stream.index}")
        out.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)


def _mux(
    source: InputContainer,
    out: OutputContainer,
    copies: dict[int, Stream | TextConverter],
    video: AvVideoStream,
    segments: Segments,
) -> None:
    """Interleaves by decode time, so that no more than a moment of any stream waits in memory."""
    pending = _Pending(_timed(segments), video, segments.base, out)
    streams: list[Any] = [s for s in source.streams if s.index in copies]
    for packet in source.demux(streams) if streams else ():
        if packet.dts is None and packet.pts is None:
            continue  # the demuxer's end marker
        ticks = packet.dts if packet.dts is not None else packet.pts
        pending.write_until(Fraction(int(ticks or 0)) * packet.time_base)
        copy = copies[packet.stream_index]
        if isinstance(copy, TextConverter):
            converted = copy.convert(packet)
            if converted is not None:
                out.mux(converted)
            continue
        packet.stream = copy
        out.mux(packet)
    pending.write_until(None)


class _Pending:
    """The video packets that are not written yet."""

    def __init__(
        self, packets: Iterator[tuple[CodedPacket, int]], stream: AvVideoStream, base: Fraction, out: OutputContainer
    ) -> None:
        self._packets, self._stream, self._base, self._out = packets, stream, base, out
        self._next = next(packets, None)

    def write_until(self, seconds: Fraction | None) -> None:
        while self._next is not None and (seconds is None or self._next[1] * self._base <= seconds):
            coded, dts = self._next
            packet = av.Packet(coded.content)
            packet.pts, packet.dts, packet.duration = coded.pts, dts, coded.duration
            packet.time_base = self._base
            packet.is_keyframe = coded.key_frame
            packet.stream = self._stream
            self._out.mux(packet)
            self._next = next(self._packets, None)


def _timed(segments: Segments) -> Iterator[tuple[CodedPacket, int]]:
    """Each packet with its decode time: the presentation times in ascending order, as much earlier as reordering needs."""
    delay = max((_delay(path) for path in segments.paths), default=0)
    times = (pts for path in segments.paths for pts in sorted(p.pts for p in read_segment(path)))
    ahead: deque[int] = deque()
    first, step, count = None, 1, 0
    for path in segments.paths:
        for packet in read_segment(path):
            ahead.append(next(times))
            if first is None:
                first, step = ahead[0], max(packet.duration, 1)
            if count < delay:
                yield packet, first - (delay - count) * step
            else:
                yield packet, ahead.popleft()
            count += 1


def _delay(path: Path) -> int:
    """Pictures by which decoding must run ahead of showing: the most that come before one that is shown earlier."""
    shown = [p.pts for p in read_segment(path)]
    rank = {pts: i for i, pts in enumerate(sorted(shown))}
    return max((i - rank[pts] for i, pts in enumerate(shown)), default=0)
