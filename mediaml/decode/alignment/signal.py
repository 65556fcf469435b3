"""What alignment knows of a file: a tiny luma picture and the time of every frame, and where black bars lie.

A thumbnail is 32x18 means of luma, in sixteen bits (the 8-bit mean of an area loses slow motion to rounding), so an hour at
25 fps is 155 MB with its detail; beyond a quarter of an hour it lies in temporary files, not in memory.
Bars are rows and columns at the edge that never leave black in the frames looked at (one in twelve).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from mediaml.decode.colour import Source
from mediaml.decode.frame_reader import TimedFrame, VideoFile, read_frames
from mediaml.decode.kept import KeptFrames
from mediaml.decode.lanes import Pictures
from mediaml.decode.report import DecodeReport
from mediaml.decode.spill import Rows
from mediaml.errors import NothingDecoded
from mediaml.spec import View

WIDTH, HEIGHT = 32, 18
_MIDDLE = (4 * WIDTH, 4 * HEIGHT)  # the first of two reductions
_BARS_EVERY = 12
_BLACK = 24 / 255  # of full scale: what a coded bar may reach
_STEP = 1 / 256  # of a thumbnail's integer, in 8-bit code values
_DETAIL_STEP = 0.5
_MAX_BAR = 0.35  # of the picture's side
_PLAIN_P = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "h263"})  # others hide later pictures


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture, as fractions of its width and height."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    @property
    def size(self) -> tuple[float, float]:
        return self.right - self.left, self.bottom - self.top

    def differs(self, other: Window, tolerance: float = 0.02) -> bool:
        pairs = ((self.left, other.left), (self.top, other.top), (self.right, other.right), (self.bottom, other.bottom))
        return any(abs(a - b) > tolerance for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Signal:
    """pts_seconds, duration_seconds (N,); thumbs (N, 18, 32) uint16, full-range luma in steps of 1/256 of an 8-bit code;
    detail (N, 18, 32) int8, in half codes, what is inside each of them; from_past (N,): P pictures, of codecs whose P
    pictures hold nothing of later ones."""

    pts_seconds: NDArray[np.float64]
    duration_seconds: NDArray[np.float64]
    thumbs: NDArray[np.uint16]
    active: Window
    size: tuple[int, int]  # (w, h) of the first frame
    report: DecodeReport
    detail: NDArray[np.int8] | None = None
    from_past: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.pts_seconds)

    def luma(self, rows: slice | NDArray[np.int64] = slice(None)) -> NDArray[np.float32]:
        """(n, 18, 32) full-range 8-bit luma minus 128."""
        return self.thumbs[rows].astype(np.float32) * _STEP - 128

    @property
    def period_seconds(self) -> float:
        """The usual distance of frames."""
        if len(self) < 2:
            return float(self.duration_seconds[0]) or 0.04
        return float(np.median(np.diff(self.pts_seconds)))


class _Bars:
    """The brightest that each row and column has been."""

    def __init__(self) -> None:
        self._rows: NDArray[np.float32] | None = None
        self._columns: NDArray[np.float32] | None = None

    def look(self, luma: NDArray, black: float, span: float) -> None:
        rows = (luma.max(axis=1).astype(np.float32) - black) / span
        columns = (luma.max(axis=0).astype(np.float32) - black) / span
        if self._rows is None or self._columns is None or rows.shape != self._rows.shape:
            self._rows, self._columns = rows, columns
            return
        np.maximum(self._rows, rows, out=self._rows)
        np.maximum(self._columns, columns, out=self._columns)

    def window(self) -> Window:
        assert self._rows is not None and self._columns is not None
        (top, bottom), (left, right) = _lit(self._rows), _lit(self._columns)
        return Window(left, top, right, bottom)


def _lit(brightest: NDArray[np.float32]) -> tuple[float, float]:
    """First and last lit line as fractions; (0, 1) where the bars would take most of the picture (it is just dark)."""
    lit = np.flatnonzero(brightest > _BLACK)
    n = len(brightest)
    if not len(lit) or lit[0] > _MAX_BAR * n or n - 1 - lit[-1] > _MAX_BAR * n:
        return 0.0, 1.0
    return float(lit[0] / n), float((lit[-1] + 1) / n)


def read_signals(
    files: Sequence[VideoFile], *, max_pixels: int | None = None, kept: Sequence[KeptFrames] | None = None
) -> list[Signal]:
    """`read_signal` of each file, each in a thread of its own."""
    places: Sequence[KeptFrames | None] = kept or [None] * len(files)
    with ThreadPoolExecutor(len(files)) as pool:
        jobs = [
            pool.submit(read_signal, file, max_pixels=max_pixels, kept=place)
            for file, place in zip(files, places, strict=True)
        ]
        return [job.result() for job in jobs]


def read_signal(file: VideoFile, *, max_pixels: int | None = None, kept: KeptFrames | None = None) -> Signal:
    """Decodes the file once: in draft quality, or as it is into `kept`. Raises MediaError."""
    rows = SignalRows(file, DecodeReport() if kept is None else kept.report)
    for timed in read_frames(file, rows.report, max_pixels=max_pixels, draft=kept is None):
        if kept is not None:
            kept.add(timed)
        rows.add(timed)
    return rows.signal()


class SignalRow(NamedTuple):
    """One frame of a `Signal`."""

    pts_seconds: float
    duration_seconds: float
    from_past: bool
    thumb: NDArray[np.uint16]
    detail: NDArray[np.int8]


class SignalRows:
    """What is known of a file's frames so far, one row a frame; `report` tells of their decoding."""

    def __init__(self, file: VideoFile, report: DecodeReport) -> None:
        self.report = report
        self._file = file
        self._pictures = Pictures(file.video)
        self._bars = _Bars()
        self._pts: list[float] = []
        self._durations: list[float] = []
        self._past: list[bool] = []
        self._thumbs, self._details = Rows((HEIGHT, WIDTH), np.uint16), Rows((HEIGHT, WIDTH), np.int8)
        self._size = (file.video.width, file.video.height)

    def __len__(self) -> int:
        return len(self._pts)

    def add(self, timed: TimedFrame) -> None:
        self.append(self.row(timed))

    def row(self, timed: TimedFrame) -> SignalRow:
        """What the next frame adds: all that takes time, so that others may read what is there."""
        luma, black, span = _luma(timed, self._pictures)
        if not self._pts:
            self._size = (luma.shape[1], luma.shape[0])
        if timed.index % _BARS_EVERY == 0:
            self._bars.look(luma, black, span)
        past = timed.frame.pict_type == PictureType.P
        return SignalRow(timed.pts_seconds, timed.duration_seconds, past, *thumbnail(luma, black, span))

    def append(self, row: SignalRow) -> None:
        self._pts.append(row.pts_seconds)
        self._durations.append(row.duration_seconds)
        self._past.append(row.from_past)
        self._thumbs.append(row.thumb)
        self._details.append(row.detail)

    def signal(self, start: int = 0, stop: int | None = None) -> Signal:
        """Of frames `start` to `stop`; of all so far where nothing is said. Raises NothingDecoded where there are none."""
        rows = slice(start, len(self) if stop is None else stop)
        if not self._pts[rows]:
            faults = f"{self.report.problems.count} faults"
            raise NothingDecoded(self._file.path, f"not one frame could be decoded ({faults})")
        times = np.array(self._pts[rows]), np.array(self._durations[rows])
        past = np.array(self._past[rows]) if self._file.video.codec in _PLAIN_P else None
        looks = [column.array(rows.start, rows.stop) for column in (self._thumbs, self._details)]
        return Signal(*times, looks[0], self._bars.window(), self._size, self.report, looks[1], past)


