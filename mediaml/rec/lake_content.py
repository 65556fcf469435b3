"""What the tables say about groups of media: vectors, tag shares, picture and sound statistics, rhythm.

A group is the media of one title at one time. Nothing is invented: what no analyzer has looked at is absent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.rec.pooling import PoolingSettings, pool
from mediaml.spec import Column, Dtype
from mediaml.tables import ColumnInfo, Lake
from mediaml.tables.reader import literal, quote

VECTORS_AT_ONCE = 65_536
"""Vectors of shots in memory together: 336 MB of 1280-d ones."""
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_RHYTHM = (
    ("shots_per_minute", "1/min", "number of shots a minute", "count(*) / (sum(d) / 60)"),
    ("shot_seconds_mean", "s", "mean length of a shot", "avg(d)"),
    ("shot_seconds_median", "s", "median length of a shot", "median(d)"),
    ("shot_seconds_std", "s", "standard deviation of the lengths of shots", "stddev_pop(d)"),
    ("shot_seconds_p90", "s", "90th percentile of the lengths of shots", "quantile_cont(d, 0.9)"),
)
_MEDIA = (
    ("duration_seconds", "s", "length of all files together", "sum(duration_seconds)"),
    ("display_width", "px", "width of the widest file", "max(display_width)"),
    ("display_height", "px", "height of the highest file", "max(display_height)"),
    ("frame_rate", "frame/s", "highest frame rate of the files", "max(frame_rate)"),
)
_SOURCES = "count(DISTINCT media_id) AS media, max(analyzer) AS analyzer, max(computed_at) AS computed_at"
"""Where an aggregate comes from."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of the wide row, and the modality whose mask says whether it is there."""

    column: Column
    modality: str


@dataclass(slots=True)
class Wide:
    """Features of groups 0..n-1: what a group lacks is not in its row."""

    features: dict[str, Feature] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    provenance: list[dict[str, dict[str, Any]]] = field(default_factory=list)

    def put(self, group: int, feature: Feature, value: Any) -> None:
        if value is not None:
            self.features[feature.column.name] = feature
            self.rows[group][feature.column.name] = value

    def note(self, group: int, modality: str, analyzer: str, media: int, computed_at: datetime) -> None:
        """Where a modality of a group comes from, and when the newest of it was computed."""
        moment = computed_at.isoformat().replace("+00:00", "Z")
        one = self.provenance[group].setdefault(modality, {"analyzers": [], "media": 0, "computed_at": moment})
        one["analyzers"] = sorted({*one["analyzers"], analyzer})
        one["media"] = max(one["media"], media)
        one["computed_at"] = max(one["computed_at"], moment)


def read_content(lake: Lake, groups: Sequence[Sequence[str]], pooling: PoolingSettings) -> Wide:
    """Features of each group of media_ids, which are best sorted: then a batch of vectors lies close together on disk."""
    wide = Wide({}, [{} for _ in groups], [{} for _ in groups])
    pairs = ", ".join(f"({g}, {literal(m)})" for g, media in enumerate(groups) for m in media)
    if not pairs:
        return wide
    members = f"(VALUES {pairs}) m(g, media_id)"
    for low, high in _batches(lake, members, len(groups)):
        _vectors(lake, members, low, high, pooling, wide)
    _tag_shares(lake, members, wide)
    _frame_statistics(lake, members, wide)
    _file_values(lake, members, wide)
    _span_shares(lake, members, groups, wide)
    _rhythm(lake, members, wide)
    _media_facts(lake, members, wide)
    return wide


def vector_column(model: str, weights_sha256: str, pooling: PoolingSettings) -> str:
    """Name of the column for one space: vectors of two models, weights or poolings never share a column."""
    name = _NOT_WORD.sub("_", re.split(r"[@+]", model.lower())[0]).strip("_") or "model"
    space = hashlib.sha256(f"{model}|{weights_sha256}|{pooling.id}".encode()).hexdigest()[:8]
    return f"vector_{name}_{space}"


