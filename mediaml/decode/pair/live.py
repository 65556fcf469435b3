"""A file that is decoded while others look on: what alignment knows of each frame, and the frames until wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread

from mediaml.decode.alignment.signal import Signal, SignalRows
from mediaml.decode.frame_reader import TimedFrame, VideoFile, read_frames
from mediaml.decode.kept import frame_bytes
from mediaml.decode.report import DecodeReport

_PADDED, _SPARE = 2.5, 1.5  # times what a frame should take; times what the room should


class LiveFrames:
    """A thread decodes the file, at most `room` frames ahead of whoever takes them. Frames are given away by `take` once they
    are released; after `drain` no more are kept, and the file is decoded to its end for its signal alone.

    `expected_bytes` is what a frame should take. Where the first takes 2.5 times that (lines are padded), or all that wait
    half as much again as the first would have them, nothing is kept any more.
    """

    usable = True

    def __init__(self, file: VideoFile, room: int, expected_bytes: float, max_pixels: int | None) -> None:
        self.report = DecodeReport()
        self._rows = SignalRows(file, self.report)
        self._file, self._max_pixels = file, max_pixels
        self._room, self._expected_bytes, self._limit_bytes = room, expected_bytes, 0.0
        self._frames: deque[TimedFrame] = deque()
        self._bytes = 0
        self._released = 0
        self._draining = self._left = self._stopped = self._ended = False
        self._error: BaseException | None = None
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="mediaml pair decode", daemon=True)
        self._thread.start()

    def wait_for(self, count: int) -> int:
        """How many frames have been decoded, once that is `count` or all; none where frames are no longer kept."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._rows) >= count or self._ended or self._draining or self._stopped)
            broken = self._draining or self._stopped or self._error is not None
            return 0 if broken else len(self._rows)

    def kept(self) -> tuple[TimedFrame, ...]:
        """The frames that wait."""
        with self._changed:
            return tuple(self._frames)

    def signal(self, start: int = 0, stop: int | None = None) -> Signal:
        """Of frames that have been decoded; of all, decoded to the end, where nothing is said. Raises MediaError."""
        if stop is None:
            self._thread.join()
            if self._error is not None:
                raise self._error
        with self._changed:
            return self._rows.signal(start, stop)

    def release(self, count: int) -> None:
        """Lets the first `count` frames of the file be taken."""
        with self._changed:
            self._released = max(self._released, count)
            self._changed.notify_all()

    def take(self) -> Iterator[TimedFrame]:
        """The released frames, once each, waiting for more until `drain`, `leave` or `close`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready() or self._draining or self._left)
                if self._left or not self._ready():
                    return
                timed = self._frames.popleft()
                self._bytes -= frame_bytes(timed.frame)
                self._changed.notify_all()
            yield timed

    def leave(self) -> None:
        """Ends `take`, until `reopen`. Before `drain` nothing will be taken any more, so that nothing is kept."""
        with self._changed:
            self._left = True
            if not self._draining:
                self._released = 0
                self._drain(forget=True)
            self._changed.notify_all()

    def reopen(self, count: int) -> None:
        """Lets frames up to `count` be taken by somebody else, after `drain`."""
        self._left = False
        self.release(count)

    def drain(self, *, forget: bool) -> None:
        """Keeps no more frames. Those that wait and are not released may still be, or are forgotten."""
        with self._changed:
            self._drain(forget)

    def holds(self, first: int, last: int) -> bool:
        """Whether these frames and all between wait; after `drain`."""
        with self._changed:
            return bool(self._frames) and self._frames[0].index <= first and last <= self._frames[-1].index

    def close(self) -> None:
        """Stops decoding."""
        with self._changed:
            self._stopped = self._left = True
            self._frames.clear()
            self._changed.notify_all()
        self._thread.join()

    def _ready(self) -> bool:
        return bool(self._frames) and self._frames[0].index < self._released

    def _drain(self, forget: bool) -> None:
        self._draining = True
        while forget and self._frames and self._frames[-1].index >= self._released:
            self._bytes -= frame_bytes(self._frames.pop().frame)
        self._changed.notify_all()

    def _run(self) -> None:
        try:
            for timed in read_frames(self._file, self.report, max_pixels=self._max_pixels):
                with self._changed:
                    self._changed.wait_for(lambda: len(self._frames) < self._room or self._draining or self._stopped)
                if self._stopped:
                    break
                self._add(timed)
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _add(self, timed: TimedFrame) -> None:
        row = self._rows.row(timed)
        with self._changed:
            self._rows.append(row)
            if not self._draining:
                size = frame_bytes(timed.frame)
                if timed.index == 0 and size <= _PADDED * self._expected_bytes:
                    self._limit_bytes = _SPARE * self._room * size
                self._frames.append(timed)
                self._bytes += size
                if self._bytes > self._limit_bytes:
                    self._drain(forget=True)
            self._changed.notify_all()
