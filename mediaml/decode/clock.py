"""The time of each decoded frame, in seconds on the file's own timeline, ascending whatever the file says."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import av

from mediaml.decode.problems import Problem, ProblemLog
from mediaml.media import VideoStream

_MAX_SLACK_SECONDS = 0.001
_JUMP_SECONDS = 1.0


class Stamp(NamedTuple):
    """pts and the duration that the container states, both in seconds."""

    pts_seconds: float
    duration_seconds: float


class FrameClock:
    """Reads timestamps exactly (ticks times time base, rounded once) and repairs those that no timeline can have.

    missing    pts, else dts, else where the frame before ends; a file without any (raw H.264) starts at 0
    AVI        holds no presentation times, so what FFmpeg guesses is not looked at: output order is timed by dts, and
               the last frames, which have none, by the step before them
    backwards  by more than a second: the timeline goes on from the frame before. By less (a damaged timestamp): half a
               frame period after the frame before, until the file's timestamps have caught up
    Each kind of repair is reported once a run of consecutive frames.

    `slack_seconds` is half a tick of the time base (at most 1 ms): by how much a container may have rounded a timestamp.
    """

    def __init__(self, stream: VideoStream, time_base: Fraction, problems: ProblemLog, *, by_dts: bool = False) -> None:
        rate = stream.frame_rate or stream.frame_rate_nominal or 25.0
        self.period_seconds = 1.0 / rate if rate > 0 else 0.04
        self.slack_seconds = min(float(time_base) / 2, _MAX_SLACK_SECONDS) + 1e-9
        self._num, self._den = time_base.numerator, time_base.denominator
        self._index = stream.index
        self._problems = problems
        self._by_dts = by_dts
        self._last: Stamp | None = None
        self._shift = 0.0
        self._step = self.period_seconds
        self._repairing = ""

    def seconds(self, ticks: int) -> float:
        return ticks * self._num / self._den

    def restart(self) -> None:
        """After a seek: the next frame may lie anywhere."""
        self._last = None

    def stamp(self, frame: av.VideoFrame) -> Stamp:
        """The frame's time; frames must come in display order."""
        ticks, length = None if self._by_dts else frame.pts, frame.duration
        if ticks is None:
            ticks = frame.dts
        self._last = Stamp(self._place(ticks), self.seconds(length) if length else self.period_seconds)
        return self._last

    def _place(self, ticks: int | None) -> float:
        last = self._last
        if ticks is None:
            if last is None:
                return 0.0
            if not self._by_dts:
                now = last.pts_seconds + last.duration_seconds
                self._report(
                    "timestamp_missing", now, "no timestamp; frames follow each other by their stated duration"
                )
                return now
            return last.pts_seconds + self._step
        stated = self.seconds(ticks)
        now = stated + self._shift
        if last is None or now > last.pts_seconds:
            self._repairing = ""
            self._step = self._step if last is None else now - last.pts_seconds
            return now
        back = last.pts_seconds - now
        repaired = last.pts_seconds + self.period_seconds * (1.0 if back > _JUMP_SECONDS else 0.5)
        if back > _JUMP_SECONDS:
            self._shift += repaired - now
        self._report(
            "timestamp_backwards",
            repaired,
            f"timestamp {stated:.3f} s lies {back:.3f} s back; taken as {repaired:.3f} s",
        )
        return repaired

    def _report(self, kind: str, seconds: float, message: str) -> None:
        if self._repairing != kind:
            self._problems.add(Problem(self._index, seconds, kind, message))
        self._repairing = kind
