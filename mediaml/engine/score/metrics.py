"""Which full-reference analyzers a score runs, by the names that people give: analyzers, groups, or their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediaml.analyzers.base import Analyzer, registry, select
from mediaml.errors import InvalidValue, UnknownName
from mediaml.spec import Column, Table, View

USUAL = ("vmaf", "psnr", "ssim")
"""What is scored unasked: those of them that are registered."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Analyzers to run, their per-frame columns wanted, and the names of those to show first (by the first of which worst
    moments are chosen): the column named like its analyzer, else its first."""

    analyzers: tuple[type[Analyzer], ...]
    columns: tuple[Column, ...]
    headline: tuple[str, ...]


def full_reference() -> Mapping[str, type[Analyzer]]:
    """name -> class of every analyzer that compares with a reference, or measures native planes alone (cambi, niqe, siti)."""
    return {name: cls for name, cls in registry().items() if cls.spec.needs_reference or _native(cls)}


def _native(cls: type[Analyzer]) -> bool:
    view = cls.spec.need.view if cls.spec.need else None
    return isinstance(view, View) and view.space in ("luma", "planes")


def choose_metrics(names: Sequence[str] | None = None) -> Chosen:
    """The analyzers and columns that `names` stand for, in their order; None for the usual ones.

    Raises UnknownName with near matches; InvalidValue where no full-reference analyzer is there at all.
    """
    known = full_reference()
    if not known:
        raise InvalidValue("no full-reference analyzer is registered")
    if names is None or not [n for n in names if n.strip()]:
        names = [n for n in USUAL if n in known] or list(known)[:1]
    analyzers: dict[str, type[Analyzer]] = {}
    columns: dict[str, Column] = {}
    headline: dict[str, None] = {}
    for name in filter(None, (n.strip() for n in names)):
        for cls, wanted in _resolve(name, known):
            analyzers.setdefault(cls.spec.name, cls)
            columns |= {c.name: c for c in wanted if c.name not in columns}
            given = [c.name for c in wanted]
            headline |= dict.fromkeys([cls.spec.name] if cls.spec.name in given else given[:1])
    ordered = [columns[n] for n in headline] + [c for n, c in columns.items() if n not in headline]
    return Chosen(tuple(analyzers.values()), tuple(ordered), tuple(headline))


def _resolve(name: str, known: Mapping[str, type[Analyzer]]) -> list[tuple[type[Analyzer], tuple[Column, ...]]]:
    if name.startswith("vmaf:") or name.lower().endswith((".json", ".json?transform=1")):
        member = select([name if name.startswith("vmaf:") else f"vmaf:{name}"])[0]
        return [(member, _frames(member))]
    plain = name.replace(":", "_")  # ssim:wang2004 is the analyzer ssim_wang2004
    if plain in known:
        return [(known[plain], _frames(known[plain]))]
    grouped = [(cls, _frames(cls)) for cls in known.values() if name in cls.spec.groups]
    if grouped:
        return grouped
    for cls in known.values():
        of_name = tuple(c for c in _frames(cls) if c.name == plain)
        if of_name:
            return [(cls, of_name)]
    names = {
        *known,
        *(g for c in known.values() for g in c.spec.groups),
        *(k.name for c in known.values() for k in _frames(c)),
    }
    raise UnknownName("metric", name, names)


def _frames(cls: type[Analyzer]) -> tuple[Column, ...]:
    """Scalar numbers a frame."""
    return tuple(c for c in cls.spec.columns(Table.FRAMES) if c.length is None and c.dtype not in ("string", "binary"))
