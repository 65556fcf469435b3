"""What the engine hands to the lake: rows of analyzers, of a probed file, errors, paths and runs. Plain, picklable data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from mediaml.errors import AnalyzerError, InvalidValue, MediaError, MediamlError
from mediaml.media import MediaInfo
from mediaml.spec import Column, Table
from mediaml.tables.media_rows import MEDIA_COLUMNS, STREAM_COLUMNS, media_columns, stream_columns

Status = Literal["done", "failed", "not_applicable"]
STATUSES: tuple[Status, ...] = ("done", "failed", "not_applicable")
_SPEC_ID = re.compile(r"([a-z][a-z0-9_]*)@([1-9][0-9]*)")
_ESCAPE = re.compile(r"\\\\|\\x([89a-f][0-9a-f])")

ColumnsByTable = Mapping[Table, tuple[Column, ...]] | Mapping[str, tuple[Column, ...]]
RowsByTable = Mapping[Table, Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class AnalyzerRows:
    """All rows of one analyzer (or of one derivation) for one media.

    spec_id          "name@version"
    parameters_hash  of the settings that change values; "" for none
    columns          table -> the analyzer's own columns; key columns are implied (`mediaml.tables.schema.KEYS`) and may be
                     listed to state their length, unit or range
    rows             table -> column -> values: a sequence (None is null), an ndarray, a masked array, or (N, D) for vectors.
                     Key columns come with the analyzer's own. Derived rows over many media also have "media_id".
    status           "failed" and "not_applicable" come without rows, and are remembered all the same
    source           paper, standard or implementation, for `describe`
    """

    spec_id: str
    parameters_hash: str = ""
    columns: ColumnsByTable = field(default_factory=dict)
    rows: RowsByTable = field(default_factory=dict)
    status: Status = "done"
    source: str = ""

    def __post_init__(self) -> None:
        split_spec_id(self.spec_id)
        if self.status not in STATUSES:
            raise InvalidValue(f"status {self.status!r} must be one of {', '.join(STATUSES)}")
        if self.status != "done" and self.rows:
            raise InvalidValue(f"{self.spec_id}: status {self.status!r} cannot come with rows")


def split_spec_id(spec_id: str) -> tuple[str, int]:
    """("name", version) of "name@version"; raises InvalidValue."""
    match = _SPEC_ID.fullmatch(spec_id)
    if not match:
        raise InvalidValue(f"analyzer {spec_id!r} must be name@version, e.g. 'luma_stats@1'")
    return match[1], int(match[2])


@dataclass(frozen=True, slots=True)
class MediaRows:
    """The probed facts of one media: a row of `media` and a row of `streams` for every stream."""

    info: MediaInfo
    analyzer: str = "probe@1"

    def analyzer_rows(self) -> AnalyzerRows:
        """The facts as rows, keyed like any analyzer's."""
        return AnalyzerRows(
            self.analyzer,
            "",
            {"media": MEDIA_COLUMNS, "streams": STREAM_COLUMNS},
            {"media": media_columns(self.info, encode_path(self.info.path)), "streams": stream_columns(self.info)},
            source="FFmpeg, through PyAV",
        )


@dataclass(frozen=True, slots=True)
class PathRow:
    """Where a media was found: what lets a rerun skip reading the content."""

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One thing that went wrong with one file, or with one analyzer ("name@version") on it."""

    kind: str
    message: str
    path: str | None = None
    analyzer: str | None = None

    @classmethod
    def of(cls, error: BaseException, path: str | None = None, analyzer: str | None = None) -> ErrorRow:
        """The row of an exception; `analyzer` is the "name@version" at fault where the file is not."""
        kind = error.kind if isinstance(error, MediamlError) else "internal_error"
        if isinstance(error, MediaError):
            return cls(kind, error.reason, path or error.path, analyzer)
        if isinstance(error, AnalyzerError):
            return cls(kind, error.reason, path, analyzer or error.analyzer)
        message = str(error) if isinstance(error, MediamlError) else f"{type(error).__name__}: {error}"
        return cls(kind, message, path, analyzer)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of the engine; recording the same run_id again replaces its row."""

    run_id: str
    started_at: datetime
    finished_at: datetime | None = None
    status: Literal["running", "done", "interrupted", "failed"] = "running"
    command: str = ""
    mediaml_version: str = ""
    files_total: int = 0
    files_done: int = 0
    files_skipped: int = 0
    files_failed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyState:
    """What became of one (media, analyzer, parameters)."""

    analyzer: str  # name@version
    parameters_hash: str
    status: Status


def parameters_hash(settings: Mapping[str, Any]) -> str:
    """Hash of an analyzer's settings (plain JSON values): 16 hexadecimal digits, "" for no settings."""
    if not settings:
        return ""
    text = json.dumps(dict(settings), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode_path(path: str) -> str:
    r"""A path as the lake stores it: valid Unicode from which `decode_path` restores every byte.

    Names that are not valid UTF-8 reach Python with lone surrogates (PEP 383); such a byte is stored as `\xNN`, and a
    backslash as two. Every other path, newlines included, is stored as it is.
    """
    escaped = path.replace("\\", "\\\\")
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else clean_text(c) for c in escaped)


def decode_path(stored: str) -> str:
    """The inverse of `encode_path`: the name to open the file with."""
    return _ESCAPE.sub(lambda m: chr(0xDC00 + int(m[1], 16)) if m[1] else "\\", stored)


def clean_text(text: str) -> str:
    """`text` with lone surrogates, which no table can store, written as `\\udXXX`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def wanted_but_absent(
    known: Sequence[KeyState], wanted: Sequence[tuple[str, str]], retry_failed: bool
) -> list[tuple[str, str]]:
    """Those (spec_id, parameters_hash) of `wanted` that are still to be computed, in the order given."""
    settled = {(k.analyzer, k.parameters_hash) for k in known if not (retry_failed and k.status == "failed")}
    return [pair for pair in wanted if pair not in settled]
