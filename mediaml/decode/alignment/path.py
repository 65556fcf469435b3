"""Which reference frame each distorted frame shows: the cheapest monotone path, by dynamic programming.

States are (distorted frame i, reference frame j). A path goes one distorted frame on at a time and stays, steps or jumps
forward in the reference; it may start and end anywhere. Its cost is the sum of

    distance    mean squared difference of the thumbnails beyond that of the nearest one, over what neighbouring frames
                differ by hereabouts plus the nearest one's own distance, so that a frame like none has no say; at most `CAP`
    step        `STEP` a reference frame by which the step differs from what the clocks say, so that where pictures do not
                tell (a static scene), time does; at most `JUMP`, for a cut or a large loss

This first path has no idea of the offset and no memory; alignment/steady.py follows a clock near it.

The way back is O(distorted frames x band), packed: above `FULL_CELLS` every n-th frame is aligned first, and the band lies
around that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.trace import Trace

FULL_CELLS = 12_000_000
COARSE_FRAMES = 3000
CAP = 60.0
STEP = 1.0
JUMP = 2.0
_BLOCK = 64
_PIECE = 4096  # reference frames
_RETIMED = 0.06
MOTION_FLOOR, _MOTION_OF = 2.0, 15  # differences below the floor are mostly coding
_NOISE_FLOOR = 0.1  # of the mean squared difference, in squared 8-bit codes

Indices = NDArray[np.int64]
Floats = NDArray[np.float32]
Rows = slice | Indices
PIXELS = 18 * 32


@dataclass(frozen=True, slots=True)
class Track:
    """One file: what its pictures are compared by, kept small and made float where it is looked at.

    means        (N, 18, 32) luma: uint16 in steps of 1/256 of an 8-bit code, or float32 minus 128
    pts_seconds  (N,)
    detail       (N, 18, 32) int8 in half codes: texture inside each thumbnail pixel; None where it cannot be had
    gain, offset   levels that `means` are brought to
    from_past    (N,) pictures that hold nothing of later ones (P pictures); None where that is not known
    texture      what detail counts for beside luma
    registered   whether they are of the whole picture; those of a part are interpolated, so that errors are of place too, and
                 a slow zoom brings them in line with other times
    """

    means: NDArray[Any]
    pts_seconds: NDArray[np.float64]
    detail: NDArray[np.int8] | None = None
    gain: float = 1.0
    offset: float = 0.0
    from_past: NDArray[np.bool_] | None = None
    texture: float = 1.0
    registered: bool = True

    def __len__(self) -> int:
        return len(self.pts_seconds)

    def luma(self, rows: Rows = slice(None)) -> Floats:
        """(n, 576) minus 128."""
        found = self.means[rows].astype(np.float32)
        found = found.reshape(len(found), -1)
        if self.means.dtype == np.uint16:
            found = found * np.float32(1 / 256) - np.float32(128)
        return found if (self.gain, self.offset) == (1, 0) else found * np.float32(self.gain) + np.float32(self.offset)

    def vectors(self, rows: Rows = slice(None)) -> Floats:
        """(n, 576 or 1152): luma, then detail."""
        if self.detail is None:
            return self.luma(rows)
        detail = self.detail[rows].astype(np.float32) * np.float32(0.5 * self.gain * self.texture)
        return np.concatenate([self.luma(rows), detail.reshape(len(detail), -1)], axis=1)

    @property
    def period_seconds(self) -> float:
        return float(np.median(np.diff(self.pts_seconds))) if len(self) > 1 else 0.04

    def at(self, rows: Rows) -> Track:
        """Some of its frames."""
        detail = None if self.detail is None else self.detail[rows]
        past = None if self.from_past is None else self.from_past[rows]
        seconds = self.pts_seconds[rows]
        return replace(self, means=self.means[rows], pts_seconds=seconds, detail=detail, from_past=past)

    def thinned(self, every: int) -> Track:
        return self.at(slice(None, None, every))


def comparable(distorted: Track, reference: Track) -> tuple[Track, Track]:
    """Both without detail where one has none."""
    if distorted.detail is not None and reference.detail is not None:
        return distorted, reference
    return replace(distorted, detail=None), replace(reference, detail=None)


@dataclass(frozen=True, slots=True)
class Path:
    """index (M,): the reference frame of each distorted one; distance (M,): mean squared difference, in squared codes;
    noise: the distance that coding leaves; gain, offset: levels of the distorted file over the reference's;
    outside (M,): the reference has no frame at that time, and `index` is its first or last."""

    index: Indices
    distance: Floats
    noise: float
    gain: float = 1.0
    offset: float = 0.0
    outside: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class _Band:
    """For row i the reference frames low[i] ... low[i] + width - 1; `low` ascends."""

    low: Indices
    width: int


def first_path(distorted: Track, reference: Track) -> Path:
    """The path between two files, frame by frame. Deterministic; both need at least one frame."""
    distorted, reference = comparable(distorted, reference)
    m, n = len(distorted), len(reference)
    if m * n <= FULL_CELLS:
        band = _Band(np.zeros(m, np.int64), n)
    else:
        band = _coarse_band(distorted, reference)
    found = _solve(replace(distorted, pts_seconds=frame_for_frame(distorted, reference)), reference, band)
    gain, offset = _levels(distorted, reference, found)
    return replace(found, gain=gain, offset=offset)


def frame_for_frame(distorted: Track, reference: Track) -> NDArray[np.float64]:
    """pts_seconds of the distorted file, stretched where its frames last nearly a whole number of reference frames (25 frames
    a second played at 24, 23.976 at 24): such files are far oftener re-timed than resampled."""
    ratio = distorted.period_seconds / reference.period_seconds
    whole = max(1, round(ratio))
    near = abs(ratio / whole - 1) < _RETIMED
    return distorted.pts_seconds * (whole / ratio) if near else distorted.pts_seconds


def _coarse_band(distorted: Track, reference: Track) -> _Band:
    m, n = len(distorted), len(reference)
    each = max(1, -(-m // COARSE_FRAMES)), max(1, -(-n // COARSE_FRAMES))
    thin = distorted.thinned(each[0]), reference.thinned(each[1])
    path = _solve(*thin, _Band(np.zeros(len(thin[0]), np.int64), len(thin[1])))
    margin = 4 * max(each) + 64
    centre = np.interp(np.arange(m), np.arange(len(thin[0])) * each[0], path.index * each[1])
    width = min(n, 2 * margin)
    low = np.clip(np.floor(centre).astype(np.int64) - margin, 0, n - width)
    return _Band(np.maximum.accumulate(low), width)


def _solve(distorted: Track, reference: Track, band: _Band) -> Path:
    noise = _noise(distorted, reference, band)
    motion = local_motion(reference)
    period = reference.period_seconds
    steps = np.diff(distorted.pts_seconds, prepend=distorted.pts_seconds[0]) / period
    search = _Search(band, steps)
    for start in range(0, len(distorted), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(distorted)))
        block = _distances(distorted, reference, band, rows)
        nearest = block.argmin(1)
        least = block[np.arange(len(block)), nearest]
        scale = motion[band.low[rows] + nearest] + np.maximum(least, np.float32(noise))
        block = np.minimum((block - least[:, None]) / scale[:, None], CAP)
        for i, costs in zip(range(rows.start, rows.stop), block, strict=True):
            search.advance(i, costs)
    index = search.path()
    return Path(index, pair_distance(distorted, reference, index), noise)


def _distances(distorted: Track, reference: Track, band: _Band, rows: Rows) -> Floats:
    """(rows, band width) mean squared differences; the reference is made float piece by piece."""
    low = band.low[rows]
    first, stop = int(low[0]), int(low[-1]) + band.width
    shown = distorted.vectors(rows)
    pieces = [slice(s, min(s + _PIECE, stop)) for s in range(first, stop, _PIECE)]
    squares = np.concatenate([squared_differences(shown, reference.vectors(piece)) for piece in pieces], axis=1)
    if first == low[-1]:
        return squares
    columns = (low - first)[:, None] + np.arange(band.width)[None]
    return np.take_along_axis(squares, columns, axis=1)


def squared_differences(a: Floats, b: Floats) -> Floats:
    """(n, D) and (m, D) vectors -> (n, m) squared distances a pixel of the thumbnail."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * (a @ b.T)
    return np.maximum(squares, 0) / np.float32(PIXELS)


