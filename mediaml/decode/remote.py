"""Media on object stores: a path that knows its size and time there, and a private local copy while a file is worked on.

FFmpeg never sees the network: an object is copied to a private folder first, and that copy is opened like any other file (by
descriptor, `fd` being the only protocol allowed; `mediaml.decode.opening`). One worker holds one copy at a time, so that the
local space needed is the largest file times the number of workers.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath
from types import SimpleNamespace
from typing import Any

from mediaml.decode.discover import Discovery
from mediaml.decode.formats import MEDIA_EXTENSIONS
from mediaml.errors import LimitExceeded, MediaMissing, MediaUnreadable, UsageError, printable
from mediaml.tables.object_storage import modified_seconds, open_filesystem
from mediaml.tables.storage import private_folder, url_of

_CHUNK_BYTES = 8 << 20
_SPARE_BYTES = 1 << 30
"""Free space that a copy must leave."""


class MediaUrl(PosixPath):
    """A media file on an object store; its text is the URL. Only `stat` and the parts of the name work."""

    def __str__(self) -> str:
        url = url_of(super().__str__())
        return url if url is not None else super().__str__()

    def stat(self, *, follow_symlinks: bool = True) -> Any:  # noqa: ARG002
        """Mode, size and time as the store says. Raises FileNotFoundError, OSError."""
        try:
            facts = open_filesystem(str(self)).info(str(self))
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        kind = stat.S_IFDIR if facts.get("type") == "directory" else stat.S_IFREG
        moment = modified_seconds(facts)
        size = int(facts.get("size") or 0)
        return SimpleNamespace(st_mode=kind | 0o400, st_size=size, st_mtime=moment, st_mtime_ns=round(moment * 1e9))


def media_path(path: str | os.PathLike[str]) -> Path:
    """`path` as a local path, or as a MediaUrl where it is a URL."""
    url = url_of(path)
    return Path(path).expanduser() if url is None else MediaUrl(url)


def with_remote(
    found: Discovery, roots: Sequence[MediaUrl], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Discovery:
    """`found` and the media below URLs; `include` and `exclude` match the name or the path below the URL."""
    files, errors, skipped, out = list(found.files), list(found.errors), found.skipped, found.excluded
    for root in roots:
        try:
            listed = [MediaUrl(url) for url in _listed(str(root))]
        except OSError as error:
            errors.append(MediaUnreadable(root, f"cannot be listed: {error.strerror or error}"))
            continue
        if not listed:
            errors.append(MediaMissing(root, "no such object, and nothing below it"))
        for path in listed:
            below = str(path).removeprefix(str(root)).lstrip("/")
            if path != root and path.suffix.lower() not in MEDIA_EXTENSIONS:
                skipped += 1
            elif _matches(path.name, below, exclude) or (include and not _matches(path.name, below, include)):
                out += 1
            else:
                files.append(path)
    text = " ".join(filter(None, (found.roots_text, *(printable(r) for r in roots))))
    return replace(found, files=tuple(files), errors=tuple(errors), skipped=skipped, excluded=out, roots_text=text)


def _matches(name: str, below: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, p) or fnmatchcase(below, p) for p in patterns)


def _listed(url: str) -> list[str]:
    scheme = url.partition("://")[0]
    try:
        return [f"{scheme}://{key.lstrip('/')}" for key in sorted(open_filesystem(url).find(url, detail=False))]
    except (OSError, UsageError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


class Spool:
    """Local copies of remote media, one at a time, in a folder of its own that nobody else can enter."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._held: tuple[Path, Path] | None = None

    def local(self, path: Path) -> Path:
        """Where the content of `path` can be opened. Raises MediaMissing, MediaUnreadable, LimitExceeded (no room)."""
        if not isinstance(path, MediaUrl):
            return path
        if self._held is not None and self._held[0] == path:
            return self._held[1]
        self.release()
        if self._folder is None:
            self._folder = private_folder(self, "mediaml-spool-")
        copy = self._folder / f"media{path.suffix[:16]}"
        self._held = (path, copy)
        try:
            self._fetch(path, copy)
        except BaseException:
            self.release()
            raise
        return copy

    def release(self) -> None:
        """Deletes the copy in hand."""
        if self._held is not None:
            self._held[1].unlink(missing_ok=True)
            self._held = None

    def _fetch(self, path: MediaUrl, copy: Path) -> None:
        try:
            size = path.stat().st_size
            free = shutil.disk_usage(copy.parent).free
            if size + _SPARE_BYTES > free:
                text = f"{size:,} bytes do not fit into {copy.parent} ({free:,} free, {_SPARE_BYTES:,} are left); set TMPDIR"
                raise LimitExceeded(path, text)
            with open_filesystem(str(path)).open(str(path), "rb") as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target, _CHUNK_BYTES)
        except FileNotFoundError:
            raise MediaMissing(path, "no such object") from None
        except OSError as error:
            raise MediaUnreadable(path, f"cannot be fetched: {error.strerror or error}") from error
        if copy.stat().st_size != size:
            raise MediaUnreadable(path, f"{copy.stat().st_size} bytes came of {size}; run again")
