"""Pictures enlarged in order: on the CPU each by a thread of its own, on a GPU in batches, while others are decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event, Thread

import torch
from torch import Tensor

from mediaml.engine.upscale.frames import SourcePicture
from mediaml.engine.upscale.plan import UpscalePlan
from mediaml.frames import Planes
from mediaml.restore.enlarger import Enlarger

AHEAD, AHEAD_BYTES = 6, 128 << 20  # pictures that may wait for the encoder, whose pace is uneven
BATCH, BATCH_PIXELS = 8, 4 << 20  # pictures that a GPU is given at once, and their pixels in all
Enlarged = tuple[SourcePicture, Planes]


def enlarged(pictures: Iterator[SourcePicture], enlarger: Enlarger, plan: UpscalePlan) -> Iterator[Enlarged]:
    """The pictures with their enlarged planes, on the host; a few are in hand at any time."""
    workers, size = plan.settings.threads, batch_frames(enlarger, plan)
    most = workers + -(-waiting(plan.size) // size)
    pending: deque[Future[list[Enlarged]]] = deque()
    with ThreadPoolExecutor(workers, "enlarge") as pool, _Ahead(pictures, workers * size) as ahead:
        for batch in _batches(iter(ahead), size):
            pending.append(pool.submit(enlarge, batch, enlarger, plan.siting))
            while len(pending) > most or (pending and pending[0].done()):
                yield from pending.popleft().result()
        for future in pending:
            yield from future.result()


def enlarge(batch: list[SourcePicture], enlarger: Enlarger, siting: str) -> list[Enlarged]:
    """Pictures of one size, depth and colour."""
    strength = torch.tensor([picture.strength for picture in batch])
    planes = _joined([picture.planes for picture in batch]).to(enlarger.device)
    with torch.no_grad():
        shown = _on_host(enlarger.planes(planes, batch[0].colour, siting, strength))
    return list(zip(batch, _split(shown), strict=True))


def batch_frames(enlarger: Enlarger, plan: UpscalePlan) -> int:
    """How many pictures are computed at once: one for each thread on the CPU; on a GPU as many as keep it busy."""
    if enlarger.device.type == "cpu":
        return 1
    return max(1, min(BATCH, BATCH_PIXELS // (plan.video.width * plan.video.height)))


def waiting(size: tuple[int, int]) -> int:
    """How many pictures of (w, h) wait for the encoder: `AHEAD`, fewer where they take more than `AHEAD_BYTES`."""
    return max(1, min(AHEAD, AHEAD_BYTES // (size[0] * size[1] * 3 // 2)))


def _batches(pictures: Iterator[SourcePicture], size: int) -> Iterator[list[SourcePicture]]:
    """Neighbours of one size, depth and colour, at most `size` of them."""
    batch: list[SourcePicture] = []
    for picture in pictures:
        if batch and (len(batch) == size or _kind(picture) != _kind(batch[0])):
            yield batch
            batch = []
        batch.append(picture)
        if size == 1:  # without waiting for the next one
            yield batch
            batch = []
    if batch:
        yield batch


def _kind(picture: SourcePicture) -> tuple[object, ...]:
    planes = picture.planes
    return planes.size, planes.bit_depth, None if planes.u is None else planes.u.shape, picture.colour


def _joined(planes: list[Planes]) -> Planes:
    if len(planes) == 1:
        return planes[0]
    y, u, v = (
        None if parts[0] is None else torch.cat([p for p in parts if p is not None])
        for parts in zip(*((p.y, p.u, p.v) for p in planes), strict=True)
    )
    assert y is not None
    return Planes(y, u, v, planes[0].bit_depth)


def _split(planes: Planes) -> list[Planes]:
    y, u, v = ([None] * len(planes.y) if p is None else p.split(1) for p in (planes.y, planes.u, planes.v))
    return [Planes(a, b, c, planes.bit_depth) for a, b, c in zip(y, u, v, strict=True)]  # type: ignore[arg-type]


def _on_host(planes: Planes) -> Planes:
    """In page-locked memory where they come from a GPU, which copies four times as fast into it."""

    def fetched(plane: Tensor | None) -> Tensor | None:
        if plane is None or plane.device.type == "cpu":
            return plane
        return torch.empty_like(plane, device="cpu", pin_memory=True).copy_(plane)

    y = fetched(planes.y)
    assert y is not None
    return Planes(y, fetched(planes.u), fetched(planes.v), planes.bit_depth)


class _Ahead:
    """Reads an iterator in a thread of its own, a few items ahead; what it raises is raised here."""

    def __init__(self, items: Iterator[SourcePicture], depth: int) -> None:
        self._items, self._stop = items, Event()
        self._queue: Queue[SourcePicture | BaseException | None] = Queue(depth)
        self._thread = Thread(target=self._read, name="decode", daemon=True)

    def __enter__(self) -> _Ahead:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except Empty:
                continue

    def __iter__(self) -> Iterator[SourcePicture]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _read(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(None)
        except Exception as error:  # handed to the thread that waits for it
            self._put(error)

    def _put(self, item: SourcePicture | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except Full:
                continue
        return False
