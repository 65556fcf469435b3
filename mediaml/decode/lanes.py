"""A lane collects the frames of one video need into batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.decode.coded import Coded, bitstream, coded_facts
from mediaml.decode.colour import FrameTraits, Source, source_of, traits
from mediaml.decode.device_views import DeviceViews
from mediaml.decode.instants import Instants
from mediaml.decode.planes import PlaneReader
from mediaml.decode.rooms import Rooms
from mediaml.decode.views import ViewMaker
from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.media import VideoStream
from mediaml.spec import Need, View

BATCH_BYTES = 16 << 20
BATCH_FRAMES = 32
SMALL_PICTURE_BYTES = 32 << 10
SMALL_BATCH_FRAMES = 128

Arrays = tuple[NDArray, ...]  # one (H, W, 3) for rgb; one or three (h, w) planes


def batch_capacity(frame_bytes: int) -> int:
    """Frames in one batch: at most 16 MiB (but one frame always), and 32 frames, or 128 of very small pictures."""
    frames = SMALL_BATCH_FRAMES if frame_bytes <= SMALL_PICTURE_BYTES else BATCH_FRAMES
    return max(1, min(frames, BATCH_BYTES // max(1, frame_bytes)))


class PictureMaker(Protocol):
    """Makes what lanes ask of one stream's frames, in main memory (`Pictures`) or on a device (`DevicePictures`)."""

    def source(self, frame: av.VideoFrame) -> Source: ...
    def make(self, view: View, frame: av.VideoFrame, source: Source) -> tuple[Any, int]: ...
    def batch(self, arrays: Any, depth: int, colour: Colour, *, coding: bool) -> Batch: ...


class Pictures:
    """Makes what lanes ask of one stream's frames; what two lanes ask of the same frame is made once."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._planes = PlaneReader()
        self._makers: dict[View, ViewMaker] = {}
        self._traits: FrameTraits | None = None
        self._source: Source | None = None
        self._rooms = Rooms()

    def source(self, frame: av.VideoFrame) -> Source:
        seen = traits(frame)
        if self._source is None or seen != self._traits:
            self._traits, self._source = seen, source_of(seen, self._stream)
        return self._source

    def make(self, view: View, frame: av.VideoFrame, source: Source) -> tuple[Arrays, int]:
        """The arrays of `view` and their bit depth; they may be views of the frame's memory."""
        if view.space == "rgb":
            maker = self._makers.get(view)
            if maker is None:
                maker = self._makers[view] = ViewMaker(view, self._stream)
            return (maker.make(frame, source),), 8
        planes, depth = self._planes.read(frame, source, luma_only=view.space == "luma")
        return tuple(planes), depth

    def batch(self, arrays: Arrays, depth: int, colour: Colour, *, coding: bool) -> Batch:
        """Room for a batch of pictures like these."""
        return HostBatch(arrays, depth, colour, self._rooms, coding=coding)


@dataclass(slots=True)
class Shown:
    """A decoded frame with its place in time. `end_seconds` is when the next frame of the stream is shown."""

    frame: av.VideoFrame
    pts_seconds: float
    end_seconds: float
    index: int
    source: Source
    before: av.VideoFrame | None = None  # the frame shown before it, where every frame is decoded
    made: dict[View, tuple[Any, int]] = field(default_factory=dict)

    def picture(self, view: View, pictures: PictureMaker) -> tuple[Any, int]:
        found = self.made.get(view)
        if found is None:
            found = self.made[view] = pictures.make(view, self.frame, self.source)
        return found

    def luma_before(self, own: Any, pictures: PictureMaker) -> Tensor:
        """(H, W) of the frame before it, a copy; `own`, its own luma, where there is none of its size and format."""
        before = self.before
        if before is not None and _form(before) == _form(self.frame):
            own = pictures.make(View.luma(), before, self.source)[0][0]
        return torch.from_numpy(np.array(own)) if isinstance(own, np.ndarray) else own.clone()


