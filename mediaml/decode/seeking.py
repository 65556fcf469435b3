"""`seek`: jumps to each instant instead of reading the file from start to end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import chain
from math import inf
from typing import NamedTuple

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.clock import FrameClock
from mediaml.decode.formats import MATROSKA
from mediaml.decode.lanes import Lane
from mediaml.decode.lookahead import Lookahead
from mediaml.decode.problems import Problem
from mediaml.decode.report import DecodeReport
from mediaml.decode.video import Decoder, VideoPath

Reader = Callable[[], Iterator[av.Packet]]

_RETRIES = 8


class Placed(NamedTuple):
    """A frame and the interval over which it is shown, in seconds."""

    frame: av.VideoFrame
    start: float
    end: float


def key_times(container: InputContainer, stream: AvVideoStream, clock: FrameClock) -> list[float]:
    """Decoding times of the key frames in the container's index, in seconds, ascending; empty without an index."""
    if container.format.name == MATROSKA:  # its index often lies at the end of the file and is read by the first seek
        container.seek(0)
    return sorted(clock.seconds(entry.timestamp) for entry in stream.index_entries if entry.is_keyframe)


class Cursor:
    """The frame shown at a time, or one near it, by seeking to a key frame and decoding on from there.

    A seek goes to presentation times. Where it lands behind the target all the same (demuxers search decoding times), it
    is repeated further back. After a seek, pictures shown before the key frame lack their references and are dropped.
    `read` gives the packets from the current position on.
    """

    def __init__(
        self, container: InputContainer, decoder: Decoder, clock: FrameClock, report: DecodeReport, read: Reader
    ) -> None:
        self._container = container
        self._decoder = decoder
        self._clock = clock
        self._report = report
        self._read = read
        self._keys = key_times(container, decoder.stream, clock)
        self._frames: Iterator[Placed] = iter(())
        self._shown: Placed | None = None
        self._next: Placed | None = None
        self._position = -inf  # decoding time of the last packet sent
        self._until = -inf  # pictures that give way before this are not wanted

    def first(self) -> Placed | None:
        """The file's first frame."""
        self._roll_from(self._read(), None)
        self._advance()
        return self._shown

    def at(self, seconds: float, tolerance: float) -> Placed | None:
        """The frame shown at `seconds`, or a cheaper one at most `tolerance` away; None after the last frame."""
        slack = self._clock.slack_seconds
        low, high = seconds - tolerance, seconds + tolerance + slack
        self._until = low if tolerance else high
        if self._must_seek(seconds + slack, high):
            alone = self._seek(low, high, near=tolerance > 0)
            if alone is not None:
                return alone
        if tolerance:
            self._advance_to(low, high)
            if self._shown is not None and low <= self._shown.start <= high:
                return self._shown
        while self._next is not None and self._next.start <= seconds + slack:
            self._advance()
        shown = self._shown
        return shown if shown is not None and seconds + slack < shown.end else None

    def _advance_to(self, low: float, high: float) -> None:
        """To the first frame from `low` on, unless that lies behind `high`."""
        while self._next is not None and (self._shown is None or self._shown.start < low):
            if self._next.start > high and self._shown is not None:
                return
            self._advance()

    def _must_seek(self, seconds: float, high: float) -> bool:
        """Backwards, or where a key frame lies between here and the target."""
        if self._shown is None or self._shown.start > seconds:
            return True
        at = bisect_right(self._keys, high)
        return at > 0 and self._keys[at - 1] > self._position

    def _seek(self, low: float, high: float, *, near: bool) -> Placed | None:
        """Moves to the last key frame before `high`. Gives that frame itself if any frame from `low` on will do."""
        target = high
        for _ in range(_RETRIES):
            packets = self._jump(target)
            key = next(packets, None)
            alone = self._alone(key, low, high) if near else None
            if alone is not None:
                return alone
            self._roll_from(packets, key)
            if self._next is not None and self._next.start <= high:
                self._advance()
                return None
            landed = target if key is None or key.dts is None else min(target, self._clock.seconds(key.dts))
            target = landed - self._clock.period_seconds
        packets = self._jump(self._keys[0] if self._keys else 0.0)
        self._roll_from(packets, next(packets, None))
        self._advance()
        return None

    def _alone(self, key: av.Packet | None, low: float, high: float) -> Placed | None:
        """The key frame, decoded without anything after it, if it lies in [low, high]."""
        if key is None or key.pts is None or not key.is_keyframe or key.is_discard:
            return None
        if not low <= self._clock.seconds(key.pts) <= high:
            return None
        frames = self._decoder.decode_alone(key)
        if not frames:
            return None
        stamp = self._clock.stamp(frames[0])
        self._frames, self._shown, self._next = iter(()), None, None
        return Placed(frames[0], stamp.pts_seconds, stamp.pts_seconds + stamp.duration_seconds)

    def _jump(self, target: float) -> Iterator[av.Packet]:
        try:
            self._container.seek(round(target / self._decoder.time_base), stream=self._decoder.stream, backward=True)
        except FFmpegError as error:
            what = f"cannot seek to {target:.3f} s: {error.strerror or error}"
            self._report.problems.add(Problem(self._decoder.info.index, target, "seek_error", what))
        self._clock.restart()
        return self._read()

    def _roll_from(self, packets: Iterator[av.Packet], key: av.Packet | None) -> None:
        self._frames = self._roll(packets, key)
        self._shown = self._next = None
        self._position = -inf
        self._next = next(self._frames, None)

    def _advance(self) -> None:
        following = next(self._frames, None)
        if self._next is not None:
            end = self._next.end if following is None else following.start
            self._shown = Placed(self._next.frame, self._next.start, end)
        self._next = following

    def _roll(self, packets: Iterator[av.Packet], key: av.Packet | None) -> Iterator[Placed]:
        """Frames from here on; `key` is the packet after a seek, already taken from `packets`; None at the file's start."""
        ahead = Lookahead(self._clock)
        floor = -inf if key is None or key.pts is None else self._clock.seconds(key.pts)
        for packet in packets if key is None else chain((key,), packets):
            due = ahead.push(packet)
            if due is not None:
                yield from self._decode(due, ahead, floor)
        for packet in ahead.drain():
            yield from self._decode(packet, ahead, floor)
        for frame in self._decoder.flush():
            yield from self._placed(frame, floor)

    def _decode(self, packet: av.Packet, ahead: Lookahead, floor: float) -> Iterator[Placed]:
        if packet.dts is not None:
            self._position = self._clock.seconds(packet.dts)
        span = ahead.span(packet)
        self._decoder.skip("NONREF" if span is not None and span[1] <= self._until else "DEFAULT")
        for frame in self._decoder.decode(packet):
            yield from self._placed(frame, floor)

    def _placed(self, frame: av.VideoFrame, floor: float) -> Iterator[Placed]:
        if frame.pts is None or self._clock.seconds(frame.pts) >= floor:
            stamp = self._clock.stamp(frame)
            yield Placed(frame, stamp.pts_seconds, stamp.pts_seconds + stamp.duration_seconds)


