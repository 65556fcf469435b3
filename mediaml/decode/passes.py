"""Carries out a plan on an open container: one demux loop feeding the video path and the audio paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Protocol

import av
from av.audio.stream import AudioStream as AvAudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Stream
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.audio import AudioPath
from mediaml.decode.clock import FrameClock
from mediaml.decode.handover import Stopped
from mediaml.decode.lanes import PictureMaker, Pictures
from mediaml.decode.linear import EveryFrame, KeyFrames, ReferenceFrames, VideoReader
from mediaml.decode.plan import Mode, Plan
from mediaml.decode.problems import Problem
from mediaml.decode.report import DecodeReport
from mediaml.decode.seeking import Cursor, key_times, run_seek
from mediaml.decode.video import Decoder, VideoPath
from mediaml.errors import CodecUnsupported
from mediaml.frames import AudioBlock, FrameBatch
from mediaml.media import AudioStream, MediaInfo, VideoStream
from mediaml.spec import AudioView, Need

Reopen = Callable[[], InputContainer]
Emit = Callable[[Need, FrameBatch | AudioBlock], None]
MakePictures = Callable[[VideoStream], PictureMaker]

_EARLY_SECONDS = 1.0  # a stream that ends this much before its header's duration is reported


class StopFlag(Protocol):
    @property
    def stopped(self) -> bool: ...


class AudioPaths:
    """One audio stream for all of its needs."""

    def __init__(
        self, stream: AvAudioStream, info: AudioStream, needs: tuple[Need, ...], report: DecodeReport, emit: Emit
    ) -> None:
        self._context = stream.codec_context
        self._context.thread_count = 1
        self._info = info
        self._report = report
        self._emit = emit
        self._paths = [(need, AudioPath(info, need.view)) for need in needs if isinstance(need.view, AudioView)]

    def packet(self, packet: av.Packet | None) -> None:
        """None at the end of the stream."""
        try:
            frames = self._context.decode(packet)
        except EOFError:
            frames = []
        except FFmpegError as error:
            at = None if packet is None or packet.pts is None else float(packet.pts * packet.time_base)
            self._report.problems.add(
                Problem(self._info.index, at, "decode_error", f"{self._info.codec}: {error.strerror}")
            )
            frames = []
        for frame in frames:
            self._report.samples_decoded += frame.samples
            for need, path in self._paths:
                for block in path.push(frame):
                    self._emit(need, block)

    def finish(self) -> None:
        self.packet(None)
        for need, path in self._paths:
            for block in path.flush():
                self._emit(need, block)
        if self._paths:
            for problem in self._paths[0][1].problems:
                self._report.problems.add(problem)


def run_plan(
    reopen: Reopen,
    media: MediaInfo,
    plan: Plan,
    report: DecodeReport,
    emit: Emit,
    flag: StopFlag,
    pictures: MakePictures = Pictures,
) -> None:
    """Decodes everything the plan wants and emits it. Raises CodecUnsupported where no wanted stream has a decoder.

    `pictures` says what decoded frames become; what `reopen` gives decodes to the frames that it takes.
    A seek plan with sound opens the file twice: pictures first, by seeking, then the sound from start to end.
    """
    with reopen() as container:
        work = _prepared(container, media, plan, report, emit, flag, pictures)
        split = work.run()
    if split:
        with reopen() as container:
            _prepared(container, media, replace(plan, video_stream=None), report, emit, flag, pictures).run()


def _prepared(
    container: InputContainer,
    media: MediaInfo,
    plan: Plan,
    report: DecodeReport,
    emit: Emit,
    flag: StopFlag,
    pictures: MakePictures,
) -> _Pass:
    video = _find(container, plan.video_stream, media.video)
    audio = _find(container, plan.audio_stream, media.audio)
    wanted = [pair for pair in (video, audio) if pair is not None]
    for stream, info in wanted:
        if not has_decoder(stream):
            report.problems.add(Problem(info.index, None, "codec_unsupported", f"no decoder for {info.codec}"))
    if wanted and all(not has_decoder(stream) for stream, _ in wanted):
        raise CodecUnsupported(
            plan.path, f"no decoder for {' or '.join(info.codec for _, info in wanted)} in this build"
        )
    work = _Pass(container, plan, report, emit, flag, pictures)
    for stream in container.streams:
        if all(stream is not other for other, _ in wanted):
            stream.discard = Discard.all
    for stream, info in wanted:
        if has_decoder(stream):
            work.add(stream, info)
    return work


def has_decoder(stream: Stream) -> bool:
    """Whether this build of FFmpeg decodes the stream's codec."""
    return stream.codec_context is not None


def _find(
    container: InputContainer, index: int | None, infos: tuple[VideoStream, ...] | tuple[AudioStream, ...]
) -> tuple[Stream, VideoStream | AudioStream] | None:
    if index is None or index >= len(container.streams):
        return None
    return container.streams[index], next(info for info in infos if info.index == index)


