"""Photographs that no threshold was chosen on: those of GCompris, out of one Debian package, pinned by sha256.

GCompris keeps its pictures in Qt resource files, one after another and mostly uncompressed; they are found by the first bytes
of JPEG and WebP. Authors and licences (GPL, CC BY, CC BY-SA, CC0, public domain) are in the package's `copyright`. Nothing is
installed, and none of them is part of this repository.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import tempfile
from pathlib import Path

import cv2
from PIL import Image, UnidentifiedImageError

from pipelines.training_media.debian_packages import cache_folder, data_tar, download

PACKAGE = "gcompris-qt-data"
FACT = {"version": "3.1-2", "sha256": "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f"}
_RESOURCES = (
    "clickgame", "details", "erase", "explore_farm_animals", "explore_monuments", "explore_world_animals",
    "explore_world_music",
)  # fmt: skip
_START = re.compile(rb"\xff\xd8\xff|RIFF....WEBP", re.DOTALL)
_LARGEST = 2_000_000  # bytes of one picture
_LEAST, _LEAST_LONG = 340, 500  # px of the shorter and the longer side
_DRAWN = {"clickgame"}  # these hold drawings too; their photographs are wider than this many pixels
_DRAWN_LEAST = 1000


def photographs() -> list[Path]:
    """The files of all photographs, by name; brought into the cache where they are not there yet."""
    folder = cache_folder() / "gcompris"
    if not folder.is_dir():
        part = folder.with_name(f"gcompris.{os.getpid()}.part")
        part.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as downloads:
            archive = download(PACKAGE, FACT, Path(downloads))
            with tarfile.open(fileobj=io.BytesIO(data_tar(archive))) as tar:
                for member in tar:
                    source = tar.extractfile(member) if Path(member.name).suffix == ".rcc" else None
                    if source is not None and Path(member.name).stem in _RESOURCES:
                        _unpack(source.read(), Path(member.name).stem, part)
        part.replace(folder)
    return sorted(folder.iterdir())


def _unpack(resource: bytes, name: str, folder: Path) -> None:
    """Writes the photographs in one resource file as PNG."""
    for number, start in enumerate(_START.finditer(resource)):
        try:
            with Image.open(io.BytesIO(resource[start.start() : start.start() + _LARGEST])) as picture:
                pixels = picture.convert("RGB")
        except (UnidentifiedImageError, OSError):
            continue
        least = _DRAWN_LEAST if name in _DRAWN else _LEAST
        if min(pixels.size) >= least and max(pixels.size) >= _LEAST_LONG:
            pixels.save(folder / f"{name}_{number:03}.png")


def wide(paths: list[Path], width: int, height: int) -> list[Path]:
    """Those that are at least 1.3 times as large as a picture of (width, height), upright ones turned."""
    chosen = []
    for path in paths:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is not None and max(pixels.shape[:2]) >= 1.3 * width and min(pixels.shape[:2]) >= 1.3 * height:
            chosen.append(path)
    return chosen
