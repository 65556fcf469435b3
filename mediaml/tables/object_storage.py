"""A lake on an object store (S3 and what speaks its protocol, Google Cloud Storage), through fsspec.

Objects appear whole or not at all by nature. A commit needs creation that fails where the object exists: S3's
`If-None-Match: *` and GCS's generation match, which fsspec calls `mode="create"`. A scheme whose fsspec driver only looks
before it writes is refused, because two runs could then take the same commit number and lose one file's results.

Sources: S3 conditional writes (Amazon S3 User Guide, "Conditional requests"); fsspec `AbstractFileSystem.pipe_file`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mediaml.errors import InvalidValue, UsageError
from mediaml.tables.storage import Storage, StoredFile, private_folder

ATOMIC_SCHEMES = ("s3", "s3a", "gs", "gcs", "memory")
"""Schemes whose driver creates an object atomically; "memory" is fsspec's own, of one process, for tests."""
COMPLETE = "complete"
"""The object that is written last into a group."""
CACHE_VARIABLE = "MEDIAML_LAKE_CACHE"


class ObjectStorage(Storage):
    """Objects below one URL. Parts that are read are kept in a private folder for the life of the object.

    With the environment variable MEDIAML_LAKE_CACHE they are kept below that folder instead, for the next command too: a
    part's name is never used twice, so what is there is right.
    """

    def __init__(self, url: str) -> None:
        self.location = url.rstrip("/")
        self._fs = filesystem(url)
        self._root = self._fs._strip_protocol(self.location).rstrip("/")
        kept = os.environ.get(CACHE_VARIABLE)
        if kept:
            self.local_root = (Path(kept) / self.location.replace("://", "/").replace("..", "__")).resolve()
        else:
            self.local_root = private_folder(self, "mediaml-lake-").resolve()

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def read(self, name: str) -> bytes:
        with _storage_errors():
            return bytes(self._fs.cat_file(self._key(name)))

    def write(self, name: str, data: bytes | memoryview) -> None:
        with _storage_errors():
            self._fs.pipe_file(self._key(name), bytes(data))

    def write_if_absent(self, name: str, data: bytes | memoryview) -> bool:
        try:
            with _storage_errors():
                self._fs.pipe_file(self._key(name), bytes(data), mode="create")
        except FileExistsError:
            return False
        return True

    def exists(self, name: str) -> bool:
        with _storage_errors():
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._key(name)))

    def remove(self, name: str) -> None:
        with _storage_errors():
            self._fs.rm_file(self._key(name))

    def files(self, folder: str) -> Iterator[StoredFile]:
        with _storage_errors():
            self._fs.invalidate_cache()
            found = self._fs.find(self._key(folder), detail=True)
        for key, facts in sorted(found.items()):
            name = key.removeprefix("/").removeprefix(self._root.removeprefix("/") + "/")
            yield StoredFile(name, int(facts["size"]), modified_seconds(facts))

    def groups(self, folder: str) -> list[str]:
        ends = f"/{COMPLETE}"
        return [f.name.removesuffix(ends).rpartition("/")[2] for f in self.files(folder) if f.name.endswith(ends)]

    def write_group(self, folder: str, name: str, files: Mapping[str, bytes]) -> None:
        for file, data in files.items():
            self.write(f"{folder}/{name}/{file}", data)
        self.write(f"{folder}/{name}/{COMPLETE}", b"{}")

    def remove_group(self, folder: str, name: str) -> None:
        names = [f.name for f in self.files(f"{folder}/{name}")]
        for file in sorted(names, key=lambda n: not n.endswith(f"/{COMPLETE}")):
            with contextlib.suppress(FileNotFoundError):
                self.remove(file)

    def fetch(self, names: Iterable[str]) -> None:
        for name in names:
            target = self.local_root / name
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as temp:
                try:
                    temp.write(self.read(name))
                    temp.close()
                    Path(temp.name).replace(target)
                except BaseException:
                    Path(temp.name).unlink(missing_ok=True)
                    raise

    def entries(self) -> list[str]:
        return sorted({f.name.split("/")[0] for f in self.files("")})


def filesystem(url: str) -> Any:
    """fsspec's file system for a URL, with listings never cached. Raises InvalidValue, UsageError (the extra is absent)."""
    scheme = url.partition("://")[0]
    if scheme not in ATOMIC_SCHEMES:
        raise InvalidValue(
            f"{url}: a lake cannot lie on {scheme}://, whose driver cannot create an object atomically; "
            f"use {', '.join(f'{s}://' for s in ATOMIC_SCHEMES[:3])} or a folder"
        )
    return open_filesystem(url)


def open_filesystem(url: str) -> Any:
    """fsspec's file system for any URL. Raises UsageError: the package it needs is absent or the scheme unknown."""
    try:
        import fsspec

        return fsspec.filesystem(url.partition("://")[0], use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{url}: {error}; run: pip install 'mediaml[s3]'") from error


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    """Whatever a driver raises becomes an OSError: what the tables turn into errors of the lake."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def modified_seconds(facts: Mapping[str, Any]) -> float:
    """Modification time; drivers name it differently."""
    moment = facts.get("LastModified") or facts.get("mtime") or facts.get("updated") or facts.get("created")
    if isinstance(moment, datetime):
        return moment.timestamp()
    return float(moment) if isinstance(moment, (int, float)) else 0.0
