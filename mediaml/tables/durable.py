"""Files that are there whole or not at all: temp file, fsync, rename or link, fsync of the folder."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

TEMP = ".tmp"


def fsync_folder(folder: Path) -> None:
    """Makes a rename or link inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
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
    fsync_folder(folder.parent)


def write_temp(root: Path, data: bytes | memoryview) -> Path:
    """`data` in a new file of the lake's own temp folder, synced; the caller renames or links it."""
    folder = root / TEMP
    make_folder(folder)
    path = folder / uuid.uuid4().hex
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def put(root: Path, target: Path, data: bytes | memoryview) -> None:
    """Writes `target`, replacing what is there."""
    temp = write_temp(root, data)
    make_folder(target.parent)
    temp.replace(target)
    fsync_folder(target.parent)


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
    fsync_folder(target.parent)
    return True