def _luma(timed: TimedFrame, pictures: Pictures) -> tuple[NDArray, float, float]:
    """(native luma, code of black, codes from black to white)."""
    source: Source = pictures.source(timed.frame)
    (luma, *_), depth = pictures.make(View.luma(), timed.frame, source)
    step = 2.0 ** (depth - 8)
    if source.colour.range == "limited":
        return luma, 16 * step, 219 * step
    return luma, 0.0, 2.0**depth - 1


def thumbnail(luma: NDArray, black: float, span: float) -> tuple[NDArray[np.uint16], NDArray[np.int8]]:
    """(18, 32) area means of (H, W) luma, black at 0 and white at 255 * 256, foot- and headroom clamped; and the detail.

    The detail of a thumbnail pixel is a sum over 4x4 samples inside it with signs that add up to nothing: motion that the
    means do not show changes it, and squared differences of it are, in the mean, those of the samples about their means.
    """
    shrink = partial(cv2.resize, interpolation=cv2.INTER_AREA)
    middle = np.asarray(shrink(luma, _MIDDLE), np.float32)
    scale = np.float32(255 / span)
    small = np.asarray(shrink(middle, (WIDTH, HEIGHT)), np.float32)
    mixed = np.asarray(shrink(middle * _SIGNS, (WIDTH, HEIGHT)), np.float32)
    means = np.clip(np.rint((small - black) * (scale / _STEP)), 0, 65535).astype(np.uint16)
    return means, np.clip(np.rint(mixed * (4 * scale / _DETAIL_STEP)), -127, 127).astype(np.int8)


