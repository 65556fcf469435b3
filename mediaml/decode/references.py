"""What a file's own bytes say about other files: playlists, scripts, and QuickTime data references.

Nothing here is needed for safety (`opening` already bars every other open); it turns "no demuxer" into a reason.
Boxes: ISO/IEC 14496-12, 4.2; data references: 8.7.2; reference movies ("rmra"): QuickTime File Format Specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

HEAD_BYTES = 4096
EBML = b"\x1a\x45\xdf\xa3"
_MAX_BOXES = 20_000
_BOX_TYPES = frozenset(
    b"ftyp styp moov mdat free skip wide pnot moof sidx ssix uuid meta emsg prft mfra udta pdin bloc".split()
)
_SCRIPTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"#EXTM3U"), "an HLS or M3U playlist"),
    (re.compile(rb"ffconcat version"), "an ffconcat script"),
    (re.compile(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<([\w-]+:)?MPD\b", re.S), "a DASH manifest"),
    (re.compile(rb"(<\?xml[^>]*>\s*)?<SmoothStreamingMedia\b", re.S), "a Smooth Streaming manifest"),
    (
        re.compile(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<([\w-]+:)?(CompositionPlaylist|AssetMap)\b", re.S),
        "an IMF list",
    ),
    (re.compile(rb"v=0\r?\no="), "a session description (SDP)"),
    (re.compile(rb"\[(playlist|Reference)\]", re.I), "a playlist"),
    (re.compile(rb"(<\?xml[^>]*>\s*)?<(asx|smil)\b", re.I), "a playlist"),
    (re.compile(rb"RTSPtext|rtsptext"), "a QuickTime stream description"),
    (re.compile(rb"# VobSub index file"), "a VobSub index"),
)


@dataclass(frozen=True, slots=True)
class Box:
    """A box of an ISO media file: its content lies at [start, end) of the file; `end` may lie past the end of the file."""

    type: bytes
    start: int
    end: int


@dataclass(slots=True)
class Track:
    """What the index says about one track; `external`: its data lie in another file."""

    handler: str = ""
    external: bool = False
    fourcc: str = "unknown"
    width: int = 0
    height: int = 0
    dolby_vision_profile: int | None = None


def script_kind(head: bytes) -> str | None:
    """What kind of pointer to other files the first bytes are ("an HLS or M3U playlist"); None for anything else."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in _SCRIPTS if pattern.match(text)), None)


def matroska_end(head: bytes) -> int | None:
    """The byte at which a Matroska file says that it ends (RFC 8794, 6.2); None where it leaves that open."""
    found = re.search(rb"\x18\x53\x80\x67", head)
    if found is None or not head.startswith(EBML) or found.end() >= len(head) or not head[found.end()]:
        return None
    length = 9 - head[found.end()].bit_length()
    size = int.from_bytes(head[found.end() : found.end() + length], "big") & ((1 << 7 * length) - 1)
    return found.end() + length + size if size != (1 << 7 * length) - 1 else None


def looks_like_mov(head: bytes) -> bool:
    """Whether the first box is one that an ISO media or QuickTime file starts with."""
    return len(head) >= 8 and head[4:8] in _BOX_TYPES


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes that lie one after another in [start, end) of the file; stops at the first impossible size."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        header = file.read(16)
        if len(header) < 8:
            return
        size, content = int.from_bytes(header[:4], "big"), start + 8
        if size == 1 and len(header) == 16:
            size, content = int.from_bytes(header[8:], "big"), start + 16
        elif size == 0:
            size = end - start
        if start + size < content:
            return
        yield Box(header[4:8], content, start + size)
        start += size


def movie_box(file: BinaryIO, size_bytes: int) -> Box | None:
    """The "moov" box of an ISO media file, if there is one."""
    return next((b for b in boxes(file, 0, size_bytes) if b.type == b"moov"), None)


def tracks(file: BinaryIO, moov: Box) -> list[Track]:
    """What a movie's index says about its tracks, in order."""
    return [_track(file, b) for b in boxes(file, moov.start, moov.end) if b.type == b"trak"]


def external_data(file: BinaryIO, moov: Box) -> str | None:
    """What picture or sound of a movie lies in another file: "video track 1"; None where all data are in the file itself."""
    if next(_children(file, moov, b"rmra"), None) is not None:
        return "content"
    for number, track in enumerate(tracks(file, moov), 1):
        if track.external and track.handler in ("vide", "soun"):
            return f"{'video' if track.handler == 'vide' else 'audio'} (track {number})"
    return None


def _track(file: BinaryIO, trak: Box) -> Track:
    found = Track()
    for mdia in _children(file, trak, b"mdia"):
        for hdlr in _children(file, mdia, b"hdlr"):
            file.seek(hdlr.start + 8)
            found.handler = file.read(4).decode("latin-1")
        for minf in _children(file, mdia, b"minf"):
            for dref in _descend(file, minf, b"dinf", b"dref"):
                found.external |= any(_is_external(file, e) for e in boxes(file, dref.start + 8, dref.end))
            for stsd in _descend(file, minf, b"stbl", b"stsd"):
                entry = next(boxes(file, stsd.start + 8, stsd.end), None)
                if entry is not None:
                    _sample_entry(file, entry, found)
    return found


def _sample_entry(file: BinaryIO, entry: Box, found: Track) -> None:
    """ISO/IEC 14496-12, 12.1.3; the Dolby Vision configuration box: Dolby Vision Streams within ISO BMFF 2.x, 3.2."""
    found.fourcc = entry.type.decode("latin-1")
    if found.handler != "vide":
        return
    file.seek(entry.start + 24)
    size = file.read(4)
    found.width, found.height = int.from_bytes(size[:2], "big"), int.from_bytes(size[2:], "big")
    for box in boxes(file, entry.start + 78, entry.end):
        if box.type in (b"dvcC", b"dvvC", b"dvwC"):
            file.seek(box.start)
            content = file.read(4)
            found.dolby_vision_profile = content[2] >> 1 if len(content) == 4 else None


def _descend(file: BinaryIO, parent: Box, *types: bytes) -> Iterator[Box]:
    if not types:
        yield parent
        return
    for child in _children(file, parent, types[0]):
        yield from _descend(file, child, *types[1:])


def _children(file: BinaryIO, parent: Box, type: bytes) -> Iterator[Box]:
    return (b for b in boxes(file, parent.start, parent.end) if b.type == type)


def _is_external(file: BinaryIO, entry: Box) -> bool:
    """An entry without the self-contained flag that does name a place (some writers leave flag and name out)."""
    if entry.type not in (b"url ", b"urn ", b"alis", b"rsrc"):
        return False
    file.seek(entry.start)
    content = file.read(min(entry.end - entry.start, HEAD_BYTES))
    return len(content) > 4 and not content[3] & 1 and bool(content[4:].strip(b"\0"))
