"""Where the files of a lake lie. Names are relative to the lake, with "/" between folders.

A file appears whole or not at all, and one that is written "if absent" has exactly one winner: on these two promises the
exactly-once commits of `mediaml.tables.manifest` rest. `local_storage` keeps them with link and rename, `object_storage` with
the conditional PUT of object stores.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from mediaml.errors import LakeUnwritable, printable

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])")
"""A scheme of at least two letters; `pathlib` folds the two slashes of a URL into one."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file and what the storage says of it; `modified` in seconds since 1970."""

    name: str
    size_bytes: int
    modified: float


class Storage(ABC):
    """The files of one lake. `location` is what a user would type; files under `local_root` can be opened by path."""

    location: str
    local_root: Path

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError, OSError."""

    @abstractmethod
    def write(self, name: str, data: bytes | memoryview) -> None:
        """Writes or replaces a file, whole or not at all. Raises OSError."""

    def write_all(self, files: Mapping[str, bytes | memoryview]) -> None:
        """Writes several files, each whole or not at all, in any order. Raises OSError."""
        for name, data in files.items():
            self.write(name, data)

    @abstractmethod
    def write_if_absent(self, name: str, data: bytes | memoryview) -> bool:
        """True if this call wrote it; of several writers exactly one wins. Raises OSError."""

    @abstractmethod
    def exists(self, name: str) -> bool: ...

    @abstractmethod
    def remove(self, name: str) -> None: ...

    @abstractmethod
    def files(self, folder: str) -> Iterator[StoredFile]:
        """Every file below `folder` ("" for all); nothing where there is no such folder."""

    @abstractmethod
    def groups(self, folder: str) -> list[str]:
        """Names of the groups that were written whole below `folder`. Raises OSError."""

    @abstractmethod
    def write_group(self, folder: str, name: str, files: Mapping[str, bytes]) -> None:
        """Writes `folder/name/...`: `groups` lists it when all of its files are there. Raises OSError."""

    @abstractmethod
    def remove_group(self, folder: str, name: str) -> None: ...

    @abstractmethod
    def fetch(self, names: Iterable[str]) -> None:
        """Makes files readable below `local_root`. Raises OSError."""

    @abstractmethod
    def entries(self) -> list[str]:
        """Names at the top of the location, hidden ones left out; empty where there is nothing yet."""

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turns an OSError into LakeUnwritable with the reason and what to do."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise LakeUnwritable(
                f"{printable(self.location)}: cannot write the lake: {reason}; "
                "free space or permission is needed, or another --out"
            ) from error


def private_folder(owner: object, prefix: str) -> Path:
    """A temporary folder that no other user can enter, named at random; it goes when `owner` does."""
    folder = tempfile.mkdtemp(prefix=prefix)
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def url_of(path: str | PathLike[str]) -> str | None:
    """The URL that `path` stands for ("s3://bucket/key", also after `pathlib` has folded it), or None for a local path.

    A local folder whose name looks like a URL is named by its absolute path.
    """
    text = os.fspath(path)
    match = _URL.match(text)
    return f"{match[1]}://{text[match.end() :]}" if match else None
