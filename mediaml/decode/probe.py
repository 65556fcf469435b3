"""`probe`: everything that a file says about itself, without analysing its pictures or sound."""

from __future__ import annotations

import os

import av
from av.container import InputContainer
from av.stream import Stream

from mediaml.decode.formats import ANIMATED_CONTAINERS, MOV, STILL_CONTAINERS
from mediaml.decode.opening import PathName, audio_streams, open_container, open_regular, video_streams
from mediaml.decode.packet_scan import Scan, is_attached, scan
from mediaml.decode.probe_audio import audio_stream
from mediaml.decode.probe_video import video_stream
from mediaml.decode.references import HEAD_BYTES, Track, matroska_end, movie_box, tracks
from mediaml.decode.tags import bounded, language, title
from mediaml.errors import NoStreams
from mediaml.media import Chapter, MediaInfo, MediaKind, OtherStream

_MAX_CHAPTERS = 1000
_PICTURE_BRANDS = frozenset({"avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"})
_MIN_SHORTFALL_SECONDS, _SHORTFALL = 0.5, 0.02


def probe(path: PathName) -> MediaInfo:
    """The facts of the media file at `path`; milliseconds, whatever its duration.

    Raises MediaMissing, MediaUnreadable, MediaEmpty, NotMedia, NoStreams, MediaTruncated, ForbiddenReference. A codec
    without a decoder does not raise: the stream is described as far as the container does, and `warnings` says so.
    """
    with open_container(path) as container:
        if not video_streams(container) and not audio_streams(container):
            kinds = sorted({s.type for s in container.streams})
            raise NoStreams(path, f"holds {', '.join(kinds) or 'no'} streams; neither video nor audio nor a picture")
        with open_regular(path) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            head = file.read(HEAD_BYTES)
            moov = movie_box(file, size_bytes) if container.format.name == MOV else None
            described = tracks(file, moov) if moov else []
        seen = scan(container, size_bytes, head)
        return _info(path, container, seen, size_bytes, described, moov.end if moov else matroska_end(head))


def _info(
    path: PathName,
    container: InputContainer,
    seen: Scan,
    size_bytes: int,
    described: list[Track],
    stated_end: int | None,
) -> MediaInfo:
    kind = _kind(container, seen)
    still = kind == "image"
    name = container.format.name
    matched = described if len(described) == len(container.streams) else [None] * len(container.streams)
    covers = _covers(container, seen)
    videos = [video_stream(s, name, seen, matched[s.index], s.index in covers, still) for s in video_streams(container)]
    sounds = [audio_stream(s, matched[s.index]) for s in audio_streams(container)]
    header = None if still or not container.duration else container.duration / av.time_base
    timed: list[Stream] = [s for s in video_streams(container) if s.index not in covers]
    span = None if still else seen.seconds([*timed, *audio_streams(container)])
    content = span[1] - span[0] if span and span[1] > span[0] else None
    warnings = [w for _, more in videos for w in more] + [w for _, more in sounds for w in more]
    if still and len(videos) > 2:
        warnings.append(
            f"the picture is stored as {len(videos)} parts (HEIF tiles, thumbnails); only one of them is decoded"
        )
    warnings += [] if still else _timeline_warnings(container, seen, size_bytes, header, content, stated_end)
    return MediaInfo(
        path=os.fspath(path),
        size_bytes=size_bytes,
        kind=kind,
        container=name,
        container_long=container.format.long_name,
        bitrate_bps=(container.bit_rate or None) if not still else None,
        start_seconds=None if still or container.start_time is None else container.start_time / av.time_base,
        duration_seconds_header=header,
        duration_seconds_content=content,
        video=tuple(v for v, _ in videos),
        audio=tuple(a for a, _ in sounds),
        other=tuple(_other(s) for s in container.streams if s.type not in ("video", "audio")),
        chapters=_chapters(container),
        tags=bounded(container.metadata),
        warnings=tuple(warnings),
    )


def _kind(container: InputContainer, seen: Scan) -> MediaKind:
    covers = _covers(container, seen)
    moving = [s for s in video_streams(container) if s.index not in covers]
    if audio_streams(container):
        return "video" if moving else "audio"
    if not moving or container.format.name in STILL_CONTAINERS - ANIMATED_CONTAINERS:
        return "image"
    one_picture = seen.whole and max(seen.streams[s.index].packets for s in moving) <= 1
    return "image" if one_picture and _holds_stills(container) else "video"


def _holds_stills(container: InputContainer) -> bool:
    return container.format.name in ANIMATED_CONTAINERS or container.metadata.get("major_brand") in _PICTURE_BRANDS


def _covers(container: InputContainer, seen: Scan) -> frozenset[int]:
    """Video streams without a timeline of their own: attached pictures, and the still that stands for a HEIF sequence."""
    streams = video_streams(container)
    covers = {s.index for s in streams if is_attached(s)}
    if container.metadata.get("major_brand") in _PICTURE_BRANDS:
        counts = {s.index: seen.streams[s.index].packets for s in streams}
        covers |= {i for i, n in counts.items() if n <= 1 < max(counts.values())}
    return frozenset(covers)


def _timeline_warnings(
    container: InputContainer,
    seen: Scan,
    size_bytes: int,
    header: float | None,
    content: float | None,
    stated_end: int | None,
) -> list[str]:
    found = []
    if header is None:
        found.append("no duration in the header")
    if _index_exceeds(container, size_bytes):
        found.append(f"truncated: its index points past the end of the file ({size_bytes} bytes)")
    elif stated_end is not None and stated_end > size_bytes:
        found.append(f"truncated: {stated_end} bytes at least are announced, the file has {size_bytes}")
    elif header and content and header - content > max(_MIN_SHORTFALL_SECONDS, _SHORTFALL * header):
        found.append(f"the header promises {header:.3f} s, the content ends after {content:.3f} s")
    if seen.problem is not None:
        found.append(f"reading stopped before the end of the content: {seen.problem}")
    corrupt = sum(s.corrupt for s in seen.streams.values())
    if corrupt:
        found.append(f"{corrupt} of the packets looked at are marked corrupt")
    return found


def _index_exceeds(container: InputContainer, size_bytes: int) -> bool:
    if container.format.name != MOV:
        return False
    lasts = [s.index_entries[-1] for s in container.streams if len(s.index_entries)]
    return any(e.pos + e.size > size_bytes for e in lasts)


def _other(stream: Stream) -> OtherStream:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else None
    return OtherStream(stream.index, stream.type, codec, language(stream), title(stream))


def _chapters(container: InputContainer) -> tuple[Chapter, ...]:
    return tuple(
        Chapter(
            float(c["start"] * c["time_base"]),
            float(c["end"] * c["time_base"]),
            bounded(c["metadata"]).get("title"),
        )
        for c in container.chapters()[:_MAX_CHAPTERS]
        if c["time_base"]
    )
