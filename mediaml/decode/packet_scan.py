"""What packets say about time: a bounded look at the head and the tail of a file, and the first picture on the way.

Cost is bounded whatever the duration: small files are demuxed whole; of others a few hundred pictures at the head, and what
lies behind the last seek point where the container can seek without reading everything before it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream

from mediaml.decode.formats import MATROSKA, MOV
from mediaml.decode.opening import audio_streams, video_streams

WHOLE_BYTES = 8 << 20  # files up to this size are demuxed whole
WHOLE_BYTES_NO_DURATION = 64 << 20  # ... or up to this one where the header gives no duration
_WHOLE_PACKETS = 5_000  # of files whose tail can be reached by seeking
_WHOLE_PACKETS_NO_SEEK = 40_000
_HEAD_PICTURES, _HEAD_PACKETS, _HEAD_BYTES = 120, 1_000, 8 << 20
_TAIL_SECONDS, _TAIL_SECONDS_BY_INDEX = 2.0, 0.5
_TAIL_PACKETS, _TAIL_BYTES = 10_000, 64 << 20
_FIRST_PICTURE_PACKETS = 48
_SEEKS_BY_INDEX_OR_BISECTION = frozenset(
    {MOV, MATROSKA, "mpegts", "mpeg", "ogg", "avi", "mxf", "asf", "wav", "w64", "flac"}
)
_CUES_AT = re.compile(rb"\x53\xab\x84\x1c\x53\xbb\x6b\x53\xac[\x81-\x88]", re.S)


@dataclass(slots=True)
class StreamTimes:
    """Times of one stream's packets, in its time base."""

    times: list[int] = field(default_factory=list)  # of the head, as read; presentation times where there are any
    keys: list[int] = field(default_factory=list)
    first: int | None = None
    end: int | None = None
    packets: int = 0
    corrupt: int = 0

    def add(self, packet: Packet[Stream], in_head: bool) -> None:
        self.packets += 1
        self.corrupt += packet.is_corrupt
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            return
        if in_head:
            self.times.append(time)
            if packet.is_keyframe:
                self.keys.append(time)
        if packet.is_discard:
            return
        self.first = time if self.first is None else min(self.first, time)
        end = time + (packet.duration or 0)
        self.end = end if self.end is None else max(self.end, end)


@dataclass(slots=True)
class Scan:
    """The outcome. `whole`: every packet was seen. `ended`: the end of the content was reached."""

    streams: dict[int, StreamTimes]
    pictures: dict[int, av.VideoFrame] = field(default_factory=dict)
    whole: bool = False
    ended: bool = False
    problem: str | None = None

    def seconds(self, timed: Iterable[Stream]) -> tuple[float, float] | None:
        """(first, end) over the given streams, in seconds; None where the end was not reached or nothing is timed."""
        spans = []
        for stream in timed:
            times = self.streams[stream.index]
            if times.first is not None and times.end is not None and stream.time_base:
                spans.append((float(times.first * stream.time_base), float(times.end * stream.time_base)))
        if not self.ended or not spans:
            return None
        return min(first for first, _ in spans), max(end for _, end in spans)


def scan(container: InputContainer, size_bytes: int, head: bytes) -> Scan:
    """Demux what the bounds allow. `head`: the first bytes of the file. Never raises for broken content: see `problem`."""
    result = Scan({s.index: StreamTimes() for s in container.streams})
    limit = WHOLE_BYTES if container.duration else WHOLE_BYTES_NO_DURATION
    seekable = bool(container.duration) and _seeks_cheaply(container, size_bytes, head)
    _walk_head(container, result, size_bytes <= limit, _WHOLE_PACKETS if seekable else _WHOLE_PACKETS_NO_SEEK)
    if not result.whole and result.problem is None and seekable:
        _walk_tail(container, result, size_bytes)
    return result


