"""One video stream's packets -> decoded frames with their times -> the lanes that want them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
from av.error import FFmpegError
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.clock import FrameClock, Stamp
from mediaml.decode.coded import export_coding, quantiser_reader
from mediaml.decode.lanes import Lane, PictureMaker, Shown
from mediaml.decode.problems import Problem
from mediaml.decode.report import DecodeReport
from mediaml.errors import LimitExceeded
from mediaml.frames import FrameBatch
from mediaml.media import VideoStream
from mediaml.spec import Need

Emit = Callable[[Need, FrameBatch], None]
_FLUSH_TRIES = 64
_TELLS_WHEN_ASKED = {"hevc"}  # FFmpeg's decoder passes over errors unless asked; it gives as many pictures then


class Decoder:
    """A codec context, single-threaded, whose faults become problems."""

    def __init__(
        self,
        path: str,
        stream: AvVideoStream,
        info: VideoStream,
        report: DecodeReport,
        max_pixels: int | None,
        *,
        coding: bool = False,
    ) -> None:
        """`coding`: pictures carry what `coded.coded_facts` reads."""
        self.info = info
        self.stream = stream
        self.time_base = Fraction(stream.time_base or Fraction(1, 90000))
        self._path = path
        self._report = report
        self._max_pixels = max_pixels
        self._context = stream.codec_context
        self._context.thread_count = 1
        self._context.thread_type = "NONE"  # type: ignore[assignment]
        if info.codec in _TELLS_WHEN_ASKED:
            self._context.options = {**self._context.options, "err_detect": "explode"}
        self._seen: tuple[int, int] | None = None
        self._coding = coding
        self._quantiser = quantiser_reader(info.codec, self._context.extradata) if coding else None
        if coding:
            export_coding(self._context)

    def skip(self, frames: str) -> None:
        """FFmpeg's skip_frame from the next packet on: "DEFAULT", "NONREF", "NONKEY"."""
        self._context.skip_frame = frames  # type: ignore[assignment]

    def decode(self, packet: av.Packet) -> Sequence[av.VideoFrame]:
        """Frames that `packet` completes, in display order."""
        if self._coding:
            quantiser = math.nan if self._quantiser is None else self._quantiser.quantiser(bytes(packet))
            packet.opaque = float(packet.size), quantiser  # a new object each: PyAV keeps by identity
        try:
            return self._checked(self._context.decode(packet))
        except FFmpegError as error:
            ticks = packet.pts if packet.pts is not None else packet.dts
            at = None if ticks is None else float(ticks * self.time_base)
            self._fault(at, error, float((packet.duration or 0) * self.time_base))
            return ()

    def flush(self) -> list[av.VideoFrame]:
        """What the decoder still holds, at the end of the stream."""
        frames: list[av.VideoFrame] = []
        for _ in range(_FLUSH_TRIES):
            try:
                frames += self._checked(self._context.decode(None))
                break
            except EOFError:
                break
            except FFmpegError as error:
                self._fault(None, error)
        return frames

    def decode_alone(self, packet: av.Packet) -> list[av.VideoFrame]:
        """The picture of a key packet, without waiting for those that follow; the decoder then forgets everything."""
        self.skip("DEFAULT")
        frames = [*self.decode(packet), *self.flush()]
        self._context.flush_buffers()
        return frames

    def _checked(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        self._report.frames_decoded += len(frames)
        for frame in frames:
            size = (frame.width, frame.height)
            if size != self._seen:
                self._check_size(size)
            if frame.is_corrupt:
                at = None if frame.pts is None else float(frame.pts * self.time_base)
                lasts = float((frame.duration or 0) * self.time_base)
                self._problem(at, "corrupt_frame", "decoded with faults that were concealed", lasts)
        return frames

    def _check_size(self, size: tuple[int, int]) -> None:
        if self._max_pixels is not None and size[0] * size[1] > self._max_pixels:
            raise LimitExceeded(
                self._path,
                f"pictures of {size[0]}x{size[1]} exceed the limit of {self._max_pixels} pixels; "
                "raise the limit to analyse it",
            )
        self._seen = size

    def _fault(self, seconds: float | None, error: FFmpegError, lasts: float = 0.0) -> None:
        self._problem(seconds, "decode_error", f"{self.info.codec}: {error.strerror or error}", lasts)

    def _problem(self, seconds: float | None, kind: str, message: str, lasts: float) -> None:
        end = None if seconds is None else seconds + lasts
        self._report.problems.add(Problem(self.info.index, seconds, kind, message, end))


class VideoPath:
    """Hands decoded frames to lanes; holds one frame back, because only the next one says how long it is shown."""

    def __init__(
        self,
        info: VideoStream,
        needs: Sequence[Need],
        clock: FrameClock,
        report: DecodeReport,
        emit: Emit,
        pictures: PictureMaker,
    ) -> None:
        self.lanes = [Lane(need, clock.slack_seconds, info) for need in needs]
        self.clock = clock
        self._pictures = pictures
        self._report = report
        self._emit = emit
        self._looks_back = any(lane.need.previous for lane in self.lanes)
        self._held: tuple[av.VideoFrame, Stamp] | None = None
        self._before: av.VideoFrame | None = None
        self._count = 0
        self._info = info
        self._approximated = False

    def push(self, frame: av.VideoFrame) -> None:
        """The next frame in display order, none left out."""
        stamp = self.clock.stamp(frame)
        if self._held is None:
            self.begin(stamp.pts_seconds)
        else:
            self._show_held(stamp.pts_seconds)
        self._held = (frame, stamp)

    def finish(self) -> float | None:
        """The end of the stream; gives the time at which the last picture ends."""
        end = None
        if self._held is not None:
            stamp = self._held[1]
            end = stamp.pts_seconds + stamp.duration_seconds
            self._show_held(end)
            self._held = self._before = None
        self.flush()
        return end

    def begin(self, first_pts_seconds: float) -> None:
        """The time of the stream's first frame: instant 0 of every lane."""
        for lane in self.lanes:
            lane.instants.begin(first_pts_seconds)

    def flush(self) -> None:
        for lane in self.lanes:
            for batch in lane.flush():
                self._emit(lane.need, batch)

    def give(self, lanes: Sequence[Lane], frame: av.VideoFrame, start: float, end: float, index: int) -> None:
        """One frame to the lanes that want it."""
        source = self._pictures.source(frame)
        if not source.exact and not self._approximated:
            self._approximated = True
            message = f"matrix {source.colour.matrix} is not supported; RGB views use {source.sws_matrix.name}"
            self._report.problems.add(Problem(self._info.index, start, "colour_approximated", message))
        shown = Shown(frame, start, end, index, source, self._before)
        for lane in lanes:
            self._report.frames_delivered += 1
            for batch in lane.take(shown, self._pictures):
                self._emit(lane.need, batch)

    def show(self, frame: av.VideoFrame, stamp: Stamp, end: float, index: int) -> None:
        """One frame, shown until `end`, to the lanes that have an instant before that."""
        due = [lane for lane in self.lanes if lane.instants.serve(end)]
        if due:
            self.give(due, frame, stamp.pts_seconds, end, index)

    def _show_held(self, end: float) -> None:
        assert self._held is not None
        self.show(*self._held, end, self._count)
        self._before = self._held[0] if self._looks_back else None  # a frame kept is a buffer the decoder cannot reuse
        self._count += 1
