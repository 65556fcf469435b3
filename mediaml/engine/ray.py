"""Runs files on a Ray cluster, with the same worker, the same decisions and the same commits as `mediaml.engine.local`.

An actor keeps the models of one process (`FileWorker`). A task is one file, or a group of small ones, so that short clips
do not wait for messages. Only paths, identities and the names of staged parts travel; frames and rows never enter the
object store: an actor writes its parts into the lake itself, and the driver makes them visible by its commit.

Backpressure: an actor holds one group at a time, and the driver takes its result before it gives the next. A lost actor
(node gone, out of memory, decoder fault) is replaced; the files of its group are tried again one by one, each once: the
file that kills its actor twice is recorded as `media_crash`, the others are done.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediaml.engine.local import Decide, Fail, Listener
from mediaml.engine.settings import Settings
from mediaml.engine.work import FileResult, FileTask, FileWorker, Identity
from mediaml.errors import LimitExceeded, MediaCrash, MediaError, UsageError

GROUP_FILES = 8
GROUP_BYTES = 16 << 20
POLL_SECONDS = 1.0
ATTEMPTS = 2
PASSED_ON = ("MEDIAML_", "AWS_", "FSSPEC_", "OMP_NUM_THREADS", "GOOGLE_APPLICATION_CREDENTIALS")
"""Environment variables (or beginnings of their names) that actors get."""


class RayWorker:
    """The body of an actor."""

    def __init__(self, settings: Settings) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._worker = FileWorker(settings)

    def identify(self, tasks: Sequence[FileTask]) -> list[Identity | FileResult]:
        """What each path holds, or the result of a file that cannot be read."""
        return [self._worker.identify(task) for task in tasks]

    def work(self, orders: Sequence[tuple[Identity, Sequence[str]]]) -> list[FileResult]:
        """The results of identified files."""
        return [self._worker.work(identity, wanted) for identity, wanted in orders]

    def process_id(self) -> int:
        """Of the actor, for those who watch it."""
        return os.getpid()


@dataclass(slots=True)
class _Group:
    tasks: list[FileTask]
    attempt: int = 1


@dataclass(slots=True)
class _Slot:
    number: int
    actor: Any
    group: _Group | None = None
    pending: Any = None  # the object reference in hand
    identified: bool = False
    done: list[FileResult] = field(default_factory=list)
    began: float = 0.0


def run_files(
    tasks: Iterable[FileTask], settings: Settings, decide: Decide, fail: Fail, listener: Listener
) -> Iterator[FileResult]:
    """Yields a result for every task, in the order they end. Same terms as `mediaml.engine.local.run_files`.

    Raises UsageError: Ray is not installed, or there is no cluster at the address.
    """
    ray = _connect(settings)
    pool = _Pool(ray, settings, decide, fail, listener)
    try:
        yield from pool.run(deque(grouped(tasks)))
    finally:
        pool.close()
        if settings.ray_address is None:
            ray.shutdown()


def grouped(tasks: Iterable[FileTask], files: int = GROUP_FILES, size_bytes: int = GROUP_BYTES) -> Iterator[_Group]:
    """Groups of at most `files` small files in order; a file of `size_bytes` or more is a group of its own.

    The groups grow smaller towards the end, so that the last ones do not keep one actor busy while the others wait.
    """
    every = list(tasks)
    now: list[FileTask] = []
    size = 0
    for i, task in enumerate(every):
        own = _size(task)
        most = max(1, min(files, (len(every) - i) // (4 * files) + 1))
        if now and (len(now) >= most or size + own > size_bytes):
            yield _Group(now)
            now, size = [], 0
        now.append(task)
        size += own
    if now:
        yield _Group(now)


def _size(task: FileTask) -> int:
    try:
        return task.path.stat().st_size
    except OSError:
        return 0


def _connect(settings: Settings) -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray; run: pip install 'mediaml[ray]'") from error
    passed = {k: v for k, v in os.environ.items() if k.startswith(PASSED_ON)}
    given: dict[str, Any] = {"runtime_env": {"env_vars": passed}, "log_to_driver": False, "logging_level": "ERROR"}
    try:
        if settings.ray_address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(num_cpus=settings.workers, include_dashboard=False, object_store_memory=100 << 20, **given)
        else:
            ray.init(address=settings.ray_address, ignore_reinit_error=True, **given)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = settings.ray_address or "this machine"
        raise UsageError(f"Ray cannot be reached at {where}: {error}; start one with: ray start --head") from error
    return ray


class _Pool:
    def __init__(self, ray: Any, settings: Settings, decide: Decide, fail: Fail, listener: Listener) -> None:
        self.ray, self.settings = ray, settings
        self.decide, self.fail, self.listener = decide, fail, listener
        self.slots: list[_Slot] = []
        self.waiting: deque[_Group] = deque()

    def run(self, groups: deque[_Group]) -> Iterator[FileResult]:
        self.waiting = groups
        self.slots = [_Slot(i, self._actor()) for i in range(min(self.settings.workers, len(groups)))]
        while self.waiting or any(s.group for s in self.slots):
            for slot in self.slots:
                if slot.group is None and self.waiting:
                    self._give(slot, self.waiting.popleft())
            pending = {s.pending: s for s in self.slots if s.group}
            ready, _ = self.ray.wait(list(pending), num_returns=1, timeout=POLL_SECONDS)
            for reference in ready:
                yield from self._hear(pending[reference])
            for slot in self.slots:
                yield from self._overdue(slot)

    def close(self) -> None:
        for slot in self.slots:
            self.ray.kill(slot.actor)

    def _actor(self) -> Any:
        gpus = 1 if self.settings.device == "cuda" else 0
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "max_task_retries": 0}
        return self.ray.remote(RayWorker).options(**options).remote(self.settings)

    def _give(self, slot: _Slot, group: _Group) -> None:
        slot.group, slot.identified, slot.done = group, False, []
        slot.began = time.monotonic()
        self.listener.started(slot.number, group.tasks[0])
        slot.pending = slot.actor.identify.remote(group.tasks)

    def _hear(self, slot: _Slot) -> Iterator[FileResult]:
        group = slot.group
        if group is None:
            return
        try:
            answer = self.ray.get(slot.pending)
        except self.ray.exceptions.RayActorError as error:
            yield from self._lost(slot, MediaCrash, f"its Ray worker was lost: {type(error).__name__}")
            return
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        if slot.identified:
            yield from self._end(slot, [*slot.done, *answer])
            return
        slot.done = [a for a in answer if isinstance(a, FileResult)]
        orders = [(a, list(self.decide(a))) for a in answer if isinstance(a, Identity)]
        slot.identified = True
        slot.pending = slot.actor.work.remote(orders)

    def _end(self, slot: _Slot, results: Sequence[FileResult]) -> Iterator[FileResult]:
        slot.group = slot.pending = None
        self.listener.finished(slot.number)
        yield from results

    def _overdue(self, slot: _Slot) -> Iterator[FileResult]:
        limit = self.settings.file_timeout_seconds
        if slot.group is None or limit is None:
            return
        allowed = limit * len(slot.group.tasks)
        if time.monotonic() - slot.began > allowed:
            slot.group.attempt = max(slot.group.attempt, ATTEMPTS)
            yield from self._lost(slot, LimitExceeded, f"took longer than the file timeout of {limit:g} s")

    def _lost(self, slot: _Slot, error: type[MediaError], reason: str) -> Iterator[FileResult]:
        """A new actor; the group's files are tried again one by one, or given up after the last attempt."""
        group = slot.group
        self.ray.kill(slot.actor)
        slot.actor = self._actor()
        if group is None:
            return
        if len(group.tasks) > 1 or group.attempt < ATTEMPTS:
            attempt = 1 if len(group.tasks) > 1 else group.attempt + 1
            self.waiting.extendleft(_Group([t], attempt) for t in reversed(group.tasks))
            yield from self._end(slot, [])
        else:
            task = group.tasks[0]
            yield from self._end(slot, [self.fail(task, error(task.path, reason))])
