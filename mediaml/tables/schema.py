"""The tables of a lake: their key columns, and how a column becomes an Arrow field that carries its unit, range and source.

Part tables (`frames`, `shots`, ...) are Parquet files that the manifest names. Log tables (`paths`, `errors`, `runs`) are a
few bytes a media and live in the manifest itself; its checkpoints are Parquet too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import pyarrow as pa

from mediaml.errors import ContractBreach
from mediaml.spec import Column, Dtype

FieldDtype = Dtype | Literal["timestamp"]

_ARROW: dict[str, pa.DataType] = {
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_SQL: dict[str, str] = {
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "string": "VARCHAR",
    "binary": "BLOB",
    "timestamp": "TIMESTAMPTZ",
}
_INTEGERS = ("int32", "int64")
_NUMBERS = ("float32", "float64", *_INTEGERS)


@dataclass(frozen=True, slots=True)
class Field:
    """One stored column: a `Column` plus `source` (who computes it) and the timestamp type.

    `length` is None for scalars, 0 for a vector whose length the rows give, else the fixed length.
    """

    name: str
    dtype: FieldDtype
    unit: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    length: int | None = None
    nullable: bool = False
    source: str = "mediaml"
    better: str | None = None

    @classmethod
    def of(cls, column: Column, source: str) -> Field:
        """The stored form of an analyzer's output column."""
        return cls(
            column.name,
            column.dtype,
            column.unit,
            column.description,
            column.minimum,
            column.maximum,
            column.length,
            column.nullable,
            source,
            column.better,
        )

    @property
    def arrow_type(self) -> pa.DataType:
        scalar = _ARROW[self.dtype]
        return pa.list_(scalar, self.length) if self.length else scalar

    @property
    def sql_type(self) -> str:
        """The DuckDB type in views: vectors are lists there, so that lengths may differ between rows."""
        return _SQL[self.dtype] + ("" if self.length is None else "[]")

    def metadata(self) -> dict[str, str]:
        """What travels in the Arrow and Parquet field metadata; absent bounds are left out."""
        found = {"unit": self.unit, "description": self.description, "source": self.source}
        for name, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if bound is not None:
                found[name] = repr(bound)
        if self.better is not None:
            found["better"] = self.better
        return found

    def arrow(self) -> pa.Field:
        return pa.field(self.name, self.arrow_type, nullable=True, metadata=self.metadata())


def _field(name: str, dtype: FieldDtype, unit: str, description: str, **bounds: Any) -> Field:
    return Field(name, dtype, unit, description, **bounds)


def _seconds(name: str, what: str, **more: Any) -> Field:
    return _field(name, "float64", "s", what, **more)


COMMON: tuple[Field, ...] = (
    _field("media_id", "string", "sha256", "identity of the media: sha256 of its content, hexadecimal"),
    _field("analyzer", "string", "name@version", "what computed the row"),
    _field("parameters_hash", "string", "hash", "hash of the settings it ran with; empty for none"),
    _field("valid_from", "timestamp", "UTC", "when the fact became true of the title: the content's own time"),
    _field("computed_at", "timestamp", "UTC", "when the row was computed; what an as-of join may know"),
)

_START = _seconds("start_seconds", "start on the file's timeline")
_END = _seconds("end_seconds", "end on the file's timeline, exclusive")
_PTS = _seconds("pts_seconds", "presentation time from the file's own zero")

