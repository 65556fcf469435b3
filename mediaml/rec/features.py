"""Title features: one wide row a title and time, with masks for what is missing, in the lake's `features` table.

Rows are only ever added. A build writes the rows that are new or differ from what the lake holds, each with the time at which
its content became true (`valid_from`) and the time of the build (`computed_at`); one that finds nothing new writes nothing.
A title that is gone, and a state that titles.csv no longer states, are written as what holds at that time now: a correction
never changes what an earlier event could have known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mediaml.errors import InvalidValue
from mediaml.rec.lake_content import Feature, read_content
from mediaml.rec.pooling import PoolingSettings
from mediaml.rec.scaling import scaling_rows
from mediaml.rec.titles import State, TitlesReport, read_titles
from mediaml.spec import Column
from mediaml.tables import AnalyzerRows, Lake
from mediaml.tables.reader import literal
from mediaml.tables.rows import parameters_hash

SPEC_ID = "title_features@1"
DEFAULT_SET = "default"
_DIGEST = Column("digest", "string", "hash", "of the row's features: tells whether a build changed it")


@dataclass(frozen=True, slots=True)
class FeatureBuild:
    """What a build came to. `present` is modality -> number of titles that have it now, of `titles`."""

    feature_set: str
    computed_at: datetime
    titles: int
    written: int
    unchanged: int
    deleted: int
    features: int
    present: Mapping[str, int]
    report: TitlesReport = field(default_factory=TitlesReport)


@dataclass(frozen=True, slots=True)
class _Row:
    """A state with its features, ready to be compared and stored."""

    state: State
    values: Mapping[str, Any]
    provenance: str
    modalities: frozenset[str]

    @property
    def digest(self) -> str:
        found = hashlib.sha256(json.dumps([self.state.media_ids, sorted(self.modalities)]).encode())
        for name, value in sorted(self.values.items()):
            body = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            found.update(name.encode() + b"\0" + body + b"\0")
        return found.hexdigest()[:16]


def build_features(
    lake: Lake,
    titles: str | Path,
    *,
    feature_set: str = DEFAULT_SET,
    pooling: PoolingSettings | None = None,
    time_zone: str | None = None,
    now: datetime | None = None,
) -> FeatureBuild:
    """Brings the `features` table up to date with the lake's content and with titles.csv.

    Args:
        titles: titles.csv (`mediaml.rec.titles`).
        feature_set: name under which several builds with different settings live side by side.
        time_zone: of times in titles.csv that state none.
        now: the time of the build.

    Raises:
        InvalidValue: titles.csv is wrong, or a build of a later time exists. LakeUnwritable.
    """
    settings = pooling or PoolingSettings()
    moment = now or datetime.now(UTC)
    stored = _stored(lake, feature_set, moment)
    found = read_titles(titles, lake, time_zone)
    wanted = _with_corrections(found.states(), stored, moment)
    rows, features = _read(lake, wanted, settings)
    changed = [r for r in rows if stored.get((r.state.title_id, r.state.valid_from)) != r.digest]
    latest = {r.state.title_id: r for r in sorted(rows, key=lambda r: r.state.valid_from)}
    standing = [r for r in latest.values() if r.state.media_ids]
    known = now or datetime.now(UTC)  # after the reading: nobody could have had the rows before
    if changed:
        parameters = parameters_hash({"feature_set": feature_set, "pooling": settings.id})
        block = _analyzer_rows(changed, standing, features, feature_set, parameters)
        lake.replace_derived(f"features:{feature_set}:{known.isoformat()}", [block], computed_at=known)
    present = {m: sum(m in r.modalities for r in standing) for m in sorted({f.modality for f in features.values()})}
    deleted = sum(not r.state.media_ids for r in latest.values())
    unchanged = len(rows) - len(changed)
    return FeatureBuild(
        feature_set, known, len(standing), len(changed), unchanged, deleted, len(features), present, found.report
    )


def _stored(lake: Lake, feature_set: str, now: datetime) -> dict[tuple[str, datetime], str]:
    """(title, valid_from) -> digest of the newest row."""
    if not any(t.name == "features" and t.rows for t in lake.tables()):
        return {}
    rows = lake.query(
        "SELECT title_id, valid_from, computed_at, digest FROM features "  # noqa: S608
        f"WHERE feature_set = {literal(feature_set)} ORDER BY computed_at"
    ).to_pylist()
    if rows and rows[-1]["computed_at"] >= now:
        raise InvalidValue(f"a build of {rows[-1]['computed_at']} exists; one of {now} must be later")
    return {(r["title_id"], r["valid_from"].astimezone(UTC)): r["digest"] for r in rows}


def _with_corrections(
    states: Sequence[State], stored: Mapping[tuple[str, datetime], str], now: datetime
) -> list[State]:
    """The states, and for every stored (title, time) that is none of them what holds there now; titles gone end now."""
    by_title: dict[str, list[State]] = {}
    for state in states:
        by_title.setdefault(state.title_id, []).append(state)
    found = list(states)
    known = {(s.title_id, s.valid_from) for s in states}
    for title_id, moment in sorted(set(stored) - known):
        before = [s for s in by_title.get(title_id, ()) if s.valid_from <= moment]
        if title_id in by_title:
            found.append(State(title_id, moment, before[-1].media_ids if before else ()))
    nothing = _Row(State("", now, ()), {}, "", frozenset()).digest
    gone = {
        title_id: (moment, digest) for (title_id, moment), digest in sorted(stored.items()) if title_id not in by_title
    }
    for title_id, (moment, digest) in gone.items():
        found.append(State(title_id, moment if digest == nothing else now, ()))
    return found


def _read(lake: Lake, states: Sequence[State], pooling: PoolingSettings) -> tuple[list[_Row], dict[str, Feature]]:
    """The features of every state; titles of the same media are read once."""
    groups = sorted({s.media_ids for s in states if s.media_ids})
    content: dict[tuple[str, ...], tuple[dict[str, Any], dict[str, Any]]] = {(): ({}, {})}
    wide = read_content(lake, groups, pooling)
    for media, values, provenance in zip(groups, wide.rows, wide.provenance, strict=True):
        content[media] = ({n: _settled(v) for n, v in values.items()}, provenance)
    rows = []
    for state in states:
        values, provenance = content[state.media_ids]
        modalities = frozenset(wide.features[n].modality for n in values)
        rows.append(_Row(state, values, json.dumps(provenance, sort_keys=True), modalities))
    return rows, dict(sorted(wide.features.items()))


def _settled(value: Any) -> Any:
    """Nine significant digits: sums taken in another order give the same number."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _analyzer_rows(
    rows: Sequence[_Row], standing: Sequence[_Row], features: Mapping[str, Feature], feature_set: str, parameters: str
) -> AnalyzerRows:
    modalities = sorted({f.modality for f in features.values()})
    masks = tuple(Column(f"has_{m}", "bool", "1", f"whether the title has features of {m}") for m in modalities)
    columns = (_DIGEST, *masks, *(f.column for f in features.values()))
    data: dict[str, Any] = {
        "media_id": [r.state.media_ids[0] if r.state.media_ids else "" for r in rows],
        "valid_from": [r.state.valid_from for r in rows],
        "title_id": [r.state.title_id for r in rows],
        "feature_set": [feature_set] * len(rows),
        "deleted": [not r.state.media_ids for r in rows],
        "media_ids": [json.dumps(r.state.media_ids) for r in rows],
        "provenance": [r.provenance for r in rows],
        "digest": [r.digest for r in rows],
    }
    data |= {f"has_{m}": [m in r.modalities for r in rows] for m in modalities}
    data |= {n: [r.values.get(n) for r in rows] for n in features}
    numbers = {n: [r.values.get(n) for r in standing] for n, f in features.items() if f.column.dtype != "string"}
    scaling = scaling_rows(numbers, feature_set)
    tables: dict[str, Mapping[str, Any]] = {"features": data}
    if scaling["feature"]:
        tables["feature_scaling"] = scaling
    return AnalyzerRows(SPEC_ID, parameters, {"features": columns}, tables, source="mediaml.rec.features")
