"""The commit log: numbered files, each created whole or not at all, and checkpoints that sum them up.

    manifest/format.json                        {"format": 1}: the version of this layout
    manifest/commits/000000/000000000001.json   one commit: the units (one a media), runs, removed parts
    manifest/checkpoints/000000000064/          state after commit 64: Parquet tables (`mediaml.tables.catalog`)

Commit n + 1 is made by linking a finished file to its number; the link fails if another process was faster, which then
tries the next number. Readers load the newest checkpoint and probe the numbers after it: nothing is ever listed but the
checkpoints, of which the last two are kept. Their distance grows with the log, so that writing them costs a constant
factor and opening stays fast.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mediaml.errors import LakeError, LakeMissing, LakeUnwritable, LakeVersionError, printable
from mediaml.tables import durable

FORMAT = 1
_PER_FOLDER = 1000
_FIRST_CHECKPOINT = 64
_LARGEST_STEP = 2048


class Manifest:
    """The log of one lake. Holds no state: `Catalog` folds the commits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "manifest"

    def create(self) -> None:
        """Makes an empty log; nothing if there is one. Raises LakeUnwritable."""
        if (self.folder / "format.json").exists():
            return
        with durable.writing(self.root):
            if self.root.is_dir() and not self.folder.exists():
                others = sorted(p.name for p in self.root.iterdir() if not p.name.startswith("."))
                if others:
                    raise LakeUnwritable(
                        f"{printable(self.root)}: is no lake, and holds {printable(others[0])}; name an empty or a new folder"
                    )
            durable.make_folder(self.folder / "commits")
            durable.make_folder(self.folder / "checkpoints")
            body = json.dumps({"format": FORMAT}).encode()
            durable.put_if_absent(self.root, self.folder / "format.json", body)

    def check(self) -> None:
        """Raises LakeMissing or LakeVersionError unless this version can read the lake."""
        try:
            stated = json.loads((self.folder / "format.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise LakeMissing(
                f"{printable(self.root)}: no lake there; `mediaml analyze MEDIA --out {printable(self.root)}` makes one"
            ) from None
        except (OSError, ValueError) as error:
            raise LakeError(f"{printable(self.folder / 'format.json')}: cannot be read: {error}") from error
        self._check_format(stated, "format.json")

    def _check_format(self, stated: Any, where: str) -> None:
        number = stated.get("format") if isinstance(stated, dict) else None
        if not isinstance(number, int):
            raise LakeError(f"{printable(self.folder / where)}: damaged: it states no format number")
        if number > FORMAT:
            raise LakeVersionError(
                f"{printable(self.root)}: lake format {number} is newer than {FORMAT}, the newest that this version reads; "
                "upgrade mediaml"
            )

    def _commit_path(self, number: int) -> Path:
        return self.folder / "commits" / f"{number // _PER_FOLDER:06d}" / f"{number:012d}.json"

    def read(self, number: int) -> dict[str, Any] | None:
        """Commit `number`, or None if it has not been made."""
        path = self._commit_path(number)
        try:
            commit = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LakeError(
                f"{printable(path)}: cannot be read: {error}; restore it from a copy of the lake"
            ) from error
        self._check_format(commit, path.name)
        return commit

    def put(self, number: int, commit: dict[str, Any]) -> bool:
        """Makes commit `number`; False if another process has made it. Raises LakeUnwritable."""
        body = json.dumps({"format": FORMAT, **commit}, separators=(",", ":")).encode()
        with durable.writing(self.root):
            return durable.put_if_absent(self.root, self._commit_path(number), body)

    def newest_checkpoint(self) -> tuple[int, Path] | None:
        """(number, folder) of the newest checkpoint."""
        found = self._checkpoints()
        return found[-1] if found else None

    def _checkpoints(self) -> list[tuple[int, Path]]:
        folder = self.folder / "checkpoints"
        try:
            return sorted((int(p.name), p) for p in folder.iterdir() if p.name.isdecimal())
        except OSError as error:
            raise LakeError(f"{printable(folder)}: cannot be read: {error}") from error

    @staticmethod
    def checkpoint_due(head: int, last: int) -> bool:
        """Whether the state after commit `head` is worth a checkpoint, the last one being at `last`."""
        return head - last >= max(_FIRST_CHECKPOINT, min(last // 8, _LARGEST_STEP))

    def write_checkpoint(self, number: int, write: Callable[[Path], None]) -> None:
        """Makes a checkpoint from the files that `write` puts into the folder it is given; drops all but the last two."""
        with durable.writing(self.root):
            temp = self.root / durable.TEMP / uuid.uuid4().hex
            durable.make_folder(temp)
            try:
                write(temp)
                for file in temp.iterdir():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
                durable.fsync_folder(temp)
                target = self.folder / "checkpoints" / f"{number:012d}"
                if not target.exists():
                    temp.rename(target)
                    durable.fsync_folder(target.parent)
            finally:
                shutil.rmtree(temp, ignore_errors=True)
            for _, old in self._checkpoints()[:-2]:
                shutil.rmtree(old, ignore_errors=True)