KEYS: Mapping[str, tuple[Field, ...]] = {
    "media": (),
    "streams": (_field("stream_index", "int32", "index", "position in the container", minimum=0),),
    "frames": (
        _field("frame_index", "int64", "index", "position in display order; -1 where not known", minimum=-1),
        _PTS,
    ),
    "shots": (
        _field("shot_index", "int32", "index", "position among the shots of this analyzer", minimum=0),
        _START,
        _END,
        _field("start_frame", "int64", "index", "first frame in display order", minimum=-1),
        _field("end_frame", "int64", "index", "one past the last frame in display order", minimum=-1),
    ),
    "spans": (
        _field("kind", "string", "class", "what the span is: silence, black, freeze, ..."),
        _START,
        _END,
        _field("severity", "float32", "1", "0 harmless, 1 unusable", minimum=0, maximum=1),
        _field("confidence", "float32", "1", "how sure the analyzer is", minimum=0, maximum=1),
        _seconds("evidence_seconds", "the instant that shows it best", nullable=True),
        _field("message", "string", "text", "one sentence for a reader"),
    ),
    "series": (
        _field("series", "string", "class", "name of the time series, with its unit"),
        _seconds("time_seconds", "instant of the value on the file's timeline"),
        _field("value", "float64", "as the series says", "value of the series"),
    ),
    "files": (),
    "embeddings": (
        _START,
        _END,
        _field("scope", "string", "class", "what the vector stands for: frame, shot or file"),
        _field("model", "string", "name", "the model that gave the vector"),
        _field("weights_sha256", "string", "sha256", "sha256 of the model's weights"),
        _field("vector", "float32", "1", "the embedding; one length a model", length=0),
    ),
    "thumbnails": (
        _PTS,
        _field("width", "int32", "px", "width of the picture", minimum=1),
        _field("height", "int32", "px", "height of the picture", minimum=1),
        _field("jpeg", "binary", "JPEG", "the picture"),
    ),
    "tags": (
        _field("scope", "string", "class", "what the tag is about: shot or file"),
        _START,
        _END,
        _field("vocabulary", "string", "name", "the vocabulary that the tag comes from"),
        _field("tag_id", "string", "id", "identity of the tag in its vocabulary"),
        _field("label", "string", "text", "the tag in words"),
        _field("score", "float32", "1", "score in the vocabulary's own scale"),
        _field("rank", "int32", "1", "1 for the best tag of its shot or file", minimum=1),
    ),
    "quality": (
        _field("profile", "string", "name", "the QC profile that judged"),
        _field("rule_index", "int32", "index", "position of the rule in the profile", minimum=0),
        _field("rule", "string", "name", "id of the rule in the profile"),
        _field("level", "string", "class", "what breaking the rule means: fail, warn or info"),
        _field("outcome", "string", "class", "pass, fail, warn, info, not_applicable or not_measured"),
        _field("message", "string", "text", "what was found against what is allowed, in words"),
        _field("value", "float64", "as the rule says", "what was measured; null where it is no number", nullable=True),
        _seconds("start_seconds", "start of the worst place on the file's timeline", nullable=True),
        _seconds("end_seconds", "its end, exclusive", nullable=True),
        _seconds("evidence_seconds", "the instant that shows it best", nullable=True),
        _field("places", "int32", "places", "number of places that break the rule", minimum=0),
        _field("evidence", "string", "JSON", "the worst places: seconds, severity, confidence, value, text"),
    ),
    "transcripts": (
        _START,
        _END,
        _field("text", "string", "text", "the words, as the model wrote them"),
        _field("language", "string", "ISO 639-1", "language that the model took it for, or was told"),
        _field("confidence", "float32", "1", "mean probability of the words", minimum=0, maximum=1),
        _field("words", "string", "JSON", "list of [word, start seconds, end seconds, probability]"),
    ),
    "boxes": (
        _PTS,
        _field("kind", "string", "class", "what is boxed: face, text or object"),
        _field("label", "string", "text", "the object's class, the line of text as read, or face"),
        _field("score", "float32", "1", "how sure the model is", minimum=0, maximum=1),
        _field("x_min", "float32", "1", "left edge as a share of the picture's width", minimum=0, maximum=1),
        _field("y_min", "float32", "1", "top edge as a share of the picture's height", minimum=0, maximum=1),
        _field("x_max", "float32", "1", "right edge as a share of the picture's width", minimum=0, maximum=1),
        _field("y_max", "float32", "1", "bottom edge as a share of the picture's height", minimum=0, maximum=1),
    ),
    "features": (
        _field("title_id", "string", "id", "identity of the title in the catalogue"),
        _field("feature_set", "string", "name", "the set of features that the row belongs to"),
        _field("deleted", "bool", "1", "the title has no content from valid_from on; its features are null"),
        _field("media_ids", "string", "JSON", "list of the media that the title consists of"),
        _field("provenance", "string", "JSON", "modality -> analyzers, media, and when its newest row was computed"),
    ),
    "feature_scaling": (
        _field("feature_set", "string", "name", "the set of features that the row belongs to"),
        _field("feature", "string", "name", "column of `features`"),
        _field("element", "int32", "index", "element of a vector; 0 for a scalar", minimum=0),
        _field("mean", "float64", "as the feature", "mean over the titles that have it"),
        _field("std", "float64", "as the feature", "standard deviation over them; 0 where all are equal", minimum=0),
        _field("titles", "int64", "titles", "number of titles that have it", minimum=1),
    ),
}
"""Part table -> its own key columns, which follow `COMMON`. An analyzer's columns come after them."""

POSITION = (
    "title_id",
    "feature",
    "element",
    "rule_index",
    "shot_index",
    "stream_index",
    "pts_seconds",
    "kind",
    "series",
    "scope",
    "start_seconds",
    "time_seconds",
    "rank",
)
"""Columns that order the rows of one analyzer for one media, where the table has them."""

