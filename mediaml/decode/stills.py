"""Single frames at given instants, by seeking: the pictures that show a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.clock import FrameClock
from mediaml.decode.colour import source_of, traits
from mediaml.decode.opening import PathName, open_container
from mediaml.decode.passes import has_decoder, packets
from mediaml.decode.report import DecodeReport
from mediaml.decode.seeking import Cursor
from mediaml.decode.video import Decoder
from mediaml.decode.views import Picture, ViewMaker
from mediaml.errors import MediaError
from mediaml.media import MediaInfo, VideoStream
from mediaml.spec import View


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """The frame shown at `seconds`: its own time, and (H, W, 3) uint8 R'G'B' in display orientation."""

    seconds: float
    pts_seconds: float
    picture: Picture


def stills(
    path: PathName, media: MediaInfo, instants: Sequence[float], view: View, *, max_pixels: int | None = None
) -> list[Still]:
    """The frames shown at `instants` (s on the file's timeline), in order of time.

    Instants that have no frame, or behind which a damaged file yields none, are left out; so is everything where the file
    has no video stream that can be decoded. Raises nothing because of the file.
    """
    video = media.main_video
    found: list[Still] = []
    if video is None or not instants:
        return found
    with suppress(MediaError), open_container(path) as container:
        found.extend(_read(str(path), container, video, sorted(instants), view, max_pixels))
    return found


def _read(
    path: str, container: InputContainer, video: VideoStream, instants: list[float], view: View, max_pixels: int | None
) -> Iterator[Still]:
    stream = container.streams[video.index]
    if not isinstance(stream, AvVideoStream) or not has_decoder(stream):
        return
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    report = DecodeReport()
    decoder = Decoder(path, stream, video, report, max_pixels)
    clock = FrameClock(video, decoder.time_base, report.problems, by_dts=container.format.name == "avi")
    cursor = Cursor(container, decoder, clock, report, partial(packets, container, [stream], report))
    maker = ViewMaker(view, video)
    first = cursor.first()
    for seconds in instants:
        placed = cursor.at(seconds, 0.0)
        if placed is None and first is not None and seconds <= first.start:
            placed = first
        if placed is not None:
            source = source_of(traits(placed.frame), video)
            yield Still(seconds, placed.start, np.ascontiguousarray(maker.make(placed.frame, source)))
