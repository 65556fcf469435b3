"""What happens to the video packets of a file that is read from start to end: three ways to decode less or all of it."""

from __future__ import annotations

from typing import Protocol

import av

from mediaml.decode.clock import Stamp
from mediaml.decode.lanes import Lane
from mediaml.decode.lookahead import Lookahead
from mediaml.decode.problems import Problem
from mediaml.decode.report import DecodeReport
from mediaml.decode.video import Decoder, VideoPath


class VideoReader(Protocol):
    """Takes the video packets of a file in order."""

    def packet(self, packet: av.Packet) -> None: ...

    def finish(self) -> float | None:
        """The end of the stream; gives the time at which the last picture ends, where every picture was looked at."""
        ...


class EveryFrame:
    """`sequential`."""

    def __init__(self, decoder: Decoder, path: VideoPath) -> None:
        self._decoder = decoder
        self._path = path

    def packet(self, packet: av.Packet) -> None:
        for frame in self._decoder.decode(packet):
            self._path.push(frame)

    def finish(self) -> float | None:
        for frame in self._decoder.flush():
            self._path.push(frame)
        return self._path.finish()


class ReferenceFrames:
    """`reference_only`: a non-reference picture is decoded only if it is the one shown at an instant of some lane."""

    def __init__(self, decoder: Decoder, path: VideoPath) -> None:
        self._decoder = decoder
        self._path = path
        self._ahead = Lookahead(path.clock)
        self._begun = False
        self._last: tuple[av.VideoFrame, Stamp] | None = None

    def packet(self, packet: av.Packet) -> None:
        due = self._ahead.push(packet)
        if due is not None:
            self._decode(due)

    def finish(self) -> float | None:
        for packet in self._ahead.drain():
            self._decode(packet)
        for frame in self._decoder.flush():
            self._show(frame)
        if self._last is None:
            return None
        frame, stamp = self._last
        end = stamp.pts_seconds + stamp.duration_seconds
        self._path.show(frame, stamp, end, -1)
        self._path.flush()
        return end

    def _decode(self, packet: av.Packet) -> None:
        span = self._ahead.span(packet) if self._begun else None
        wanted = span is None or any(lane.instants.covers(*span) for lane in self._path.lanes)
        self._decoder.skip("DEFAULT" if wanted else "NONREF")
        for frame in self._decoder.decode(packet):
            self._show(frame)

    def _show(self, frame: av.VideoFrame) -> None:
        stamp = self._path.clock.stamp(frame)
        if not self._begun:
            self._begun = True
            self._path.begin(stamp.pts_seconds)
        if self._last is not None:
            before = self._last[1].pts_seconds
            following = self._ahead.following(before) if self._ahead.complete else None
            self._path.show(*self._last, stamp.pts_seconds if following is None else following, -1)
            self._ahead.forget_before(before)
        self._last = (frame, stamp)


class KeyFrames:
    """`key_only`: each instant gets the nearest key frame, if that lies within its need's tolerance."""

    def __init__(self, decoder: Decoder, path: VideoPath, report: DecodeReport) -> None:
        self._decoder = decoder
        self._path = path
        self._report = report
        self._before: tuple[av.VideoFrame, Stamp] | None = None
        self._given: dict[int, float] = {}  # lane -> pts of its last frame
        self._end = 0.0

    def packet(self, packet: av.Packet) -> None:
        if packet.pts is not None:
            length = packet.duration or 0
            self._end = max(self._end, self._path.clock.seconds(packet.pts + length))
        if not packet.is_keyframe or packet.is_discard:
            return
        for frame in self._decoder.decode_alone(packet):
            stamp = self._path.clock.stamp(frame)
            if self._before is None:
                self._path.begin(stamp.pts_seconds)
            self._serve(stamp.pts_seconds, (frame, stamp))
            self._before = (frame, stamp)

    def finish(self) -> float | None:
        if self._before is not None:
            stamp = self._before[1]
            self._serve(max(self._end, stamp.pts_seconds + stamp.duration_seconds), None)
        self._path.flush()
        return self._end

    def _serve(self, until: float, after: tuple[av.VideoFrame, Stamp] | None) -> None:
        """Serves each lane's instants before `until` with the key frame before or after them, whichever is nearer."""
        for lane in self._path.lanes:
            while lane.instants.next_seconds + lane.instants.slack_seconds < until:
                at = lane.instants.next_seconds
                choices = [c for c in (self._before, after) if c is not None]
                if not choices:
                    return
                nearest = min(choices, key=lambda c: abs(c[1].pts_seconds - at))
                self._give(lane, nearest, at)
                lane.instants.advance()

    def _give(self, lane: Lane, choice: tuple[av.VideoFrame, Stamp], at: float) -> None:
        frame, stamp = choice
        if abs(stamp.pts_seconds - at) > lane.need.tolerance_seconds + lane.instants.slack_seconds:
            message = f"no key frame within {lane.need.tolerance_seconds:g} s; {lane.need} has no frame here"
            self._report.problems.add(Problem(self._decoder.info.index, at, "no_frame_in_tolerance", message))
        elif self._given.get(id(lane)) != stamp.pts_seconds:
            self._given[id(lane)] = stamp.pts_seconds
            self._path.give([lane], frame, stamp.pts_seconds, stamp.pts_seconds + stamp.duration_seconds, -1)
