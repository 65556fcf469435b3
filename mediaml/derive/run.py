"""`mediaml.derive`: brings every derived table up to date with what the lake holds."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from mediaml import weights
from mediaml.derive.base import Derivation, Derived, in_order, registry
from mediaml.derive.inputs import sql_list
from mediaml.derive.vocabulary import Vocabulary, load_vocabulary, shipped_vocabularies
from mediaml.errors import LakeError, UnknownName, WeightsError
from mediaml.spec import Table
from mediaml.tables import AnalyzerRows, ErrorRow, KeyState, Lake, Result
from mediaml.tables.rows import parameters_hash

MEDIA_AT_ONCE = 32
"""Media read and committed together: bounds memory to the embeddings of so many files."""

PathLike = str | os.PathLike[str]


@dataclass(slots=True)
class DeriveSummary:
    """Derivation -> number of media. `unchanged` were up to date, `failed` have a row in `errors`."""

    computed: dict[str, int] = field(default_factory=dict)
    unchanged: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)  # rows written


def derive(
    lake: Lake | PathLike,
    *,
    vocabularies: Sequence[PathLike | Vocabulary] = (),
    only: Sequence[str] | None = None,
) -> DeriveSummary:
    """Computes derived rows (shot summaries, pooled and label-space embeddings, tags) for every media that lacks them.

    Nothing is decoded. A media is computed again only where its source rows, the settings or the weights changed since;
    its rows then replace the older ones. Other vocabularies' tags, from earlier calls, are left as they are.

    Args:
        vocabularies: files (or parsed vocabularies) beside those that come with the package.
        only: names of derivations or groups ("tags", "embeddings", "shots"); None for all.

    Raises:
        InvalidValue: a vocabulary is wrong. UnknownName: nothing is called so. LakeError.
        WeightsAbsent: after everything that needs no absent weight has been computed.
    """
    if not isinstance(lake, Lake):
        lake = Lake.open(lake)
    words = [v if isinstance(v, Vocabulary) else load_vocabulary(v) for v in vocabularies]
    return bring_up_to_date(lake, select(shipped_vocabularies() + words, only, lake))


def bring_up_to_date(lake: Lake, derivations: Sequence[Derivation]) -> DeriveSummary:
    """`derive` for these derivations. Raises InvalidValue (two of one name), LakeError, WeightsAbsent as `derive` does."""
    summary = DeriveSummary()
    missing: WeightsError | None = None
    for derivation in in_order(derivations):
        try:
            _bring_up_to_date(lake, derivation, summary)
        except WeightsError as error:
            missing = missing or error
    if missing is not None:
        raise missing
    return summary


def select(
    vocabularies: Sequence[Vocabulary], only: Sequence[str] | None = None, lake: Lake | None = None
) -> list[Derivation]:
    """All derivations (of what `lake` holds, too), or those of these names and groups. Raises UnknownName."""
    known = [d for cls in registry().values() for d in cls.instances(vocabularies)]
    if lake is not None:
        known += [d for cls in registry().values() for d in cls.over(lake, vocabularies)]
    if only is None:
        return known
    names = {n for d in known for n in (d.spec.name, *d.spec.groups)}
    for name in only:
        if name not in names:
            raise UnknownName("derivation", name, names)
    return [d for d in known if {d.spec.name, *d.spec.groups} & set(only)]


def _bring_up_to_date(lake: Lake, derivation: Derivation, summary: DeriveSummary) -> None:
    spec = derivation.spec
    pending: dict[str, str] = {}  # media_id -> parameters_hash
    for counts in (summary.computed, summary.unchanged, summary.failed, summary.rows):
        counts[spec.name] = 0
    settings = _settings(derivation)
    visible: dict[str, list[Result]] = defaultdict(list)
    for result in lake.results():
        visible[result.media_id].append(result)
    for media_id, known in visible.items():
        inputs = [s.key for s in known if _is_read(derivation, s)]
        if not inputs:
            continue
        digest = parameters_hash(settings | {"inputs": sorted(f"{k.analyzer} {k.parameters_hash}" for k in inputs)})
        if KeyState(spec.id, digest, "done") in [s.key for s in known]:
            summary.unchanged[spec.name] += 1
        else:
            pending[media_id] = digest
    if pending:
        derivation.setup()
    media_ids = sorted(pending)
    for begin in range(0, len(media_ids), MEDIA_AT_ONCE):
        _compute(lake, derivation, {m: pending[m] for m in media_ids[begin : begin + MEDIA_AT_ONCE]}, summary)


def _is_read(derivation: Derivation, source: Result) -> bool:
    name = source.key.analyzer.split("@")[0]
    if source.key.status != "done" or name == derivation.spec.name:
        return False
    return name in derivation.sources or bool(source.tables & set(derivation.source_tables))


def _compute(lake: Lake, derivation: Derivation, pending: Mapping[str, str], summary: DeriveSummary) -> None:
    """Runs and commits one group of media; media on which the group fails are tried one by one, to find the one at fault."""
    name, spec_id = derivation.spec.name, derivation.spec.id
    try:
        derived = derivation.run(lake, list(pending))
        staged = _stage(lake, derivation, derived, pending)
    except (LakeError, WeightsError):
        raise
    except Exception as error:  # one media never costs another its rows
        if len(pending) > 1:
            for media_id, digest in pending.items():
                _compute(lake, derivation, {media_id: digest}, summary)
            return
        (media_id, digest), *_ = pending.items()
        failed, row = AnalyzerRows(spec_id, digest, status="failed"), ErrorRow.of(error, analyzer=spec_id)
        lake.commit([lake.stage(media_id, analyzers=[failed], errors=[row])])
        summary.failed[name] += 1
        return
    lake.commit(staged)
    summary.computed[name] += len(pending)
    summary.rows[name] += sum(len(columns["media_id"]) for columns in derived.rows.values())


def _stage(lake: Lake, derivation: Derivation, derived: Derived, pending: Mapping[str, str]) -> list[Any]:
    spec = derivation.spec
    every = (*spec.outputs, *derived.columns)
    columns = {t: tuple(c for c in every if c.table == t) for t in Table if any(c.table == t for c in every)}
    by_media = _split(derived, pending)
    since = _valid_from(lake, list(pending))
    return [
        lake.stage(
            media_id,
            analyzers=[AnalyzerRows(spec.id, digest, columns, by_media[media_id], source=spec.cite)],
            valid_from=since.get(media_id),
        )
        for media_id, digest in pending.items()
    ]


def _split(derived: Derived, media_ids: Mapping[str, str]) -> dict[str, dict[Table, dict[str, Any]]]:
    """Each media's part of the rows, without the media_id column."""
    split: dict[str, dict[Table, dict[str, Any]]] = {m: {} for m in media_ids}
    for table, rows in derived.rows.items():
        places: dict[str, list[int]] = defaultdict(list)
        for i, media_id in enumerate(rows["media_id"]):
            places[media_id].append(i)
        for media_id, at in places.items():
            split[media_id][table] = {
                name: values[at] if isinstance(values, np.ndarray) else [values[i] for i in at]
                for name, values in rows.items()
                if name != "media_id"
            }
    return split


def _settings(derivation: Derivation) -> dict[str, Any]:
    return dict(derivation.parameters) | {f"weights:{n}": weights.describe(n).sha256 for n in derivation.spec.weights}


def _valid_from(lake: Lake, media_ids: Sequence[str]) -> dict[str, datetime]:
    """media_id -> since when its content has been as it is."""
    found = lake.table("media", ["media_id", "valid_from"], f"media_id IN {sql_list(media_ids)}")
    return dict(zip(found.column("media_id").to_pylist(), found.column("valid_from").to_pylist(), strict=True))
