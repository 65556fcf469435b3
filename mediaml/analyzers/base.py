"""The contract of every analyzer, and how analyzers are found.

A new metric is one new file: a module anywhere below `mediaml.analyzers` with an `Analyzer` subclass that has a `spec`. See
docs/adding_an_analyzer.md. Modules of other packages are found by the entry-point group `mediaml.analyzers`, and by the
environment variable MEDIAML_PLUGINS (names of modules, comma-separated).

A family makes analyzers out of addresses "family:what" (`open_clip:ViT-B-32/openai`), which may stand wherever a name may;
each address is an analyzer of its own name, and lists show only the family's members that were asked for.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar

import torch
from torch import Tensor

from mediaml.errors import AnalyzerError, UnknownName
from mediaml.frames import AudioBlock, FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Spec, Table

Rows = Mapping[Table, Mapping[str, Sequence[Any]]]
"""Rows for tables other than per-frame ones: table -> column -> values; the columns of a table have equal length."""


class Analyzer(ABC):
    """Turns a stream of batches into small columns.

    Life of one object: `setup` once a worker; then for each file `start`, any number of `update`, one `finish`. `finish`
    leaves the object ready for the next `start`. An exception from any of them costs this analyzer's result for this file
    and nothing else; the engine then makes a new object.
    """

    spec: ClassVar[Spec]
    address: ClassVar[str] = ""
    """What `select` finds it by, for members of a family; empty for analyzers found by name."""

    @property
    def space(self) -> str:
        """The value of `embeddings.model`: vectors of one space, and only those, are comparable."""
        return self.spec.id

    def check(self) -> None:
        """Before a run, in the calling process: raises WeightsError or UsageError where no file could be analysed."""

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool]:
        """Settings that change values; part of the idempotency key. Analyzers without settings keep the empty default."""
        return {}

    def setup(self, device: torch.device) -> None:
        """Once a worker: load weights, import what is heavy."""
        self.device = device

    def start(self, media: MediaInfo) -> None:
        """Before a file's first batch: facts that do not come with frames. Must not read the file."""

    @abstractmethod
    def update(self, batch: Any) -> Mapping[str, Tensor]:
        """One `FrameBatch` (or `AudioBlock`) in; per-frame columns out: (N,) or (N, D) tensors on the batch's device.

        Gives exactly the columns of `spec.columns(Table.FRAMES)`, and of `Table.EMBEDDINGS` where each frame has a vector;
        {} for analyzers that only give rows in `finish`. NaN in a column declared nullable is written as null; in any other
        column it is a breach of contract. No I/O, no copy to the host for its own output, the input is not
        modified. Audio analyzers return {} and give their rows in `finish`.
        """

    def finish(self) -> Rows:
        """Rows for shots, spans, series, the whole file; resets the state."""
        return {}


class FrameAnalyzer(Analyzer):
    """An analyzer of pictures: `update` takes a FrameBatch."""

    @abstractmethod
    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]: ...


class AudioAnalyzer(Analyzer):
    """An analyzer of sound: `update` takes an AudioBlock."""

    @abstractmethod
    def update(self, batch: AudioBlock) -> Mapping[str, Tensor]: ...


Family = Callable[[str], type[Analyzer]]
_FAMILIES: dict[str, Family] = {}


def analyzer_family(name: str) -> Callable[[Family], Family]:
    """Registers the function that turns addresses "name:..." into analyzers (the same class for the same address)."""

    def register(make: Family) -> Family:
        _FAMILIES[name] = make
        return make

    return register


@cache
def registry() -> Mapping[str, type[Analyzer]]:
    """name -> class, for every analyzer in this package, in entry points and in plug-ins, sorted by name."""
    import mediaml.analyzers as package

    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
    for point in entry_points(group="mediaml.analyzers"):
        point.load()
    for name in filter(None, os.environ.get("MEDIAML_PLUGINS", "").split(",")):
        importlib.import_module(name)
    found: dict[str, type[Analyzer]] = {}
    for cls in _concrete(Analyzer):
        other = found.setdefault(cls.spec.name, cls)
        if other is not cls:
            raise AnalyzerError(cls.spec.name, f"declared by both {other.__module__} and {cls.__module__}")
    return dict(sorted(found.items()))


def _concrete(base: type[Analyzer]) -> list[type[Analyzer]]:
    found = [base] if "spec" in vars(base) and not base.address else []
    for sub in base.__subclasses__():
        found += _concrete(sub)
    return found


def select(names: Sequence[str] | None = None) -> list[type[Analyzer]]:
    """Classes by analyzer or group name or address; None gives every default one. "-name" takes one away.

    Raises UnknownName with near matches.
    """
    known = registry()
    groups = {g for c in known.values() for g in c.spec.groups}
    chosen: dict[str, type[Analyzer]] = {}
    if not names or all(n.startswith("-") for n in names):
        chosen = {n: c for n, c in known.items() if c.spec.default}
    for name in names or ():
        bare = name.removeprefix("-")
        if ":" in bare and not name.startswith("-"):
            member = _member(bare)
            chosen[member.spec.name] = member
            continue
        hits = [n for n, c in known.items() if bare in (n, "all") or bare in c.spec.groups]
        if not hits:
            raise UnknownName("analyzer", bare, [*known, *groups, "all"])
        for hit in hits:
            if name.startswith("-"):
                chosen.pop(hit, None)
            else:
                chosen[hit] = known[hit]
    return [chosen[n] for n in sorted(chosen)]


def _member(address: str) -> type[Analyzer]:
    family = address.split(":", 1)[0]
    if family not in _FAMILIES:
        raise UnknownName("family of analyzers", family, _FAMILIES)
    return _FAMILIES[family](address)


def wanted_name(cls: type[Analyzer]) -> str:
    """What `select` finds the class by: its address, or its name."""
    return cls.address or cls.spec.name
