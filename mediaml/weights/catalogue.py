"""A manifest and a store together: from a name to a verified file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from mediaml.errors import WeightsAbsent, WeightsCorrupt, WeightsError, printable
from mediaml.weights.manifest import Format, Manifest, PathSource, WeightEntry, default_manifest
from mediaml.weights.open_clip_models import SCHEME, open_clip_entry
from mediaml.weights.store import Store, sha256_file, store_root

_FORMATS: dict[str, Format] = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".jit": "torchscript",
    ".param": "ncnn_param",
    ".bin": "ncnn_bin",
    ".txt": "text",
    ".json": "json",
    ".mat": "mat5",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found for one weight; `message` is empty when it is right."""

    entry: WeightEntry
    state: Literal["right", "absent", "corrupt"]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every weight that can be named, and where it is kept."""

    manifest: Manifest
    store: Store

    @classmethod
    def default(cls) -> Catalogue:
        """The manifest that came with mediaml, and the store of this user."""
        manifest = default_manifest()
        return cls(manifest, Store(store_root(), manifest.root))

    def describe(self, name: str) -> WeightEntry:
        """The entry of `name`; for `@FILE`, an entry made from the file itself (read once for its checksum)."""
        return _own_file(name) if name.startswith("@") else self.entry(name)

    def entry(self, name: str) -> WeightEntry:
        """The entry of a name of the manifest, or of open_clip:MODEL/TAG."""
        return open_clip_entry(name, self.manifest) if name.startswith(SCHEME) else self.manifest.entry(name)

    def select(self, names: Iterable[str]) -> list[WeightEntry]:
        """Entries by name, each once; the manifest's groups may stand for names."""
        chosen: dict[str, WeightEntry] = {}
        for name in names:
            found = [self.entry(name)] if name.startswith(SCHEME) else self.manifest.select([name])
            chosen |= {entry.name: entry for entry in found}
        return list(chosen.values())

    def resolve(self, name: str) -> Path:
        """The verified file of `name`."""
        if name.startswith("@"):
            return _own_path(name)
        return self.store.verified(self.entry(name))[0]

    def sha256(self, name: str) -> str:
        """The checksum of the file of `name`, which must be on this machine."""
        return _own_file(name).sha256 if name.startswith("@") else self.store.verified(self.entry(name))[1]

    def verify(self, names: Iterable[str]) -> list[Verdict]:
        """Read every file in full, whatever is recorded of earlier readings."""
        return [self._verdict(entry) for entry in self.select(names)]

    def _verdict(self, entry: WeightEntry) -> Verdict:
        try:
            self.store.verified(entry, reread=True)
        except WeightsAbsent as error:
            return Verdict(entry, "absent", str(error))
        except WeightsCorrupt as error:
            return Verdict(entry, "corrupt", str(error))
        return Verdict(entry, "right")


def _own_path(reference: str) -> Path:
    path = Path(reference[1:]).expanduser().absolute()
    if not path.is_file():
        raise WeightsAbsent(f"weight {printable(reference)}: {printable(path)} is not a file; check the path after '@'")
    return path


def _own_file(reference: str) -> WeightEntry:
    path = _own_path(reference)
    stat = path.stat()
    if stat.st_size == 0:
        raise WeightsError(f"weight {printable(reference)}: the file is empty")
    name = re.sub(r"[^a-z0-9_]+", "_", path.stem.lower()).strip("_")
    return WeightEntry(
        name=name if re.match(r"[a-z]", name) else f"own_{name}",
        source=PathSource(type="path", path=str(path)),
        sha256=_hash_once(path, stat.st_size, stat.st_mtime_ns),
        size=stat.st_size,
        format=_FORMATS.get(path.suffix.lower(), "torch_weights_only"),
        licence="LicenseRef-own",
        commercial_use=True,
        purpose="a file of the user",
    )


@cache
def _hash_once(path: Path, _size: int, _mtime_ns: int) -> str:
    return sha256_file(path)
