"""Licensed pictures for training out of Debian packages, fetched with the user's own apt settings.

`pictures.toml` names each package (version, sha256, size) and each picture in it (sha256, licence, kind, split). Nothing of
a package is installed or run: its `data.tar` is read and the named pictures are copied out.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import platformdirs
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, WeightsCorrupt, WeightsUnavailable

Kind = Literal["photograph", "drawn"]
Split = Literal["train", "held_out"]
LIST = Path(__file__).with_name("pictures.toml")
CACHE = "MEDIAML_TRAINING_MEDIA"


@dataclass(frozen=True, slots=True)
class Picture:
    """One licensed picture. `file` is where it lies once `fetch` has run."""

    name: str
    package: str
    path: str  # inside the package
    sha256: str
    licence: str  # SPDX
    kind: Kind
    split: Split

    @property
    def file(self) -> Path:
        return cache_folder() / "pictures" / f"{self.name}{Path(self.path).suffix}"

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB. Raises InvalidValue where the picture was not fetched."""
        pixels = cv2.imread(str(self.file), cv2.IMREAD_COLOR) if self.file.is_file() else None
        if pixels is None:
            raise InvalidValue(f"{self.file} is not a picture; run pipelines.training_media.pictures.fetch() first")
        return np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8, copy=False)


def cache_folder() -> Path:
    """Where training media are kept; the variable MEDIAML_TRAINING_MEDIA names another place."""
    return Path(os.environ.get(CACHE) or platformdirs.user_cache_path("mediaml") / "training_media")


def listed(kinds: Collection[Kind] = ("photograph", "drawn"), split: Split | None = None) -> list[Picture]:
    """The pictures of pictures.toml, in its order, photographs first; nothing is fetched."""
    chosen = [Picture(**p) for p in _list()["pictures"]]
    chosen = [p for p in chosen if p.kind in kinds and split in (None, p.split)]
    return sorted(chosen, key=lambda p: p.kind != "photograph")


def fetch(pictures: Collection[Picture] | None = None) -> list[Picture]:
    """Brings these pictures (None: all) into the cache folder; what is there and right is left alone.

    Needs `apt-get` with Debian 12's lists (`apt-get update`). Raises WeightsUnavailable where a package cannot be had and
    WeightsCorrupt where a package or a picture is not the one that was listed.
    """
    wanted = list(listed() if pictures is None else pictures)
    absent = [p for p in wanted if not p.file.is_file()]
    for package in dict.fromkeys(p.package for p in absent):
        with tempfile.TemporaryDirectory() as folder:
            archive = _download(package, Path(folder))
            _unpack(archive, [p for p in absent if p.package == package])
    return wanted


@cache
def _list() -> dict[str, Any]:
    return tomllib.loads(LIST.read_text("utf-8"))


def _download(package: str, folder: Path) -> Path:
    fact = _list()["packages"][package]
    apt = shutil.which("apt-get")
    if apt is None:
        raise WeightsUnavailable(f"{package}: pictures come from Debian packages, and apt-get is not on this machine")
    command = [apt, "download", "-q", f"{package}={fact['version']}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.deb"))
    if done.returncode or len(found) != 1:
        reason = (done.stderr.strip().splitlines() or ["no file came"])[-1]
        raise WeightsUnavailable(f"{' '.join(command)} failed: {reason}; run `apt-get update` on Debian 12 first")
    _check(found[0].read_bytes(), fact["sha256"], found[0].name)
    return found[0]


def _unpack(archive: Path, pictures: Collection[Picture]) -> None:
    by_path = {p.path: p for p in pictures}
    with tarfile.open(fileobj=io.BytesIO(_data_tar(archive))) as tar:
        for member in tar:
            picture = by_path.get(member.name.removeprefix("./"))
            source = tar.extractfile(member) if picture is not None and member.isfile() else None
            if picture is None or source is None:
                continue
            content = source.read()
            _check(content, picture.sha256, picture.path)
            picture.file.parent.mkdir(parents=True, exist_ok=True)
            part = picture.file.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(content)
            part.replace(picture.file)


def _data_tar(archive: Path) -> bytes:
    """The data member of a Debian package, an `ar` archive (deb(5)); xz, gzip or bzip2, as tarfile reads them."""
    content = archive.read_bytes()
    at = 8  # after "!<arch>\n"
    while at + 60 <= len(content):
        name, size = content[at : at + 16].decode("ascii").strip().rstrip("/"), int(content[at + 48 : at + 58])
        if name.startswith("data.tar"):
            return content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise WeightsCorrupt(f"{archive.name} holds no data.tar; it is not a Debian package")


def _check(content: bytes, sha256: str, name: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsCorrupt(f"{name}: sha256 {found} is not the listed {sha256}; pictures.toml names another version")
