"""PairStream: two files decoded once, in lock-step, as batches of aligned pairs in one common form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Thread
from types import TracebackType
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.decode.frame_reader import TimedFrame, VideoFile, read_frames
from mediaml.decode.handover import Handover, Stopped
from mediaml.decode.lanes import batch_capacity
from mediaml.decode.pair.format import PairFormat
from mediaml.decode.pair.pictures import Crop, PairPictures, Picture
from mediaml.decode.report import DecodeReport
from mediaml.frames import FrameBatch, Planes

QUEUE_BYTES = 96 << 20  # of each side


class Decoded(Protocol):
    """Frames of a file that somebody else decodes or has decoded: `KeptFrames`, `LiveFrames`."""

    report: DecodeReport

    @property
    def usable(self) -> bool: ...
    def take(self) -> Iterator[TimedFrame]: ...
    def leave(self) -> None:
        """Nobody takes any more; ends a `take` that waits."""


class _Side:
    """One file: a thread that decodes it and prepares the wanted frames; at most `queue_bytes` wait."""

    def __init__(
        self,
        file: VideoFile,
        pictures: PairPictures,
        wanted: NDArray[np.bool_] | None,
        max_pixels: int | None,
        queue_bytes: int,
        kept: Decoded | None,
    ) -> None:
        self._kept = kept if kept is not None and kept.usable else None
        self.report = DecodeReport() if self._kept is None else self._kept.report
        self.delivered = 0
        self._file, self._pictures, self._wanted = file, pictures, wanted
        self._max_pixels = max_pixels
        self._queue: Handover[Picture] = Handover(queue_bytes)
        self._thread = Thread(target=self._run, name="mediaml pair decode", daemon=True)
        self._thread.start()

    def next(self) -> Picture | None:
        """The next wanted frame; None at the end. Raises what decoding raised."""
        picture = self._queue.get()
        self.delivered += picture is not None
        return picture

    def close(self) -> None:
        self._queue.stop()
        if self._kept is not None:
            self._kept.leave()
        self._thread.join()

    def _frames(self) -> Iterator[TimedFrame]:
        if self._kept is not None:
            return self._kept.take()
        return read_frames(self._file, self.report, max_pixels=self._max_pixels)

    def _run(self) -> None:
        error: BaseException | None = None
        last = None if self._wanted is None else int(np.flatnonzero(self._wanted)[-1])
        try:
            for timed in self._frames():
                if self._queue.stopped:
                    raise Stopped
                if last is not None and timed.index > last:
                    break
                if self._wanted is None or self._wanted[timed.index]:
                    made = self._pictures.make(timed)
                    self._queue.put(made, made.nbytes)
        except Stopped:
            self.report.ended_early = True
        except BaseException as caught:
            error = caught
        finally:
            self._queue.close(error)


class PairStream:
    """Iterates FrameBatches of the distorted file whose `.reference` is the aligned batch of the reference.

    `pairs` (K, 2) are distorted and reference frame numbers, both ascending (`Alignment.pairs`), or come one by one; None
    pairs frame i with frame i until either file ends. Both files are decoded in their own threads; at most `queue_bytes` of
    prepared pictures a side wait, so memory does not grow with duration. Files whose frames are `kept`, or decoded elsewhere,
    are not decoded again; the frames are given up as they are used. The batches' `colour` is that of the common form.

    Iterating raises MediaError. Reports are complete when the iteration has ended.
    """

    def __init__(
        self,
        distorted: VideoFile,
        reference: VideoFile,
        form: PairFormat,
        pairs: NDArray[np.int64] | Iterator[tuple[int, int]] | None,
        *,
        crops: tuple[Crop | None, Crop | None] = (None, None),
        device: torch.device | str = "cpu",
        max_pixels: int | None = None,
        queue_bytes: int = QUEUE_BYTES,
        kept: Sequence[Decoded] | None = None,
    ) -> None:
        self._kept: Sequence[Decoded | None] = kept or (None, None)
        self.form, self.device = form, torch.device(device)
        self._pairs = pairs
        self._files = (distorted, reference)
        self._crops = crops
        self._limits = max_pixels, queue_bytes
        self._sides: list[_Side] = []

    def __enter__(self) -> PairStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for side in self._sides:
            side.close()

    @property
    def reports(self) -> tuple[DecodeReport, DecodeReport]:
        """Of the distorted file, of the reference."""
        return self._sides[0].report, self._sides[1].report

    def __iter__(self) -> Iterator[FrameBatch]:
        if self._sides:
            raise RuntimeError("a PairStream can be iterated once")
        known = self._pairs if isinstance(self._pairs, np.ndarray) else None
        if known is not None and not len(known):
            return
        names: tuple[Literal["distorted", "reference"], ...] = ("distorted", "reference")
        for column, (file, name, crop) in enumerate(zip(self._files, names, self._crops, strict=True)):
            wanted = None
            if known is not None:
                wanted = np.zeros(int(known[:, column].max()) + 1, bool)
                wanted[known[:, column]] = True
            pictures = PairPictures(file, self.form, name, crop)
            self._sides.append(_Side(file, pictures, wanted, *self._limits, self._kept[column]))
        try:
            yield from self._batches()
        finally:
            self.close()

    def _batches(self) -> Iterator[FrameBatch]:
        room: list[tuple[Picture, Picture]] = []
        capacity = 1
        for pair in self._matched():
            if not room:
                capacity = batch_capacity(pair[0].nbytes)
            room.append(pair)
            if len(room) == capacity:
                yield self._batch(room)
                room = []
        if room:
            yield self._batch(room)

    def _matched(self) -> Iterator[tuple[Picture, Picture]]:
        distorted, reference = self._sides
        against: Picture | None = None
        for i, j in self._numbers():
            picture = _from(distorted, i, None)
            against = _from(reference, j, against)
            if picture is None or against is None:
                return
            assert i is None or (picture.index, against.index) == (i, j)
            yield picture, against

    def _numbers(self) -> Iterator[tuple[int | None, int | None]]:
        if self._pairs is None:
            while True:
                yield None, None
        yield from self._pairs.tolist() if isinstance(self._pairs, np.ndarray) else self._pairs

    def _batch(self, room: list[tuple[Picture, Picture]]) -> FrameBatch:
        distorted, reference = zip(*room, strict=True)
        against = _batch(reference, self.form, self.device)
        return _batch(distorted, self.form, self.device, against)


def _from(side: _Side, number: int | None, picture: Picture | None) -> Picture | None:
    """The frame of this number, perhaps the one that is there; the next where there is no number. None at the end."""
    if number is None:
        return side.next()
    while picture is None or picture.index < number:
        picture = side.next()
        if picture is None:
            return None
    return picture


def _batch(
    pictures: tuple[Picture, ...], form: PairFormat, device: torch.device, reference: FrameBatch | None = None
) -> FrameBatch:
    stacked = [
        torch.from_numpy(np.stack(planes)[:, None]) for planes in zip(*(p.planes for p in pictures), strict=True)
    ]
    y, *chroma = stacked  # (N, 1, h, w)
    planes = Planes(y, chroma[0] if chroma else None, chroma[1] if chroma else None, form.bit_depth)
    return FrameBatch(
        pts_seconds=torch.tensor([p.pts_seconds for p in pictures], dtype=torch.float64),
        duration_seconds=torch.tensor([p.duration_seconds for p in pictures], dtype=torch.float64),
        frame_index=torch.tensor([p.index for p in pictures], dtype=torch.int64),
        key_frame=torch.tensor([p.key_frame for p in pictures], dtype=torch.bool),
        colour=form.colour,
        planes=planes if device.type == "cpu" else planes.to(device),
        reference=reference,
    )
