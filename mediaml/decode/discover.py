"""Finding media files below directories: deterministic, tolerant of loops, of what vanishes and of what cannot be read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from mediaml.decode.formats import MEDIA_EXTENSIONS
from mediaml.decode.opening import PathName
from mediaml.errors import MediaError, MediaMissing, MediaUnreadable, printable


@dataclass(frozen=True, slots=True)
class Discovery:
    """The files found, in order (iterating gives them), and what else the walk met.

    files      each once, in the order of the roots and by name within a directory
    errors     roots that are gone, directories that cannot be read
    skipped    files in directories whose extension is not one of media
    excluded   files that `include` or `exclude` ruled out
    roots_text the roots as a shell would take them, on one line
    """

    files: tuple[Path, ...]
    errors: tuple[MediaError, ...]
    skipped: int
    excluded: int
    roots_text: str

    def __iter__(self) -> Iterator[Path]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def find_media(
    roots: Iterable[PathName],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    recursive: bool = True,
    extensions: Iterable[str] | None = None,
) -> Discovery:
    """The media files in `roots`.

    A root that is a file is taken whatever its name. In directories, files count by extension (`extensions`, with or
    without the dot; the common media ones by default), and names that start with a dot are left out. `include` and
    `exclude` are shell patterns matched against the name and against the path below the root ("*.mp4", "raw/*"); an
    excluded directory is not entered. Links are followed; a directory is entered once, however many links lead to it.

    Raises nothing: what is gone or cannot be read is in `errors`.
    """
    wanted = MEDIA_EXTENSIONS if extensions is None else {"." + e.lower().lstrip(".") for e in extensions}
    walk = _Walk(tuple(include), tuple(exclude), recursive, frozenset(wanted))
    named = [Path(root) for root in roots]
    files = tuple(path for root in named for path in walk.root(root))
    text = printable(" ".join(shlex.quote(str(root)) for root in named))
    return Discovery(files, tuple(walk.errors), walk.skipped, walk.ruled_out, text)


@dataclass(slots=True)
class _Walk:
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    recursive: bool
    extensions: frozenset[str]
    errors: list[MediaError] = field(default_factory=list)
    skipped: int = 0
    ruled_out: int = 0
    directories: set[tuple[int, int]] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def root(self, root: Path) -> Iterator[Path]:
        try:
            is_directory = root.is_dir()
            exists = is_directory or root.exists() or root.is_symlink()
        except (OSError, ValueError) as e:
            self.errors.append(MediaUnreadable(root, f"cannot be looked at: {e}"))
            return
        if is_directory:
            yield from self.directory(root, root)
        elif not exists:
            self.errors.append(MediaMissing(root, "no such file or directory"))
        elif not self.excluded(root, root.parent) and self.is_new(root):
            yield root

    def directory(self, top: Path, root: Path) -> Iterator[Path]:
        """Depth first without recursion: a deep tree does not exhaust the stack."""
        waiting = [top]
        while waiting:
            entries = self.entries(waiting.pop())
            below: list[Path] = []
            for entry in entries:
                path = Path(entry.path)
                try:
                    is_directory = entry.is_dir()
                except OSError:  # a link to itself: opening it will say so, if its name is one of media
                    is_directory = False
                if is_directory:
                    if self.recursive and not _matches(path, root, self.exclude):
                        below.append(path)
                elif path.suffix.lower() not in self.extensions:
                    self.skipped += 1
                elif not self.excluded(path, root) and self.is_new(path):
                    yield path
            waiting += reversed(below)

    def entries(self, directory: Path) -> list[os.DirEntry[str]]:
        try:
            status = directory.stat()
            if (status.st_dev, status.st_ino) in self.directories:
                return []
            self.directories.add((status.st_dev, status.st_ino))
            with os.scandir(directory) as found:
                return sorted((e for e in found if not e.name.startswith(".")), key=lambda e: e.name)
        except FileNotFoundError:
            self.errors.append(MediaMissing(directory, "the directory is gone"))
        except OSError as e:
            self.errors.append(MediaUnreadable(directory, f"the directory cannot be read: {e.strerror or e}"))
        return []

    def excluded(self, path: Path, root: Path) -> bool:
        out = _matches(path, root, self.exclude) or (bool(self.include) and not _matches(path, root, self.include))
        self.ruled_out += out
        return out

    def is_new(self, path: Path) -> bool:
        """Whether the path was not given before, in this or an equivalent spelling; a link to a file is a file of its own."""
        key = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118
        known = key in self.files
        self.files.add(key)
        return not known


def _matches(path: Path, root: Path, patterns: Sequence[str]) -> bool:
    relative = path.relative_to(root).as_posix()
    return any(fnmatchcase(path.name, p) or fnmatchcase(relative, p) for p in patterns)
