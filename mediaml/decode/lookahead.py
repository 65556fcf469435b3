"""Looks at packets before they are decoded, so that each one's place in display order is known in time."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from math import inf

import av

from mediaml.decode.clock import FrameClock

_MAX_REORDER_SECONDS = 1.0  # a larger step back is a new timeline
LOOKAHEAD_PACKETS = 32  # H.264 and HEVC reorder over at most 16 pictures


class Lookahead:
    """Delays the packets of one video stream by `LOOKAHEAD_PACKETS`.

    By then every picture that is shown soon after a packet's own has been seen, so the time at which the packet's picture
    gives way to the next is known exactly, also where the frame rate varies.
    """

    def __init__(self, clock: FrameClock) -> None:
        self._clock = clock
        self._waiting: deque[av.Packet] = deque()
        self._times: list[float] = []  # of pictures seen and not yet passed, ascending
        self._latest = -inf
        self.complete = True  # False once a packet came without a timestamp, or timestamps started over

    def push(self, packet: av.Packet) -> av.Packet | None:
        """Takes the next packet in file order; gives the one that is due, if any."""
        self._waiting.append(packet)
        if packet.pts is None:
            self.complete = False
        elif not packet.is_discard:
            seconds = self._clock.seconds(packet.pts)
            self.complete = self.complete and seconds > self._latest - _MAX_REORDER_SECONDS
            self._latest = max(self._latest, seconds)
            insort(self._times, seconds)
        return self._waiting.popleft() if len(self._waiting) > LOOKAHEAD_PACKETS else None

    def drain(self) -> list[av.Packet]:
        """The packets still held, at the end of the stream."""
        rest = list(self._waiting)
        self._waiting.clear()
        return rest

    def span(self, packet: av.Packet) -> tuple[float, float] | None:
        """(shown at, gives way at) of the packet's picture, in seconds; None where timestamps do not say."""
        if packet.pts is None or not self.complete:
            return None
        start = self._clock.seconds(packet.pts)
        end = self.following(start)
        return None if end is None else (start, end)

    def following(self, seconds: float) -> float | None:
        """When the picture after the one shown at `seconds` is shown."""
        at = bisect_right(self._times, seconds)
        return self._times[at] if at < len(self._times) else None

    def forget_before(self, seconds: float) -> None:
        """No question about earlier times will come."""
        del self._times[: bisect_right(self._times, seconds) - 1]
