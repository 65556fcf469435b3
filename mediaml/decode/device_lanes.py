"""Batches of hardware frames on their device: the counterpart of `lanes` for pictures that never visit the host.

A lane's batch gathers native planes, one copy a frame from the decoder's surface; rgb views are made from a whole batch at
once, because a GPU is slow at small pieces.
"""

from __future__ import annotations

import av
import torch
from torch import Tensor

from mediaml.decode.colour import FrameTraits, Source, source_of, traits
from mediaml.decode.device_views import DeviceViews
from mediaml.decode.lanes import Batch
from mediaml.decode.nvdec import plane_tensors
from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.media import VideoStream
from mediaml.spec import View

BATCH_FRAMES = 32
BATCH_BYTES = 256 << 20
Tensors = tuple[Tensor, ...]


class DevicePictures:
    """`lanes.Pictures` for hardware frames: every view is given as native planes; rgb is made when the batch is full."""

    def __init__(self, stream: VideoStream, device: torch.device) -> None:
        self._stream = stream
        self._device = device
        self._traits: FrameTraits | None = None
        self._source: Source | None = None
        self._shift = 0

    def source(self, frame: av.VideoFrame) -> Source:
        seen = traits(frame)
        if self._source is None or seen != self._traits:
            planar = "yuv420p" if self._stream.bit_depth == 8 else f"yuv420p{self._stream.bit_depth}le"
            self._traits, self._source = seen, source_of(seen._replace(format=planar), self._stream)
        return self._source

    def make(self, view: View, frame: av.VideoFrame, source: Source) -> tuple[Tensors, int]:  # noqa: ARG002
        """Planes in the decoder's memory, and their bit depth."""
        planes, depth, self._shift = plane_tensors(frame)
        return planes[:1] if view.space == "luma" else planes, depth

    def batch(self, arrays: Tensors, depth: int, colour: Colour, *, coding: bool) -> DeviceBatch:  # noqa: ARG002
        """Room for a batch of pictures like these."""
        return DeviceBatch(arrays, depth, colour, self._shift, self._device)


class DeviceBatch(Batch):
    """Room on the device for one batch's planes."""

    def __init__(self, arrays: Tensors, depth: int, colour: Colour, shift: int, device: torch.device) -> None:
        size = sum(t.numel() * t.element_size() for t in arrays)
        super().__init__(max(1, min(BATCH_FRAMES, BATCH_BYTES // size)), depth, colour, coding=False)
        self._shift = shift
        self.room = [torch.empty((self.capacity, *t.shape), dtype=t.dtype, device=device) for t in arrays]

    def put(self, n: int, arrays: Tensors) -> None:
        for room, plane in zip(self.room, arrays, strict=True):
            room[n].copy_(plane)  # on the device, without waiting

    def content(self, view: View, make_view: DeviceViews) -> tuple[Planes | None, dict[View, Tensor]]:
        n = len(self.facts)
        rooms = (room[:n] if 2 * n > self.capacity else room[:n].clone() for room in self.room)  # or all room is kept
        y, *chroma = (self.aligned(room)[:, None] for room in rooms)
        planes = Planes(y, chroma[0] if chroma else None, chroma[1] if chroma else None, self.depth)
        if view.space != "rgb":
            return planes, {}
        whole = FrameBatch(*self.keys(), colour=self.colour, planes=planes, make_view=make_view)
        return None, {view: whole.view(view)}

    def aligned(self, samples: Tensor) -> Tensor:
        return _aligned(samples, self._shift)


def owned_planes(frame: av.VideoFrame) -> Planes:
    """One hardware frame's planes (N = 1), copied from the decoder's surface. Raises InvalidValue: another pixel format."""
    planes, depth, shift = plane_tensors(frame)
    y, u, v = (_aligned(p, shift).clone(memory_format=torch.contiguous_format)[None, None] for p in planes)
    return Planes(y, u, v, depth)


def _aligned(samples: Tensor, shift: int) -> Tensor:
    """Without the `shift` unused low bits of the P formats."""
    return samples.to(torch.int32).bitwise_right_shift(shift).to(torch.uint16) if shift else samples
