"""A pair too long to be kept, decoded once: aligned a stretch ahead of its scoring.

Most pairs are a constant number of frames apart, but for a few losses and repeats. Where the beginning of a pair shows that,
its frames are released for scoring, pair by pair, each after two alignments of the stretches around it that say the same. The
first stretches that do not agree end it: both files are then decoded to their ends for alignment, and the rest a second time.
In either case the plan is made in the end of all frames, as it is where both files are decoded twice; what was scored counts
only as far as the plan is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment, align_signals
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.geometry import Geometry
from mediaml.decode.kept import KEPT_BYTES, KeptFrames, expected_frame_bytes, room_for
from mediaml.decode.pair.format import PairFormat, pair_format
from mediaml.decode.pair.live import LiveFrames
from mediaml.decode.pair.plan import PairPlan, plan_of
from mediaml.decode.report import DecodeReport
from mediaml.errors import MediaError

_LEAST_ROOM, _MOST_ROOM = 96, 300  # frames: alignment of fewer says too little; more would say no more
_EDGE = 12  # rows at the ends of a stretch, of which alignment is less sure


@dataclass(slots=True)
class _Head:
    """What the beginning of a pair says; `rows` are the reference frames of its distorted ones, from frame `begin` on."""

    plan: PairPlan
    geometry: Geometry
    begin: int
    rows: NDArray[np.int64]


class FollowedPair:
    """`follow_pair` makes it. `begin`; a PairStream of `pairs` over `live`; `finish`."""

    def __init__(
        self,
        files: tuple[VideoFile, VideoFile],
        form: PairFormat,
        scale_to: str,
        room: int,
        max_pixels: int | None,
    ) -> None:
        self._files, self._form, self._scale_to, self._max_pixels = files, form, scale_to, max_pixels
        self._room = room
        self._head: _Head | None = None
        self._thread: Thread | None = None
        self._settled: SimpleQueue[NDArray[np.int64] | None] = SimpleQueue()
        sizes = [expected_frame_bytes(file) or 0.0 for file in files]
        self.live = tuple(LiveFrames(f, room, s, max_pixels) for f, s in zip(files, sizes, strict=True))

    def close(self) -> None:
        """Ends all threads; to be called whatever happens."""
        for live in self.live:
            live.close()
        if self._thread is not None:
            self._thread.join()

    @property
    def distorted(self) -> VideoFile:
        return self._files[0]

    @property
    def reports(self) -> tuple[DecodeReport, DecodeReport]:
        """Of the distorted file, of the reference; complete after `finish`."""
        return self.live[0].report, self.live[1].report

    def begin(self) -> PairPlan | None:
        """What holds for the beginning; None where no constant lag is seen there, so that nothing is followed."""
        self._head = self._look()
        if self._head is None:
            self._end(forget=True)
            return None
        self._thread = Thread(target=self._follow, args=(self._head,), name="mediaml pair follow", daemon=True)
        self._thread.start()
        return self._head.plan

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Frame numbers of both files, as they are settled; once. To be taken together with the frames of `live`."""
        while (stretch := self._settled.get()) is not None:
            yield from stretch.tolist()

    def finish(self) -> PairPlan:
        """Decodes what is left for alignment, and plans with all frames. Raises as `plan_pair`."""
        if self._thread is not None:
            self._thread.join()
        signals = [live.signal() for live in self.live]
        known = self._head.geometry if self._head is not None and self._head.geometry.checked else None
        plan, _ = plan_of(self._files, self._form, self._scale_to, signals, self._max_pixels, None, known)
        return plan

    def agrees(self, plan: PairPlan, scored: NDArray[np.int64]) -> bool:
        """Whether pairs (K, 2) scored before `finish` are the first of its plan, and in its form."""
        head, pairs = self._head, plan.pairs
        if head is None or pairs is None:
            return not len(scored)
        same = plan.form == head.plan.form and plan.crops == head.plan.crops
        return same and np.array_equal(pairs[: len(scored)], scored)

    def waiting(self, pairs: NDArray[np.int64]) -> tuple[LiveFrames, ...] | None:
        """The frames of these pairs, after `finish`, for a PairStream; None where they have to be decoded again."""
        first, last = pairs.min(0).tolist(), pairs.max(0).tolist()
        if not all(live.holds(*ends) for live, ends in zip(self.live, zip(first, last, strict=True), strict=True)):
            return None
        for live, end in zip(self.live, last, strict=True):
            live.reopen(end + 1)
        return self.live

    def _look(self) -> _Head | None:
        counts = [live.wait_for(self._room) for live in self.live]
        if min(counts) < _LEAST_ROOM:
            return None
        signals = self.live[0].signal(0, counts[0]), self.live[1].signal(0, counts[1])
        kept = [_all_of(live) for live in self.live]
        try:
            plan, geometry = plan_of(self._files, self._form, self._scale_to, signals, self._max_pixels, kept)
        except MediaError:
            return None
        assert plan.alignment is not None
        return _head_of(replace(plan, kept=None), plan.alignment, geometry, self._room // 4)

    def _follow(self, head: _Head) -> None:
        """Settles pairs once a stretch that goes on a third of the room beyond them has been aligned. The last third waits
        for the plan."""
        step = self._room // 3
        path = np.concatenate([np.full(head.begin, -1), head.rows])  # (rows aligned so far,)
        settled, still, more = head.begin, True, True
        try:
            while still and more:
                settled = self._settle(path, settled, len(path) - step)
                lag = int(path[-1 - _EDGE]) - (len(path) - 1 - _EDGE)
                counts = self.live[0].wait_for(len(path) + step), self.live[1].wait_for(len(path) + step + lag) - lag
                ahead = min(*counts, len(path) + step)
                more = ahead == len(path) + step
                found = self._aligned(head, path, ahead, lag) if ahead >= len(path) else None
                still = found is not None
                path = path if found is None else found
        finally:
            self._end(forget=not still)

    def _settle(self, path: NDArray[np.int64], first: int, stop: int) -> int:
        """Gives rows `first` to `stop` away; the first row that has not been."""
        if stop <= first:
            return first
        self._settled.put(np.stack([np.arange(first, stop), path[first:stop]], axis=1))
        for live, count in zip(self.live, (stop, int(path[stop - 1]) + 1), strict=True):
            live.release(count)
        return stop

    def _aligned(self, head: _Head, path: NDArray[np.int64], ahead: int, lag: int) -> NDArray[np.int64] | None:
        """The path up to row `ahead`, by an alignment of the stretch before it; None where it contradicts the path so far."""
        first, step = head.plan.alignment, self._room // 3
        assert first is not None
        start = max(head.begin, ahead - 2 * step)
        if ahead - len(path) < _LEAST_ROOM // 3:
            return path[:ahead]  # a few frames at the end, which wait for the plan
        shown, source = self.live[0].signal(start, ahead), self.live[1].signal(int(path[start]), ahead + lag)
        windows = first.distorted_window, first.reference_window
        try:
            found = align_signals(shown, source, windows=windows).reference_index
        except MediaError:
            return None
        known = slice(_EDGE if start > head.begin else 0, len(path) - start - 2 * _EDGE)
        same = np.array_equal(found[known] + path[start], path[start:][known])
        if not same or (found[known.start : -_EDGE] < 0).any():
            return None
        return np.concatenate([path[: start + known.stop], found[known.stop :] + path[start]])

    def _end(self, *, forget: bool) -> None:
        """Nothing more is followed."""
        for live in self.live:
            live.drain(forget=forget)
        self._settled.put(None)


def _head_of(plan: PairPlan, found: Alignment, geometry: Geometry, most: int) -> _Head | None:
    """None where the beginning is not a constant lag of at most so many frames, but for those at the end of what is known."""
    at = np.flatnonzero(found.reference_index >= 0)
    lag = int(np.median(found.reference_index[at] - at))
    rows = np.arange(len(found.reference_index)) + lag
    inside = np.flatnonzero((rows >= 0) & (rows < len(found.reference_pts_seconds)))
    sure = inside[:-_EDGE]
    if abs(lag) > most or len(sure) < _LEAST_ROOM // 2 or not np.array_equal(found.reference_index[sure], rows[sure]):
        return None
    return _Head(plan, geometry, int(inside[0]), rows[inside])


def follow_pair(
    distorted: VideoFile,
    reference: VideoFile,
    *,
    scale_to: str = "reference",
    max_pixels: int | None = None,
    keep_bytes: int = KEPT_BYTES,
) -> FollowedPair | None:
    """Begins to decode a pair; None where its frames can all be kept (`plan_pair` does that), or so few that none could be
    followed. Raises InvalidValue, ColourDiffers, MediaError."""
    files = distorted, reference
    sizes = [expected_frame_bytes(file) for file in files]
    if room_for(files, keep_bytes) is not None or not all(sizes):
        return None
    room = min(_MOST_ROOM, int(keep_bytes / sum(size for size in sizes if size is not None)))
    if room < _LEAST_ROOM:
        return None
    return FollowedPair(files, pair_format(distorted, reference, scale_to), scale_to, room, max_pixels)


def _all_of(live: LiveFrames) -> KeptFrames:
    frames = KeptFrames(1 << 62)
    for timed in live.kept():
        frames.add(timed)
    return frames