def _form(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


class Batch(ABC):
    """Preallocated room for one batch's frames, all of equal shape, depth and colour."""

    def __init__(self, capacity: int, depth: int, colour: Colour, *, coding: bool) -> None:
        self.capacity = capacity
        self.depth = depth
        self.colour = colour
        self.facts: list[tuple[float, float, int, bool]] = []
        self.coded: list[Coded] | None = [] if coding else None
        self.previous: list[Tensor] = []  # luma of the pictures before, where the need asked for it

    @abstractmethod
    def put(self, n: int, arrays: Any) -> None:
        """Copies a picture to place `n`."""

    @abstractmethod
    def content(self, view: View, make_view: DeviceViews) -> tuple[Planes | None, dict[View, Tensor]]:
        """(planes, views) of the frames added, as a FrameBatch holds them."""

    def aligned(self, samples: Tensor) -> Tensor:
        """Samples of the decoder's format as code values."""
        return samples

    def add(self, arrays: Any, shown: Shown) -> None:
        self.put(len(self.facts), arrays)
        duration = shown.end_seconds - shown.pts_seconds
        self.facts.append((shown.pts_seconds, duration, shown.index, bool(shown.frame.key_frame)))
        if self.coded is not None:
            self.coded.append(coded_facts(shown.frame))

    def keys(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """pts, durations, indices and key flags, each (N,), on the host."""
        pts, duration, index, key = zip(*self.facts, strict=True)
        starts, lengths = (torch.tensor(t, dtype=torch.float64) for t in (pts, duration))
        return starts, lengths, torch.tensor(index, dtype=torch.int64), torch.tensor(key, dtype=torch.bool)

    def freeze(self, view: View, make_view: DeviceViews) -> FrameBatch:
        planes, views = self.content(view, make_view)
        return FrameBatch(
            *self.keys(),
            colour=self.colour,
            planes=planes,
            views=views,
            make_view=make_view if view.space == "planes" else None,
            bitstream=None if self.coded is None else bitstream(self.coded),
            previous=self.aligned(torch.stack(self.previous))[:, None] if self.previous else None,
        )


class HostBatch(Batch):
    """In main memory."""

    def __init__(self, arrays: Arrays, depth: int, colour: Colour, rooms: Rooms, *, coding: bool) -> None:
        super().__init__(batch_capacity(sum(a.nbytes for a in arrays)), depth, colour, coding=coding)
        self.room = [rooms.take((self.capacity, *a.shape), a.dtype) for a in arrays]

    def put(self, n: int, arrays: Arrays) -> None:
        for room, array in zip(self.room, arrays, strict=True):
            room[n] = array

    def content(self, view: View, make_view: DeviceViews) -> tuple[Planes | None, dict[View, Tensor]]:  # noqa: ARG002
        n = len(self.facts)
        tensors = [torch.from_numpy(room[:n] if 2 * n > self.capacity else room[:n].copy()) for room in self.room]
        if view.space == "rgb":
            return None, {view: tensors[0].permute(0, 3, 1, 2)}  # (N, 3, H, W), channels last in memory
        # (N, 1, h, w) each; a luma view is planes without chroma, so that its bit depth is known
        y, *chroma = (t[:, None] for t in tensors)
        return Planes(y, chroma[0] if chroma else None, chroma[1] if chroma else None, self.depth), {}


class Lane:
    """One need: which frames it takes, and the batch that is being filled."""

    def __init__(self, need: Need, slack_seconds: float, stream: VideoStream) -> None:
        if not isinstance(need.view, View):
            raise TypeError(f"{need} is not a video need")
        if need.previous and need.view.space == "rgb":
            raise TypeError(f"{need}: pictures before come with native planes or luma, not with RGB")
        self.need = need
        self.view = need.view
        self.instants = Instants(need.fps, slack_seconds)
        self.delivered = 0
        self._make_view = DeviceViews(stream)
        self._batch: Batch | None = None
        self._key: tuple = ()

    def take(self, shown: Shown, pictures: PictureMaker) -> list[FrameBatch]:
        """Adds the frame; gives the batches that this completes (none, one, or two where the picture changed)."""
        arrays, depth = shown.picture(self.view, pictures)
        colour = shown.source.colour
        done: list[FrameBatch] = []
        key = (depth, colour, *[a.shape for a in arrays])
        if self._batch is not None and key != self._key:
            done += self.flush()
        if self._batch is None:
            self._batch, self._key = pictures.batch(arrays, depth, colour, coding=self.need.bitstream), key
        self._batch.add(arrays, shown)
        if self.need.previous:
            self._batch.previous.append(shown.luma_before(arrays[0], pictures))
        self.delivered += 1
        return done + self.flush() if len(self._batch.facts) == self._batch.capacity else done

    def flush(self) -> list[FrameBatch]:
        batch, self._batch = self._batch, None
        return [] if batch is None else [batch.freeze(self.view, self._make_view)]
