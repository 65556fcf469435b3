"""What is kept of a lake that is searched again and again: its spaces, the open index, the names of its media.

It belongs to the `Lake` object that is given to `mediaml.search` and goes with it. A commit to the lake, by any process,
makes it stale, and the next search reads anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from weakref import WeakKeyDictionary

from mediaml.retrieval.space import Space
from mediaml.retrieval.vector_index import VectorIndex
from mediaml.tables import Lake
from mediaml.tables.rows import decode_path


@dataclass(slots=True, eq=False)
class Warm:
    """head: the commit that this was read at; `indexes` holds None where a space has no index that answers for it."""

    head: int
    spaces: list[Space] | None = None
    indexes: dict[Space, VectorIndex | None] = field(default_factory=dict)
    media: Media | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """Every media of a lake: id -> path, and the ids that a path, a file name or a name without its ending stands for."""

    paths: dict[str, str]
    by_path: dict[str, set[str]]
    by_name: dict[str, set[str]]


_KEPT: WeakKeyDictionary[Lake, Warm] = WeakKeyDictionary()


def warm(lake: Lake) -> Warm:
    """What is kept of this lake, empty where nothing is that still holds."""
    head = lake.refresh().head
    kept = _KEPT.get(lake)
    if kept is None or kept.head != head:
        kept = _KEPT[lake] = Warm(head)
    return kept


def media_of(lake: Lake) -> Media:
    """The media of this lake."""
    kept = warm(lake)
    if kept.media is None:
        found = lake.query("SELECT media_id, path FROM media")
        ids, stored = (column.to_pylist() for column in found.columns)
        paths = {m: decode_path(p) for m, p in zip(ids, stored, strict=True)}
        by_path: dict[str, set[str]] = {}
        by_name: dict[str, set[str]] = {}
        for media_id, path in paths.items():
            by_path.setdefault(path, set()).add(media_id)
            name = PurePath(path)
            for form in {name.name, name.stem}:
                by_name.setdefault(form, set()).add(media_id)
        kept.media = Media(paths, by_path, by_name)
    return kept.media
