"""Where pulled weights lie, and the check that a file is the one the manifest means.

Layout: `<store>/<name>/<first 12 digits of the key>/<file name>` with `record.json` beside it, so that two versions of a
weight never collide. The key is the sha256 of the file, or of the source's address where the weight is unpinned.
A file comes into being by an atomic rename after its checksum was found right. `record.json` holds the size and the
modification time at which it was checked, so that later calls need not read 90 MB again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from mediaml.errors import WeightsAbsent, WeightsCorrupt, WeightsUnavailable, printable
from mediaml.weights.manifest import HubSource, PathSource, PypiSource, RepoSource, WeightEntry

STORE = "MEDIAML_WEIGHTS"
LOCK_SECONDS = 1800.0
_STALE_SECONDS = 86400.0
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """What was known about a file when it was last read in full. `revision` is the hub commit it came from, or ""."""

    sha256: str
    size: int
    mtime_ns: int
    source: str
    recorded_at: str
    revision: str = ""


def store_root() -> Path:
    """MEDIAML_WEIGHTS, or `mediaml/weights` in the user's cache folder."""
    chosen = os.environ.get(STORE)
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("mediaml", appauthor=False) / "weights"


def sha256_file(path: Path, seen: Callable[[int], None] | None = None) -> str:
    """sha256 of a file's content, hexadecimal; `seen` is told the bytes read so far."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if seen:
                seen(done)
    return digest.hexdigest()


class Store:
    """The folder of pulled weights. `manifest_root` is where `repo` files lie."""

    def __init__(self, root: Path, manifest_root: Path) -> None:
        self.root = root
        self.manifest_root = manifest_root

    def folder(self, entry: WeightEntry) -> Path:
        key = entry.sha256 if entry.pinned else hashlib.sha256(entry.source.model_dump_json().encode()).hexdigest()
        return self.root / entry.name / key[:12]

    def path(self, entry: WeightEntry) -> Path:
        """Where the file of `entry` is, or would be."""
        if isinstance(entry.source, RepoSource):
            return self.manifest_root / entry.source.file
        return self.folder(entry) / _file_name(entry)

    def record(self, entry: WeightEntry) -> Record | None:
        """What is known of the file of `entry` from its last full reading; None where nothing is."""
        try:
            return Record(**json.loads((self.folder(entry) / "record.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            if entry.pinned:
                return None  # only a saved reading is lost: the manifest's checksum decides again
            raise WeightsCorrupt(
                f"weight {entry.name}: the checksum recorded on first use cannot be read ({error}); "
                f"delete {self.folder(entry)} and run: {entry.pull_command}"
            ) from error

    def is_present(self, entry: WeightEntry) -> bool:
        return self.path(entry).is_file()

    def verified(self, entry: WeightEntry, *, reread: bool = False) -> tuple[Path, str]:
        """The file and its sha256. Reads the whole file only if it changed since the last reading, or with `reread`.

        Raises WeightsAbsent, or WeightsCorrupt with what was found and what was expected.
        """
        path, record = self.path(entry), self.record(entry)
        try:
            stat = path.stat()
        except FileNotFoundError:
            if isinstance(entry.source, RepoSource):
                raise WeightsAbsent(f"weight {entry.name}: {path} is missing; restore it from the repository") from None
            raise WeightsAbsent(f"weight {entry.name} is not on this machine; run: {entry.pull_command}") from None
        except OSError as error:
            raise disk_error(error, f"weight {entry.name}", self.root) from error
        if entry.pinned:
            expected = entry.sha256
        elif record is None:
            raise WeightsAbsent(f"weight {entry.name} has no recorded checksum; run: {entry.pull_command}")
        else:
            expected = record.sha256
        known = record is not None and (record.size, record.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        if known and not reread and record is not None and record.sha256 == expected:
            return path, expected
        if entry.size is not None and stat.st_size != entry.size:
            raise WeightsCorrupt(self._differs(entry, path, f"{stat.st_size} bytes", f"{entry.size} bytes"))
        try:
            found = sha256_file(path)
        except OSError as error:
            raise disk_error(error, f"weight {entry.name}", self.root) from error
        if found != expected:
            raise WeightsCorrupt(self._differs(entry, path, f"sha256 {found}", f"sha256 {expected}"))
        with suppress(OSError):  # a read-only store costs a full reading each time, and nothing else
            self._write_record(entry, path, found, record.revision if record else "")
        return path, found

    @staticmethod
    def _differs(entry: WeightEntry, path: Path, found: str, expected: str) -> str:
        if isinstance(entry.source, RepoSource):
            return f"weight {entry.name}: {path} has {found}, expected {expected}; restore it from the repository"
        return f"weight {entry.name}: {path} has {found}, expected {expected}; fetch it again: {entry.pull_command}"

    def admit(self, entry: WeightEntry, staged: Path, origin: str, sha256: str, revision: str = "") -> Path:
        """Move a checked file into its place: record, then atomic rename. `staged` must lie in the store."""
        path = self.path(entry)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.chmod(0o644)
            _sync(staged)
            self._write_record(entry, staged, sha256, revision, origin)
            staged.replace(path)
        except OSError as error:
            raise disk_error(error, f"weight {entry.name}", self.root) from error
        return path

    def _write_record(self, entry: WeightEntry, file: Path, sha256: str, revision: str, origin: str = "") -> None:
        stat = file.stat()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = Record(sha256, stat.st_size, stat.st_mtime_ns, origin or str(entry.source), now, revision)
        folder = self.folder(entry)
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".record-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(asdict(record), stream, indent=1)
            Path(name).replace(folder / "record.json")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """One pull of the same thing at a time on this machine; others wait, at most half an hour."""
        lock = FileLock(self.root / ".locks" / f"{key}.lock", timeout=LOCK_SECONDS)
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise WeightsUnavailable(
                f"another process has been pulling {key} for {LOCK_SECONDS:.0f} s; stop it, or try again later"
            ) from error
        except OSError as error:
            raise disk_error(error, f"weight store for {key}", self.root) from error
        try:
            yield
        finally:
            lock.release()

    def partial(self, entry: WeightEntry) -> Path:
        """A folder for what has been fetched so far of `entry`; kept after a cut so that the next pull resumes."""
        folder = self.root / ".partial" / f"{entry.name}-{self.folder(entry).name}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder in the store, gone afterwards. What a killed pull left a day ago goes too."""
        self.root.mkdir(parents=True, exist_ok=True)
        for old in self.root.glob(".scratch-*"):
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self.root, prefix=".scratch-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def ensure_space(self, size: int, what: str) -> None:
        """Raises WeightsUnavailable where the disk of the store has fewer than `size` bytes free."""
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free
        if free < size:
            raise WeightsUnavailable(
                f"{what} needs {size / 1e6:.1f} MB and {self.root} has {free / 1e6:.1f} MB free; "
                f"make room, or set {STORE} to a folder on another disk"
            )


def disk_error(error: OSError, what: str, root: Path) -> WeightsUnavailable:
    """The error for a failed write below `root`, saying what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WeightsUnavailable(f"{what}: no space left at {root}; make room, or set {STORE} to a folder elsewhere")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return WeightsUnavailable(f"{what}: cannot use {root} ({error.strerror}); set {STORE} to a writable folder")
    return WeightsUnavailable(f"{what}: {printable(error)}")


def _file_name(entry: WeightEntry) -> str:
    source = entry.source
    match source:
        case PypiSource(range=None):
            base = PurePosixPath(source.member).name
        case PypiSource():
            base = f"{entry.name}.{entry.format}"
        case HubSource() | RepoSource():
            base = PurePosixPath(source.file).name
        case PathSource():
            base = Path(source.path).name if source.path else entry.name
        case _:
            base = PurePosixPath(urlsplit(source.url).path).name or entry.name
    return entry.name + base if base.startswith(".") else base


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
