"""Files that are there whole or not at all: temp file, fsync, rename or link, fsync of the folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TEMP = ".tmp"


def fsync_path(path: Path) -> None:
    """Makes a file's content, or a rename or link inside a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """`folder` and its parents; each new entry is synced."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_path(folder.parent)


def write_temp(root: Path, data: bytes | memoryview, *, sync: bool = True) -> Path:
    """`data` in a new file of the lake's own temp folder; the caller syncs it if this does not, and renames or links it."""
    folder = root / TEMP
    make_folder(folder)
    path = folder / uuid.uuid4().hex
    try:
        with path.open("xb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def put_all(root: Path, files: Mapping[Path, bytes | memoryview]) -> None:
    """As `put`, for several files: the system syncs them side by side, so that they share the waits for the disk."""
    temps: dict[Path, Path] = {}
    try:
        for target, data in files.items():
            temps[target] = write_temp(root, data, sync=False)
        with ThreadPoolExecutor(len(temps) or 1) as pool:
            list(pool.map(fsync_path, temps.values()))
            for target, temp in temps.items():
                make_folder(target.parent)
                temp.replace(target)
            list(pool.map(fsync_path, {target.parent for target in temps}))
    finally:
        for temp in temps.values():
            temp.unlink(missing_ok=True)


def put(root: Path, target: Path, data: bytes | memoryview) -> None:
    """Writes `target`, replacing what is there."""
    temp = write_temp(root, data)
    make_folder(target.parent)
    temp.replace(target)
    fsync_path(target.parent)


def put_if_absent(root: Path, target: Path, data: bytes | memoryview) -> bool:
    """Writes `target` unless it exists; True if this call wrote it. Exactly one of several writers wins."""
    temp = write_temp(root, data)
    try:
        make_folder(target.parent)
        os.link(temp, target)
    except FileExistsError:
        return False
    finally:
        temp.unlink(missing_ok=True)
    fsync_path(target.parent)
    return True
