"""A lake in a folder: link and rename keep the promises of `storage`."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mediaml.tables import durable
from mediaml.tables.storage import Storage, StoredFile


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
