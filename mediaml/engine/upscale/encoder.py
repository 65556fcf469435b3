"""Enlarged pictures -> coded packets, in segments that can be done one by one.

A segment is encoded by its own encoder, so it begins with a key frame and depends on nothing before it. Its file holds
records (pts, duration, bytes) in decode order; decode times are given when the segments are joined.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.plane import VideoPlane
from torch import Tensor

from mediaml.decode.colour_names import MATRIX, PRIMARIES, TRANSFER
from mediaml.engine.upscale.plan import UpscalePlan, container_format, is_nvenc
from mediaml.errors import OutputUnwritable
from mediaml.frames import Colour, Planes
from mediaml.media import HdrInfo

_RECORD = struct.Struct("<qqI?")  # pts, duration, bytes, key frame
_CHROMA_LOCATION = {"left": 0, "center": 1, "topleft": 2, "top": 3}  # H.264 and HEVC, chroma_sample_loc_type


class CodedPacket(NamedTuple):
    """A coded picture; times in ticks of the source stream's time base."""

    pts: int
    duration: int
    key_frame: bool
    content: bytes


def configure(context: VideoCodecContext, plan: UpscalePlan, colour: Colour, base: Fraction) -> None:
    """Sets an encoder up for the plan: the encoders of all segments, and the one that only tells the muxer its headers."""
    context.width, context.height = plan.size
    context.pix_fmt = plan.encoder_format
    context.time_base = base
    context.framerate = Fraction(plan.video.frame_rate or 25).limit_denominator(60000)
    context.sample_aspect_ratio = plan.sample_aspect_ratio
    numbers = ((MATRIX, colour.matrix), (TRANSFER, colour.transfer), (PRIMARIES, colour.primaries))
    matrix, transfer, primaries = (next((k for k, v in table.items() if v == name), 2) for table, name in numbers)
    context.colorspace, context.color_trc, context.color_primaries = matrix, transfer, primaries
    context.color_range = 2 if colour.range == "full" else 1
    context.thread_count = encoder_threads(plan)
    if container_format(plan.out).name in ("mp4", "mov", "matroska", "webm", "nut"):
        context.flags = context.flags | Flags.global_header
    context.options = encoder_options(plan)


def encoder_threads(plan: UpscalePlan) -> int:
    """The network has the cores; the encoder gets one thread, and one more for every four of the network's.

    Where a GPU has the network, the cores are the encoder's.
    """
    return plan.settings.cores if plan.settings.device.startswith("cuda") else 1 + plan.settings.threads // 4


def encoder_options(plan: UpscalePlan) -> dict[str, str]:
    """The encoder's own options."""
    codec, settings = plan.settings.codec, plan.settings
    options: dict[str, str] = {}
    if is_nvenc(plan.settings.codec):
        return {"rc": "vbr", "cq": f"{plan.crf:g}", "b": "0", "tune": "hq", "preset": settings.preset or "p5"}
    if plan.crf is not None:
        options["crf"] = f"{plan.crf:g}"
    if settings.preset is not None:
        options["preset"] = settings.preset
    threads = encoder_threads(plan)
    hdr = plan.video.hdr
    if codec == "libx264":
        options["x264-params"] = ":".join([f"chromaloc={_CHROMA_LOCATION[plan.siting]}", *_hdr_x264(hdr)])
    elif codec == "libx265":
        parts = ["log-level=error", f"pools={threads}", "frame-threads=1", f"chromaloc={_CHROMA_LOCATION[plan.siting]}"]
        options["x265-params"] = ":".join(parts + _hdr_x265(hdr))
    elif codec == "libsvtav1":
        options["svtav1-params"] = ":".join([f"lp={threads}", *_hdr_svt(hdr)])
        options.setdefault("preset", "8")
    elif codec == "libvpx-vp9":
        options |= {"b": "0", "cpu-used": settings.preset or "3", "row-mt": "1"}
        options.pop("preset", None)
    return options


class SegmentWriter:
    """Encodes the pictures of one segment into `path`; `finish` makes it durable."""

    def __init__(self, plan: UpscalePlan, colour: Colour, base: Fraction, path: Path) -> None:
        self._plan, self._colour, self._base = plan, colour, base
        self._durations: dict[int, int] = {}
        self.frames = 0
        self.last_pts = 0
        self._file: BinaryIO = path.open("wb")
        with keeping_priority():
            self._context = cast(VideoCodecContext, av.CodecContext.create(plan.settings.codec, "w"))
            configure(self._context, plan, colour, base)
            try:
                self._context.open()
            except (FFmpegError, ValueError) as error:
                self._file.close()
                raise _refused(plan, error) from error

    def add(self, planes: Planes, pts: int, duration: int) -> None:
        self._durations[pts] = duration
        self.frames, self.last_pts = self.frames + 1, pts
        frame = video_frame(planes, self._plan.pixel_format)
        frame.pts, frame.time_base = pts, self._base
        frame.colorspace, frame.color_range = self._context.colorspace, self._context.color_range
        with keeping_priority() if self.frames == 1 else contextlib.nullcontext():
            self._write(frame)

    def finish(self) -> None:
        self._write(None)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        self._file.close()

    def _write(self, frame: av.VideoFrame | None) -> None:
        try:
            packets = self._context.encode(frame)
        except FFmpegError as error:
            raise _refused(self._plan, error) from error
        for packet in packets:
            pts = int(packet.pts or 0)
            content = bytes(packet)
            self._file.write(_RECORD.pack(pts, self._durations.pop(pts, 0), len(content), packet.is_keyframe) + content)


