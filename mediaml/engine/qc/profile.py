"""Delivery profiles: TOML files that say what a file must be. Names in rules are checked by `measures`.

::

    id = "my-channel"
    title = "My channel"
    summary = "what the ingest desk takes"

    [[rules]]
    id = "loudness"
    level = "fail"                       # fail, warn or info
    measure = "files.integrated_lufs"    # a table's column
    min = -24.0
    max = -22.0
    why = "other loudness is turned up or down by the playout"
    source = "EBU R 128"

A rule holds exactly one of `measure`, `finding`, `fact`, `fault` and `fixity`; docs/qc.md walks through them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mediaml.errors import InvalidValue, UnknownName, printable

Level = Literal["fail", "warn", "info"]
LEVELS: tuple[Level, ...] = ("fail", "warn", "info")
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
Name = Annotated[str, Field(min_length=1, max_length=120)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str

_SHIPPED = Path(__file__).parent / "profiles"
_POOLING = re.compile(r"each|mean|median|min|max|worst_second|p(\d{1,2}|100)")


class Rule(BaseModel):
    """What all rules say. `applies_to`: the kinds of media that are judged; the rule does not apply to others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Identifier
    level: Level
    why: Text
    source: str = ""
    applies_to: Annotated[tuple[Literal["video", "image", "audio"], ...], Field(min_length=1, strict=False)] = (
        "video",
        "image",
        "audio",
    )


class MeasureRule(Rule):
    """Limits a column of `frames`, `shots` or `files`, or a time series ("series.NAME").

    pooling   how many values become one: "each" (every value must keep the limits), mean, median, min, max, worst_second,
              pN; a column of `files` has one value and takes none
    seconds   with "each": the values may be beyond the limits for at most this long at a stretch
    share     with "each": they may be beyond for at most this share of the time that has values
    required  whether a file without a value breaks the rule; else the rule does not apply to it
    """

    measure: Name
    min: Number | None = None
    max: Number | None = None
    pooling: str = "each"
    seconds: Seconds | None = None
    share: Share | None = None
    required: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> MeasureRule:
        _check_bounds(self.min, self.max, needed=True)
        if not _POOLING.fullmatch(self.pooling):
            raise ValueError(
                f"pooling {self.pooling!r} must be each, mean, median, min, max, worst_second or pN, e.g. p95"
            )
        if (self.seconds is not None or self.share is not None) and self.pooling != "each":
            raise ValueError('seconds and share go with pooling = "each"')
        if self.seconds is not None and self.share is not None:
            raise ValueError("give seconds or share, not both: write two rules")
        over_time = self.pooling != "each" or self.seconds is not None or self.share is not None
        if over_time and self.measure.startswith("files."):
            raise ValueError(f"{self.measure} has one value a file; leave pooling, seconds and share out")
        return self


class FindingRule(Rule):
    """Limits findings of one kind (`spans.kind`).

    Counted are findings of at least `min_severity`, `min_confidence` and `min_seconds`, outside the first `head_seconds` and
    the last `tail_seconds` of the file (what lies partly in them is cut). Without a limit, one is too many.
    """

    finding: Name
    min_severity: Share = 0.0
    min_confidence: Share = 0.0
    min_seconds: Seconds = 0.0
    head_seconds: Seconds = 0.0
    tail_seconds: Seconds = 0.0
    max_count: Annotated[int, Field(ge=0)] | None = None
    max_seconds: Seconds | None = None
    max_total_seconds: Seconds | None = None
    max_share: Share | None = None


class FactRule(Rule):
    """Limits what probing learns: "media.COLUMN", or "video.COLUMN" and "audio.COLUMN" of every such stream.

    allow, deny   the values that are (not) taken; of container names one of several suffices
    required      whether a file (or stream) without the fact breaks the rule; else the rule does not apply
    """

    fact: Name
    allow: Annotated[tuple[Scalar, ...], Field(min_length=1, strict=False)] | None = None
    deny: Annotated[tuple[Scalar, ...], Field(min_length=1, strict=False)] | None = None
    min: Number | None = None
    max: Number | None = None
    required: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> FactRule:
        _check_bounds(self.min, self.max, needed=not (self.allow or self.deny or self.required))
        return self


class FaultRule(Rule):
    """The file must not have this error (`errors.kind`); a file with an error that no rule names counts as unreadable."""

    fault: Name


