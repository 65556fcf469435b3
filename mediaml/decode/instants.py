"""The instants at which a lane wants a frame: k / fps from the first frame on."""

from __future__ import annotations

from math import ceil


class Instants:
    """Walks the instants in order. A frame shown over [start, end) is due when an instant not yet served lies in it.

    `slack_seconds` forgives what the container rounded: without it, sampling a 1 ms time base at its own frame rate would
    lose frames. fps None asks for every frame.
    """

    def __init__(self, fps: float | None, slack_seconds: float) -> None:
        self.fps = fps
        self.slack_seconds = slack_seconds
        self._origin: float | None = None
        self._next = 0

    def begin(self, first_pts_seconds: float) -> None:
        """The first frame's time is instant 0."""
        if self._origin is None:
            self._origin = first_pts_seconds

    @property
    def next_seconds(self) -> float:
        """The earliest instant not yet served; needs `begin` and an fps."""
        if self._origin is None or self.fps is None:
            raise ValueError("no instants before the first frame, and none for a lane of every frame")
        return self._origin + self._next / self.fps

    def covers(self, start_seconds: float, end_seconds: float) -> bool:
        """Whether a frame shown over [start, end) is wanted. Serves nothing."""
        if self.fps is None or self._origin is None:
            return True
        first = max(self._next, ceil((start_seconds - self.slack_seconds - self._origin) * self.fps))
        return self._origin + first / self.fps + self.slack_seconds < end_seconds

    def serve(self, end_seconds: float) -> bool:
        """Serves every instant before `end_seconds`; whether there was one. Frames must come in order."""
        if self.fps is None:
            return True
        if self._origin is None:
            raise ValueError("no instants before the first frame")
        after = max(self._next, ceil((end_seconds - self.slack_seconds - self._origin) * self.fps))
        due, self._next = after > self._next, after
        return due

    def advance(self) -> bool:
        """Serves the next instant alone."""
        self._next += 1
        return True
