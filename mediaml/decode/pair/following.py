"""A pair too long to be kept, decoded once: aligned a stretch ahead of its scoring.

Most pairs are a constant number of frames apart from end to end. Where the beginning of a pair shows that, its frames are
released for scoring in that order, each after an alignment of the stretch around it that says the same. The first stretch
that says otherwise ends it: both files are then decoded to their ends for alignment, and the rest a second time. In either
case the plan is made in the end of all frames, as it is where both files are decoded twice; what was scored counts only as
far as the plan is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Thread
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment, align_signals
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.geometry import Geometry, find_geometry
from mediaml.decode.kept import KEPT_BYTES, KeptFrames, expected_frame_bytes, room_for
from mediaml.decode.pair.format import PairFormat, pair_format
from mediaml.decode.pair.live import LiveFrames
from mediaml.decode.pair.plan import PairPlan, plan_of
from mediaml.decode.report import DecodeReport
from mediaml.errors import MediaError

_LEAST_ROOM, _MOST_ROOM = 96, 300  # frames: alignment of fewer says too little; more would say no more
_EDGE = 12  # rows at the ends of a stretch, of which alignment is less sure


@dataclass(frozen=True, slots=True)
class _Lag:
    """Reference frames by which a pair is apart; `begins` are the first frames of both that belong together."""

    frames: int

    @property
    def begins(self) -> tuple[int, int]:
        return max(0, -self.frames), max(0, self.frames)

    def holds(self, found: Alignment, unsure_first: int = 0) -> bool:
        """Whether an alignment says so of every frame that has a counterpart by this lag, but for those at its ends."""
        rows = np.arange(len(found.reference_index)) + self.frames
        inside = np.flatnonzero((rows >= 0) & (rows < len(found.reference_pts_seconds)))[unsure_first:-_EDGE]
        return len(inside) > _EDGE and np.array_equal(found.reference_index[inside], rows[inside])


@dataclass(slots=True)
class _Head:
    """What the beginning of a pair says."""

    plan: PairPlan
    geometry: Geometry
    lag: _Lag
    frames: int
    thread: Thread | None = None


class FollowedPair:
    """`follow_pair` makes it. `begin`; a PairStream over `live` from `begins` on; `finish`."""

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
        sizes = [expected_frame_bytes(file) or 0.0 for file in files]
        self.live = tuple(LiveFrames(f, room, s, max_pixels) for f, s in zip(files, sizes, strict=True))

    def __enter__(self) -> FollowedPair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for live in self.live:
            live.close()
        if self._head is not None and self._head.thread is not None:
            self._head.thread.join()

    @property
    def distorted(self) -> VideoFile:
        return self._files[0]

    @property
    def reports(self) -> tuple[DecodeReport, DecodeReport]:
        """Of the distorted file, of the reference; complete after `finish`."""
        return self.live[0].report, self.live[1].report

    @property
    def begins(self) -> tuple[int, int]:
        """The first frames that belong together, of both files."""
        return (0, 0) if self._head is None else self._head.lag.begins

    def begin(self) -> PairPlan | None:
        """What holds for the beginning, and from then on goes on being checked; None where no constant lag is seen."""
        self._head = self._look()
        if self._head is None:
            for live in self.live:
                live.drain(forget=True)
            return None
        self._head.thread = Thread(target=self._follow, args=(self._head,), name="mediaml pair follow", daemon=True)
        self._head.thread.start()
        return self._head.plan

    def finish(self) -> PairPlan:
        """Decodes what is left for alignment, and plans with all frames. Raises as `plan_pair`."""
        if self._head is not None and self._head.thread is not None:
            self._head.thread.join()
        signals = [live.signal() for live in self.live]
        known = self._head.geometry if self._head is not None and self._head.geometry.checked else None
        return plan_of(self._files, self._form, self._scale_to, signals, self._max_pixels, None, known)

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
            found = align_signals(signals[0], signals[1], self._files[0].path, self._files[1].path)
            geometry = find_geometry(*self._files, found, self._max_pixels, kept)
            plan = plan_of(self._files, self._form, self._scale_to, signals, self._max_pixels, kept, geometry)
        except MediaError:
            return None
        assert plan.alignment is not None
        pairs = plan.alignment.pairs()
        lag = _Lag(int(np.median(pairs[:, 1] - pairs[:, 0])))
        if abs(lag.frames) > self._room // 4 or not lag.holds(plan.alignment):
            return None
        return _Head(replace(plan, kept=None), geometry, lag, min(counts))

    def _follow(self, head: _Head) -> None:
        """Releases rows once a stretch that goes on a third of the room beyond them has been checked. The last third waits
        for the plan."""
        step = self._room // 3
        shifts = head.lag.begins
        row, still, more = head.frames - max(shifts), True, True
        try:
            while still and more:
                self._release(row - step, shifts)
                counts = [live.wait_for(row + step + s) - s for live, s in zip(self.live, shifts, strict=True)]
                ahead = min(*counts, row + step)
                more = ahead == row + step
                still = ahead >= row and self._still(head, max(0, ahead - 2 * step), ahead)
                row = ahead
        finally:
            for live in self.live:
                live.drain(forget=not still)

    def _release(self, rows: int, shifts: tuple[int, int]) -> None:
        for live, shift in zip(self.live, shifts, strict=True):
            live.release(rows + shift)

    def _still(self, head: _Head, start: int, stop: int) -> bool:
        """Whether alignment of a stretch of pairs, numbered from the first, finds frame i at frame i."""
        if stop - start < _LEAST_ROOM // 2:
            return True  # a few frames at the end; the whole alignment comes after them
        first = head.plan.alignment
        assert first is not None
        shown, source = (live.signal(start + s, stop + s) for live, s in zip(self.live, head.lag.begins, strict=True))
        windows = first.distorted_window, first.reference_window
        try:
            return _Lag(0).holds(align_signals(shown, source, windows=windows), _EDGE if start else 0)
        except MediaError:
            return False


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
