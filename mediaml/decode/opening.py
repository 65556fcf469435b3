"""The one door to media files: opens the named file itself and nothing else.

The file is opened here, checked to be a regular file, and handed to FFmpeg as a descriptor (its `fd:` protocol), so that

* a name is only ever a name: `http://...`, `concat:a|b`, `img%03d.png`, `-i` and names with newlines open literally;
* nothing is opened twice: what was checked is what is read;
* `fd` is the only protocol allowed, so no nested open can succeed, whatever a playlist or a data reference asks for;
* only the demuxers of `formats.ALLOWED` run.

Reading costs what the native `file:` protocol costs: no call into Python, and no lock, for any byte.
"""

from __future__ import annotations

import errno
import os
import stat
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import FFmpegError

from mediaml.decode.formats import ALLOWED
from mediaml.decode.references import (
    EBML,
    HEAD_BYTES,
    boxes,
    external_data,
    looks_like_mov,
    movie_box,
    script_kind,
)
from mediaml.errors import (
    ForbiddenReference,
    MediaEmpty,
    MediaError,
    MediaMissing,
    MediaTruncated,
    MediaUnreadable,
    NoStreams,
    NotMedia,
)

MAX_PIXELS = 1 << 28
"""No decoder allocates a larger picture (268 megapixels, 16384x16384): a few bytes of header cannot exhaust memory."""

PathName = str | PathLike[str]
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def open_regular(path: PathName) -> BinaryIO:
    """The file at `path` for reading, unbuffered; never blocks on pipes and devices.

    Raises MediaMissing (gone, not a regular file, a loop of links), MediaUnreadable (permission, I/O), MediaEmpty.
    """
    name = os.fspath(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_kind(path, Path(name).stat())
        descriptor = os.open(name, flags)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise MediaMissing(path, "no such file") from e
    except ValueError as e:
        raise MediaMissing(path, "no such file: the name holds a character that no file name can hold") from e
    except PermissionError as e:
        raise MediaUnreadable(path, "no permission to read it") from e
    except OSError as e:
        raise _unusable(path, e) from e
    file = os.fdopen(descriptor, "rb", buffering=0)
    try:
        status = os.fstat(descriptor)
        _check_kind(path, status)
        if status.st_size == 0:
            raise MediaEmpty(path, "the file is empty (0 bytes)")
    except MediaError:
        file.close()
        raise
    return file  # type: ignore[return-value]


def open_container(path: PathName, hwaccel: HWAccel | None = None) -> InputContainer:
    """The media file at `path`, opened for demuxing; the caller closes it (it is a context manager).

    `hwaccel` is the hardware decoder that its streams are to use (`mediaml.decode.nvdec`); None: software.

    Raises MediaMissing, MediaUnreadable, MediaEmpty, NotMedia, MediaTruncated (no index), NoStreams,
    ForbiddenReference.
    """
    with open_regular(path) as file:
        head = _read_head(path, file)
        _refuse_references(path, file, head)
        try:
            container = av.open(
                "fd:",
                container_options={
                    "fd": str(file.fileno()),
                    "protocol_whitelist": "fd",
                    "format_whitelist": ALLOWED,
                },
                options={"max_pixels": str(MAX_PIXELS)},
                metadata_errors="replace",
                hwaccel=hwaccel,
            )
        except FFmpegError as e:
            raise _diagnosis(path, file, head, e) from e
        if len(container.streams):
            return container
        container.close()
        raise _movie_diagnosis(path, file) if looks_like_mov(head) else NoStreams(path, "the container holds no stream")


def video_streams(container: InputContainer) -> list[av.VideoStream]:
    """The video streams; those that a damaged file announces as another kind than it holds are left out."""
    return [s for s in container.streams.video if isinstance(s, av.VideoStream)]


def audio_streams(container: InputContainer) -> list[av.AudioStream]:
    """The audio streams; those that a damaged file announces as another kind than it holds are left out."""
    return [s for s in container.streams.audio if isinstance(s, av.AudioStream)]


def _check_kind(path: PathName, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "something else")
    raise MediaMissing(path, f"is {kind}, not a regular file")


def _unusable(path: PathName, error: OSError) -> MediaError:
    if error.errno == errno.ELOOP:
        return MediaMissing(path, "is a loop of symbolic links")
    return MediaUnreadable(path, f"cannot be opened: {error.strerror or error}")


def _read_head(path: PathName, file: BinaryIO) -> bytes:
    try:
        return file.read(HEAD_BYTES)
    except OSError as e:
        raise MediaUnreadable(path, f"cannot be read: {e.strerror or e}") from e


def _refuse_references(path: PathName, file: BinaryIO, head: bytes) -> None:
    kind = script_kind(head)
    if kind is None and looks_like_mov(head):
        moov = movie_box(file, os.fstat(file.fileno()).st_size)
        outside = external_data(file, moov) if moov else None
        kind = f"a movie whose {outside} lies in another file" if outside else None
    file.seek(0)
    if kind is not None:
        raise ForbiddenReference(path, f"is {kind}; only the named file itself is opened: name the media files instead")


def _diagnosis(path: PathName, file: BinaryIO, head: bytes, error: FFmpegError) -> MediaError:
    """Why FFmpeg could not open it."""
    size = os.fstat(file.fileno()).st_size
    if looks_like_mov(head):
        return _movie_diagnosis(path, file)
    if head.startswith(EBML):
        return MediaTruncated(path, f"ends inside its Matroska header ({size} bytes)")
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return MediaUnreadable(path, f"cannot be read: {error.strerror}")
    return NotMedia(path, f"{_content_kind(head)}: no container or picture format that mediaml opens")


def _movie_diagnosis(path: PathName, file: BinaryIO) -> MediaError:
    size = os.fstat(file.fileno()).st_size
    found = list(boxes(file, 0, size))
    moov = next((b for b in found if b.type == b"moov"), None)
    if moov is not None and moov.end > size:
        return MediaTruncated(path, f"ends inside its index (moov box): {size} bytes of at least {moov.end}")
    if moov is not None:
        return NoStreams(path, "its index (moov box) describes no usable track")
    if found and found[-1].end < size:
        return NotMedia(
            path, f"its structure is damaged: no index (moov box) before an impossible box at byte {found[-1].end}"
        )
    return MediaTruncated(
        path, f"has no index (moov box) in its {size} bytes: cut short, or never finished by the recorder"
    )


def _content_kind(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "holds only zero bytes"
    try:
        text = head[: HEAD_BYTES - 4].decode("utf-8")
    except UnicodeDecodeError:
        return "its content is not recognised"
    return "holds text" if all(c.isprintable() or c.isspace() for c in text) else "its content is not recognised"