def _batches(lake: Lake, members: str, groups: int) -> Iterator[tuple[int, int]]:
    """Ranges of groups that have about `VECTORS_AT_ONCE` vectors each."""
    found = lake.query(f"SELECT g, count(*) AS n FROM {members} JOIN embeddings USING (media_id) GROUP BY g")  # noqa: S608
    counts = dict(zip(found.column("g").to_pylist(), found.column("n").to_pylist(), strict=True))
    low = held = 0
    for group in range(groups):
        held += counts.get(group, 0)
        if held >= VECTORS_AT_ONCE or group == groups - 1:
            if held:
                yield low, group
            low, held = group + 1, 0


def _vectors(lake: Lake, members: str, low: int, high: int, pooling: PoolingSettings, wide: Wide) -> None:
    """The pooled vectors of groups low..high."""
    chosen = f"(SELECT * FROM {members} WHERE g BETWEEN {low} AND {high})"  # noqa: S608
    extent = f"e.media_id BETWEEN (SELECT min(media_id) FROM {chosen}) AND (SELECT max(media_id) FROM {chosen})"  # noqa: S608
    found = lake.query(
        "SELECT g, model, weights_sha256, media_id, end_seconds - start_seconds AS seconds, vector, analyzer, "  # noqa: S608
        f"e.computed_at FROM {chosen} m JOIN embeddings e USING (media_id) WHERE {extent} "
        "QUALIFY rank() OVER (PARTITION BY g, media_id, model, weights_sha256 "
        "ORDER BY list_position(['shot', 'frame', 'file'], scope)) = 1 "
        "ORDER BY g, model, weights_sha256, media_id, start_seconds, analyzer"
    )
    flat, starts = _flat_lists(found.column("vector"))
    seconds = found.column("seconds").to_numpy()
    plain = found.drop_columns(["vector", "seconds"]).to_pydict()
    keys = list(zip(plain["g"], plain["model"], plain["weights_sha256"], strict=True))
    edges = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]] + [len(keys)]
    for first, last in pairwise(edges):
        group, model, weights = keys[first]
        name = vector_column(model, weights, pooling)
        vectors = flat[starts[first] : starts[last]].reshape(last - first, -1)  # (shots, D)
        text = f"{model} pooled over shots ({pooling.id}); weights {weights[:8]}"
        column = Column(name, "float32", "1", text, length=vectors.shape[1], nullable=True)
        modality = name.removeprefix("vector_")
        wide.put(group, Feature(column, modality), pool(vectors, seconds[first:last], pooling))
        for analyzer in set(plain["analyzer"][first:last]):
            media = len(set(plain["media_id"][first:last]))
            wide.note(group, modality, analyzer, media, max(plain["computed_at"][first:last]))


