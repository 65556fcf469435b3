"""What rules may name, and which analyzers give it: read from the specs, so that a new analyzer is known by being there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from mediaml import errors
from mediaml.analyzers.base import Analyzer, registry
from mediaml.engine.decode_facts import DECODE
from mediaml.engine.qc.profile import AnyRule, FactRule, FaultRule, FindingRule, MeasureRule, Profile, unknown_text
from mediaml.errors import InvalidValue, MediaError
from mediaml.spec import Spec, Table
from mediaml.tables.media_rows import MEDIA_COLUMNS, STREAM_COLUMNS

BY_PRODUCTS: tuple[Spec, ...] = (DECODE,)
"""What every whole decode leaves behind, whoever asked for it."""

TIMED = (Table.FRAMES, Table.SHOTS)
PAGE_SERIES = ("waveform_low", "waveform_high", "momentary_lufs")
"""What the page draws beside the rules' own measures."""

_NUMBERS = ("float32", "float64", "int32", "int64", "bool")
_RESOLUTION = "resolution"  # width x height as text, beside the columns of `streams`


@dataclass(frozen=True, slots=True)
class Known:
    """Something that a rule may name; `providers` are analyzers (or by-products) by name, the cheapest first."""

    name: str
    unit: str
    description: str
    providers: tuple[str, ...] = ()


@cache
def measures() -> Mapping[str, Known]:
    """ "table.column" (or "series.NAME") -> what it is, for every number that some analyzer gives a single file."""
    found: dict[str, list[Spec]] = {}
    about: dict[str, tuple[str, str]] = {}
    for spec in _specs():
        for c in spec.outputs:
            if c.table in (*TIMED, Table.FILES) and c.dtype in _NUMBERS and c.length is None:
                found.setdefault(f"{c.table}.{c.name}", []).append(spec)
                about.setdefault(f"{c.table}.{c.name}", (c.unit, c.description))
        for name in spec.series:
            found.setdefault(f"series.{name}", []).append(spec)
            about.setdefault(f"series.{name}", (name.rpartition("_")[2], f"time series of {spec.name}: {spec.summary}"))
    return {n: Known(n, *about[n], tuple(s.name for s in sorted(by, key=_cost))) for n, by in sorted(found.items())}


@cache
def kinds() -> Mapping[str, Known]:
    """Kind of finding -> who gives it."""
    found: dict[str, list[Spec]] = {}
    for spec in _specs():
        for kind in spec.kinds:
            found.setdefault(kind, []).append(spec)
    return {
        k: Known(k, "", "; ".join(s.summary for s in by), tuple(s.name for s in sorted(by, key=_cost)))
        for k, by in sorted(found.items())
    }


@cache
def facts() -> Mapping[str, Known]:
    """ "media.COLUMN", "video.COLUMN", "audio.COLUMN" -> what it is."""
    found = {f"media.{c.name}": Known(f"media.{c.name}", c.unit, c.description) for c in MEDIA_COLUMNS}
    for kind in ("video", "audio"):
        found |= {f"{kind}.{c.name}": Known(f"{kind}.{c.name}", c.unit, c.description) for c in STREAM_COLUMNS}
    resolution = f"video.{_RESOLUTION}"
    found[resolution] = Known(resolution, "px", "WIDTHxHEIGHT as decoded, e.g. 1920x1080")
    return dict(sorted(found.items()))


@cache
def faults() -> frozenset[str]:
    """Values of `errors.kind` that are a file's own."""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, MediaError)]
    pairs = [errors.PairError, *errors.PairError.__subclasses__()]
    return frozenset(c("", "").kind for c in classes if c is not MediaError and c not in pairs)


def check_names(profile: Profile, place: str = "") -> None:
    """Raises InvalidValue where a rule names a measure, finding, fact or fault that does not exist, with near matches."""
    for rule in profile.rules:
        where = f"profile {place or profile.id}, rule {rule.id!r}"
        for what, name, known in _names(rule):
            if name not in known:
                raise InvalidValue(f"{where}: {_hint(what, name) or unknown_text(what, name, known)}")


def _names(rule: AnyRule) -> list[tuple[str, str, Iterable[str]]]:
    if isinstance(rule, MeasureRule):
        return [("measure", rule.measure, measures())]
    if isinstance(rule, FindingRule):
        return [("finding", rule.finding, kinds())]
    if isinstance(rule, FactRule):
        return [("fact", rule.fact, facts())]
    return [("fault", rule.fault, faults())] if isinstance(rule, FaultRule) else []


def _hint(what: str, name: str) -> str:
    """Where the name exists, but not as this kind of rule."""
    everywhere = {"measure": measures(), "finding": kinds(), "fact": facts(), "fault": faults()}
    for other, known in everywhere.items():
        if name in known:
            return f"{name!r} is no {what}; write {other} = {name!r}"
    table, _, column = name.partition(".")
    for cls in registry().values():
        if cls.spec.needs_reference and any(c.table == table and c.name == column for c in cls.spec.outputs):
            return f"measure {name!r} needs a reference; use `mediaml score --fail-under`"
    return ""


def providers(rule: AnyRule) -> tuple[str, ...]:
    """Who must have run for the rule: the cheapest that gives the measure, everyone who gives the finding."""
    if isinstance(rule, MeasureRule):
        return measures()[rule.measure].providers[:1]
    return kinds()[rule.finding].providers if isinstance(rule, FindingRule) else ()


def needed_analyzers(profile: Profile, series: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the analyzers that the profile's rules, and these time series, need; () where probing is enough.

    A rule about a by-product needs the whole file decoded: where no analyzer chosen looks at every frame, or hears the
    sound, the cheapest one that does comes along.
    """
    names = {p for rule in profile.rules for p in providers(rule)}
    names |= {measures()[f"series.{s}"].providers[0] for s in series}
    by_products = {s.name for s in BY_PRODUCTS}
    chosen = names - by_products
    if names & by_products:
        for audio in (False, True):
            carriers = [c.spec for c in registry().values() if _sees_all(c, audio=audio)]
            if not any(s.name in chosen for s in carriers):
                chosen.add(min(carriers, key=_cost).name)
    return tuple(sorted(chosen))


def _sees_all(cls: type[Analyzer], *, audio: bool) -> bool:
    need = cls.spec.need
    if need is None or cls.spec.needs_reference:
        return False
    return need.is_audio if audio else not need.is_audio and need.fps is None


def _specs() -> list[Spec]:
    return [*BY_PRODUCTS, *(c.spec for c in registry().values() if not c.spec.needs_reference)]


def _cost(spec: Spec) -> tuple[bool, float, str]:
    return bool(spec.weights), spec.cost_ms, spec.name
