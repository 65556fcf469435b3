"""Licensed pictures for training out of Debian packages, fetched with the user's own apt settings.

`pictures.toml` names each package (version, sha256, size) and each picture in it (sha256, licence, kind, split). Nothing of
a package is installed or run: its `data.tar` is read and the named pictures are copied out.
"""

from __future__ import annotations

import io
import os
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
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from pipelines.training_media.debian_packages import cache_folder, check, data_tar, download

Kind = Literal["photograph", "drawn"]
Split = Literal["train", "held_out", "reserved", "added", "test3"]
_LATER: tuple[Split, ...] = ("added", "test3")  # of mediaml_nr alone: not among all, whose order others count by
LIST = Path(__file__).with_name("pictures.toml")


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


def listed(kinds: Collection[Kind] = ("photograph", "drawn"), split: Split | None = None) -> list[Picture]:
    """The pictures of pictures.toml, in its order, photographs first; nothing is fetched. split None: all but "added" and
    "test3"."""
    chosen = [Picture(**p) for p in _list()["pictures"]]
    chosen = [p for p in chosen if p.kind in kinds and (p.split == split or (split is None and p.split not in _LATER))]
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
            archive = download(package, _list()["packages"][package], Path(folder))
            _unpack(archive, [p for p in absent if p.package == package])
    return wanted


@cache
def _list() -> dict[str, Any]:
    return tomllib.loads(LIST.read_text("utf-8"))


def _unpack(archive: Path, pictures: Collection[Picture]) -> None:
    by_path = {p.path: p for p in pictures}
    with tarfile.open(fileobj=io.BytesIO(data_tar(archive))) as tar:
        for member in tar:
            picture = by_path.get(member.name.removeprefix("./"))
            source = tar.extractfile(member) if picture is not None and member.isfile() else None
            if picture is None or source is None:
                continue
            content = source.read()
            check(content, picture.sha256, picture.path)
            picture.file.parent.mkdir(parents=True, exist_ok=True)
            part = picture.file.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(content)
            part.replace(picture.file)
