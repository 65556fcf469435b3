"""Which media make up which title, and from when to when.

`titles.csv` has one row a membership: a title may have many rows (many files), and a file may be named by many titles.

    title_id,media,valid_from,valid_to
    tt001,films/meridian.mp4,2024-05-01,
    tt001,films/meridian_extras.mp4,2024-06-01T09:00:00+02:00,2024-09-01
    tt002,series/e0*.mkv,,

`media` is a media_id (64 hexadecimal digits), a path, or a shell pattern. A path is one that the lake knows, one relative to
titles.csv, or the end of exactly one known path. `valid_from` empty: when the media itself became valid; `valid_to`
(exclusive) empty: still so. A title none of whose media is left is deleted from then on. A date alone means midnight UTC.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa

from mediaml.errors import InvalidValue, UnknownName, printable
from mediaml.rec.times import check_zone, to_utc
from mediaml.tables import Lake
from mediaml.tables.rows import decode_path

COLUMNS = ("title_id", "media", "valid_from", "valid_to")
_LINE = "line in the file"
_MEDIA_ID = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Membership:
    """A media is part of a title from `valid_from` until `valid_to` (exclusive; None for good)."""

    title_id: str
    media_id: str
    valid_from: datetime
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What a title consists of from `valid_from` on; no media: it is deleted."""

    title_id: str
    valid_from: datetime
    media_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TitlesReport:
    """unmatched  (line of titles.csv, what it names) that the lake has no media for
    unlisted   media of the lake that no title names
    """

    titles: int = 0
    rows: int = 0
    unmatched: tuple[tuple[int, str], ...] = ()
    unlisted: int = 0

    def lines(self) -> list[str]:
        """For people: one line a fact."""
        found = [f"{self.titles} titles in {self.rows} rows"]
        if self.unmatched:
            line, media = self.unmatched[0]
            found.append(
                f"{len(self.unmatched)} rows name media that the lake does not have (first: line {line}, {printable(media)})"
            )
        if self.unlisted:
            found.append(f"{self.unlisted} media of the lake belong to no title")
        return found


@dataclass(frozen=True, slots=True)
class Titles:
    """Memberships, and what could not be resolved."""

    memberships: tuple[Membership, ...]
    report: TitlesReport = field(default_factory=TitlesReport)

    def states(self) -> list[State]:
        """The changes of every title in time, by title and time. A change that changes nothing is left out."""
        by_title: dict[str, list[Membership]] = defaultdict(list)
        for one in self.memberships:
            by_title[one.title_id].append(one)
        return [state for title_id in sorted(by_title) for state in _states(title_id, by_title[title_id])]


def _states(title_id: str, memberships: Sequence[Membership]) -> list[State]:
    moments = {m.valid_from for m in memberships} | {m.valid_to for m in memberships if m.valid_to is not None}
    found: list[State] = []
    for moment in sorted(moments):
        media = {
            m.media_id for m in memberships if m.valid_from <= moment and (m.valid_to is None or moment < m.valid_to)
        }
        state = State(title_id, moment, tuple(sorted(media)))
        if not found or found[-1].media_ids != state.media_ids:
            found.append(state)
    return found


def read_titles(path: str | Path, lake: Lake, time_zone: str | None = None) -> Titles:
    """Reads titles.csv and finds its media in the lake.

    Args:
        time_zone: of times that state none; dates alone are midnight UTC without one.

    Raises:
        InvalidValue: no file, no title_id, a wrong time, valid_to not after valid_from, an ambiguous path, no media found.
        UnknownName: a column is misspelt.
    """
    file = Path(path)
    rows = _read_rows(file)
    times = {n: _times(rows, n, file.name, time_zone) for n in ("valid_from", "valid_to")}
    known = _KnownMedia.of(lake, file.parent)
    memberships: dict[tuple[str, str, datetime], Membership] = {}
    unmatched: list[tuple[int, str]] = []
    for i, row in enumerate(rows):
        line, title_id, media = int(row[_LINE]), row["title_id"].strip(), row["media"].strip()
        if not title_id or not media:
            raise InvalidValue(f"{file.name}, line {line}: {'title_id' if not title_id else 'media'} is empty")
        found = known.find(media, f"{file.name}, line {line}")
        if not found:
            unmatched.append((line, media))
        start, end = times["valid_from"][i], times["valid_to"][i]
        for media_id in found:
            one = Membership(title_id, media_id, start or known.valid_from(media_id), end)
            if end is not None and end <= one.valid_from:
                raise InvalidValue(f"{file.name}, line {line}: valid_to {end} is not after valid_from {one.valid_from}")
            memberships[title_id, media_id, one.valid_from] = one
    if not memberships:
        raise InvalidValue(
            f"{file.name}: none of its {len(rows)} rows names media of this lake; the first names "
            f"{printable(rows[0]['media'])!r}; `mediaml tables export LAKE paths` lists what is there"
        )
    used = {m.media_id for m in memberships.values()}
    titles = len({row["title_id"].strip() for row in rows})
    report = TitlesReport(titles, len(rows), tuple(unmatched), len(known.valid - used))
    return Titles(tuple(memberships.values()), report)


