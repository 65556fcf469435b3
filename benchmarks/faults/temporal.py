"""Faults in time: black, freezes, repeats, drops, flashes, combs, bars, timestamps."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.faults.colour import luma, to_rgb, to_yuv
from benchmarks.faults.injection import Fault, Spot
from benchmarks.faults.places import comb_shows, is_bright, moves_at_both_ends, moves_evenly, moves_throughout
from benchmarks.faults.sources import FPS, Clip, Picture

_BLACK_LEVEL = ((24, 1.5), (16, 0.7), (16, 0.0))  # coded luma and noise: lifted black, black with noise, black
_BARS = ((0.05, 0.0), (0.125, 0.0), (0.0, 0.125))  # share of height, share of width on each side
_FLASH = ((4.0, 0.25, 0.4), (5.0, 0.5, 0.6), (8.0, 1.0, 1.0))  # flashes a second, linear step, share of the area
_RED = ((4.0, 0.4), (5.0, 0.6), (8.0, 1.0))  # flashes a second, share of the area
_DROPPED = (1, 2, 5)  # frames a time
_PULLDOWN = (12, 5, 4)  # every so many frames, one is a repeat


def _black(clip: Clip, at: int, index: float, spot: Spot) -> Picture:
    level, noise = _BLACK_LEVEL[spot.level]
    picture = np.full_like(clip.frame(index), 128)
    rng = np.random.default_rng(at)
    size = (clip.height, clip.width)
    luma(picture)[:] = np.clip(np.rint(level + noise * rng.standard_normal(size)), 0, 255)
    return picture


def _frozen(at: int, spot: Spot) -> int:
    return spot.first - 1 - at


def _repeats(at: int, spot: Spot) -> int:
    """Single frames shown twice in place of the next one, at uneven distances: two, four, or one in three."""
    rng = np.random.default_rng(spot.first)
    count = (2, 4, 12)[spot.level]
    cells = np.linspace(spot.first + 1, spot.stop - 1, count + 1)
    width = cells[1] - cells[0]
    repeated = {int(c + rng.integers(0, max(1, int(width) - 2))) for c in cells[:-1]} | {spot.first, spot.stop - 1}
    return -1 if at in repeated else 0


def _drops(at: int, spot: Spot) -> int:
    """Frames left out at the spot's start, middle and end."""
    length = spot.stop - 1 - spot.first
    places = (spot.first, spot.first + length // 2, spot.stop - 1)
    return _DROPPED[spot.level] * sum(at >= p for p in places)


def _pulldown(at: int, spot: Spot) -> int:
    return -((at - spot.first) // _PULLDOWN[spot.level]) - 1


def _bars(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    high, wide = _BARS[spot.level]
    rgb = to_rgb(clip.frame(index)).copy()
    rows, columns = round(high * clip.height), round(wide * clip.width)
    if rows:
        rgb[:rows] = rgb[-rows:] = 0
    if columns:
        rgb[:, :columns] = rgb[:, -columns:] = 0
    return to_yuv(rgb)


def _lit(at: int, spot: Spot, rate: float) -> bool:
    return int((at - spot.first) / FPS * 2 * rate) % 2 == 0


def _patch(clip: Clip, share: float) -> tuple[slice, slice]:
    """The middle of the picture, so large."""
    h, w = round(clip.height * np.sqrt(share)), round(clip.width * np.sqrt(share))
    y, x = (clip.height - h) // 2, (clip.width - w) // 2
    return slice(y, y + h), slice(x, x + w)


def _flash(clip: Clip, at: int, index: float, spot: Spot) -> Picture:
    rate, step, share = _FLASH[spot.level]
    light = (to_rgb(clip.frame(index)) / 255.0) ** 2.2
    where = _patch(clip, share)
    dimmed = light[where] * (1 - step)
    light[where] = dimmed + step if _lit(at, spot, rate) else dimmed
    return to_yuv(np.rint(255 * light ** (1 / 2.2)).astype(np.uint8))


def _red_flash(clip: Clip, at: int, index: float, spot: Spot) -> Picture:
    """A saturated red and a dark blue-grey of about the same luminance in turn."""
    rate, share = _RED[spot.level]
    rgb = to_rgb(clip.frame(index)).copy()
    rgb[_patch(clip, share)] = (225, 0, 0) if _lit(at, spot, rate) else (100, 105, 110)
    return to_yuv(rgb)


def _woven(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """The bottom field shows a later instant: half a frame (films: a blend of two), a frame, two frames."""
    picture = clip.frame(index).copy()
    later = clip.frame(index + (1, 1, 2)[spot.level])
    if spot.level == 0:
        later = np.asarray(cv2.addWeighted(clip.frame(index), 0.5, later, 0.5, 0), np.uint8)
    width = clip.width
    luma(picture)[1::2] = luma(later)[1::2]
    chroma = picture[clip.height :].reshape(2, clip.height // 2, width // 2)
    chroma[:, 1::2] = later[clip.height :].reshape(2, clip.height // 2, width // 2)[:, 1::2]
    return picture


def _moves(clip: Clip, spot: Spot) -> bool:
    return moves_throughout(clip, spot.first, spot.stop)


def _moves_evenly(clip: Clip, spot: Spot) -> bool:
    return moves_evenly(clip, spot.first, spot.stop)


def _combs_show(clip: Clip, spot: Spot) -> bool:
    """In most of ten pictures."""
    looked = range(spot.first, spot.stop, max(1, (spot.stop - spot.first) // 10))
    shown = [comb_shows(_woven(clip, at, at, spot), clip.frame(at)) for at in looked]
    return _moves(clip, spot) and sum(shown) * 2 > len(shown)


def _moves_around(clip: Clip, spot: Spot) -> bool:
    return moves_at_both_ends(clip, spot.first, spot.stop)


def _lies_on_light(clip: Clip, spot: Spot) -> bool:
    return is_bright(clip, spot.first, spot.stop, _BARS[spot.level])


_MOVING, _EVEN = frozenset({"moving"}), frozenset({"moving", "even"})
TEMPORAL = (
    Fault("black", "black", ("black",), (0.4, 1.0, 2.5), _black),
    Fault("freeze", "freeze", ("freeze",), (0.6, 1.5, 3.0), offset=_frozen, keeps=False, needs=_MOVING, where=_moves_around),
    Fault("repeated frames", "cadence", ("repeated_frames",), (2.0, 2.0, 2.0), offset=_repeats, keeps=False, needs=_EVEN,
          where=_moves),
    Fault("dropped frames", "cadence", ("dropped_frames",), (1.6, 1.6, 1.6), offset=_drops, needs=_EVEN,
          where=_moves_evenly),
    Fault("pulldown", "cadence", ("pulldown",), (4.0, 2.4, 2.4), offset=_pulldown, needs=_EVEN, where=_moves),
    Fault("letterbox", "letterbox", ("letterbox", "pillarbox"), (2.4, 2.4, 2.4), _bars, where=_lies_on_light),
    Fault("flashes", "flashes", ("flashes",), (2.0, 2.0, 2.0), _flash),
    Fault("red flashes", "flashes", ("red_flashes",), (2.0, 2.0, 2.0), _red_flash),
    Fault("combing", "combing", ("combing",), (2.4, 2.4, 2.4), _woven, needs=_MOVING, where=_combs_show),
    Fault(
        "timestamps", "timing", ("missing_frames", "timestamp_jump"), (0.04, 0.04, 0.04),
        late=lambda spot: (1, 5, 75)[spot.level],
    ),
)  # fmt: skip
