"""The contract of derivations, and how they are found.

A derivation turns stored columns into other columns; it decodes nothing. A new one is one new module below
`mediaml.derive` (or one named by an installed package's `mediaml.derivations` entry point) with a `Derivation` subclass
that has a `spec`.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar

from mediaml.derive.vocabulary import Vocabulary
from mediaml.errors import AnalyzerError, InvalidValue
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake


@dataclass(frozen=True, slots=True)
class Derived:
    """Rows of several media: table -> column -> sequence or ndarray, the key columns and `media_id` among them.

    `columns` are output columns that the spec cannot know beforehand, because they mirror what the lake holds.
    """

    rows: Mapping[Table, Mapping[str, Any]] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()


class Derivation(ABC):
    """Stored rows in, rows out.

    Life of one object: `setup` once, only if there is something to compute; then `run` for groups of media. Rows of a
    media that already has rows of this derivation replace them.
    """

    spec: Spec
    """`need` is None; `weights` are resolved by `setup`."""

    sources: ClassVar[tuple[str, ...]] = ()
    """Names of the analyzers and derivations whose rows it reads."""

    source_tables: ClassVar[tuple[Table, ...]] = ()
    """Tables that it reads whoever filled them.

    A media is computed again when what the lake holds of either changes (version, settings, weights), and only then.
    """

    @classmethod
    def instances(cls, vocabularies: Sequence[Vocabulary]) -> Sequence[Derivation]:  # noqa: ARG003
        """The derivations of this kind: one, or one a vocabulary."""
        return [cls()]

    @classmethod
    def over(cls, lake: Lake, vocabularies: Sequence[Vocabulary]) -> Sequence[Derivation]:  # noqa: ARG003
        """Further derivations of this kind, one for each thing that this lake holds (a space of vectors)."""
        return ()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings that change values; part of the idempotency key."""
        return {}

    def setup(self) -> None:
        """Loads what is heavy. Raises WeightsError."""
        return

    @abstractmethod
    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        """Rows for these media, from the rows of `sources`. Media without the rows it needs get none."""


@cache
def registry() -> Mapping[str, type[Derivation]]:
    """name -> class, for every derivation in this package and in `mediaml.derivations` entry points, sorted by name."""
    import mediaml.derive as package

    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
    for point in entry_points(group="mediaml.derivations"):
        point.load()
    found: dict[str, type[Derivation]] = {}
    for cls in _concrete(Derivation):
        other = found.setdefault(cls.spec.name, cls)
        if other is not cls:
            raise AnalyzerError(cls.spec.name, f"declared by both {other.__module__} and {cls.__module__}")
    return dict(sorted(found.items()))


def _concrete(base: type[Derivation]) -> list[type[Derivation]]:
    found = [base] if "spec" in vars(base) else []
    for sub in base.__subclasses__():
        found += _concrete(sub)
    return found


def in_order(derivations: Sequence[Derivation]) -> list[Derivation]:
    """The same, each after those that it reads from. Raises InvalidValue for two of one name or a circle."""
    waiting = {d.spec.name: d for d in sorted(derivations, key=lambda d: d.spec.name)}
    if len(waiting) < len(derivations):
        names = [d.spec.name for d in derivations]
        twice = sorted({n for n in names if names.count(n) > 1})
        raise InvalidValue(f"two derivations are called {', '.join(twice)}; give one vocabulary another id")
    ordered: list[Derivation] = []
    while waiting:
        ready = [d for d in waiting.values() if not set(d.sources) & set(waiting)]
        if not ready:
            raise InvalidValue(f"derivations read from each other in a circle: {', '.join(waiting)}")
        for d in ready:
            del waiting[d.spec.name]
        ordered += ready
    return ordered