def _read_rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            _check_columns(file.name, reader.fieldnames or [])
            rows = [
                {n: row.get(n) or "" for n in COLUMNS} | {_LINE: str(reader.line_num)}
                for row in reader
                if any(row.values())
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidValue(f"{printable(file)}: cannot be read: {error}") from error
    if not rows:
        raise InvalidValue(f"{printable(file)}: holds no titles")
    return rows


def _check_columns(name: str, columns: Sequence[str]) -> None:
    for needed in ("title_id", "media"):
        if needed not in columns:
            raise UnknownName(f"column of {name}", needed, columns)
    for column in columns:
        near = get_close_matches(column.lower(), COLUMNS, n=1, cutoff=0.75)
        if column not in COLUMNS and near:
            raise InvalidValue(f"{name}: unknown column {column!r}; did you mean {near[0]!r}?")


def _times(rows: Sequence[Mapping[str, str]], column: str, name: str, zone: str | None) -> list[datetime | None]:
    """Times of a column; None where empty."""
    given = [row[column].strip() for row in rows]
    if zone is not None:
        check_zone(zone)
    texts = [None if not t else f"{t}T00:00:00Z" if zone is None and _DATE.fullmatch(t) else t for t in given]
    found = to_utc(pa.chunked_array([pa.array(texts, pa.string())]), f"{name}: column {column!r}", zone, None)
    for i, (text, value) in enumerate(zip(given, found, strict=True)):
        if text and not value.is_valid:
            raise InvalidValue(
                f"{name}, line {rows[i][_LINE]}: {column} {text!r} is no time; write 2024-05-01 or ISO 8601"
            )
    return [None if not v.is_valid else v.as_py().astimezone(UTC) for v in found]


@dataclass(frozen=True, slots=True)
class _KnownMedia:
    """What a lake has: media_id -> valid_from, and path -> media_id."""

    folder: Path  # of titles.csv
    starts: Mapping[str, datetime]
    paths: Mapping[str, str]

    @classmethod
    def of(cls, lake: Lake, folder: Path) -> _KnownMedia:
        union = " UNION ALL ".join(
            f"SELECT media_id, valid_from FROM {t}"  # noqa: S608
            for t in ("media", "files", "shots", "embeddings")
        )
        earliest = f"SELECT media_id, min(valid_from) AS valid_from FROM ({union}) GROUP BY media_id"  # noqa: S608
        starts = lake.query(earliest).to_pydict()
        stored = lake.query(
            "SELECT path, media_id FROM media WHERE path IS NOT NULL UNION ALL SELECT path, media_id FROM paths ORDER BY ALL"
        ).to_pydict()
        moments = (t.astimezone(UTC) for t in starts["valid_from"])
        paths = {decode_path(p): m for p, m in zip(stored["path"], stored["media_id"], strict=True)}
        return cls(folder, dict(zip(starts["media_id"], moments, strict=True)), paths)

    @property
    def valid(self) -> set[str]:
        return set(self.starts)

    def valid_from(self, media_id: str) -> datetime:
        return self.starts[media_id]

    def find(self, media: str, where: str) -> list[str]:
        """The media_ids that an entry of titles.csv names; empty for none. Only media with rows count."""
        if _MEDIA_ID.fullmatch(media):
            return [media] if media in self.starts else []
        beside = str((self.folder / media).resolve())
        for path in (media, beside):
            if self.paths.get(path) in self.starts:
                return [self.paths[path]]
        if _PATTERN.search(media):
            hits = {m for p, m in self.paths.items() if fnmatchcase(p, media) or fnmatchcase(p, f"*/{media}")}
            return sorted(hits & self.valid)
        ends = {m for p, m in self.paths.items() if p.endswith(f"/{media}")} & self.valid
        if len(ends) > 1:
            raise InvalidValue(
                f"{where}: {printable(media)!r} is the end of {len(ends)} different media; write more of the path"
            )
        return sorted(ends)
