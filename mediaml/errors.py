"""The one exception tree of mediaml.

Everything that mediaml raises on purpose derives from `MediamlError`, so one `except` covers it::

    MediamlError
    ├── UsageError              the caller asked for something that cannot be            exit code 2
    │   ├── UnknownName         a name nothing is registered under (with near matches)
    │   ├── InvalidValue        a value outside its documented range
    │   └── OutputUnwritable    a media file cannot be written: no space, no permission, no encoder
    ├── MediaError              one file is at fault; names the file                     an `errors` row
    │   ├── MediaMissing        the path is gone, or is not a regular file
    │   ├── MediaUnreadable     permission or I/O error
    │   ├── MediaEmpty          zero bytes
    │   ├── NotMedia            no demuxer recognises the content
    │   ├── NoStreams           a container without any stream that can be analysed
    │   ├── NothingDecoded      streams, but not one frame or sample came out
    │   ├── MediaTruncated      the content ends before its index says it does
    │   ├── CodecUnsupported    no decoder for the codec
    │   ├── ForbiddenReference  the file points at another file or at the network
    │   ├── LimitExceeded       more pixels, bytes or time than the caller allowed
    │   ├── MediaCrash          the worker that held the file died (decoder fault, out of memory)
    │   └── PairError           a distorted file and its reference cannot be compared
    │       ├── ContentDiffers  they do not show the same pictures
    │       ├── GeometryDiffers shifted, rotated or mirrored pictures
    │       └── ColourDiffers   HDR against SDR, other primaries: no conversion that would be fair
    ├── AnalyzerError           one analyzer is at fault; names it                       an `errors` row
    │   └── ContractBreach      it gave other columns, shapes or ranges than it declared
    ├── WeightsError            exit code 2; each says the command that helps
    │   ├── WeightsAbsent       not on this machine yet
    │   ├── WeightsCorrupt      sha256 or size differs from the manifest
    │   ├── WeightsUnavailable  the source could not be read (offline, 404, no space)
    │   └── LicenceNotAccepted  the licence bars commercial use and was not accepted
    └── LakeError               exit code 2
        ├── LakeMissing         no lake at that path
        ├── LakeUnwritable      read-only, full disk, no permission
        ├── LakeVersionError    written by a version that this one cannot read
        └── QueryError          SQL that does not parse or bind
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from os import PathLike


class MediamlError(Exception):
    """Base of every error that mediaml raises on purpose."""

    @property
    def kind(self) -> str:
        """The class name in snake_case: the value of `errors.kind` in the lake."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()


class UsageError(MediamlError):
    """The caller asked for something that cannot be."""


class UnknownName(UsageError):
    """Nothing of this kind is registered under the name; near matches are offered."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown {what} {name!r}; {hint}")
        self.name = name
        self.near = near


class InvalidValue(UsageError):
    """A value outside its documented range; the message names value, limit and next step."""


class OutputUnwritable(UsageError):
    """A media file cannot be written: no space, no permission, no encoder, a container that cannot hold a stream."""


class MediaError(MediamlError):
    """One media file is at fault.

    `path` is kept apart from `reason` so that a table can hold both; `str()` gives "path: reason".
    """

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(self.path, reason)

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.reason}"


class MediaMissing(MediaError):
    """The path is gone, or is not a regular file."""


class MediaUnreadable(MediaError):
    """Permission or I/O error while reading."""


class MediaEmpty(MediaError):
    """The file holds zero bytes."""


class NotMedia(MediaError):
    """No demuxer recognises the content."""


class NoStreams(MediaError):
    """A container without any stream that can be analysed."""


class NothingDecoded(MediaError):
    """There are streams, but not one frame or sample came out of them."""


class MediaTruncated(MediaError):
    """The content ends before its index says it does."""


class CodecUnsupported(MediaError):
    """No decoder for the codec in this build."""


class ForbiddenReference(MediaError):
    """The file points at another file or at the network; only the file itself is ever opened."""


class LimitExceeded(MediaError):
    """More pixels, bytes or seconds than the caller allowed."""


class MediaCrash(MediaError):
    """The worker process that held the file died."""


class PairError(MediaError):
    """A distorted file and its reference cannot be compared; `path` is the distorted one."""


class ContentDiffers(PairError):
    """The two files do not show the same pictures, or not at any common time."""


class GeometryDiffers(PairError):
    """The distorted picture is shifted, rotated or mirrored against the reference."""


class ColourDiffers(PairError):
    """HDR against SDR, or other primaries: no conversion would be fair."""


class AnalyzerError(MediamlError):
    """One analyzer is at fault."""

    def __init__(self, analyzer: str, reason: str) -> None:
        self.analyzer = analyzer
        self.reason = reason
        super().__init__(analyzer, reason)

    def __str__(self) -> str:
        return f"analyzer {self.analyzer}: {self.reason}"


class ContractBreach(AnalyzerError):
    """An analyzer gave other columns, shapes, types or ranges than its spec declares."""


class WeightsError(MediamlError):
    """A weight cannot be used; the message says the command that helps."""


class WeightsAbsent(WeightsError):
    """The weight is in the manifest but not on this machine."""


class WeightsCorrupt(WeightsError):
    """sha256 or size differs from the manifest."""


class WeightsUnavailable(WeightsError):
    """The source of a weight could not be read."""


class LicenceNotAccepted(WeightsError):
    """The licence of a weight bars commercial use, and was not accepted."""


class LakeError(MediamlError):
    """The tables cannot be read or written."""


class LakeMissing(LakeError):
    """There is no lake at that path."""


class LakeUnwritable(LakeError):
    """The lake cannot be written: read-only, disk full, no permission."""


class LakeVersionError(LakeError):
    """The lake was written by a version that this one cannot read."""


class QueryError(LakeError):
    """A query that does not parse, bind or run."""


def printable(text: object) -> str:
    """`text` with control characters and lone surrogates escaped: safe on a terminal and on one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in str(text)
    )
