"""Vocabularies: TOML files that say which tags to look for, in words.

::

    id = "places"                       # names the derivation: rows of analyzer tags_places
    title = "Places"
    threshold = 0.4                     # of every tag that does not set its own
    embedders = ["open_clip"]           # optional: the spaces it is meaningful for (open_clip, label_space); default: any
    templates = ["a photo of {}"]       # optional: sentences that each prompt is put into, averaged; default: the prompt
    negatives = ["a picture"]           # optional: what a shot is compared with beside the tags (open_clip)
    thresholds = { open_clip = 0.5 }    # optional: thresholds of one family of spaces
    unknown = true                      # optional: shots without any tag get the tag "unknown"

    [[tags]]
    id = "beach"
    label = "Beach"
    prompts = ["a sandy beach", "people at the seaside"]
    parent = "outdoors"                 # optional: another tag's id
    threshold = 0.45                    # optional

    [calibration."MODEL"]               # what turns the cosines of this very space into probabilities; without it, in
                                        # every other space, scores are none, and every row says so
    slope = 20.0
    offset = -9.0
    fitted_on = "which pictures, how many"

How prompts become scores, and what a threshold then means, is in `mediaml.derive.vocabulary_tags`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mediaml.errors import InvalidValue, UnknownName, printable

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
Score = Annotated[float, Field(ge=-1.0, le=1.0)]
Template = Annotated[str, Field(min_length=2, max_length=200, pattern=r"\{\}")]
Embedder = Literal["open_clip", "label_space"]
"""Families of spaces that have words."""

EMBEDDERS: tuple[Embedder, ...] = ("open_clip", "label_space")
AUTOMATIC = ("scenes",)
"""Shipped vocabularies that `mediaml derive` and `mediaml analyze` apply unasked, to the label space."""

_SHIPPED = Path(__file__).parent / "vocabularies"
_TAG_HEADER = re.compile(r"^\s*\[\[\s*tags\s*\]\]")


class Tag(BaseModel):
    """One entry: what it is called and how it is described."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Identifier
    label: Text
    prompts: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)]
    parent: Identifier | None = None
    threshold: Score | None = None


class Calibration(BaseModel):
    """Platt's (1999) sigmoid(slope * cosine + offset), fitted on labelled pictures in one space."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    offset: Annotated[float, Field(allow_inf_nan=False)]
    fitted_on: Text


class Vocabulary(BaseModel):
    """A set of tags with a shared default threshold."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Identifier
    title: Text
    threshold: Score
    embedders: Annotated[tuple[Embedder, ...], Field(min_length=1, strict=False)] = EMBEDDERS
    templates: Annotated[tuple[Template, ...], Field(min_length=1, strict=False)] = ("{}",)
    negatives: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    thresholds: dict[Embedder, Score] = Field(default_factory=dict)
    unknown: bool = False
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    tags: Annotated[tuple[Tag, ...], Field(min_length=1, strict=False)]

    @property
    def calibrated_in(self) -> tuple[str, ...]:
        """The spaces in which its scores are probabilities; in all others they are not."""
        return tuple(sorted(self.calibration))

    def threshold_of(self, tag: Tag, embedder: Embedder | None = None) -> float:
        """The tag's own threshold, or the vocabulary's for this family of spaces, or the vocabulary's."""
        if tag.threshold is not None:
            return tag.threshold
        return self.thresholds.get(embedder, self.threshold) if embedder else self.threshold

    def ancestors(self, tag: Tag) -> list[Tag]:
        """The tag's parent, its parent, and so on."""
        by_id = {t.id: t for t in self.tags}
        found = []
        while tag.parent is not None:
            tag = by_id[tag.parent]
            found.append(tag)
        return found


def load_vocabulary(path: str | PathLike[str]) -> Vocabulary:
    """Reads and checks a vocabulary file.

    Raises InvalidValue naming file, line, tag and what is wrong: not TOML, a field missing, unknown or empty, an id twice,
    a parent that does not exist, parents in a circle.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidValue(f"vocabulary {printable(path)} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(f"vocabulary {printable(path)} is not UTF-8 text (byte {error.start})") from error
    return parse_vocabulary(text, printable(path))


def parse_vocabulary(text: str, name: str) -> Vocabulary:
    """The vocabulary in `text`; `name` stands in messages. Raises as `load_vocabulary` does."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidValue(f"vocabulary {name} is not TOML: {error}") from error
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _TAG_HEADER.match(line)]
    try:
        vocabulary = Vocabulary.model_validate(data)
    except ValidationError as error:
        raise InvalidValue(_explain(error, data, name, lines)) from None
    _check_tree(vocabulary, name, lines)
    return vocabulary


def shipped_vocabularies() -> list[Vocabulary]:
    """The vocabularies that are applied unasked."""
    return [load_vocabulary(_SHIPPED / f"{name}.toml") for name in AUTOMATIC]


def shipped_names() -> list[str]:
    """Every vocabulary that comes with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def find_vocabulary(name: str | PathLike[str]) -> Vocabulary:
    """A shipped vocabulary by its name, or that of a file. Raises UnknownName, and what `load_vocabulary` raises."""
    path = Path(name).expanduser()
    bare = str(name).removesuffix(".toml")
    if path.is_file() or "/" in str(name):
        return load_vocabulary(path)
    if bare not in shipped_names():
        raise UnknownName(
            "vocabulary (there is no such file, and none is shipped under the name)", bare, shipped_names()
        )
    return load_vocabulary(_SHIPPED / f"{bare}.toml")


def _explain(error: ValidationError, data: dict, name: str, lines: Sequence[int]) -> str:
    """The first thing that is wrong, with its line and tag."""
    first = error.errors()[0]
    where = list(first["loc"])
    place = f"vocabulary {name}"
    if len(where) > 1 and where[0] == "tags" and isinstance(where[1], int):
        tag = data["tags"][where[1]]
        line = f", line {lines[where[1]]}" if where[1] < len(lines) else ""
        place += f"{line}, tag {tag.get('id', where[1] + 1)!r}" if isinstance(tag, dict) else line
        where = where[2:]
    what = ".".join(str(w) for w in where)
    return f"{place}: {what + ': ' if what else ''}{first['msg']} (given: {printable(repr(first['input'])[:80])})"


def _check_tree(vocabulary: Vocabulary, name: str, lines: Sequence[int]) -> None:
    at = {tag.id: lines[i] if i < len(lines) else 0 for i, tag in reversed(list(enumerate(vocabulary.tags)))}
    seen: set[str] = set()
    for i, tag in enumerate(vocabulary.tags):
        place = f"vocabulary {name}" + (f", line {lines[i]}" if i < len(lines) else "")
        if tag.id in seen:
            raise InvalidValue(f"{place}: tag {tag.id!r} was already defined on line {at[tag.id]}; ids must be unique")
        seen.add(tag.id)
        if tag.parent is not None and tag.parent not in at:
            raise InvalidValue(f"{place}, tag {tag.id!r}: parent {tag.parent!r} is not the id of a tag in this file")
    parents = {tag.id: tag.parent for tag in vocabulary.tags}
    for tag in vocabulary.tags:
        step, trail = tag.parent, {tag.id}
        while step is not None:
            if step in trail:
                raise InvalidValue(f"vocabulary {name}, line {at[tag.id]}, tag {tag.id!r}: its parents form a circle")
            trail.add(step)
            step = parents[step]