def read_segment(path: Path) -> Iterator[CodedPacket]:
    """The packets of a segment, in decode order."""
    with path.open("rb") as file:
        while head := file.read(_RECORD.size):
            pts, duration, size, key = _RECORD.unpack(head)
            yield CodedPacket(pts, duration, key, file.read(size))


def video_frame(planes: Planes, pixel_format: str) -> av.VideoFrame:
    """One picture (N = 1) as FFmpeg's frame."""
    height, width = planes.size
    frame = av.VideoFrame(width, height, pixel_format)
    arrays = [p for p in (planes.y, planes.u, planes.v) if p is not None]
    for plane, target in zip(arrays, frame.planes, strict=True):
        _fill(target, plane)
    return frame


def _fill(target: VideoPlane, plane: Tensor) -> None:
    pixels = plane[0, 0].cpu().contiguous().numpy()
    rows = np.frombuffer(target, np.uint8).reshape(target.height, target.line_size)  # type: ignore[arg-type]
    rows[:, : pixels.shape[1] * pixels.itemsize] = pixels.view(np.uint8)


@contextlib.contextmanager
def keeping_priority() -> Iterator[None]:
    """SVT-AV1 raises the priority of its threads and of the caller, as root to real time; this takes it back.

    It also tells its settings on standard error; of that only errors are left, unless the variable SVT_LOG says otherwise.
    """
    os.environ.setdefault("SVT_LOG", "1")
    tasks = Path("/proc/self/task")
    if not hasattr(os, "sched_getscheduler") or not tasks.is_dir():
        yield
        return
    policy, parameters, niceness = os.sched_getscheduler(0), os.sched_getparam(0), os.getpriority(os.PRIO_PROCESS, 0)
    try:
        yield
    finally:
        for task in map(int, (t.name for t in tasks.iterdir())):
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                if os.sched_getscheduler(task) in (os.SCHED_FIFO, os.SCHED_RR):
                    os.sched_setscheduler(task, policy, parameters)
                if os.getpriority(os.PRIO_PROCESS, task) < niceness:
                    os.setpriority(os.PRIO_PROCESS, task, niceness)


def _refused(plan: UpscalePlan, error: Exception) -> OutputUnwritable:
    width, height = plan.size
    advice = "check --crf and --preset, or take another --codec"
    if is_nvenc(plan.settings.codec):
        advice = (
            "it needs an NVIDIA GPU that has an encoder (A100, H100 and H200 have none); or take libx264 or libx265"
        )
    return OutputUnwritable(
        f"{plan.settings.codec} cannot encode {width}x{height} {plan.pixel_format} with {encoder_options(plan)}: {error}; "
        f"{advice}"
    )


def _mastering(hdr: HdrInfo | None) -> tuple[list[tuple[float, float]], float, float] | None:
    """(green, blue, red, white), most and least luminance; None where the source does not say all of it."""
    if hdr is None or hdr.mastering_primaries is None or len(hdr.mastering_primaries) != 4:
        return None
    if hdr.mastering_max_luminance is None or hdr.mastering_min_luminance is None:
        return None
    red, green, blue, white = ((p[0], p[1]) for p in hdr.mastering_primaries)
    return [green, blue, red, white], hdr.mastering_max_luminance, hdr.mastering_min_luminance


def _integers(hdr: HdrInfo | None) -> str | None:
    """ "G(..)B(..)R(..)WP(..)L(..)" in steps of 0.00002 and 0.0001 cd/m2, as x264 and x265 take it."""
    found = _mastering(hdr)
    if found is None:
        return None
    points, high, low = found
    names = zip(("G", "B", "R", "WP"), points, strict=True)
    text = "".join(f"{n}({round(x * 50000)},{round(y * 50000)})" for n, (x, y) in names)
    return f"{text}L({round(high * 10000)},{round(low * 10000)})"


def _light(hdr: HdrInfo | None) -> str | None:
    if hdr is None or hdr.max_cll is None:
        return None
    return f"{round(hdr.max_cll)},{round(hdr.max_fall or 0)}"


def _hdr_x264(hdr: HdrInfo | None) -> list[str]:
    return [f"{k}={v}" for k, v in (("mastering-display", _integers(hdr)), ("cll", _light(hdr))) if v]


def _hdr_x265(hdr: HdrInfo | None) -> list[str]:
    return [f"{k}={v}" for k, v in (("master-display", _integers(hdr)), ("max-cll", _light(hdr))) if v]


def _hdr_svt(hdr: HdrInfo | None) -> list[str]:
    parts = []
    found = _mastering(hdr)
    if found is not None:
        points, high, low = found
        names = zip(("G", "B", "R", "WP"), points, strict=True)
        parts.append(
            "mastering-display=" + "".join(f"{n}({x:.5f},{y:.5f})" for n, (x, y) in names) + f"L({high:g},{low:g})"
        )
    light = _light(hdr)
    return [*parts, f"content-light={light}"] if light else parts
