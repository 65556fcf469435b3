"""Where the files of a lake lie. Names are relative to the lake, with "/" between folders.

A file appears whole or not at all, and one that is written "if absent" has exactly one winner: on these two promises the
exactly-once commits of `mediaml.tables.manifest` rest. `LocalStorage` keeps them with link and rename, `ObjectStorage`
(`mediaml.tables.object_storage`) with the conditional PUT of object stores.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import uuid
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from mediaml.errors import InvalidValue, LakeUnwritable, printable
from mediaml.tables import durable

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


class LocalStorage(Storage):
    """A folder of a POSIX file system: local disk, or a network file system whose link and rename are atomic."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.local_root = root
        self.location = str(root)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes | memoryview) -> None:
        durable.put(self.root, self.root / name, data)

    def write_all(self, files: Mapping[str, bytes | memoryview]) -> None:
        durable.put_all(self.root, {self.root / name: data for name, data in files.items()})

    def write_if_absent(self, name: str, data: bytes | memoryview) -> bool:
        return durable.put_if_absent(self.root, self.root / name, data)

    def exists(self, name: str) -> bool:
        return (self.root / name).exists()

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def files(self, folder: str) -> Iterator[StoredFile]:
        top = self.root / folder
        for file in sorted(top.rglob("*")) if top.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # a commit in the making takes its temp file away
                facts = file.stat()
                if file.is_file():
                    yield StoredFile(file.relative_to(self.root).as_posix(), facts.st_size, facts.st_mtime)

    def groups(self, folder: str) -> list[str]:
        return sorted(p.name for p in (self.root / folder).iterdir())

    def write_group(self, folder: str, name: str, files: Mapping[str, bytes]) -> None:
        temp = self.root / durable.TEMP / uuid.uuid4().hex
        durable.make_folder(temp)
        try:
            for file, data in files.items():
                with (temp / file).open("xb") as handle:
                    handle.write(data)
                    handle.flush()
                    os.fsync(handle.fileno())
            durable.fsync_path(temp)
            target = self.root / folder / name
            if not target.exists():
                durable.make_folder(target.parent)
                temp.rename(target)
                durable.fsync_path(target.parent)
        finally:
            shutil.rmtree(temp, ignore_errors=True)

    def remove_group(self, folder: str, name: str) -> None:
        shutil.rmtree(self.root / folder / name, ignore_errors=True)

    def fetch(self, names: Iterable[str]) -> None:
        """Nothing to do: the files are where they are read."""

    def entries(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if not p.name.startswith("."))


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


def open_storage(path: str | PathLike[str]) -> Storage:
    """The storage at a folder or URL. Raises InvalidValue: a name that is not UTF-8, a scheme without atomic creation."""
    url = url_of(path)
    if url is not None:
        from mediaml.tables.object_storage import ObjectStorage

        return ObjectStorage(url)
    root = Path(path)
    try:
        str(root).encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{printable(root)}: the name of a lake's folder must be valid UTF-8; rename it") from None
    return LocalStorage(root)
