"""The lake: a folder of Parquet tables with one manifest. Everything that reads or writes tables goes through `Lake`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa

from mediaml.errors import InvalidValue, LakeError, LakeUnwritable, UnknownName
from mediaml.tables.catalog import KEYS_PER_COMMIT, Catalog
from mediaml.tables.commit import forget_commit, merge_commit, run_commit, unit_commit
from mediaml.tables.compact import merge_parts, orphans, plan_merges, remove
from mediaml.tables.info import ColumnInfo, Result, TableInfo, Vectors, as_vectors, describe_field
from mediaml.tables.manifest import Manifest
from mediaml.tables.open_storage import open_storage
from mediaml.tables.reader import Reader, literal, quote
from mediaml.tables.rows import (
    AnalyzerRows,
    ErrorRow,
    KeyState,
    MediaRows,
    PathRow,
    RunRow,
    decode_path,
    encode_path,
    wanted_but_absent,
)
from mediaml.tables.schema import KEYS, LOGS, Field, decode, schema_id
from mediaml.tables.writer import Staged, microseconds, schema_name, stage_derivation, stage_media


class Lake:
    """Tables of one folder. Safe for several processes at once; threads of one process share one lock.

    Opening reads only the format; the state is folded when it is first asked for and kept up to date from then on.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.storage = manifest.storage
        self._manifest = manifest
        self._catalog: Catalog | None = None
        self._reader: Reader | None = None
        self._schemas: dict[str, tuple[Field, ...]] = {}
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: str | PathLike[str], create: bool = False) -> Lake:
        """The lake at `path`, a folder or the URL of an object store (s3://bucket/lake; docs/cluster.md).

        With `create`, an empty one is made where there is none. Raises LakeMissing, LakeVersionError, LakeUnwritable (only
        with `create`), InvalidValue (a name that is not UTF-8, a store that cannot create atomically).
        """
        manifest = Manifest(open_storage(path))
        if create:
            manifest.create()
        manifest.check()
        return cls(Path(path), manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Lake.open, (self.storage.location,))

    def __repr__(self) -> str:
        return f"Lake({self.storage.location!r})"

    # Writing

    def stage(
        self,
        media_id: str | None,
        *,
        media: MediaRows | None = None,
        path: PathRow | None = None,
        analyzers: Sequence[AnalyzerRows] = (),
        errors: Sequence[ErrorRow] = (),
        valid_from: datetime | None = None,
        computed_at: datetime | None = None,
    ) -> Staged:
        """Checks the rows of one media and writes them as parts that stay invisible until `commit`. For worker processes.

        Args:
            media_id: sha256 of the content; None where it could not be read (then only `errors` make sense).
            media: fills `media` and `streams`.
            analyzers: rows of analyzers, or the bare status of those that failed or do not apply.
            valid_from: when the content came to be; by default the time of computation.
            computed_at: now by default.

        Raises:
            ContractBreach: NaN, infinity, a wrong type, length, range or set of columns. LakeUnwritable.
        """
        now = computed_at or datetime.now(UTC)
        return stage_media(self.storage, media_id, media, path, analyzers, errors, valid_from or now, now)

    def commit(self, staged: Sequence[Staged], run_id: str | None = None) -> int:
        """Makes everything staged visible at once and durable; the number of the newest commit.

        Rows of the same key are replaced. Paths that say what is known already are left out; if nothing remains, nothing is
        written. Raises LakeUnwritable.
        """
        if sum(len(s.keys) for s in staged) > KEYS_PER_COMMIT:
            raise InvalidValue(f"a commit holds at most {KEYS_PER_COMMIT} analyzer results; commit in smaller groups")
        with self._lock:
            catalog = self.refresh()
            known = [s.path for s in staged if s.path and catalog.path(s.path[1]) == (*s.path[2:4], s.path[0])]
            commit = unit_commit(staged, run_id, known)
            if not any(commit[part] for part in ("units", "paths", "errors")):
                return catalog.head
            return self._append(commit)

    def replace_derived(
        self,
        derivation: str,
        rows: Sequence[AnalyzerRows],
        run_id: str | None = None,
        valid_from: datetime | None = None,
        computed_at: datetime | None = None,
    ) -> int:
        """Replaces all rows of a derivation (tags of one vocabulary, shot summaries) by `rows`, in one commit.

        Every table of `rows` has a "media_id" column, and may have "valid_from". No rows: the derivation is taken away.
        Raises ContractBreach, LakeUnwritable.
        """
        if not derivation:
            raise InvalidValue("a derivation needs an id, e.g. 'tags:imagenet'")
        now = computed_at or datetime.now(UTC)
        staged = stage_derivation(self.storage, derivation, rows, valid_from or now, now)
        return self.commit([staged], run_id)

    def record_run(self, run: RunRow) -> int:
        """Writes or replaces the row of a run."""
        return self._append(run_commit(run))

    def forget_paths(self, paths: Sequence[str]) -> int:
        """Takes paths that are gone out of `paths`; the results of their content stay."""
        return self._append(forget_commit(paths, microseconds(datetime.now(UTC))))

    def _append(self, commit: dict[str, Any], replaces: Sequence[str] = ()) -> int:
        """Adds a commit after the newest; `replaces` are parts that must still be there. 0: they are not."""
        with self._lock:
            while True:
                catalog = self.refresh()
                if replaces and not catalog.has_parts(replaces):
                    return 0
                number = catalog.head + 1
                if self._manifest.put(number, commit):
                    break
            catalog.apply(number, commit)
            if self._manifest.checkpoint_due(number, catalog.checkpoint):
                # The commit stands without it: a full disk is reported by the next commit, which makes the checkpoint.
                with contextlib.suppress(LakeUnwritable):
                    self._manifest.write_checkpoint(number, catalog.save())
                    catalog.checkpoint = number
            return number

    def compact(self) -> int:
        """Merges small parts; the number of parts that went. Their files stay for open readers until `collect_garbage`."""
        with self._lock:
            gone = 0
            for merge in list(plan_merges(self.refresh())):
                if not self.refresh().has_parts(merge.paths):
                    continue
                merged = merge_parts(self.storage, self.refresh(), merge, self._fields_of)
                if self._append(merge_commit(merged, merge.paths), merge.paths):
                    gone += len(merge.paths) - 1
            return gone

    def collect_garbage(self, older_than_seconds: float = 86_400.0) -> tuple[int, int]:
        """Deletes files that no commit names: (count, bytes). Keep the age above the longest time from stage to commit."""
        with self._lock:
            named = set(self.refresh().sql("SELECT path FROM parts").column("path").to_pylist())
            return remove(self.storage, list(orphans(self.storage, named, older_than_seconds)))

    def forgetful_checkpoint(self) -> bool:
        """Whether the newest checkpoint is one of an early version, which cannot be used (`Catalog.load`)."""
        newest = self._manifest.newest_checkpoint()
        return newest is not None and self._loaded(newest) is None

    def checkpoint_readable(self) -> bool:
        """Whether the newest checkpoint, if there is one, is not damaged."""
        with contextlib.suppress(LakeError):
            self.forgetful_checkpoint()
            return True
        return False

    def renew_checkpoint(self) -> int:
        """Folds the whole log into a new checkpoint, in the place of all others; the newest commit.

        Raises LakeUnwritable, LakeError: the log has a gap, and only the checkpoint knows what stood there.
        """
        with self._lock:
            catalog = self._follow(Catalog())
            self._manifest.drop_checkpoints()
            if catalog.head:
                self._manifest.write_checkpoint(catalog.head, catalog.save())
                catalog.checkpoint = catalog.head
            self._catalog, self._reader = catalog, None
            return catalog.head

    # What is known

    def refresh(self) -> Catalog:
        """Takes in what other processes have committed."""
        with self._lock:
            if self._catalog is None:
                self._catalog = self._from_checkpoint()
            return self._follow(self._catalog)

    def _follow(self, catalog: Catalog) -> Catalog:
        """Applies the commits after the catalog's own."""
        from_nothing = catalog.head == 0
        while (commit := self._manifest.read(catalog.head + 1)) is not None:
            catalog.apply(catalog.head + 1, commit)
        if from_nothing and catalog.head < (self._manifest.newest_checkpoint() or 0):
            missing = self._manifest.place(self._manifest.commit_name(catalog.head + 1))
            raise LakeError(
                f"{missing}: missing, and the checkpoint cannot be used; restore it from a copy of the lake"
            )
        return catalog

    def _from_checkpoint(self) -> Catalog:
        newest = self._manifest.newest_checkpoint()
        found = None if newest is None else self._loaded(newest)
        return found or Catalog()

    def _loaded(self, number: int) -> Catalog | None:
        folder = self._manifest.checkpoint_name(number)
        catalog = Catalog()
        place = self._manifest.place(folder)
        whole = catalog.load(number, lambda name: self.storage.read(f"{folder}/{name}"), place)
        return catalog if whole else None

    def keys(self, media_id: str) -> list[KeyState]:
        """What became of every (analyzer, parameters) of a media, all versions."""
        with self._lock:
            return self.refresh().keys(media_id)

    def pending(
        self, media_id: str, wanted: Sequence[tuple[str, str]], retry_failed: bool = False
    ) -> list[tuple[str, str]]:
        """Those (name@version, parameters_hash) of `wanted` that are still to be computed for this media."""
        return wanted_but_absent(self.keys(media_id), wanted, retry_failed)

    def results(self) -> list[Result]:
        """For every media the newest result of each analyzer, as the views show it, by media and analyzer."""
        with self._lock:
            return [
                Result(media_id, KeyState(analyzer, parameters, status), frozenset(tables))
                for media_id, analyzer, parameters, status, tables in self.refresh().results()
            ]

    def known_path(self, path: str | PathLike[str], size_bytes: int, mtime_ns: int) -> str | None:
        """The media_id last seen at `path`, if size and modification time are still the same."""
        with self._lock:
            found = self.refresh().path(encode_path(str(path)))
        return found[2] if found and found[:2] == (size_bytes, mtime_ns) else None

    def standing_errors(self, path: str | PathLike[str]) -> list[ErrorRow]:
        """The errors that hold for the file at `path`: those met there, and those of the content it holds."""
        with self._lock:
            found = self.refresh().errors(encode_path(str(path)))
        return [
            ErrorRow(e["kind"], e["message"], None if e["path"] is None else decode_path(e["path"]), e["analyzer"])
            for e in found
        ]

    # Reading

    def tables(self) -> list[TableInfo]:
        """Every table, empty ones included."""
        with self._lock:
            catalog = self.refresh()
            sizes = catalog.sizes()
            logs = {name: (catalog.log(name).num_rows, 0, 0) for name in LOGS}
            return [TableInfo(name, *(sizes | logs).get(name, (0, 0, 0))) for name in (*KEYS, *LOGS)]

    def describe(self, name: str) -> list[ColumnInfo]:
        """The columns of a table or of a `_wide` view, with units and sources. Raises UnknownName."""
        return [describe_field(f) for f in self._known(name)]

    def table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        all_versions: bool = False,
    ) -> pa.Table:
        """A table or `_wide` view in a stable order; field metadata says unit, range and source.

        Args:
            where: an SQL condition over its columns.
            all_versions: also rows of analyzer versions that a newer one has replaced.

        Raises:
            UnknownName: no such table or column. QueryError: `where` does not parse or bind.
        """
        with self._lock:
            fields = {f.name: f for f in self._known(name, all_versions)}
            chosen = list(fields) if columns is None else list(columns)
            for column in chosen:
                if column not in fields:
                    raise UnknownName(f"column of {name}", column, fields)
            reader = self._read()
            schema = "all_versions." if all_versions else ""
            condition = f"WHERE ({where}\n)" if where else ""
            order = reader.ordered(name)
            found = reader.query(
                f"SELECT {', '.join(map(quote, chosen))} FROM {schema}{name} {condition} "  # noqa: S608
                + (f"ORDER BY {order}" if order else "")
            )
        return found.cast(pa.schema([_as_list(fields[c], found.schema.field(c)) for c in chosen]))

    def rows_of(
        self, name: str, media_ids: Sequence[str], columns: Sequence[str], where: str | None = None
    ) -> pa.Table:
        """Rows of these media in a part table, in no order; no other media's parts are read. Raises as `table` does."""
        with self._lock:
            return self._read().rows_of(name, media_ids, columns, where)

    def state(self) -> str:
        """What tells this state of the lake from all others."""
        with self._lock:
            return self._manifest.state(self.refresh().head)

    def query(self, sql: str) -> pa.Table:
        """One SELECT in DuckDB's SQL over the tables and views of `mediaml.tables.reader`; no file or network is reachable.

        Raises QueryError with DuckDB's message.
        """
        with self._lock:
            return self._read().query(sql)

    def vectors(self, analyzer: str | None = None, model: str | None = None, scope: str | None = None) -> Vectors:
        """Embeddings as one matrix with their key columns, ordered as `table` orders them.

        Args:
            analyzer: its name, or name@version (which also finds versions that a newer one has replaced).

        Raises:
            InvalidValue: the choice mixes vector lengths; the message lists the models.
        """
        conditions = [] if model is None else [f"model = {literal(model)}"]
        if scope is not None:
            conditions.append(f"scope = {literal(scope)}")
        exact = analyzer is not None and "@" in analyzer
        if analyzer is not None:
            conditions.append(f"{'analyzer' if exact else _NAME_OF} = {literal(analyzer)}")
        found = self.table("embeddings", where=" AND ".join(conditions) or None, all_versions=exact)
        return as_vectors(found)

    def _known(self, name: str, all_versions: bool = False) -> tuple[Field, ...]:
        with self._lock:
            reader = self._read()
            fields = reader.every_fields if all_versions else reader.fields
            if name not in fields:
                raise UnknownName("table", name, fields)
            return fields[name]

    def _read(self) -> Reader:
        catalog = self.refresh()
        if self._reader is None or self._reader.head != catalog.head:
            self._reader = Reader(self.storage, catalog, self._fields_of)
        return self._reader

    def schema_fields(self, identity: str) -> tuple[Field, ...]:
        """The columns of a stored schema. Raises LakeError: it is gone or damaged."""
        return self._fields_of(identity)

    def commit_name(self, number: int) -> str:
        """The file of a commit, below the lake's folder."""
        return self._manifest.commit_name(number)

    def _fields_of(self, schema: str) -> tuple[Field, ...]:
        if schema not in self._schemas:
            name = schema_name(schema)
            try:
                body = self.storage.read(name)
                if schema_id(body) != schema:
                    raise ValueError("its content is not what its name says")
                self._schemas[schema] = decode(body)
            except (OSError, ValueError, TypeError) as error:
                raise LakeError(
                    f"{self._manifest.place(name)}: cannot be read: {error}; restore it from a copy of the lake"
                ) from error
        return self._schemas[schema]


_NAME_OF = "split_part(analyzer, '@', 1)"


def _as_list(field: Field, found: pa.Field) -> pa.Field:
    """The field as a table gives it: vectors of differing lengths as lists."""
    kind = found.type if field.length == 0 else field.arrow_type
    return pa.field(field.name, kind, metadata=field.metadata())
