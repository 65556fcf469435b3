"""Faults at known times: what one is, and how a clip with faults becomes a file.

A faulty file holds one kind of fault three times, mild, middle and strong, with clean pictures between; a fault that
concerns a whole file (wrong flags, an upscaled picture), or shows in parts of a clip alone, gets a file for each severity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.faults.places import STARTS
from benchmarks.faults.sources import FPS, Clip, Picture
from benchmarks.faults.visible import LOOKED_AT

SEVERITIES = ("mild", "middle", "strong")
LEAD_SECONDS = 1.6  # clean pictures before each fault and after the last


@dataclass(frozen=True, slots=True)
class Event:
    """A fault in a file, in seconds on its timeline."""

    fault: str
    severity: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a fault lies: frames [first, stop) of the file, and how strong it is."""

    first: int
    stop: int
    severity: str

    @property
    def level(self) -> int:
        """0, 1, 2 for mild, middle, strong."""
        return SEVERITIES.index(self.severity)


Paint = Callable[[Clip, int, float, Spot], Picture]
"""(clip, frame of the file, index in the clip, spot) -> the faulty picture."""


def untouched(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    return clip.frame(index)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    analyzer, kinds  who should find it, and the values of `spans.kind` that count
    seconds    length of the fault for each severity; None for a fault of the whole file
    paint      makes the faulty pictures
    offset     (frame of the file, spot) -> how far the clip's index is off, in frames: repeats and drops
    keeps      whether the offset of the spot's last frame stays for the rest of the file
    late       spot -> frames by which timestamps jump at its first frame, for the rest of the file
    tags       fields of the codec context for each severity: colour flags
    needs      what a clip must not lack for the fault to show: see `Clip.lacks`
    shows      (clip, some faulty pictures) -> whether the fault can be seen in this clip; None: always
    where      (clip, spot in frames of the clip) -> whether it can be seen in that part of the clip; None: anywhere
    """

    name: str
    analyzer: str
    kinds: tuple[str, ...]
    seconds: tuple[float, float, float] | None
    paint: Paint = untouched
    offset: Callable[[int, Spot], int] | None = None
    keeps: bool = True
    late: Callable[[Spot], int] | None = None
    tags: tuple[dict[str, int], ...] = field(default=({}, {}, {}))
    needs: frozenset[str] = frozenset()
    shows: Callable[[Clip, list[Picture]], bool] | None = None
    where: Callable[[Clip, Spot], bool] | None = None


def can_be_seen(fault: Fault, clip: Clip, severity: str) -> bool:
    if fault.shows is None:
        return True
    spot = Spot(0, 1, severity)
    return fault.shows(clip, [fault.paint(clip, i, i, spot) for i in LOOKED_AT])


def spots(fault: Fault, severities: Sequence[str] = SEVERITIES, lead: float = LEAD_SECONDS) -> tuple[list[Spot], int]:
    """Where the fault's severities lie in one file, and the file's number of frames."""
    if fault.seconds is None:
        frames = round(2 * lead * FPS)
        return [Spot(0, frames, severities[0])], frames
    found, at = [], 0
    for severity in severities:
        at += round(lead * FPS)
        length = max(1, round(fault.seconds[SEVERITIES.index(severity)] * FPS))
        found.append(Spot(at, at + length, severity))
        at += length
    return found, at + round(lead * FPS)


def place(fault: Fault, clip: Clip, severities: Sequence[str] = SEVERITIES) -> tuple[int, set[str]]:
    """The clip's frame that a faulty file should begin with, and the severities that can be seen in that file."""
    seen = {s for s in severities if can_be_seen(fault, clip, s)}
    if fault.where is None or not seen:
        return 0, seen
    best: tuple[int, set[str]] = 0, set()
    for start in STARTS:
        shift, visible = start, set()
        for spot in spots(fault, severities)[0]:
            offset = fault.offset(spot.stop - 1, spot) if fault.offset is not None and fault.keeps else 0
            last = spot.stop + shift + max(offset, 0)
            if spot.severity in seen and fault.where(clip, Spot(spot.first + shift, last, spot.severity)):
                visible.add(spot.severity)
            shift += offset
        if len(visible) > len(best[1]):
            best = start, visible
        if best[1] == seen:
            break
    return best


def write_faulty(
    path: Path, clip: Clip, fault: Fault, severities: Sequence[str] = SEVERITIES, *, start: int = 0, crf: int = 18
) -> list[Event]:
    """Writes a file with the fault, from frame `start` of the clip on, and gives its events.

    A fault of the whole file takes the first severity only.
    """
    where, frames = spots(fault, severities)
    shown: list[tuple[float, Spot | None]] = []  # the clip's index, and the spot that the frame lies in
    pts: list[int] = []
    shift, late = start, 0
    for at in range(frames):
        spot = next((s for s in where if s.first <= at < s.stop), None)
        offset = fault.offset(at, spot) if fault.offset is not None and spot is not None else 0
        shown.append((at + shift + offset, spot))
        if spot is not None and at == spot.stop - 1 and fault.keeps:
            shift += offset
        if spot is not None and at == spot.first and fault.late is not None:
            late += fault.late(spot)
        pts.append(at + late)

    def draw(at: int) -> Picture:
        index, spot = shown[at]
        return clip.frame(index) if spot is None else fault.paint(clip, at, index, spot)

    write_file(path, draw, frames, pts=pts, crf=crf, tags=fault.tags[where[0].level])
    return [_event(fault, spot, [*pts, pts[-1] + 1]) for spot in where]


def _event(fault: Fault, spot: Spot, pts: Sequence[int]) -> Event:
    if fault.late is not None:  # the fault is the gap before the spot's first frame
        return Event(fault.name, spot.severity, (pts[spot.first - 1] + 1) / FPS, pts[spot.first] / FPS)
    return Event(fault.name, spot.severity, pts[spot.first] / FPS, pts[spot.stop] / FPS)


def write_file(
    path: Path,
    draw: Callable[[int], Picture],
    frames: int,
    *,
    pts: Sequence[int] | None = None,
    crf: int = 18,
    preset: str = "veryfast",
    tags: dict[str, int] | None = None,
) -> None:
    """An H.264 file at FPS of `draw(0)`, `draw(1)`, ...; `pts` in frames."""
    rate = Fraction(FPS)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": preset})
        first = draw(0)
        stream.height, stream.width, stream.pix_fmt = first.shape[0] * 2 // 3, first.shape[1], "yuv420p"
        context = stream.codec_context
        context.time_base, context.thread_count = 1 / rate, 1
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 6, 6, 6, 1
        for name, value in (tags or {}).items():
            setattr(context, name, value)
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(draw(i)), format="yuv420p")
            frame.pts, frame.time_base = (i if pts is None else pts[i]), 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
