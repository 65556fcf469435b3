"""Many pairs: which encode belongs to which source, and scoring them one after the other, resumable."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mediaml.decode.formats import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from mediaml.decode.raw_video import RAW_EXTENSIONS
from mediaml.errors import InvalidValue, MediaMissing, printable

_PICTURES = VIDEO_EXTENSIONS | IMAGE_EXTENSIONS | RAW_EXTENSIONS
_SEPARATORS = "._- "


@dataclass(frozen=True, slots=True)
class Pair:
    """A distorted file and its reference."""

    distorted: Path
    reference: Path

    @property
    def name(self) -> str:
        """For file names of its own outputs."""
        return self.distorted.stem


def find_pairs(encode: Path, reference: Path) -> list[Pair]:
    """One pair of two files; every encode against one reference; or directories, by name.

    By name: the reference with the same stem, or the longest one whose stem the encode's begins with, followed by a
    separator (`tears_720p_crf28` belongs to `tears`).

    Raises MediaMissing; InvalidValue where an encode has no reference, or more than one.
    """
    for path in (encode, reference):
        if not path.exists():
            raise MediaMissing(path, "there is no such file or directory")
    if not encode.is_dir():
        if reference.is_dir():
            return [Pair(encode, _reference_of(encode, _files(reference), reference))]
        return [Pair(encode, reference)]
    encodes = _files(encode)
    if not encodes:
        raise InvalidValue(f"{printable(encode)}: holds no video or picture")
    if not reference.is_dir():
        return [Pair(e, reference) for e in encodes if e.resolve() != reference.resolve()]
    references = _files(reference)
    return [Pair(e, _reference_of(e, references, reference)) for e in encodes]


def read_pairs(path: Path) -> list[Pair]:
    """From a CSV with the columns `distorted` and `reference`; relative paths are taken from the CSV's folder.

    Raises InvalidValue naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{printable(path)}: cannot be read: {error}") from error
    rows = csv.DictReader(text.splitlines())
    if not rows.fieldnames or not {"distorted", "reference"} <= set(rows.fieldnames):
        raise InvalidValue(f"{printable(path)}: its first line must name the columns distorted and reference")
    pairs = []
    for row in rows:
        named = row["distorted"], row["reference"]
        if not all(named):
            raise InvalidValue(f"{printable(path)}: line {rows.line_num} lacks a distorted or a reference file")
        pairs.append(Pair(*(path.parent / Path(n).expanduser() for n in named)))
    if not pairs:
        raise InvalidValue(f"{printable(path)}: names no pair")
    return pairs


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PICTURES and p.is_file())


def _reference_of(encode: Path, references: Sequence[Path], folder: Path) -> Path:
    stem = encode.stem.lower()
    equal = [r for r in references if r.stem.lower() == stem and r.resolve() != encode.resolve()]
    found = equal or _longest(r for r in references if _begins(stem, r.stem.lower()))
    if not found:
        known = ", ".join(printable(r.name) for r in references[:5]) or "no file"
        raise InvalidValue(
            f"{printable(encode)}: no file in {printable(folder)} has its name or a beginning of it (there: {known}); "
            "name the pairs with --pairs pairs.csv"
        )
    if len(found) > 1:
        names = ", ".join(printable(f.name) for f in found)
        raise InvalidValue(f"{printable(encode)}: could belong to {names}; name the pairs with --pairs pairs.csv")
    return found[0]


def _begins(stem: str, beginning: str) -> bool:
    return stem.startswith(beginning) and len(stem) > len(beginning) and stem[len(beginning)] in _SEPARATORS


def _longest(found: Iterable[Path]) -> list[Path]:
    candidates = list(found)
    most = max((len(c.stem) for c in candidates), default=0)
    return [c for c in candidates if len(c.stem) == most]


def each(pairs: Sequence[Pair], work: Callable[[Pair], None]) -> Iterator[tuple[Pair, Exception | None]]:
    """Works through the pairs; an error of one is given back, not raised."""
    from mediaml.errors import AnalyzerError, MediaError

    for pair in pairs:
        try:
            work(pair)
        except (MediaError, AnalyzerError) as error:
            yield pair, error
        else:
            yield pair, None