def _noise(distorted: Track, reference: Track, band: _Band) -> float:
    """What coding leaves: the median distance of the nearest pictures, of about 512 frames."""
    rows = np.arange(0, len(distorted), max(1, len(distorted) // 512))
    together = _BLOCK if band.low[0] == band.low[-1] else 1  # rows that look at the same reference frames
    groups = [rows[start : start + together] for start in range(0, len(rows), together)]
    found = np.concatenate([_distances(distorted, reference, band, group).min(1) for group in groups])
    return float(np.median(found)) + _NOISE_FLOOR


def local_motion(reference: Track, floor: float = MOTION_FLOOR) -> Floats:
    """(N,) how much neighbouring pictures differ hereabouts: the median of squared differences, and a floor."""
    if len(reference) < 2:
        return np.full(1, floor, np.float32)

    def block(rows: slice) -> Floats:
        vectors = reference.vectors(slice(rows.start, rows.stop + 1))
        return (np.diff(vectors, axis=0) ** 2).sum(1) / np.float32(PIXELS)

    steps = _in_blocks(len(reference) - 1, block)
    wide = min(_MOTION_OF, len(steps) - 1 + len(steps) % 2)
    padded = np.pad(steps, (wide // 2, wide // 2 + 1), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, wide), axis=1) + np.float32(floor)


class _Search:
    """The forward pass, and the way back."""

    def __init__(self, band: _Band, steps: NDArray[np.float64]) -> None:
        self._band = band
        self._steps = steps
        self._total: Floats = np.zeros(0, np.float32)
        self._trace = Trace()

    def advance(self, i: int, costs: Floats) -> None:
        if i == 0:
            self._total = costs.astype(np.float32)
            return
        before = self._shifted(int(self._band.low[i] - self._band.low[i - 1]))
        width, expected = self._band.width, float(self._steps[i])
        jump, jump_step = _running_minimum(before)
        best, back = jump + np.float32(JUMP), jump_step
        nearest = round(expected)
        for k in sorted({0, 1, 2, 3, *range(max(0, nearest - 1), nearest + 2)}):
            if k >= width:
                break
            total = np.full(width, np.inf, np.float32)
            total[k:] = before[: width - k] + np.float32(min(STEP * abs(k - expected), JUMP))
            better = total <= best
            best, back = np.where(better, total, best), np.where(better, k, back)
        self._total = best + costs
        self._trace.append(back)

    def path(self) -> Indices:
        index = np.empty(len(self._steps), np.int64)
        j = int(np.argmin(self._total)) + int(self._band.low[-1])
        steps = self._trace.backwards()
        for i in range(len(index) - 1, -1, -1):
            index[i] = j
            if i:
                j -= int(next(steps)[j - self._band.low[i]])
        return index

    def _shifted(self, by: int) -> Floats:
        """The totals so far, in the columns of the next row."""
        if by == 0:
            return self._total
        moved = np.full(self._band.width, np.inf, np.float32)
        moved[: max(0, self._band.width - by)] = self._total[by:]
        return moved


def _running_minimum(totals: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """(least so far, how many columns back it lies)."""
    least = np.minimum.accumulate(totals)
    at = np.arange(len(totals))
    return least, at - np.maximum.accumulate(np.where(totals <= least, at, 0))


def pair_distance(distorted: Track, reference: Track, index: Indices) -> Floats:
    """(M,) mean squared difference of each frame and its reference."""
    distorted, reference = comparable(distorted, reference)

    def block(rows: slice) -> Floats:
        return ((distorted.vectors(rows) - reference.vectors(index[rows])) ** 2).sum(1) / np.float32(PIXELS)

    return _in_blocks(len(distorted), block)


def correlation(distorted: Track, reference: Track, index: Indices) -> Floats:
    """(M,) correlation of each thumbnail with its reference's; NaN where either is flat (under two codes of deviation)."""

    def block(rows: slice) -> Floats:
        a, b = distorted.luma(rows), reference.luma(index[rows])
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        spread = a.std(1), b.std(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (a * b).mean(1) / (spread[0] * spread[1])
        return np.where(np.minimum(*spread) < 2, np.nan, found).astype(np.float32)

    return _in_blocks(len(distorted), block)


def _in_blocks(count: int, of: Callable[[slice], Floats], size: int = 1024) -> Floats:
    return np.concatenate([of(slice(s, min(s + size, count))) for s in range(0, count, size)])


def _levels(distorted: Track, reference: Track, path: Path) -> tuple[float, float]:
    """(gain, offset) that bring the reference to the distorted file's levels; (1, 0) where the fit is poor or implausible."""
    good = np.flatnonzero(path.distance <= np.median(path.distance))[:: max(1, len(distorted) // 1000)]
    a, b = distorted.luma(good).ravel(), reference.luma(path.index[good]).ravel()
    spread = float(b.std())
    if spread < 2:
        return 1.0, 0.0
    gain = float(((a - a.mean()) * (b - b.mean())).mean()) / spread**2
    explained = gain * spread / max(float(a.std()), 1e-6)
    if explained < 0.9 or not 0.6 < gain < 1.7:
        return 1.0, 0.0
    return gain, float(a.mean() - gain * b.mean())
