"""Runs files in worker processes on this machine. A worker that dies or overstays costs the file it held, nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from mediaml.engine.settings import Settings
from mediaml.engine.work import FileResult, FileTask, FileWorker, Identity
from mediaml.errors import LimitExceeded, MediaCrash, MediaError

FIRST_ANSWER_SECONDS = 600.0  # a worker imports torch before it answers: minutes where the machine is overloaded
POLL_SECONDS = 0.2
_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
}
"""glibc's allocator in workers: without these, what freed pictures leave behind grows with the length of a film."""


class Listener(Protocol):
    """What the caller learns while files are worked on."""

    def started(self, slot: int, task: FileTask) -> None: ...
    def advanced(self, slot: int, frames: int, seconds: float) -> None: ...
    def finished(self, slot: int) -> None: ...


Decide = Callable[[Identity], Sequence[str]]
Fail = Callable[[FileTask, MediaError], FileResult]


@dataclass(slots=True)
class _Slot:
    number: int
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    ready: bool = False
    task: FileTask | None = None
    began: float = field(default_factory=time.monotonic)


def run_files(
    tasks: Iterable[FileTask], settings: Settings, decide: Decide, fail: Fail, listener: Listener
) -> Iterator[FileResult]:
    """Yields a result for every task, in the order they end.

    `decide` runs here, in the calling process, so that it sees everything committed so far and every content in hand.
    `fail` turns a dead worker into a result.
    """
    if settings.workers == 0:
        yield from _run_here(tasks, settings, decide, listener)
        return
    pool = _Pool(settings, decide, fail, listener)
    try:
        yield from pool.run(deque(tasks))
    finally:
        pool.close()


def _run_here(
    tasks: Iterable[FileTask], settings: Settings, decide: Decide, listener: Listener
) -> Iterator[FileResult]:
    worker = FileWorker(settings)
    for task in tasks:
        listener.started(0, task)
        yield worker.process(task, decide, lambda frames, seconds: listener.advanced(0, frames, seconds))
        listener.finished(0)


class _Pool:
    def __init__(self, settings: Settings, decide: Decide, fail: Fail, listener: Listener) -> None:
        self.settings, self.decide, self.fail, self.listener = settings, decide, fail, listener
        self.slots: list[_Slot] = []
        self.waiting: deque[FileTask] = deque()

    def run(self, tasks: deque[FileTask]) -> Iterator[FileResult]:
        self.waiting = tasks
        self.slots = [self._spawn(i) for i in range(min(self.settings.workers, len(tasks)))]
        while self.waiting or any(s.task for s in self.slots):
            for slot in self.slots:
                self._give(slot)
            by_connection = {s.connection: s for s in self.slots}
            for connection in wait(list(by_connection), timeout=POLL_SECONDS):
                result = self._hear(by_connection[connection])  # type: ignore[index]
                if result is not None:
                    yield result
            for slot in self.slots:
                result = self._overdue(slot) or self._overweight(slot)
                if result is not None:
                    yield result

    def close(self) -> None:
        """Ends idle workers politely and busy ones at once; parts they staged but nobody committed stay invisible."""
        for slot in self.slots:
            if slot.task is None and slot.process.poll() is None:
                with contextlib.suppress(OSError):
                    slot.connection.send(None)
            else:
                slot.process.kill()
            slot.connection.close()
        for slot in self.slots:
            try:
                slot.process.wait(5)
            except subprocess.TimeoutExpired:
                slot.process.kill()
                slot.process.wait()

    def _spawn(self, number: int) -> _Slot:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "mediaml.engine.worker", str(theirs.fileno())]
        process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=_ALLOCATOR | os.environ,
        )
        theirs.close()
        connection: Connection[Any, Any] = Connection(ours.detach())
        connection.send(self.settings)
        return _Slot(number, process, connection)

    def _give(self, slot: _Slot) -> None:
        if slot.ready and slot.task is None and self.waiting:
            slot.task = self.waiting.popleft()
            slot.began = time.monotonic()
            self.listener.started(slot.number, slot.task)
            with contextlib.suppress(BrokenPipeError):  # a dead worker is heard of as end of file
                slot.connection.send(slot.task)

    def _hear(self, slot: _Slot) -> FileResult | None:
        try:
            word, value = slot.connection.recv()
        except (EOFError, ConnectionResetError):
            return self._died(slot)
        if word == "unable":
            raise value
        if word == "ready":
            slot.ready = True
        elif word == "identified":
            self._answer(slot, value)
        elif word == "progress":
            self.listener.advanced(slot.number, *value)
        elif word == "result":
            self.listener.finished(slot.number)
            slot.task = None
            return value
        return None

    def _answer(self, slot: _Slot, identity: Identity) -> None:
        with contextlib.suppress(BrokenPipeError):
            slot.connection.send(list(self.decide(identity)))

    def _died(self, slot: _Slot) -> FileResult | None:
        code = slot.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not slot.ready:
            raise RuntimeError(
                f"a worker process ended with {how} before it was ready; run with --workers 0 to see why"
            )
        return self._replace(slot, MediaCrash, f"its worker process ended with {how} (decoder fault or out of memory)")

    def _overdue(self, slot: _Slot) -> FileResult | None:
        limit = self.settings.file_timeout_seconds
        spent = time.monotonic() - slot.began
        if not slot.ready and spent > FIRST_ANSWER_SECONDS:
            raise RuntimeError(f"a worker process did not start within {FIRST_ANSWER_SECONDS:g} s")
        if limit is None or slot.task is None or spent <= limit:
            return None
        slot.process.kill()
        slot.process.wait()
        return self._replace(slot, LimitExceeded, f"took longer than the file timeout of {limit:g} s")

    def _overweight(self, slot: _Slot) -> FileResult | None:
        """Ends a worker before the system's own memory killer ends something else."""
        if slot.task is None:
            return None
        used, limit = resident_bytes(slot.process.pid), self.settings.memory_limit
        if used <= limit:
            return None
        slot.process.kill()
        slot.process.wait()
        reason = (
            f"its worker held {used / 1e9:.1f} GB of memory, more than the {limit / 1e9:.1f} GB allowed (--max-memory)"
        )
        return self._replace(slot, LimitExceeded, reason)

    def _replace(self, slot: _Slot, error: type[MediaError], reason: str) -> FileResult | None:
        task = slot.task
        slot.connection.close()
        self.slots[slot.number] = self._spawn(slot.number)
        self.listener.finished(slot.number)
        return self.fail(task, error(task.path, reason)) if task else None


def resident_bytes(process: int) -> int:
    """Resident memory of a process; 0 where the system does not tell (other than Linux)."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
