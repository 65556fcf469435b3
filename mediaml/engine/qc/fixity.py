"""Checksums noted beside a file: what was delivered, to compare with what is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MANIFESTS = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "manifest-sha256.txt")
"""Lists that are looked for in the file's folder and in those above it, BagIt's among them (RFC 8493)."""

_FOLDERS_UP = 3
_LARGEST_BYTES = 64_000_000
_LINE = re.compile(r"([0-9a-fA-F]{64})(?:[ \t]+\*?(.+))?")


@dataclass(frozen=True, slots=True)
class Noted:
    """A sha256 in lower-case hexadecimal digits, and the file that states it."""

    sha256: str
    where: str


def noted_sha256(path: Path) -> Noted | None:
    """What NAME.sha256 (or .sha256sum) beside the file says of it, or a list in its folder or up to three above; else None.

    Lists have the form of sha256sum; names are relative to the list. A list that cannot be read says nothing.
    """
    for suffix in (".sha256", ".sha256sum"):
        sidecar = path.with_name(path.name + suffix)
        for digest, _ in _entries(sidecar):
            return Noted(digest, str(sidecar))
    folder = path.absolute().parent
    for above in (folder, *folder.parents[:_FOLDERS_UP]):
        name = path.absolute().relative_to(above).as_posix()
        for manifest in MANIFESTS:
            for digest, listed in _entries(above / manifest):
                if listed.removeprefix("./") == name:
                    return Noted(digest, str(above / manifest))
    return None


def _entries(file: Path) -> list[tuple[str, str]]:
    """(digest, name) of every line; () where there is no such file."""
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST_BYTES:
            return []
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    matches = [m for line in lines if (m := _LINE.fullmatch(line.strip()))]
    return [(m[1].lower(), m[2] or "") for m in matches]
