"""What is done with one file, whoever runs it: identify, ask what is wanted, decode once, stage the rows."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from mediaml.analyzers.base import Analyzer, select
from mediaml.decode.identity import content_sha256
from mediaml.decode.probe import probe
from mediaml.decode.remote import Spool
from mediaml.engine.decode_facts import decode_rows
from mediaml.engine.run import MediaOutcome, Progress, run_media
from mediaml.engine.runner import analyzer_hash, limit_threads
from mediaml.engine.settings import Settings, choose_device
from mediaml.errors import ContractBreach, MediaEmpty, MediaError, MediaMissing, MediaTruncated, MediaUnreadable
from mediaml.media import MediaInfo
from mediaml.tables import Lake
from mediaml.tables.rows import AnalyzerRows, ErrorRow, MediaRows, PathRow
from mediaml.tables.writer import Staged


@dataclass(frozen=True, slots=True)
class FileTask:
    """A file to look at; `known_media_id` is set where the lake knows this path, size and modification time."""

    path: Path
    known_media_id: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Which content a path holds."""

    path: Path
    media_id: str
    size_bytes: int
    mtime_ns: int


@dataclass(slots=True)
class FileResult:
    """What the caller commits and reports."""

    path: Path
    staged: Staged
    frames: int = 0
    wall_seconds: float = 0.0
    media_seconds: float = 0.0
    analyzers_run: int = 0
    errors: list[ErrorRow] = field(default_factory=list)
    analyzer_seconds: dict[str, float] = field(default_factory=dict)
    note: str = ""  # what the user should know although nothing failed


Decide = Callable[[Identity], Sequence[str]]
"""Identity -> the analyzers still wanted for this content; () where it is known, or in another worker's hands."""


class FileWorker:
    """Keeps the models of one process and works through files one by one."""

    def __init__(self, settings: Settings) -> None:
        import torch

        self.settings = settings
        self.device = torch.device(choose_device(settings.device))
        limit_threads(settings.torch_threads)
        self.lake = Lake.open(settings.lake, create=True)
        self._classes = {c.spec.name: c for c in select(settings.analyzers)}
        self._ready: dict[str, Analyzer] = {}
        self._spool = Spool()

    def process(self, task: FileTask, decide: Decide, progress: Progress | None = None) -> FileResult:
        """One file from path to staged rows. Only faults of the lake are raised; the file's become error rows."""
        found = self.identify(task)
        return found if isinstance(found, FileResult) else self.work(found, decide(found), progress)

    def identify(self, task: FileTask) -> Identity | FileResult:
        """Which content the path holds, or the result of a file that cannot be read."""
        try:
            return identify(task, self._spool.local)
        except MediaError as error:
            self._spool.release()
            return failed_file(self.lake, task.path, moved(error, task.path))

    def work(self, identity: Identity, wanted: Sequence[str], progress: Progress | None = None) -> FileResult:
        """The `wanted` analyzers on an identified file."""
        if not wanted:
            self._spool.release()
            return FileResult(identity.path, stage(self.lake, identity))
        try:
            local = self._spool.local(identity.path)
            media = probe(local)
            if local != identity.path:
                media = replace(media, path=str(identity.path))
            return self._analyze(identity, local, media, wanted, progress)
        except MediaError as error:
            keys = [AnalyzerRows(a.spec.id, analyzer_hash(a), status="failed") for a in self._made(wanted)]
            return failed_file(self.lake, identity.path, moved(error, identity.path), identity, keys)
        finally:
            self._spool.release()

    def _analyze(
        self, identity: Identity, local: Path, media: MediaInfo, wanted: Sequence[str], progress: Progress | None
    ) -> FileResult:
        path = identity.path
        analyzers, errors, rows = [], [], []
        for analyzer in self._made(wanted):
            try:
                analyzers.append(self._set_up(analyzer))
            except Exception as error:
                errors.append(ErrorRow.of(error, str(path), analyzer.spec.id))
                rows.append(AnalyzerRows(analyzer.spec.id, analyzer_hash(analyzer), status="failed"))
        outcome = run_media(
            local, media, analyzers, device=self.device, max_pixels=self.settings.max_pixels, progress=progress
        )
        for runner in outcome.runners:
            if runner.error is not None:
                self._ready.pop(runner.spec.name, None)  # its state is not to be trusted any more
        errors += outcome_errors(outcome)
        rows += outcome_rows(outcome)
        return FileResult(
            path=path,
            staged=stage_outcome(self.lake, identity, media, rows, errors),
            frames=outcome.report.frames_decoded if outcome.report else 0,
            wall_seconds=outcome.wall_seconds,
            media_seconds=media.duration_seconds or 0.0,
            analyzers_run=len(outcome.runners),
            errors=errors,
            analyzer_seconds=dict(outcome.analyzer_seconds),
            note=decoder_note(outcome),
        )

    def _made(self, names: Sequence[str]) -> list[Analyzer]:
        return [self._ready[n] if n in self._ready else self._classes[n]() for n in names]

    def _set_up(self, analyzer: Analyzer) -> Analyzer:
        name = analyzer.spec.name
        if name not in self._ready:
            analyzer.setup(self.device)
            self._ready[name] = analyzer
        return self._ready[name]


