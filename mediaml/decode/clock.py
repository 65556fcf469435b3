"""The time of each decoded frame, in seconds on the file's own timeline, ascending whatever the file says."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import av

from mediaml.decode.problems import Problem, ProblemLog
from mediaml.media import VideoStream

_MAX_SLACK_SECONDS = 0.001


class Stamp(NamedTuple):
    """pts and the duration that the container states, both in seconds."""

    pts_seconds: float
    duration_seconds: float


class FrameClock:
    """Reads timestamps exactly (ticks times time base, rounded once) and repairs those that no timeline can have.

    missing    pts, else dts, else the frame before plus one frame period; a file without any (raw H.264) starts at 0
    backwards  a frame not later than the one before: the timeline goes on from there by one frame period
    Each kind of repair is reported once a run of consecutive frames.

    `slack_seconds` is half a tick of the time base (at most 1 ms): by how much a container may have rounded a timestamp.
    """

    def __init__(self, stream: VideoStream, time_base: Fraction, problems: ProblemLog) -> None:
        rate = stream.frame_rate_nominal or stream.frame_rate or 25.0
        self.period_seconds = 1.0 / rate if rate > 0 else 0.04
        self.slack_seconds = min(float(time_base) / 2, _MAX_SLACK_SECONDS) + 1e-9
        self._num, self._den = time_base.numerator, time_base.denominator
        self._index = stream.index
        self._problems = problems
        self._last: float | None = None
        self._shift = 0.0
        self._repairing = ""

    def seconds(self, ticks: int) -> float:
        return ticks * self._num / self._den

    def restart(self) -> None:
        """After a seek: the next frame may lie anywhere."""
        self._last = None

    def stamp(self, frame: av.VideoFrame) -> Stamp:
        """The frame's time; frames must come in display order."""
        ticks = frame.pts if frame.pts is not None else frame.dts
        duration = frame.duration * self._num / self._den if frame.duration else self.period_seconds
        last = self._last
        if ticks is None:
            now = 0.0 if last is None else last + self.period_seconds
            self._report("timestamp_missing", now, f"no timestamp; taken from {1 / self.period_seconds:g} frames/s")
        else:
            now = self.seconds(ticks) + self._shift
            if last is not None and now <= last:
                stated, now = now, last + self.period_seconds
                self._shift += now - stated
                what = f"timestamp {stated:.3f} s is not after {last:.3f} s"
                self._report("timestamp_backwards", now, f"{what}; taken as {now:.3f} s")
            else:
                self._repairing = ""
        self._last = now
        return Stamp(now, duration)

    def _report(self, kind: str, seconds: float, message: str) -> None:
        if self._repairing != kind:
            self._problems.add(Problem(self._index, seconds, kind, message))
        self._repairing = kind
