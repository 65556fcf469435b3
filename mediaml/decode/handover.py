"""A queue between the decode thread and its consumer, bounded in bytes."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The consumer has gone."""


class Handover(Generic[T]):
    """`put` waits while `limit_bytes` are queued; an item larger than the limit passes alone. One producer, one consumer."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.peak_bytes = 0
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._closed = False
        self.stopped = False  # the consumer has gone; for looking at
        self._error: BaseException | None = None

    def put(self, item: T, size: int) -> None:
        """Raises Stopped once the consumer has called `stop`."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or not self._items or self._bytes + size <= self.limit_bytes)
            if self.stopped:
                raise Stopped
            self._items.append((item, size))
            self._bytes += size
            self.peak_bytes = max(self.peak_bytes, self._bytes)
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """By the producer: nothing follows. `error` is raised in the consumer after the items already queued."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """By the consumer: nothing more is wanted; what is queued is dropped."""
        with self._changed:
            self.stopped = True
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()

    def get(self) -> T | None:
        """The next item; None at the end. Raises the producer's error."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed or self.stopped)
            if self._items:
                item, size = self._items.popleft()
                self._bytes -= size
                self._changed.notify_all()
                return item
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None
