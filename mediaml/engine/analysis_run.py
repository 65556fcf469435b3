"""One run over many files: who still needs what, commits, the summary."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mediaml.analyzers.base import select
from mediaml.decode.discover import Discovery
from mediaml.engine.local import run_files
from mediaml.engine.progress import RunProgress
from mediaml.engine.runner import analyzer_hash
from mediaml.engine.settings import Settings
from mediaml.engine.work import FileResult, FileTask, Identity, failed_file
from mediaml.errors import MediaError
from mediaml.tables import Lake
from mediaml.tables.rows import AnalyzerRows, ErrorRow, RunRow

SLOWEST = 5


@dataclass(slots=True)
class RunSummary:
    """What a run did. `failed` counts files with an error, met in this run or standing from an earlier one."""

    run_id: str
    files: int = 0
    analyzed: int = 0
    unchanged: int = 0
    failed: int = 0
    interrupted: bool = False
    frames: int = 0
    media_seconds: float = 0.0
    wall_seconds: float = 0.0
    errors: list[ErrorRow] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    analyzer_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all well, 1 some files failed, 130 interrupted."""
        return 130 if self.interrupted else int(self.failed > 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "exit_code": self.exit_code}


class AnalysisRun:
    """The state of a run: the lake, the keys wanted, contents in hand, and what has come of it so far."""

    def __init__(self, lake: Lake, settings: Settings, discovery: Discovery) -> None:
        self.lake, self.settings, self.discovery = lake, settings, discovery
        self.summary = RunSummary(run_id=uuid.uuid4().hex, files=len(discovery.files) + len(discovery.errors))
        self.wanted = wanted_keys(settings.analyzers)
        self._started_at = datetime.now(UTC)
        self._began = time.monotonic()
        self._in_hand: dict[Path, Identity] = {}
        self._noted: set[str] = set()

    def execute(self, progress: RunProgress) -> None:
        """Works through all files; commits each as it ends. KeyboardInterrupt is taken as the wish to stop."""
        self.lake.record_run(self._row("running"))
        tasks = [self._task(p) for p in self.discovery.files]
        progress.begin(self.summary.files, sum(size for _, size in tasks))
        for error in self.discovery.errors:
            self._commit(failed_file(self.lake, Path(error.path), error), progress)
        sizes = {task.path: size for task, size in tasks}
        try:
            run = _runner(self.settings)
            for result in run([t for t, _ in tasks], self.settings, self.decide, self.fail, progress):
                self._commit(result, progress, sizes.get(result.path, 0))
        except KeyboardInterrupt:
            self.summary.interrupted = True

    def decide(self, identity: Identity) -> Sequence[str]:
        """The analyzers still wanted for a content; () where it is complete, or in another worker's hands."""
        others = (other for path, other in self._in_hand.items() if path != identity.path)
        if any(other.media_id == identity.media_id for other in others):
            return ()
        names = pending_analyzers(self.lake, identity.media_id, self.wanted, self.settings.retry_errors)
        if names:
            self._in_hand[identity.path] = identity
        return names

    def fail(self, task: FileTask, error: MediaError) -> FileResult:
        """The result of a file whose worker died: known content is not tried again unless asked for."""
        identity = self._in_hand.get(task.path)
        keys = []
        if identity:
            pending = pending_analyzers(self.lake, identity.media_id, self.wanted, self.settings.retry_errors)
            keys = [AnalyzerRows(*self.wanted[name], status="failed") for name in pending]
        return failed_file(self.lake, task.path, error, identity, keys)

    def record(self) -> None:
        """Closes the run in the `runs` table."""
        self.summary.wall_seconds = time.monotonic() - self._began
        self.lake.record_run(self._row("interrupted" if self.summary.interrupted else "done"))

    def _task(self, path: Path) -> tuple[FileTask, int]:
        try:
            facts = path.stat()
        except OSError:
            return FileTask(path), 0
        return FileTask(path, self.lake.known_path(str(path), facts.st_size, facts.st_mtime_ns)), facts.st_size

    def _commit(self, result: FileResult, progress: RunProgress, size_bytes: int = 0) -> None:
        self.lake.commit([result.staged], self.summary.run_id)
        identity = self._in_hand.pop(result.path, None)
        summary = self.summary
        # An unchanged file that failed in an earlier run is not tried again, and still counts as failed.
        errors = result.errors or ([] if identity else self.lake.standing_errors(str(result.path)))
        summary.errors += errors
        summary.failed += bool(errors)
        summary.analyzed += bool(identity and not errors)
        summary.unchanged += not (identity or errors)
        summary.frames += result.frames
        summary.media_seconds += result.media_seconds
        summary.slowest = sorted([*summary.slowest, (result.wall_seconds, str(result.path))], reverse=True)[:SLOWEST]
        for name, seconds in result.analyzer_seconds.items():
            summary.analyzer_seconds[name] = summary.analyzer_seconds.get(name, 0.0) + seconds
        progress.committed(result, size_bytes)
        if result.note and result.note not in self._noted:  # once a reason, not once a file
            self._noted.add(result.note)
            progress.note(f"{result.path.name}: {result.note}")

    def _row(self, status: Any) -> RunRow:
        s = self.summary
        return RunRow(
            run_id=s.run_id,
            started_at=self._started_at,
            finished_at=None if status == "running" else datetime.now(UTC),
            status=status,
            command=f"analyze {self.discovery.roots_text}",
            mediaml_version=version("mediaml"),
            files_total=s.files,
            files_done=s.analyzed,
            files_skipped=s.unchanged,
            files_failed=s.failed,
            settings={"analyzers": list(self.settings.analyzers), "device": self.settings.device},
        )


def _runner(settings: Settings) -> Callable[..., Iterator[FileResult]]:
    if settings.engine == "ray":
        from mediaml.engine.ray import run_files as run_on_ray

        return run_on_ray
    return run_files


def wanted_keys(analyzers: Sequence[str]) -> dict[str, tuple[str, str]]:
    """name -> (name@version, hash of settings and weights), the part of the idempotency key beside the content."""
    return {cls.spec.name: (cls.spec.id, analyzer_hash(cls())) for cls in select(analyzers)}


def pending_analyzers(
    lake: Lake, media_id: str, wanted: dict[str, tuple[str, str]], retry_errors: bool = False
) -> list[str]:
    """Names of the wanted analyzers that the lake has no result of for this content."""
    pending = set(lake.pending(media_id, list(wanted.values()), retry_failed=retry_errors))
    return [name for name, key in wanted.items() if key in pending]