def _balanced_signs() -> NDArray[np.float32]:
    """(72, 128): in each 4x4 block as many +1 as -1, at random places."""
    rng = np.random.default_rng(5)
    order = rng.random((HEIGHT, WIDTH, 16)).argsort(axis=2)
    signs = np.where(order < 8, 1, -1).astype(np.float32)
    return signs.reshape(HEIGHT, WIDTH, 4, 4).transpose(0, 2, 1, 3).reshape(4 * HEIGHT, 4 * WIDTH)


_SIGNS = _balanced_signs()


def rewindowed(luma: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """(n, 18, 32) thumbnails of the part `window` of each picture, by linear interpolation."""
    if not window.differs(Window(), 1e-6):
        return luma
    wide, high = window.size
    x = np.clip((window.left + (np.arange(WIDTH) + 0.5) / WIDTH * wide) * WIDTH - 0.5, 0, WIDTH - 1)
    y = np.clip((window.top + (np.arange(HEIGHT) + 0.5) / HEIGHT * high) * HEIGHT - 0.5, 0, HEIGHT - 1)
    rows, columns = _weights(y, HEIGHT), _weights(x, WIDTH)
    return np.einsum("ah,nhw,bw->nab", rows, luma, columns, optimize=True).astype(np.float32)


class HasLuma(Protocol):
    """A `Signal`, or a `Track` of one."""

    def __len__(self) -> int: ...
    def luma(self, rows: slice, /) -> NDArray[np.float32]: ...


def windowed_thumbs(signal: HasLuma, window: Window) -> NDArray[np.uint16]:
    """(N, 18, 32) as `Signal.thumbs`, of a part of each picture; in a temporary file where they are many."""
    made = Rows((HEIGHT, WIDTH), np.uint16)
    for start in range(0, len(signal), 1024):
        luma = signal.luma(slice(start, start + 1024)).reshape(-1, HEIGHT, WIDTH)
        part = rewindowed(luma, window)
        made.append(np.clip(np.rint((part + 128) / _STEP), 0, 65535).astype(np.uint16))
    return made.array()


def _weights(at: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """(len(at), size) linear interpolation."""
    low = np.minimum(np.floor(at).astype(int), size - 2)
    made = np.zeros((len(at), size), np.float32)
    made[np.arange(len(at)), low] = 1 - (at - low)
    made[np.arange(len(at)), low + 1] += at - low
    return made