class FixityRule(Rule):
    """The content's sha256 is the one noted beside the file: NAME.sha256, SHA256SUMS or manifest-sha256.txt.

    required   whether a file without a note breaks the rule; else the rule does not apply
    """

    fixity: Literal["sha256"]
    required: bool = False


AnyRule = MeasureRule | FindingRule | FactRule | FaultRule | FixityRule
KINDS: Mapping[str, type[AnyRule]] = {
    "measure": MeasureRule,
    "finding": FindingRule,
    "fact": FactRule,
    "fault": FaultRule,
    "fixity": FixityRule,
}


class Profile(BaseModel):
    """A named set of rules."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Identifier
    title: Text
    summary: Text
    rules: Annotated[tuple[AnyRule, ...], Field(min_length=1, strict=False)]

    @property
    def spec_id(self) -> str:
        """The value of `analyzer` in the rows of its verdicts."""
        return f"qc_{self.id.replace('-', '_')}@1"


def shipped_profiles() -> list[Profile]:
    """The profiles that come with the package, by name."""
    return [read_profile(path) for path in sorted(_SHIPPED.glob("*.toml"))]


def find_profile(name: str | PathLike[str]) -> Profile:
    """A shipped profile by id, or a file that ends in .toml. Raises UnknownName, InvalidValue; see `parse_profile`."""
    path = Path(name).expanduser()
    if path.suffix == ".toml" or path.is_file():
        return read_profile(path)
    shipped = {p.stem: p for p in _SHIPPED.glob("*.toml")}
    if str(name) not in shipped:
        raise UnknownName("profile (shipped, or a file that ends in .toml)", str(name), shipped)
    return read_profile(shipped[str(name)])


def read_profile(path: Path) -> Profile:
    """Reads a profile's file. Raises InvalidValue naming file and rule."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidValue(f"profile {printable(path)} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(f"profile {printable(path)} is not UTF-8 text (byte {error.start})") from error
    return parse_profile(text, printable(path))


def parse_profile(text: str, name: str) -> Profile:
    """The profile in `text`; `name` stands in messages.

    Raises InvalidValue naming file, rule and key: not TOML, a key missing, unknown (with near matches) or out of range, a
    rule that is of no kind or of two, an id twice.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidValue(f"profile {name} is not TOML: {error}") from error
    listed = data.get("rules")
    if not isinstance(listed, list) or not listed:
        raise InvalidValue(f"profile {name}: has no rules; write at least one [[rules]] table")
    rules = tuple(_rule(entry, number, name) for number, entry in enumerate(listed, 1))
    profile: Profile = _checked(Profile, {**data, "rules": rules}, f"profile {name}")
    ids = [rule.id for rule in profile.rules]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise InvalidValue(f"profile {name}: rule {twice[0]!r} is there twice; ids must be unique")
    return profile


def _rule(entry: Any, number: int, name: str) -> AnyRule:
    if not isinstance(entry, dict):
        raise InvalidValue(f"profile {name}, rule {number}: must be a table, not {type(entry).__name__}")
    place = f"profile {name}, rule {entry.get('id', number)!r}"
    kinds = [k for k in KINDS if k in entry]
    if len(kinds) != 1:
        near = [k for key in entry for k in get_close_matches(str(key), KINDS, n=1, cutoff=0.7)]
        hint = f"; did you mean {near[0]}?" if near and not kinds else ""
        raise InvalidValue(
            f"{place}: must hold exactly one of {', '.join(KINDS)}, not {' and '.join(kinds) or 'none'}{hint}"
        )
    return _checked(KINDS[kinds[0]], entry, place)


def _checked(model: type[Any], data: Mapping[str, Any], place: str) -> Any:
    for key in data:
        if key not in model.model_fields:
            raise InvalidValue(f"{place}: {unknown_text('key', str(key), model.model_fields)}")
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        what = ".".join(str(w) for w in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        given = f" (given: {printable(repr(first['input'])[:80])})" if what else ""
        raise InvalidValue(f"{place}: {what + ': ' if what else ''}{message}{given}") from None


def unknown_text(what: str, name: str, known: Iterable[str]) -> str:
    """ "unknown WHAT NAME; did you mean ...?" """
    return str(UnknownName(what, name, known))


def _check_bounds(low: float | None, high: float | None, *, needed: bool) -> None:
    if needed and low is None and high is None:
        raise ValueError("limits nothing: give min, max or both")
    if low is not None and high is not None and low > high:
        raise ValueError(f"min {low:g} is above max {high:g}")
