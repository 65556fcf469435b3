"""The commit log: numbered files, each created whole or not at all, and checkpoints that sum them up.

    manifest/format.json                        {"format": 1}: the version of this layout
    manifest/commits/000000/000000000001.json   one commit: the units (one a media), runs, removed parts
    manifest/checkpoints/000000000064/          state after commit 64: Parquet tables (`mediaml.tables.catalog`)

Commit n + 1 is made by writing its file if there is none (a link, or a conditional PUT); where another process was
faster, the next number is tried. Readers load the newest checkpoint and probe the numbers after it: nothing is ever
listed but the checkpoints, of which the last two are kept. Their distance grows with the log, so that writing them
costs a constant factor and opening stays fast.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mediaml.errors import LakeError, LakeMissing, LakeUnwritable, LakeVersionError, printable
from mediaml.tables.storage import Storage

FORMAT = 1
FORMAT_FILE = "manifest/format.json"
CHECKPOINTS = "manifest/checkpoints"
_PER_FOLDER = 1000
_FIRST_CHECKPOINT = 64
_LARGEST_STEP = 2048


class Manifest:
    """The log of one lake. Holds no state: `Catalog` folds the commits."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def create(self) -> None:
        """Makes an empty log; nothing if there is one. Raises LakeUnwritable."""
        with self.storage.writing():
            if self.storage.exists(FORMAT_FILE):
                return
            others = self.storage.entries()
            if others and "manifest" not in others:
                raise LakeUnwritable(
                    f"{self.place()}: is no lake, and holds {printable(others[0])}; name an empty or a new folder"
                )
            self.storage.write_if_absent(FORMAT_FILE, json.dumps({"format": FORMAT}).encode())

    def place(self, name: str = "") -> str:
        """The lake, or a file of it, as messages name it."""
        return printable(f"{self.storage.location}/{name}" if name else self.storage.location)

    def check(self) -> int:
        """The number of the layout. Raises LakeMissing or LakeVersionError unless this version can read the lake."""
        try:
            stated = json.loads(self.storage.read(FORMAT_FILE))
        except (FileNotFoundError, NotADirectoryError):
            raise LakeMissing(
                f"{self.place()}: no lake there; `mediaml analyze MEDIA --out {self.place()}` makes one"
            ) from None
        except (OSError, ValueError) as error:
            raise LakeError(f"{self.place(FORMAT_FILE)}: cannot be read: {error}") from error
        return self._check_format(stated, FORMAT_FILE)

    def _check_format(self, stated: Any, where: str) -> int:
        number = stated.get("format") if isinstance(stated, dict) else None
        if not isinstance(number, int):
            raise LakeError(f"{self.place(where)}: damaged: it states no format number")
        if number > FORMAT:
            raise LakeVersionError(
                f"{self.place()}: lake format {number} is newer than {FORMAT}, the newest that this version reads; "
                "upgrade mediaml"
            )
        return number

    @staticmethod
    def commit_name(number: int) -> str:
        """The file of commit `number`."""
        return f"manifest/commits/{number // _PER_FOLDER:06d}/{number:012d}.json"

    def read(self, number: int) -> dict[str, Any] | None:
        """Commit `number`, or None if it has not been made."""
        name = self.commit_name(number)
        try:
            commit = json.loads(self.storage.read(name))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LakeError(
                f"{self.place(name)}: cannot be read: {error}; restore it from a copy of the lake"
            ) from error
        self._check_format(commit, name)
        return commit

    def state(self, number: int) -> str:
        """The number of a commit and a hash of its content; the same for two logs only where they end alike."""
        commit = self.read(number) if number else None
        return f"{number}:{hashlib.sha256(json.dumps(commit, sort_keys=True).encode()).hexdigest()[:16]}"

    def put(self, number: int, commit: dict[str, Any]) -> bool:
        """Makes commit `number`; False if another process has made it. Raises LakeUnwritable."""
        body = json.dumps({"format": FORMAT, **commit}, separators=(",", ":")).encode()
        with self.storage.writing():
            return self.storage.write_if_absent(self.commit_name(number), body)

    def newest_checkpoint(self) -> int | None:
        """The commit that the newest checkpoint stands for."""
        return max(self._checkpoints(), default=None)

    @staticmethod
    def checkpoint_name(number: int) -> str:
        """The folder of the checkpoint after commit `number`."""
        return f"{CHECKPOINTS}/{number:012d}"

    def _checkpoints(self) -> list[int]:
        try:
            return sorted(int(name) for name in self.storage.groups(CHECKPOINTS) if name.isdecimal())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LakeError(f"{self.place(CHECKPOINTS)}: cannot be read: {error}") from error

    @staticmethod
    def checkpoint_due(head: int, last: int) -> bool:
        """Whether the state after commit `head` is worth a checkpoint, the last one being at `last`."""
        return head - last >= max(_FIRST_CHECKPOINT, min(last // 8, _LARGEST_STEP))

    def write_checkpoint(self, number: int, files: Mapping[str, bytes]) -> None:
        """Makes a checkpoint; drops all but the last two. Raises LakeUnwritable."""
        with self.storage.writing():
            self.storage.write_group(CHECKPOINTS, f"{number:012d}", files)
            for old in self._checkpoints()[:-2]:
                self.storage.remove_group(CHECKPOINTS, f"{old:012d}")

    def drop_checkpoints(self) -> None:
        """Takes every checkpoint away: the log is read instead until the next one. Raises LakeUnwritable."""
        with self.storage.writing():
            for old in self._checkpoints():
                self.storage.remove_group(CHECKPOINTS, f"{old:012d}")
