"""Faults of pictures: blocks, blur, noise, ringing, exposure, levels, bars, slates; and of whole files: flags, size."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.colour import chroma, luma, to_rgb, to_yuv
from benchmarks.faults.injection import Fault, Spot
from benchmarks.faults.sources import Clip, Picture
from benchmarks.faults.visible import bands_show, is_burnt, is_legal, is_saturated, uses_both_ends, waves_show

_JPEG_QUALITY = (16, 9, 4)
_BLUR_SIGMA = (1.5, 2.5, 4.5)  # px
_NOISE_SIGMA = (5.0, 9.0, 15.0)  # levels
_CUTOFF = 0.5  # of Nyquist
_RAISED = (0.0, 1.0, 2.5)
_BAND_STEPS = (4.0, 4 * 2**0.5, 8.0)  # levels: 6, 5.5 and 5 bits
_OVER_STOPS = (1.5, 2.5, 4.0)
_UNDER_GAIN = (0.45, 0.28, 0.17)  # of the coded signal
_ILLEGAL_AREA = (0.02, 0.06, 0.2)
_SHRUNK = (1.5, 2.0, 3.0)
_BARS = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]], np.float32)


def _blocks(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """Coarse 8x8 transform coding: JPEG."""
    bgr = cv2.cvtColor(clip.frame(index), cv2.COLOR_YUV2BGR_I420)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY[spot.level]])
    blocky = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert blocky is not None
    return np.asarray(cv2.cvtColor(blocky, cv2.COLOR_BGR2YUV_I420), np.uint8)


def _blur(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    picture, sigma = clip.frame(index).copy(), _BLUR_SIGMA[spot.level]
    luma(picture)[:] = cv2.GaussianBlur(luma(picture), (0, 0), sigma)
    for plane in chroma(picture):
        plane[:] = cv2.GaussianBlur(np.ascontiguousarray(plane), (0, 0), sigma / 2)
    return picture


def _noise(clip: Clip, at: int, index: float, spot: Spot) -> Picture:
    picture = clip.frame(index).copy()
    rng = np.random.default_rng(at)
    grain = rng.standard_normal(luma(picture).shape, np.float32) * np.float32(_NOISE_SIGMA[spot.level])
    luma(picture)[:] = cv2.add(luma(picture), grain, dtype=cv2.CV_8U)
    return picture


@lru_cache(maxsize=3)
def _sinc(cutoff: float) -> NDArray[np.float32]:
    """A steep low pass without a window: it rings by a tenth of an edge."""
    places = np.arange(-20, 21)
    taps = cutoff * np.sinc(cutoff * places)
    return (taps / taps.sum()).astype(np.float32)


def _rings(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """A steep low pass, with the frequencies below its end raised, as by overdone sharpening before a codec."""
    picture = clip.frame(index).copy()
    passed, lower = (cv2.sepFilter2D(luma(picture), cv2.CV_32F, _sinc(c), _sinc(c)) for c in (_CUTOFF, 0.6 * _CUTOFF))
    luma(picture)[:] = np.clip(np.rint(passed + _RAISED[spot.level] * (passed - lower)), 0, 255)
    return picture


def _bands(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """Fine grain smoothed away, as encoders do, then luma on fewer levels without dither: gradients become plateaus."""
    picture, step = clip.frame(index).copy(), _BAND_STEPS[spot.level]
    smooth = cv2.bilateralFilter(luma(picture).astype(np.float32), 9, 10.0, 4.0)
    luma(picture)[:] = np.clip(np.rint(16 + step * np.rint((smooth - 16) / step)), 0, 255)
    return picture


def _bands_show(clip: Clip, spot: Spot) -> bool:
    return all(bands_show(clip.frame(i), _bands(clip, i, i, spot)) for i in range(spot.first, spot.stop, 12))


def _over(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """More light, then clipped, as a sensor does."""
    codes = np.arange(256) / 255
    lit = np.clip(codes**2.2 * 2 ** _OVER_STOPS[spot.level], 0, 1) ** (1 / 2.2)
    return to_yuv(cv2.LUT(to_rgb(clip.frame(index)), np.rint(255 * lit).astype(np.uint8)))


def _under(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    table = np.rint(np.arange(256) * _UNDER_GAIN[spot.level]).astype(np.uint8)
    return to_yuv(cv2.LUT(to_rgb(clip.frame(index)), table))


def _corner(clip: Clip, spot: Spot) -> tuple[int, int]:
    """Even height and width of a patch of the illegal share of the picture."""
    side = np.sqrt(_ILLEGAL_AREA[spot.level])
    return tuple(2 * max(2, round(n * side / 2)) for n in (clip.height, clip.width))  # type: ignore[return-value]


def _illegal_colour(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """A title in a colour that no R'G'B' has: dark luma with the greatest colour differences."""
    picture = clip.frame(index).copy()
    h, w = _corner(clip, spot)
    luma(picture)[16 : 16 + h, 16 : 16 + w] = 60
    chroma(picture)[:, 8 : 8 + h // 2, 8 : 8 + w // 2] = 220
    return picture


def _super_white(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    picture = clip.frame(index).copy()
    h, w = _corner(clip, spot)
    luma(picture)[16 : 16 + h, 16 : 16 + w] = 252
    chroma(picture)[:, 8 : 8 + h // 2, 8 : 8 + w // 2] = 128
    return picture


def _colour_bars(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """75 % bars with noise; SMPTE bars; 100 % EBU bars."""
    bars = _BARS[: 8 if spot.level != 1 else 7] * (191 if spot.level < 2 else 255)
    row = bars[(np.arange(clip.width) * len(bars) // clip.width)]
    rgb = np.tile(row[None], (clip.height, 1, 1))
    if spot.level == 1:
        castellation = np.where((np.arange(len(bars)) % 2 == 0)[:, None], bars[::-1], 19.0)
        rgb[round(clip.height * 0.67) : round(clip.height * 0.75)] = castellation[
            np.arange(clip.width) * 7 // clip.width
        ]
        rgb[round(clip.height * 0.75) :] = 16.0
        rgb[round(clip.height * 0.75) :, clip.width // 6 : clip.width // 3] = 255.0
    if spot.level == 0:
        rgb = rgb + np.random.default_rng(at).normal(0, 5, rgb.shape)
    return to_yuv(np.clip(np.rint(rgb), 0, 255).astype(np.uint8))


def _slate(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """Lines of text on a dark, a grey, a black ground."""
    ground, ink, lines = ((45, 200, 5), (90, 235, 7), (0, 255, 9))[spot.level]
    rgb = np.full((clip.height, clip.width, 3), ground, np.uint8)
    pitch = clip.height // (lines + 2)
    for i in range(lines):
        label = ("PROGRAMME", "EPISODE", "DATE", "DURATION", "AUDIO")[i % 5]
        text = f"{label}: {clip.name[:8].upper()} {137 * (i + 3) % 1000}"
        place = (clip.width // 10, (i + 2) * pitch)
        cv2.putText(rgb, text, place, cv2.FONT_HERSHEY_DUPLEX, pitch / 40, (ink, ink, ink), 1, cv2.LINE_AA)
    return to_yuv(rgb)


def _other_matrix(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """R'G'B' coded by BT.709 (the file says BT.601), with colours 1.0, 1.6 and 2.2 times as saturated."""
    rgb = to_rgb(clip.frame(index)).astype(np.float32)
    grey = rgb.mean(axis=2, keepdims=True)
    rgb = np.clip(grey + (1.0, 1.6, 2.2)[spot.level] * (rgb - grey), 0, 255)
    y = rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    cb, cr = (rgb[..., 2] - y) / 1.8556, (rgb[..., 0] - y) / 1.5748
    size = (clip.width // 2, clip.height // 2)
    planes = [16 + y * (219 / 255)]
    planes += [128 + cv2.resize(c, size, interpolation=cv2.INTER_AREA) * (224 / 255) for c in (cb, cr)]
    return np.concatenate([np.rint(p).astype(np.uint8).reshape(-1, clip.width) for p in planes])


def _full_range(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    """Luma spread over 0..255, in a file that says limited."""
    picture = clip.frame(index).copy()
    stretched = (np.arange(256) - 16.0) * ((1.04, 255 / 219, 1.3)[spot.level])
    luma(picture)[:] = cv2.LUT(luma(picture), np.clip(np.rint(stretched), 0, 255).astype(np.uint8))
    return picture


def _enlarged(clip: Clip, at: int, index: float, spot: Spot) -> Picture:  # noqa: ARG001
    picture = clip.frame(index)
    factor, rgb = _SHRUNK[spot.level], to_rgb(picture)
    small = (round(clip.width / factor), round(clip.height / factor))
    shrunk = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
    method = (cv2.INTER_LANCZOS4, cv2.INTER_CUBIC, cv2.INTER_LINEAR)[spot.level]
    return to_yuv(np.asarray(cv2.resize(shrunk, (clip.width, clip.height), interpolation=method), np.uint8))


_LONG = (2.5, 2.5, 2.5)
_FULL = {"color_range": 2}
_LEGAL = frozenset({"legal"})
PICTORIAL = (
    Fault("blockiness", "blockiness", ("blockiness",), _LONG, _blocks),
    Fault("blur", "blur", ("blur",), _LONG, _blur),
    Fault("noise", "noise", ("noise",), _LONG, _noise),
    Fault("ringing", "ringing", ("ringing",), _LONG, _rings, shows=waves_show),
    Fault("banding", "banding", ("banding",), _LONG, _bands, needs=frozenset({"smooth"}), where=_bands_show),
    Fault("over-exposure", "exposure", ("over_exposed",), _LONG, _over, shows=is_burnt),
    Fault("under-exposure", "exposure", ("under_exposed",), _LONG, _under),
    Fault("out of gamut", "signal_levels", ("out_of_gamut",), _LONG, _illegal_colour, needs=_LEGAL, shows=is_legal),
    Fault("clipped luma", "signal_levels", ("clipped_luma",), _LONG, _super_white, needs=_LEGAL),
    Fault("colour bars", "leader", ("colour_bars",), (1.0, 2.0, 2.5), _colour_bars),
    Fault("slate", "leader", ("slate",), (1.6, 2.0, 2.5), _slate),
    Fault("wrong matrix", "colour_flags", ("wrong_matrix",), None, _other_matrix, needs=_LEGAL, shows=is_saturated),
    Fault(
        "full range in limited", "colour_flags", ("wrong_range",), None, _full_range, needs=_LEGAL, shows=uses_both_ends
    ),
    Fault(
        "limited range in full",
        "colour_flags",
        ("wrong_range",),
        None,
        tags=(_FULL, _FULL, _FULL),
        needs=_LEGAL,
        shows=uses_both_ends,
    ),
    Fault("upscaled", "upscaled", ("upscaled",), None, _enlarged),
)