def run_seek(cursor: Cursor, path: VideoPath, end_seconds: float | None, check: Callable[[], None]) -> None:
    """Serves every lane's instants in order of time. `check` raises where the consumer has gone."""
    first = cursor.first()
    if first is None:
        return
    path.begin(first.start)
    last = {id(lane): -inf for lane in path.lanes}
    active = list(path.lanes)
    while active:
        check()
        lane = min(active, key=lambda it: (it.instants.next_seconds, it.need.tolerance_seconds))
        at = lane.instants.next_seconds
        over = end_seconds is not None and lane.need.tolerance_seconds > 0 and at >= end_seconds and at > first.start
        placed = None if over else cursor.at(at, lane.need.tolerance_seconds)
        if placed is None:
            active.remove(lane)
            continue
        takers = [other for other in active if _serves(placed, other)]
        due = [taker for taker in takers if placed.start > last[id(taker)]]
        for taker in takers:
            last[id(taker)] = max(last[id(taker)], placed.start)
        path.give(due, placed.frame, placed.start, placed.end, -1)
    path.flush()


def _serves(placed: Placed, lane: Lane) -> bool:
    """Whether the frame will do for the lane's next instant; that instant is then served."""
    instants, tolerance = lane.instants, lane.need.tolerance_seconds
    at = instants.next_seconds
    if placed.start <= at + instants.slack_seconds < placed.end:
        return instants.serve(placed.end) if tolerance == 0 else instants.advance()
    if tolerance and abs(placed.start - at) <= tolerance + instants.slack_seconds:
        return instants.advance()
    return False