def is_attached(stream: Stream) -> bool:
    """Whether a video stream is a cover or another picture without a timeline."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _walk_head(container: InputContainer, result: Scan, whole: bool, most_packets: int) -> None:
    waiting = {s.index: _FIRST_PICTURE_PACKETS for s in video_streams(container) if s.codec_context is not None}
    pictures = packets = size = 0
    try:
        for packet in container.demux():
            if packet.size == 0:
                continue
            index = packet.stream_index
            result.streams[index].add(packet, in_head=True)
            if index in waiting:
                waiting[index] -= 1
                if _first_picture(packet, result) or waiting[index] == 0:
                    del waiting[index]
            pictures += packet.stream.type == "video"
            packets += 1
            size += packet.size
            enough = pictures >= _HEAD_PICTURES or packets >= _HEAD_PACKETS or size >= _HEAD_BYTES
            if packets >= most_packets or (not whole and enough and not (waiting and size < _TAIL_BYTES)):
                break
        else:
            result.whole = result.ended = True
    except (FFmpegError, OSError, IndexError) as e:  # IndexError: a damaged TS brings a stream that PyAV does not know
        result.problem = _reason(e)
    _flush_pictures(container, result)


def _first_picture(packet: Packet[Stream], result: Scan) -> bool:
    """Keeps the packet's picture, a key packet's at once: waiting for its turn would decode some four pictures more."""
    try:
        context = packet.stream.codec_context
        if not context.is_open:
            context.thread_count = 1
        frames = packet.decode()
        if not frames and packet.is_keyframe and isinstance(packet.stream, av.VideoStream):
            frames = packet.stream.decode(None)
            context.flush_buffers()
    except (FFmpegError, ValueError):
        return False
    if frames and isinstance(frames[0], av.VideoFrame):
        result.pictures[packet.stream_index] = frames[0]
    return bool(frames)


def _flush_pictures(container: InputContainer, result: Scan) -> None:
    """Pictures that a decoder still holds back (one-frame files)."""
    for stream in video_streams(container):
        if stream.index in result.pictures or not result.streams[stream.index].packets or stream.codec_context is None:
            continue
        try:
            frames = stream.decode(None)
        except (FFmpegError, ValueError):
            continue
        if frames:
            result.pictures[stream.index] = frames[0]


def _walk_tail(container: InputContainer, result: Scan, size_bytes: int) -> None:
    start, packets, size = container.start_time or 0, 0, 0
    end = start + (container.duration or 0)
    readable = _last_readable_seconds(container, size_bytes)
    if readable is not None:
        end = min(end, int(readable * av.time_base))
    try:
        indexed = (
            container.format.name == MOV
        )  # every packet is in the index: no key frame is needed to read timestamps
        seconds = _TAIL_SECONDS_BY_INDEX if indexed else _TAIL_SECONDS
        container.seek(max(end - int(seconds * av.time_base), start), any_frame=indexed)
        for packet in container.demux():
            if packet.size == 0:
                continue
            result.streams[packet.stream_index].add(packet, in_head=False)
            packets += 1
            size += packet.size
            if packets >= _TAIL_PACKETS or size >= _TAIL_BYTES:
                return
    except (FFmpegError, OSError, IndexError) as e:
        result.problem = _reason(e)
    result.ended = packets > 0


def _last_readable_seconds(container: InputContainer, size_bytes: int) -> float | None:
    """Where the content of a truncated ISO media file ends, from its index; None for whole files and other containers."""
    ends = []
    for stream in (*video_streams(container), *audio_streams(container)):
        entries = stream.index_entries
        if container.format.name != MOV or not len(entries) or not stream.time_base:
            continue
        if entries[-1].pos + entries[-1].size > size_bytes:
            last = bisect_right(entries, size_bytes, key=lambda e: e.pos + e.size) - 1
            ends.append(float(entries[max(0, last)].timestamp * stream.time_base))
    return max(ends, default=None)


def _seeks_cheaply(container: InputContainer, size_bytes: int, head: bytes) -> bool:
    if container.format.name != MATROSKA:
        return container.format.name in _SEEKS_BY_INDEX_OR_BISECTION
    found = _CUES_AT.search(head)
    if found is None:
        return False
    length = head[found.end() - 1] & 0x0F
    return int.from_bytes(head[found.end() : found.end() + length], "big") < size_bytes


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