WIDE: Mapping[str, tuple[str, ...]] = {
    "frames": ("media_id", "pts_seconds"),
    "shots": ("media_id", "start_seconds", "end_seconds"),
    "files": ("media_id",),
}
"""Table -> the columns that its `_wide` view has one row for."""

LOGS: Mapping[str, tuple[Field, ...]] = {
    "paths": (
        _field("media_id", "string", "sha256", "content found at the path when it was last seen"),
        _field("path", "string", "path", "path in the encoding of `mediaml.tables.rows.encode_path`"),
        _field("size_bytes", "int64", "B", "size of the file", minimum=0),
        _field("mtime_ns", "int64", "ns", "modification time since 1970-01-01 UTC"),
        _field("seen_at", "timestamp", "UTC", "when the file was last seen with these facts"),
    ),
    "errors": (
        _field("media_id", "string", "sha256", "content at fault; null where it could not be read", nullable=True),
        _field("path", "string", "path", "file at fault, encoded as in `paths`", nullable=True),
        _field("analyzer", "string", "name@version", "analyzer at fault; null where the file is", nullable=True),
        _field("kind", "string", "class", "name of the error: mediaml.errors in snake_case"),
        _field("message", "string", "text", "what was wrong and what to do"),
        _field("run_id", "string", "id", "run that met it", nullable=True),
        _field("computed_at", "timestamp", "UTC", "when it was met"),
    ),
    "runs": (
        _field("run_id", "string", "id", "identity of the run"),
        _field("started_at", "timestamp", "UTC", "start"),
        _field("finished_at", "timestamp", "UTC", "end; null while it runs or if it was killed", nullable=True),
        _field("status", "string", "class", "running, done, interrupted or failed"),
        _field("command", "string", "text", "what was asked for"),
        _field("mediaml_version", "string", "version", "version of mediaml"),
        _field("files_total", "int64", "files", "media found", minimum=0),
        _field("files_done", "int64", "files", "media analysed", minimum=0),
        _field("files_skipped", "int64", "files", "media that needed nothing", minimum=0),
        _field("files_failed", "int64", "files", "media with an error", minimum=0),
        _field("settings", "string", "JSON", "settings of the run"),
    ),
}
"""Log table -> all of its columns."""

TABLES: tuple[str, ...] = (*KEYS, *LOGS)


def arrow_schema(fields: Iterable[Field]) -> pa.Schema:
    """Arrow schema whose field metadata holds unit, range, description and source."""
    return pa.schema([f.arrow() for f in fields])


def merge(known: Field, other: Field) -> Field:
    """One field for a column that two analyzers (or two versions) give: the wider type and range, both sources."""
    source = known.source if other.source in known.source.split("; ") else f"{known.source}; {other.source}"
    length = known.length if known.length == other.length else 0
    low = None if None in (known.minimum, other.minimum) else min(known.minimum, other.minimum)  # type: ignore[type-var]
    high = None if None in (known.maximum, other.maximum) else max(known.maximum, other.maximum)  # type: ignore[type-var]
    return replace(
        known,
        dtype=_wider(known.dtype, other.dtype),
        length=length,
        minimum=low,
        maximum=high,
        nullable=known.nullable or other.nullable,
        source=source,
    )


def _wider(a: FieldDtype, b: FieldDtype) -> FieldDtype:
    if a == b:
        return a
    if a in _NUMBERS and b in _NUMBERS:
        return "int64" if a in _INTEGERS and b in _INTEGERS else "float64"
    return "string"


def check_same(analyzer: str, table: str, known: Field, other: Field) -> None:
    """Raises ContractBreach where two fields of one name cannot share a column of one part."""
    if (known.dtype, known.length) != (other.dtype, other.length):
        raise ContractBreach(
            analyzer,
            f"{table}.{other.name} is {other.dtype} (length {other.length}), but {known.source} stores a column of that "
            f"name as {known.dtype} (length {known.length}); rename one of them",
        )


_FACTS = tuple(f.name for f in fields(Field))


def encode(fields: Iterable[Field]) -> bytes:
    """Canonical JSON of a schema."""
    entries = [{name: getattr(f, name) for name in _FACTS} for f in fields]
    return json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()


def decode(data: bytes) -> tuple[Field, ...]:
    """The inverse of `encode`; facts that a later version added to its columns are left out."""
    return tuple(Field(**{k: v for k, v in entry.items() if k in _FACTS}) for entry in json.loads(data))


def schema_id(data: bytes) -> str:
    """Name of an encoded schema: the first 16 hexadecimal digits of its sha256."""
    return hashlib.sha256(data).hexdigest()[:16]