class _Pass:
    """One plan on one open container."""

    def __init__(
        self,
        container: InputContainer,
        plan: Plan,
        report: DecodeReport,
        emit: Emit,
        flag: StopFlag,
        pictures: MakePictures,
    ) -> None:
        self._container = container
        self._pictures = pictures
        self._plan = plan
        self._report = report
        self._emit = emit
        self._flag = flag
        self._decoder: Decoder | None = None
        self._path: VideoPath | None = None
        self._sound: AudioPaths | None = None
        self._streams: list[Stream] = []

    def add(self, stream: Stream, info: VideoStream | AudioStream) -> None:
        self._streams.append(stream)
        if isinstance(stream, AvVideoStream) and isinstance(info, VideoStream):
            coding = any(need.bitstream for need in self._plan.video_needs)
            decoder = Decoder(self._plan.path, stream, info, self._report, self._plan.max_pixels, coding=coding)
            by_dts = self._container.format.name == "avi"
            clock = FrameClock(info, decoder.time_base, self._report.problems, by_dts=by_dts)
            self._decoder = decoder
            pictures = self._pictures(info)
            self._path = VideoPath(info, self._plan.video_needs, clock, self._report, self._emit, pictures)
        elif isinstance(stream, AvAudioStream) and isinstance(info, AudioStream):
            self._sound = AudioPaths(stream, info, self._plan.audio_needs, self._report, self._emit)

    def run(self) -> bool:
        """True where the pictures were served by seeking and the sound is still to be heard."""
        decoder, path = self._decoder, self._path
        if decoder is None or path is None:
            self._linear(None)
            return False
        mode = self._plan.mode
        if mode in ("key_only", "seek"):
            mode = self._checked(mode, decoder, path)
        self._report.mode = mode
        if mode != "seek":
            self._linear(_reader(mode, decoder, path, self._report))
            return False
        read = partial(packets, self._container, [decoder.stream], self._report)
        cursor = Cursor(self._container, decoder, path.clock, self._report, read)
        run_seek(cursor, path, self._end_seconds(decoder.info), self._check)
        return self._sound is not None

    def _checked(self, mode: Mode, decoder: Decoder, path: VideoPath) -> Mode:
        """The mode that the file's real index allows."""
        keys = key_times(self._container, decoder.stream, path.clock)
        if len(keys) < 2:
            return "sequential"
        tolerance = min(lane.need.tolerance_seconds for lane in path.lanes)
        end = self._end_seconds(decoder.info)
        gaps = [b - a for a, b in pairwise(keys)]
        tail = 0.0 if end is None else end - keys[-1]
        suffices = max(gaps) <= 2 * tolerance and tail <= tolerance
        return mode if mode == "seek" or suffices else "seek"

    def _end_seconds(self, info: VideoStream) -> float | None:
        length = info.duration_seconds_header or self._plan.seconds
        return None if length is None else (info.start_seconds or 0.0) + length

    def _linear(self, reader: VideoReader | None) -> None:
        picture_index = self._plan.video_stream if reader is not None else None
        for packet in packets(self._container, self._streams, self._report):
            if self._flag.stopped:
                raise Stopped
            if packet.stream_index == picture_index and reader is not None:
                reader.packet(packet)
            elif self._sound is not None:
                self._sound.packet(packet)
        if reader is not None and self._decoder is not None:
            _check_end(self._decoder.info, reader.finish(), self._report)
        if self._sound is not None:
            self._sound.finish()

    def _check(self) -> None:
        if self._flag.stopped:
            raise Stopped


def _reader(mode: Mode, decoder: Decoder, path: VideoPath, report: DecodeReport) -> VideoReader:
    if mode == "reference_only":
        return ReferenceFrames(decoder, path)
    if mode == "key_only":
        return KeyFrames(decoder, path, report)
    return EveryFrame(decoder, path)


def packets(container: InputContainer, streams: list[Stream], report: DecodeReport) -> Iterator[av.Packet]:
    """The packets of `streams` in file order; a fault of the container ends them and is reported."""
    source = container.demux(*streams)
    last: av.Packet | None = None  # with a presentation time
    while True:
        try:
            packet = next(source)
        except StopIteration:
            return
        except (FFmpegError, IndexError) as error:  # IndexError: a damaged TS brings a stream that PyAV does not know
            index, reason = streams[0].index, getattr(error, "strerror", None) or str(error)
            at = None if last is None or last.pts is None else float(last.pts * last.time_base)
            report.problems.add(Problem(index, at, "demux_error", f"reading ends here: {reason}"))
            return
        if packet.pts is not None:
            last = packet
        elif packet.size == 0 and packet.dts is None:
            continue
        yield packet


def _check_end(info: VideoStream, end: float | None, report: DecodeReport) -> None:
    if end is None or info.duration_seconds_header is None or info.is_attached_picture:
        return
    due = (info.start_seconds or 0.0) + info.duration_seconds_header
    if due - end > _EARLY_SECONDS:
        message = f"pictures end at {end:.3f} s, the header says {due:.3f} s"
        report.problems.add(Problem(info.index, end, "ends_early", message))