def _flat_lists(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All elements of a column of lists in one row, and where each list starts (one more: the end)."""
    lists = column.combine_chunks()
    lengths = np.diff(lists.offsets.to_numpy())
    return lists.flatten().to_numpy(zero_copy_only=False), np.concatenate([[0], np.cumsum(lengths)])


def _tag_shares(lake: Lake, members: str, wide: Wide) -> None:
    """For each vocabulary a JSON object: tag_id -> share of the tagged time."""
    found = lake.query(f"""
        WITH t AS (
            SELECT g, media_id, vocabulary, tag_id, start_seconds, analyzer, t.computed_at,
                greatest(end_seconds - start_seconds, 1e-3) AS seconds
            FROM {members} JOIN tags t USING (media_id)
            QUALIFY rank() OVER (PARTITION BY g, media_id, vocabulary ORDER BY scope = 'file') = 1),
        totals AS (SELECT g, vocabulary, sum(seconds) AS total FROM
            (SELECT DISTINCT g, vocabulary, media_id, start_seconds, seconds FROM t) GROUP BY ALL)
        SELECT g, vocabulary, tag_id, sum(seconds) / any_value(total) AS share, max(analyzer) AS analyzer,
            max(computed_at) AS computed_at, (SELECT count(DISTINCT media_id) FROM t x WHERE x.g = t.g) AS media
        FROM t JOIN totals USING (g, vocabulary) GROUP BY g, vocabulary, tag_id ORDER BY g, vocabulary, tag_id
    """).to_pylist()  # noqa: S608
    shares: dict[tuple[int, str], dict[str, float]] = {}
    for row in found:
        shares.setdefault((row["g"], row["vocabulary"]), {})[row["tag_id"]] = round(min(row["share"], 1.0), 6)
        wide.note(row["g"], _tags_column(row["vocabulary"]), row["analyzer"], row["media"], row["computed_at"])
    for (group, vocabulary), tags in shares.items():
        text = f"JSON object: tag of vocabulary {vocabulary} -> share of the tagged time"
        column = Column(_tags_column(vocabulary), "string", "JSON", text, nullable=True)
        wide.put(group, Feature(column, column.name), json.dumps(tags, sort_keys=True))


def _tags_column(vocabulary: str) -> str:
    return "tags_" + _NOT_WORD.sub("_", vocabulary.lower()).strip("_")


def _frame_statistics(lake: Lake, members: str, wide: Wide) -> None:
    columns = [c for c in lake.describe("frames") if c.dtype in ("float32", "float64") and c.name != "pts_seconds"]
    kinds = (("mean", "avg({})", "mean"), ("p10", "quantile_cont({}, 0.1)", "10th percentile"))
    kinds = (*kinds, ("p90", "quantile_cont({}, 0.9)", "90th percentile"))
    wanted = [
        (c, f"{kind}_{c.name}", sql.format(f"f.{quote(c.name)}"), f"{words} over frames of: {c.description}")
        for c in columns
        for kind, sql, words in kinds
    ]
    _scalars(lake, f"{members} JOIN frames f USING (media_id)", wanted, wide)
    _note_analyzers(lake, members, "frames", {_modality(c) for c in columns}, wide)


def _file_values(lake: Lake, members: str, wide: Wide) -> None:
    columns = [c for c in lake.describe("files") if c.dtype in ("float32", "float64", "int32", "int64")]
    source = f"{members} JOIN files f USING (media_id) LEFT JOIN media d USING (media_id)"
    weight = "coalesce(nullif(d.duration_seconds, 0), 1)"
    wanted = []
    for c in columns:
        value = f"f.{quote(c.name)}"
        mean = f"sum({value} * {weight}) / sum({weight}) FILTER ({value} IS NOT NULL)"
        wanted.append((c, c.name, mean, f"mean over files, weighted by length, of: {c.description}"))
    _scalars(lake, source, wanted, wide)
    _note_analyzers(lake, members, "files", {_modality(c) for c in columns}, wide)


def _scalars(lake: Lake, source: str, wanted: Sequence[tuple[ColumnInfo, str, str, str]], wide: Wide) -> None:
    """One aggregate a wanted (column, name, SQL, meaning), by group."""
    if not wanted:
        return
    select = ", ".join(f"({sql})::DOUBLE AS {quote(name)}" for _, name, sql, _ in wanted)
    found = lake.query(f"SELECT g, {select} FROM {source} GROUP BY g").to_pydict()  # noqa: S608
    for info, name, _, text in wanted:
        feature = Feature(_real(name, info.unit, text), _modality(info))
        for group, value in zip(found["g"], found[name], strict=True):
            wide.put(group, feature, value)


def _real(name: str, unit: str, text: str, dtype: Dtype = "float64") -> Column:
    return Column(name, dtype, unit, text, nullable=True)


def _modality(info: ColumnInfo) -> str:
    """The analyzer that gives a column, without version: of several the first."""
    return info.source.split("; ")[0].split("@")[0].split(" ")[0]


def _note_analyzers(lake: Lake, members: str, table: str, wanted: Set[str], wide: Wide) -> None:
    found = lake.query(
        f"SELECT g, analyzer, count(DISTINCT media_id), max(t.computed_at) FROM {members} "  # noqa: S608
        f"JOIN {table} t USING (media_id) GROUP BY g, analyzer"
    )
    for group, analyzer, media, computed_at in zip(*found.to_pydict().values(), strict=True):
        modality = analyzer.split("@")[0]
        if modality in wanted:
            wide.note(group, modality, analyzer, media, computed_at)


def _span_shares(lake: Lake, members: str, groups: Sequence[Sequence[str]], wide: Wide) -> None:
    """`share_KIND`: the share of the time that spans of a kind cover; 0 where their analyzer ran and found none."""
    kinds = lake.query("SELECT DISTINCT kind, split_part(analyzer, '@', 1) AS name FROM spans ORDER BY ALL").to_pylist()
    if not kinds:
        return
    found = lake.query(
        "SELECT g, kind, split_part(analyzer, '@', 1) AS name, sum(end_seconds - start_seconds) AS seconds "  # noqa: S608
        f"FROM {members} JOIN spans USING (media_id) GROUP BY ALL"
    ).to_pylist()
    seconds = {(r["g"], r["kind"], r["name"]): r["seconds"] for r in found}
    lengths = dict(zip(*lake.query("SELECT media_id, duration_seconds FROM media").to_pydict().values(), strict=True))
    done = {(r.media_id, r.key.analyzer.split("@")[0]) for r in lake.results() if r.key.status == "done"}
    for kind in kinds:
        text = f"share of the time with spans of kind {kind['kind']}"
        column = _real("share_" + _NOT_WORD.sub("_", kind["kind"].lower()).strip("_"), "1", text)
        for group, media in enumerate(groups):
            looked_at = [m for m in media if (m, kind["name"]) in done]
            total = sum(lengths.get(m) or 0.0 for m in looked_at)
            if total > 0:
                share = seconds.get((group, kind["kind"], kind["name"]), 0.0) / total
                wide.put(group, Feature(column, kind["name"]), min(share, 1.0))
    _note_analyzers(lake, members, "spans", {k["name"] for k in kinds}, wide)


def _rhythm(lake: Lake, members: str, wide: Wide) -> None:
    """Lengths of shots, of the first of the `shots_` analyzers where there are several."""
    name = "split_part(analyzer, '@', 1)"
    found = lake.query(f"SELECT min({name}) AS name FROM shots WHERE starts_with(analyzer, 'shots_')")  # noqa: S608
    chosen = found.column("name")[0].as_py()
    if chosen is None:
        return
    select = ", ".join(f"{sql} AS {feature}" for feature, _, _, sql in _RHYTHM)
    lengths = (
        f"SELECT g, media_id, end_seconds - start_seconds AS d, analyzer, s.computed_at FROM {members} "  # noqa: S608
        f"JOIN shots s USING (media_id) WHERE {name} = {literal(chosen)} AND end_seconds > start_seconds"
    )
    for row in lake.query(f"SELECT g, {select}, {_SOURCES} FROM ({lengths}) GROUP BY g").to_pylist():  # noqa: S608
        for feature, unit, text, _ in _RHYTHM:
            wide.put(row["g"], Feature(_real(feature, unit, text), "rhythm"), row[feature])
        wide.note(row["g"], "rhythm", row["analyzer"], row["media"], row["computed_at"])


def _media_facts(lake: Lake, members: str, wide: Wide) -> None:
    select = ", ".join(f"({sql})::DOUBLE AS {name}" for name, _, _, sql in _MEDIA)
    found = lake.query(f"SELECT g, {select}, {_SOURCES} FROM {members} JOIN media d USING (media_id) GROUP BY g")  # noqa: S608
    for row in found.to_pylist():
        for name, unit, text, _ in _MEDIA:
            wide.put(row["g"], Feature(_real(name, unit, text), "container"), row[name])
        wide.note(row["g"], "container", row["analyzer"], row["media"], row["computed_at"])
