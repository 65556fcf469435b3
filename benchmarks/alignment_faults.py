"""Faults in time and geometry, to be injected into encodes of real clips; each with the truth that alignment must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.pair.pictures import Crop

Picture = NDArray[np.uint8]  # (H * 3 / 2, W) yuv420p


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """order: source frame of each distorted frame; pts in frames, None for 0, 1, 2 ...; the reference holds the source frames
    from `head` to `tail` before the last, so frames outside have no counterpart.

    change   what is done to the distorted pictures
    crops    the parts of the distorted and of the reference picture, of a given size (w, h), that then show the same
    """

    name: str
    order: Sequence[int]
    pts: Sequence[int] | None = None
    fps: Fraction | int = 25
    head: int = 0
    tail: int = 0
    change: Callable[[Picture], Picture] | None = None
    crops: Callable[[int, int], tuple[Crop | None, Crop | None]] | None = None

    def truth(self, count: int) -> NDArray[np.int64]:
        """Reference frame of each distorted frame, -1 for none; `count` frames in the source."""
        found = np.array(self.order, np.int64) - self.head
        return np.where((found >= 0) & (found < count - self.head - self.tail), found, -1)


def faults(count: int) -> Iterator[Fault]:
    """All of them, of a clip of `count` frames that is taken to have 25 a second."""
    every = list(range(count))
    rng = np.random.default_rng(1)
    kept = [i for i in every if rng.random() > 0.03]
    doubled = [j for i in every for j in ([i, i] if rng.random() < 0.03 else [i])]
    uneven = [i for i in every if rng.random() > 0.3]
    yield Fault("none", every)
    yield Fault("offset of 1", every[1:])
    yield Fault("offset of 17", every[17:])
    yield Fault("encode trimmed", every[9:-20])
    yield Fault("source trimmed", every, head=12, tail=10)
    yield Fault("3 % dropped", kept)
    yield Fault("3 % dropped, gaps", kept, kept)
    yield Fault("9 dropped at once", [*every[: count // 2], *every[count // 2 + 9 :]])
    yield Fault("3 % repeated", doubled)
    yield Fault("freezes of 3", _frozen(every, range(20, count - 12, 40), 3))
    yield Fault("freeze of 12", _frozen(every, [count // 3], 12))
    yield Fault("concealed losses", _frozen(every, range(14, count - 2, 30), 1))
    yield Fault("25 to 30", _newest(count, Fraction(25, 30)), fps=30)
    yield Fault("25 to 50", _newest(count, Fraction(1, 2)), fps=50)
    yield Fault("30 to 25", _newest(count, Fraction(6, 5)), fps=Fraction(125, 6))
    yield Fault("50 to 25", every[::2], fps=Fraction(25, 2))
    yield Fault("59.94 to 50", _newest(count, Fraction(60000, 50050)), fps=Fraction(25 * 50050, 60000))
    yield Fault("24 to 25", _newest(count, Fraction(24, 25)), fps=Fraction(625, 24))
    yield Fault("24 as 23.976", every, fps=Fraction(25000, 1001))
    yield Fault("3:2 pull-down", _newest(count, Fraction(4, 5)), fps=Fraction(125, 4))
    yield Fault("variable rate", uneven, uneven)
    yield Fault("half the size", every[5:], change=halved)
    yield Fault("cropped", every[5:], change=_inner, crops=lambda w, h: (None, _inner_crop(w, h)))
    yield Fault("letterbox", every[5:], change=_barred, crops=lambda w, h: (Crop(0, _bar(h), w, h), None))


def _newest(count: int, ratio: Fraction) -> list[int]:
    """The newest source frame at each instant, where a frame lasts `ratio` source frames."""
    return [int(i * ratio) for i in range(int(count / ratio))]


def _frozen(every: list[int], at: Sequence[int], frames: int) -> list[int]:
    """Shown again `frames` times, and then on with the frame that it is time for."""
    order = list(every)
    for i in at:
        order[i : i + frames + 1] = [i] * (frames + 1)
    return order


def planes(picture: Picture) -> tuple[Picture, Picture, Picture]:
    """(H, W), (H / 2, W / 2) twice."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    return picture[:height], chroma[0], chroma[1]


def _joined(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> Picture:
    return np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(-1, y.shape[1])


def halved(picture: Picture) -> Picture:
    """Half the size by area means, the nearest size that 4:2:0 has."""
    y, u, v = planes(picture)
    height, width = y.shape[0] // 4 * 2, y.shape[1] // 4 * 2
    return _joined(_shrunk(y, width, height), *(_shrunk(c, width // 2, height // 2) for c in (u, v)))


def _shrunk(plane: Picture, width: int, height: int) -> Picture:
    import cv2

    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _inner_crop(width: int, height: int) -> Crop:
    x, y = round(width * 0.05 / 4) * 4, round(height * 0.05 / 4) * 4
    return Crop(x, y, width - 2 * x, height - 2 * y)


def _inner(picture: Picture) -> Picture:
    y, u, v = planes(picture)
    c = _inner_crop(y.shape[1], y.shape[0])
    half = (slice(c.y // 2, (c.y + c.height) // 2), slice(c.x // 2, (c.x + c.width) // 2))
    return _joined(y[c.y : c.y + c.height, c.x : c.x + c.width], u[half], v[half])


def _bar(height: int) -> int:
    return round(height * 0.12 / 4) * 4


def _barred(picture: Picture) -> Picture:
    y, u, v = planes(picture)
    bar = _bar(y.shape[0])
    levels = zip((y, u, v), (16, 128, 128), (bar, bar // 2, bar // 2), strict=True)
    return _joined(*(np.pad(p, ((b, b), (0, 0)), constant_values=level) for p, level, b in levels))
