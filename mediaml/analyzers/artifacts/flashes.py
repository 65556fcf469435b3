"""Photosensitive epilepsy: flashes of luminance and of saturated red (ITU-R BT.1702, WCAG 2.3.1)."""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.small_view import BLOCK, BLOCKS, SMALL, WIDTH, Floats, pictures
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

STEP = 0.1  # of the greatest relative luminance: WCAG's 10 %, BT.1702's 20 cd/m2 on a display of 200
DARKER_BELOW = 0.8  # the darker image's relative luminance: WCAG's 0.80, BT.1702's 160 cd/m2
AREA = 0.25  # of the picture, in concurrent flashes
ALLOWED = 3  # flashes in any second
_RED_SHARE, _RED_STEP = 0.8, 0.2  # R / (R + G + B), and distance in the CIE 1976 u'v' diagram
_RED_FLOOR = 0.0625  # linear R under which a picture element is too dark to be a saturated red
_RED_PLACE = np.array([0.4507, 0.5229], np.float32)  # u'v' of the red primary of BT.709
_CONCURRENT_SECONDS = 0.07
_ONE_WAY = 2.5  # times the area that changes the other way meanwhile: a moving texture changes both ways at once
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)


class Flashes(Detector):
    """More than three flashes in any one second, over at least a quarter of the picture.

    A flash is a pair of opposing changes of at least 10 % of the greatest relative luminance, the darker state below 0.80; a
    red flash a pair of opposing changes of more than 0.2 in u'v', one to and one from a saturated red (WCAG 2.2). The changes
    are found in each of 32x18 cells of the picture, from extreme to extreme; cells that change in the same direction
    within 0.07 s make up one transition where they cover a quarter of the picture, and 2.5 times what changes the other way
    (a moving texture changes both ways). HDR is judged as tone-mapped for SDR. The area is BT.1702's. WCAG's own, a quarter
    of any 10 degrees of the field of view (341x256 of 1024x768 pixels), is smaller where the picture fills
    the screen: what passes here can still fail WCAG. Regular stripes are not judged.

    kinds     "flashes", "red_flashes": from the first transition of a second that holds more than three flashes to the last
    severity  0.5 at the limit, 1 from ten flashes a second on; red 0.2 more
    """

    spec = Spec(
        name="flashes",
        version=3,
        summary="photosensitive flashes, of luminance and of saturated red",
        outputs=(
            Column("flash_rate", "float32", "1/s", "luminance flashes in the second up to the frame", minimum=0),
            Column("red_flash_rate", "float32", "1/s", "flashes of saturated red in that second", minimum=0),
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="ITU-R BT.1702-2; W3C WCAG 2.2 success criterion 2.3.1, general and red flash thresholds",
        cost_ms=0.5,
        kinds=("flashes", "red_flashes"),
    )

    def reset(self) -> None:
        self._luminance = Luminance()
        self._red = Red()
        self._counts = (Counter(), Counter())

    def measure(self, batch: FrameBatch) -> Measures:
        cells = linear_cells(batch)  # (N, 576, 3)
        rates = np.zeros((6, len(batch)))
        for i, (at, picture) in enumerate(zip(batch.pts_seconds.tolist(), cells, strict=True)):
            for k, (signal, counter) in enumerate(zip((self._luminance, self._red), self._counts, strict=True)):
                counter.push(at, *signal.changes(picture))
                rates[3 * k : 3 * k + 3, i] = counter.flashes, counter.since, counter.latest
        names = ("flash_rate", "since", "latest", "red_flash_rate", "red_since", "red_latest")
        return dict(zip(names, rates, strict=True))

    def judge(self, track: Track) -> list[Finding]:
        return [
            *_judge(track, "flashes", track["flash_rate"], track["since"], track["latest"]),
            *_judge(track, "red_flashes", track["red_flash_rate"], track["red_since"], track["red_latest"]),
        ]


@lru_cache(maxsize=1)
def _to_linear() -> Floats:
    """(256,) sRGB code to linear light, as WCAG's relative luminance takes it."""
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_cells(batch: FrameBatch) -> Floats:
    """(N, 576, 3) mean linear RGB of 8x8 cells of the small picture."""
    flat = pictures(batch).reshape(-1, WIDTH, 3)
    light = cv2.LUT(flat, _to_linear())
    cells = cv2.resize(light, (BLOCKS[1], len(flat) // BLOCK), interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.float32).reshape(len(batch), -1, 3)


class Luminance:
    """Opposing changes of relative luminance in each cell, from extreme to extreme."""

    def __init__(self) -> None:
        self._state: tuple[Floats, Floats, NDArray[np.int8]] | None = None  # lowest, highest since a change; direction

    def changes(self, rgb: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(cells,) that have just risen, that have just fallen."""
        now = rgb @ _XYZ[1]
        if self._state is None:
            self._state = now.copy(), now.copy(), np.zeros(len(now), np.int8)
        low, high, direction = self._state
        np.minimum(low, now, out=low)
        np.maximum(high, now, out=high)
        risen = (direction <= 0) & (now - low >= STEP) & (low < DARKER_BELOW)
        fallen = (direction >= 0) & (high - now >= STEP) & (now < DARKER_BELOW) & ~risen
        turned = risen | fallen
        low[turned] = high[turned] = now[turned]
        direction[risen], direction[fallen] = 1, -1
        return risen, fallen


class Red:
    """Changes to and from saturated red in each cell, from extreme to extreme: what a state is compared with is the place in
    the diagram that was furthest from red (outside), or nearest to it (inside), since the cell last changed.
    """

    def __init__(self) -> None:
        self._state: tuple[NDArray[np.bool_], Floats] | None = None  # in red; u'v' of the extreme since the last change

    def changes(self, rgb: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(cells,) that have just turned red, that have just left red."""
        total = rgb.sum(axis=1)
        red = (rgb[:, 0] >= _RED_SHARE * total) & (rgb[:, 0] >= _RED_FLOOR)
        place = chromaticity(rgb)
        if self._state is None:
            self._state = red, place
            return np.zeros_like(red), np.zeros_like(red)
        inside, extreme = self._state
        turned = (red != inside) & (np.hypot(*(place - extreme).T) > _RED_STEP)
        inside = np.where(turned, red, inside)
        nearer = np.hypot(*(place - _RED_PLACE).T) < np.hypot(*(extreme - _RED_PLACE).T)
        moves = turned | ((nearer == inside) & (red == inside))
        self._state = inside, np.where(moves[:, None], place, extreme)
        return turned & red, turned & ~red


def chromaticity(rgb: Floats) -> Floats:
    """(n, 3) linear RGB to (n, 2) CIE 1976 u'v'; black counts as white."""
    x, y, z = (rgb @ _XYZ.T).T
    scale = x + 15 * y + 3 * z
    black = scale <= 1e-6
    scale = np.where(black, 1.0, scale)
    u, v = np.where(black, 0.1978, 4 * x / scale), np.where(black, 0.4683, 9 * y / scale)
    return np.stack([u, v], axis=1).astype(np.float32)


class Counter:
    """Transitions of the picture as a whole, and the flashes (pairs of them) in the last second."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float, float]] = deque()  # time, share that went up, share that went down
        self._times: deque[float] = deque()
        self._last = 0

    def push(self, at: float, up: NDArray[np.bool_], down: NDArray[np.bool_]) -> None:
        self._recent.append((at, float(up.mean()), float(down.mean())))
        while self._recent[0][0] < at - _CONCURRENT_SECONDS:
            self._recent.popleft()
        for direction, place in ((1, 1), (-1, 2)):
            area, other = (sum(r[k] for r in self._recent) for k in (place, 3 - place))
            if self._last != direction and area >= AREA and area >= _ONE_WAY * other:
                self._last = direction
                self._times.append(at)
                self._recent = deque(
                    (t, 0.0 if direction > 0 else u, d if direction > 0 else 0.0) for t, u, d in self._recent
                )
                break
        while self._times and self._times[0] <= at - 1 + 1e-6:
            self._times.popleft()

    @property
    def flashes(self) -> float:
        """Pairs of opposing transitions in the last second."""
        return len(self._times) / 2

    @property
    def since(self) -> float:
        """When the oldest of them was, s; NaN for none."""
        return self._times[0] if self._times else np.nan

    @property
    def latest(self) -> float:
        """When the last of them was, s; NaN for none."""
        return self._times[-1] if self._times else np.nan


def _judge(
    track: Track, kind: str, rate: NDArray[np.float64], since: NDArray[np.float64], latest: NDArray[np.float64]
) -> list[Finding]:
    found = []
    for first, stop in track.spans(rate > ALLOWED, join=1.0, minimum=0.0):
        worst = first + int(rate[first:stop].argmax())
        start, end = float(since[first]), float(np.nanmax(latest[first:stop]))
        severity = 0.5 + 0.5 * ramp(rate[worst], ALLOWED, 10.0) + (0.2 if kind == "red_flashes" else 0.0)
        what = "flashes of saturated red" if kind == "red_flashes" else "flashes"
        message = f"{rate[worst]:g} {what} in one second over a quarter of the picture or more (limit {ALLOWED})"
        found.append(Finding(kind, start, end, severity, 0.9, track.start[worst], message))
    return found
