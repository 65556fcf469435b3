"""The source's pictures for upscaling: native planes, upright, with their own timestamps and strength of compression."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import torch
from av.container import InputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.video.stream import VideoStream as AvVideoStream
from torch import Tensor

from mediaml.decode.coded import coded_facts, export_coding
from mediaml.decode.colour import Source
from mediaml.decode.device_lanes import DevicePictures, owned_planes
from mediaml.decode.lanes import Pictures
from mediaml.decode.nvdec import accelerator, why_refused
from mediaml.decode.opening import open_container
from mediaml.engine.upscale.plan import UpscalePlan, interlaced
from mediaml.errors import NothingDecoded
from mediaml.frames import Colour, Planes
from mediaml.restore.enlarger import Enlarger
from mediaml.restore.strength import StrengthTrack, exported_strength, tells_strength
from mediaml.spec import View

Timed = tuple[av.VideoFrame, int, int]  # frame, pts, duration in ticks


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """One picture to enlarge. `pts` and `duration` are in ticks of the source stream's time base."""

    index: int
    pts: int
    duration: int
    planes: Planes
    colour: Colour
    strength: float


class SourcePictures:
    """The pictures of the plan's stream in display order; packets that do not decode are counted in `faults`.

    On a GPU they are decoded by NVDEC and stay there, unless `why_software` says why not, or `on_host` asks for them here.
    """

    def __init__(self, plan: UpscalePlan, enlarger: Enlarger, segment_frames: int, *, on_host: bool = False) -> None:
        self._plan, self._device = plan, enlarger.device
        self._track = StrengthTrack(enlarger)
        self._segment_frames = segment_frames
        self.why_software = "pictures are wanted on the host" if on_host else why_software(plan, enlarger)
        self.faults = 0

    @property
    def decoder(self) -> str:
        """Who decodes, in words for the user."""
        return "NVDEC" if self.why_software is None else f"the CPU: {self.why_software}"

    def read(self, skip: int = 0, after_pts: int | None = None) -> Iterator[SourcePicture]:
        """From frame number `skip`, the first one after `after_pts`. Raises NothingDecoded, InvalidValue (interlaced)."""
        self._pictures: Pictures | DevicePictures = (
            Pictures(self._plan.video) if self.why_software else DevicePictures(self._plan.video, self._device)
        )
        index, last = skip, after_pts
        for frame, pts, duration in self._after(after_pts):
            pts = pts if last is None or pts > last else last + 1
            last = pts
            yield self._picture(frame, pts, duration, index)
            index += 1
        if index == 0:
            raise NothingDecoded(self._plan.source, "not one frame could be decoded")

    def _after(self, after_pts: int | None) -> Iterator[Timed]:
        """Frames later than `after_pts`: by a seek, or from the beginning where the seek came too late."""
        if after_pts is None:
            yield from self._frames(None)
            return
        frames = self._frames(after_pts)
        first = next(frames, None)
        if first is None or first[1] > after_pts:
            frames.close()
            frames, first = self._frames(None), None
        if first is not None and first[1] > after_pts:
            yield first
        yield from (timed for timed in frames if timed[1] > after_pts)

    def _frames(self, seek_to: int | None) -> Generator[Timed]:
        hardware = None if self.why_software else accelerator(self._device)
        with open_container(self._plan.source, hardware) as container:
            stream = next(s for s in container.streams.video if s.index == self._plan.video.index)
            if hardware is None:
                self._prepare(stream)
            base = Fraction(stream.time_base or Fraction(1, 90000))
            period = round(1 / (Fraction(stream.average_rate or 25) * base)) or 1
            if seek_to is not None:
                container.seek(seek_to, stream=stream, backward=True)
            frames = self._decoded(container, stream)
            expected = stream.start_time or 0
            for frame in _deinterlaced(frames) if self._plan.settings.deinterlace else frames:
                if frame.interlaced_frame and not self._plan.settings.deinterlace:
                    raise interlaced(self._plan.source, "of frames that are flagged so")
                ticks = frame.pts if frame.pts is not None else frame.dts
                pts = expected if ticks is None else round(ticks * Fraction(frame.time_base or base) / base)
                duration = int(frame.duration or 0) or period
                expected = pts + duration
                yield frame, pts, duration

    def _prepare(self, stream: AvVideoStream) -> None:
        """One thread, for the network has the cores; all of them where a GPU has the network."""
        if self._device.type == "cpu":
            stream.codec_context.thread_count = 1
        else:
            stream.codec_context.thread_count = self._plan.settings.cores
            stream.codec_context.thread_type = "AUTO"
        export_coding(stream.codec_context)

    def _decoded(self, container: InputContainer, stream: AvVideoStream) -> Iterator[av.VideoFrame]:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except EOFError:
                return
            except FFmpegError:
                self.faults += 1

    def _picture(self, frame: av.VideoFrame, pts: int, duration: int, index: int) -> SourcePicture:
        source = self._pictures.source(frame)
        planes = owned_planes(frame) if isinstance(self._pictures, DevicePictures) else self._host_planes(frame, source)
        if index % self._segment_frames == 0:
            self._track.restart()
        exported = exported_strength(self._plan.video.codec, coded_facts(frame).qp)
        strength = self._track.next(planes, exported)
        return SourcePicture(index, pts, duration, self._upright(planes), source.colour, strength)

    def _host_planes(self, frame: av.VideoFrame, source: Source) -> Planes:
        arrays, depth = self._pictures.make(View("planes"), frame, source)
        tensors = [torch.from_numpy(np.array(a, copy=True))[None, None] for a in arrays]
        y, u, v = tensors if len(tensors) == 3 else (tensors[0], None, None)
        return Planes(y, u, v, depth)

    def _upright(self, planes: Planes) -> Planes:
        video = self._plan.video
        if not video.rotation_degrees and not video.mirrored:
            return planes

        def turn(p: Tensor | None) -> Tensor | None:
            if p is None:
                return None
            bits = p.view(torch.int16) if p.dtype == torch.uint16 else p  # unsigned words know few operations
            bits = bits.flip(3) if video.mirrored else bits
            return torch.rot90(bits, -(video.rotation_degrees // 90), (2, 3)).contiguous().view(p.dtype)

        y = turn(planes.y)
        assert y is not None
        return Planes(y, turn(planes.u), turn(planes.v), planes.bit_depth)


def why_software(plan: UpscalePlan, enlarger: Enlarger) -> str | None:
    """Why the plan's pictures are decoded on the CPU; None where NVDEC decodes them."""
    if enlarger.device.type != "cuda":
        return f"the device is {enlarger.device.type}"
    if plan.settings.deinterlace:
        return "fields are put together in software"
    if enlarger.uses_strength and tells_strength(plan.video.codec):
        return f"{enlarger.name} uses the quantizers of {plan.video.codec}, which NVDEC does not tell"
    return why_refused(plan.source, plan.video, enlarger.device)


def _deinterlaced(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """FFmpeg's yadif, one picture a frame."""
    graph: Graph | None = None
    for frame in frames:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            yadif = graph.add("yadif", "mode=send_frame:deint=all")
            graph.link_nodes(source, yadif, graph.add("buffersink")).configure()
        graph.vpush(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return
