"""Every decoded frame of one video, one after the other, with its place in time. What alignment and pairing read from.

`MediaStream` serves analyzers with copies of planes and views; a pair is scaled, cropped and converted before it becomes
planes, so it starts from the frames themselves. Decoder, clock and demuxing are the same, and so are the frames' numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.clock import FrameClock, Stamp
from mediaml.decode.opening import open_container
from mediaml.decode.passes import has_decoder, packets
from mediaml.decode.probe import probe
from mediaml.decode.raw_video import RawFormat, open_raw, raw_media
from mediaml.decode.report import DecodeReport
from mediaml.decode.video import Decoder
from mediaml.errors import CodecUnsupported, NoStreams
from mediaml.media import MediaInfo, VideoStream


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A frame, when it is shown (seconds on the file's timeline), for how long, and its position in display order."""

    frame: av.VideoFrame
    pts_seconds: float
    duration_seconds: float
    index: int


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A file that holds pictures; `raw` says how to read one without a header."""

    path: str
    media: MediaInfo
    raw: RawFormat | None = None

    @classmethod
    def of(cls, path: str, raw: RawFormat | None = None) -> VideoFile:
        """Probes the file. Raises MediaError; NoStreams where it holds no picture."""
        media = raw_media(path, raw) if raw is not None else probe(path)
        if media.main_video is None:
            raise NoStreams(path, "holds no video stream, so there is no picture to compare")
        return cls(path, media, raw)

    @property
    def video(self) -> VideoStream:
        video = self.media.main_video
        assert video is not None
        return video

    def open(self) -> InputContainer:
        return open_raw(self.path, self.raw) if self.raw is not None else open_container(self.path)


def read_frames(
    file: VideoFile, report: DecodeReport, *, max_pixels: int | None = None, draft: bool = False
) -> Iterator[TimedFrame]:
    """All frames in display order; faults go into `report.problems`.

    `draft` leaves out the loop filter of H.264 and HEVC pictures that no other is predicted from: cheaper, without drift, and
    nothing that a thumbnail would show.

    Raises CodecUnsupported, LimitExceeded, and what opening raises.
    """
    with file.open() as container:
        stream = container.streams[file.video.index]
        if not has_decoder(stream) or not isinstance(stream, AvVideoStream):
            raise CodecUnsupported(file.path, f"no decoder for {file.video.codec} in this build")
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        if draft:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        decoder = Decoder(file.path, stream, file.video, report, max_pixels)
        by_dts = container.format.name == "avi"
        clock = FrameClock(file.video, decoder.time_base, report.problems, by_dts=by_dts)
        yield from _timed(container, stream, decoder, clock, report)


def _timed(
    container: InputContainer, stream: AvVideoStream, decoder: Decoder, clock: FrameClock, report: DecodeReport
) -> Iterator[TimedFrame]:
    """Holds one frame back: only the next one says how long it is shown."""
    held: tuple[av.VideoFrame, Stamp] | None = None
    index = 0
    for frame in _decoded(container, stream, decoder, report):
        stamp = clock.stamp(frame)
        if held is not None:
            yield TimedFrame(held[0], held[1].pts_seconds, stamp.pts_seconds - held[1].pts_seconds, index)
            index += 1
        held = (frame, stamp)
    if held is not None:
        yield TimedFrame(held[0], held[1].pts_seconds, held[1].duration_seconds, index)


def _decoded(
    container: InputContainer, stream: AvVideoStream, decoder: Decoder, report: DecodeReport
) -> Iterator[av.VideoFrame]:
    for packet in packets(container, [stream], report):
        yield from decoder.decode(packet)
    yield from decoder.flush()
