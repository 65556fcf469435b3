"""What a run says to machines while it works: one JSON object a line, and metrics in Prometheus' text format."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, Self

from mediaml.engine.progress import RunProgress
from mediaml.engine.work import FileResult, FileTask
from mediaml.errors import InvalidValue, printable

METRICS_SECONDS = 5.0
Outcome = Literal["analyzed", "unchanged", "failed"]


def outcome(result: FileResult) -> Outcome:
    """What became of a file in this run; a file that failed in an earlier run and was not tried again is unchanged."""
    if result.errors:
        return "failed"
    return "analyzed" if result.analyzers_run else "unchanged"


class Several:
    """Tells several listeners of one run."""

    def __init__(self, listeners: Sequence[RunProgress]) -> None:
        self._listeners = listeners

    def __enter__(self) -> Self:
        for one in self._listeners:
            one.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        for one in reversed(self._listeners):
            one.__exit__(*exc)

    def begin(self, files: int, size_bytes: int) -> None:
        for one in self._listeners:
            one.begin(files, size_bytes)

    def started(self, slot: int, task: FileTask) -> None:
        for one in self._listeners:
            one.started(slot, task)

    def advanced(self, slot: int, frames: int, seconds: float) -> None:
        for one in self._listeners:
            one.advanced(slot, frames, seconds)

    def finished(self, slot: int) -> None:
        for one in self._listeners:
            one.finished(slot)

    def committed(self, result: FileResult, size_bytes: int) -> None:
        for one in self._listeners:
            one.committed(result, size_bytes)

    def note(self, text: str) -> None:
        for one in self._listeners:
            one.note(text)


class JsonLog:
    """One JSON object a line: `time` (ISO 8601, UTC), `event`, and what belongs to it. Names are printable text.

    Events: run_started, file_started, file_committed, note, run_ended. Lines are flushed as they are written.
    """

    def __init__(self, stream: IO[str], close: bool = False) -> None:
        self._stream = stream
        self._close = close
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(self, *exc: object) -> None:
        error = exc[1] if len(exc) > 1 else None
        ended = {"error": printable(f"{type(error).__name__}: {error}")} if error is not None else {}
        self._write("run_ended", **self._counts, wall_seconds=round(time.monotonic() - self._began, 3), **ended)
        if self._close:
            self._stream.close()

    def begin(self, files: int, size_bytes: int) -> None:
        self._write("run_started", files=files, bytes=size_bytes, process=os.getpid())

    def started(self, slot: int, task: FileTask) -> None:
        self._write("file_started", path=printable(task.path), worker=slot)

    def advanced(self, slot: int, frames: int, seconds: float) -> None: ...
    def finished(self, slot: int) -> None: ...

    def committed(self, result: FileResult, size_bytes: int) -> None:
        became = outcome(result)
        self._counts[became] += 1
        self._write(
            "file_committed",
            path=printable(result.path),
            outcome=became,
            media_id=result.staged.media_id,
            bytes=size_bytes,
            frames=result.frames,
            media_seconds=round(result.media_seconds, 3),
            wall_seconds=round(result.wall_seconds, 3),
            analyzers=result.analyzers_run,
            errors=[{"kind": e.kind, "analyzer": e.analyzer, "message": printable(e.message)} for e in result.errors],
        )

    def note(self, text: str) -> None:
        self._write("note", text=printable(text))

    def _write(self, event: str, **facts: Any) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._stream.write(json.dumps({"time": moment, "event": event, **facts}, ensure_ascii=False) + "\n")
        self._stream.flush()


class MetricsFile:
    """Keeps a file in Prometheus' text exposition format, for the node exporter's textfile collector.

    The file is replaced whole, at most every five seconds, when the run begins and when it ends.
    """

    def __init__(self, path: Path, every_seconds: float = METRICS_SECONDS) -> None:
        if not path.parent.is_dir():
            raise InvalidValue(f"{printable(path)}: the folder for the metrics file does not exist; make it first")
        self._path, self._every = path, every_seconds
        self._files: Counter[str] = Counter(dict.fromkeys(("analyzed", "unchanged", "failed"), 0))
        self._errors: Counter[str] = Counter()
        self._analyzers: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._in_hand: set[int] = set()
        self._planned = (0, 0)
        self._running = 0
        self._written = 0.0

    def __enter__(self) -> Self:
        self._started, self._running = time.time(), 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._running = 0
        self._in_hand.clear()
        self._write()

    def begin(self, files: int, size_bytes: int) -> None:
        self._planned = (files, size_bytes)
        self._write()

    def started(self, slot: int, task: FileTask) -> None:  # noqa: ARG002
        self._in_hand.add(slot)

    def advanced(self, slot: int, frames: int, seconds: float) -> None:  # noqa: ARG002
        self._write_if_due()

    def finished(self, slot: int) -> None:
        self._in_hand.discard(slot)

    def committed(self, result: FileResult, size_bytes: int) -> None:
        self._files[outcome(result)] += 1
        self._errors.update(e.kind for e in result.errors)
        self._analyzers.update(result.analyzer_seconds)  # type: ignore[arg-type]  # floats count too
        self._sums.update(
            {
                "frames": result.frames,
                "media_seconds": result.media_seconds,
                "file_seconds": result.wall_seconds,
                "bytes": size_bytes,
            }  # type: ignore[arg-type]
        )
        self._write_if_due()

    def note(self, text: str) -> None: ...

    def text(self) -> str:
        """The metrics as they stand."""
        sums, rows = self._sums, []

        def metric(name: str, kind: str, what: str, values: dict[str, float]) -> None:
            rows.append(f"# HELP mediaml_{name} {what}\n# TYPE mediaml_{name} {kind}")
            rows.extend(f"mediaml_{name}{labels} {value:.17g}" for labels, value in sorted(values.items()))

        def labelled(label: str, counts: Counter[str]) -> dict[str, float]:
            return {f'{{{label}="{_label(k)}"}}': float(v) for k, v in counts.items()}

        metric("run_active", "gauge", "1 while the run is at work", {"": self._running})
        metric("run_start_time_seconds", "gauge", "Start of the run, Unix time", {"": self._started})
        metric("last_write_time_seconds", "gauge", "When these metrics were written, Unix time", {"": time.time()})
        metric("files_planned", "gauge", "Files that were found", {"": self._planned[0]})
        metric("bytes_planned", "gauge", "Bytes of the files that were found", {"": self._planned[1]})
        metric("files_in_hand", "gauge", "Files being worked on", {"": len(self._in_hand)})
        metric("files_total", "counter", "Files committed, by outcome", labelled("outcome", self._files))
        metric("errors_total", "counter", "Errors, by kind", labelled("kind", self._errors))
        metric("frames_total", "counter", "Frames decoded", {"": sums["frames"]})
        metric("media_seconds_total", "counter", "Duration of the media committed", {"": sums["media_seconds"]})
        metric("file_seconds_total", "counter", "Wall time that files took", {"": sums["file_seconds"]})
        metric("bytes_total", "counter", "Bytes of the files committed", {"": sums["bytes"]})
        metric("analyzer_seconds_total", "counter", "Wall time inside analyzers", labelled("analyzer", self._analyzers))
        return "\n".join(rows) + "\n"

    def _write_if_due(self) -> None:
        if time.monotonic() - self._written >= self._every:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        temp = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temp.write_text(self.text(), encoding="utf-8")
            temp.replace(self._path)
        except OSError as error:
            temp.unlink(missing_ok=True)
            reason = error.strerror or str(error)
            raise InvalidValue(f"{printable(self._path)}: the metrics file cannot be written: {reason}") from error


def _label(value: str) -> str:
    """A label value as the text format escapes it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def listeners(shown: RunProgress, log_json: str | None, metrics: Path | None, stderr: IO[str]) -> RunProgress:
    """`shown` together with a JSON log ("-" for stderr, else a file that is appended to) and a metrics file.

    Raises InvalidValue: a file that cannot be opened.
    """
    found: list[RunProgress] = [shown]
    if log_json == "-":
        found.append(JsonLog(stderr))
    elif log_json is not None:
        try:
            found.append(JsonLog(Path(log_json).expanduser().open("a", encoding="utf-8"), close=True))
        except OSError as error:
            raise InvalidValue(
                f"{printable(log_json)}: the log cannot be written: {error.strerror or error}"
            ) from error
    if metrics is not None:
        found.append(MetricsFile(metrics.expanduser()))
    return shown if len(found) == 1 else Several(found)