def identify(task: FileTask, local: Callable[[Path], Path] = lambda path: path) -> Identity:
    """Which content the path holds; reads it in full unless the lake knew path, size and time. Raises MediaError.

    `local` says where the content of a path on an object store can be opened.
    """
    before = file_facts(task.path)
    media_id = task.known_media_id or content_sha256(local(task.path))
    if file_facts(task.path) != before:
        raise MediaUnreadable(task.path, "the file changed while it was being read; run again when it is complete")
    return Identity(task.path, media_id, *before)


def file_facts(path: Path) -> tuple[int, int]:
    """(size in bytes, modification time in ns). Raises MediaMissing, MediaUnreadable, MediaEmpty."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise MediaMissing(path, "there is no such file") from None
    except OSError as error:
        raise MediaUnreadable(path, f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise MediaMissing(path, "is not a regular file")
    if facts.st_size == 0:
        raise MediaEmpty(path, "the file is empty (0 bytes)")
    return facts.st_size, facts.st_mtime_ns


def moved(error: MediaError, path: Path) -> MediaError:
    """`error` as one of `path`: what was met in a local copy is told of the file that the user named."""
    return error if error.path == str(path) else type(error)(path, error.reason)


def stage(
    lake: Lake,
    identity: Identity,
    media: MediaInfo | None = None,
    rows: Sequence[AnalyzerRows] = (),
    errors: Sequence[ErrorRow] = (),
) -> Staged:
    """Writes the parts of one file; nothing is visible before the caller commits. Raises ContractBreach, LakeUnwritable."""
    return lake.stage(
        identity.media_id,
        media=MediaRows(media) if media else None,
        analyzers=rows,
        errors=errors,
        path=PathRow(str(identity.path), identity.size_bytes, identity.mtime_ns),
        valid_from=datetime.fromtimestamp(identity.mtime_ns / 1e9, tz=UTC),
    )


def stage_outcome(
    lake: Lake, identity: Identity, media: MediaInfo, rows: list[AnalyzerRows], errors: list[ErrorRow]
) -> Staged:
    """`stage`, but rows that break their declaration (NaN, out of range) cost their analyzer only: `errors` grows by one."""
    while True:
        try:
            return stage(lake, identity, media, rows, errors)
        except ContractBreach as breach:
            guilty = [i for i, r in enumerate(rows) if breach.analyzer in (r.spec_id, r.spec_id.split("@")[0])]
            if not guilty or rows[guilty[0]].status == "failed":
                raise
            bad = rows[guilty[0]]
            rows[guilty[0]] = AnalyzerRows(bad.spec_id, bad.parameters_hash, status="failed")
            errors.append(ErrorRow.of(breach, str(identity.path), bad.spec_id))


def failed_file(
    lake: Lake, path: Path, error: MediaError, identity: Identity | None = None, keys: Sequence[AnalyzerRows] = ()
) -> FileResult:
    """The result of a file that could not be analysed at all: an `errors` row, and keys that keep a rerun short."""
    errors = [ErrorRow.of(error, str(path))]
    staged = stage(lake, identity, None, keys, errors) if identity else lake.stage(None, errors=errors)
    return FileResult(path, staged, errors=errors)


def outcome_errors(outcome: MediaOutcome) -> list[ErrorRow]:
    """Error rows: the file's own, and one for each analyzer that failed."""
    path = outcome.media.path
    errors = [ErrorRow.of(e, path) for e in (outcome.error, truncation(outcome)) if e]
    return errors + [ErrorRow.of(r.error, path, r.spec.id) for r in outcome.runners if r.error is not None]


def decoder_note(outcome: MediaOutcome) -> str:
    """Why pictures were decoded on the CPU although the run is on a GPU; "" where that was not so."""
    why = outcome.report.why_software if outcome.report and outcome.report.frames_decoded else ""
    return f"decoded on the CPU, not by NVDEC: {why}" if why else ""


def truncation(outcome: MediaOutcome) -> MediaTruncated | None:
    """The error of a file that ends before it should; what was decoded of it is kept all the same."""
    signs = [w for w in outcome.media.warnings if w.startswith("truncated")]
    problems = outcome.report.problems if outcome.report else ()
    signs += [p.message for p in problems if p.kind == "ends_early"]
    return MediaTruncated(outcome.media.path, "; ".join(signs)) if signs and not outcome.error else None


def outcome_rows(outcome: MediaOutcome) -> list[AnalyzerRows]:
    """Rows of the analyzers that did their work, and the bare status of those that did not."""
    rows = [AnalyzerRows(a.spec.id, analyzer_hash(a), status="not_applicable") for a in outcome.not_applicable]
    for runner in outcome.runners:
        if outcome.error is not None:
            rows.append(AnalyzerRows(runner.spec.id, analyzer_hash(runner.analyzer), status="failed"))
        else:
            rows.append(runner.packed())
    if outcome.report is not None and outcome.whole:
        rows.append(decode_rows(outcome.report))
    return rows
