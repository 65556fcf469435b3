"""Decoded audio frames to planar float32; conversion of rate and layout with an exact sample count."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (C, T)

# sample format without its planar "p": (type, full scale)
_FORMATS = {
    "u8": (np.uint8, 2.0**7),
    "s16": (np.int16, 2.0**15),
    "s32": (np.int32, 2.0**31),
    "s64": (np.int64, 2.0**63),
    "flt": (np.float32, 1.0),
    "dbl": (np.float64, 1.0),
}

# libswresample's polyphase engine with a long Kaiser filter. benchmarks/audio.py measures its pass and stop band.
RESAMPLER_OPTIONS = {"filter_size": "128", "filter_type": "kaiser", "kaiser_beta": "12", "cutoff": "0.95"}

# Layouts that stand for "this many channels" towards libswresample, which then moves samples between no channels.
_PLAIN = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")


def read_samples(frame: av.AudioFrame) -> Samples:
    """The samples of a frame of any format and layout as (C, T) float32 in [-1, 1), in a new array.

    Reads the planes itself: PyAV 18's `to_ndarray` runs past the plane table of planar frames with 8 channels or more.
    """
    dtype, full_scale = _FORMATS[frame.format.name.removesuffix("p")]
    channels, count = frame.layout.nb_channels, frame.samples
    planes: tuple[Any, ...] = frame.planes
    if frame.format.is_planar:
        raw = np.stack([np.frombuffer(p, dtype, count) for p in planes[:channels]])
    else:
        raw = np.frombuffer(planes[0], dtype, count * channels).reshape(count, channels).T
    out = raw.astype(np.float32, order="C")
    if dtype is np.uint8:
        out -= 128.0
    if full_scale != 1.0:
        out *= 1.0 / full_scale
    return out


class RateConverter:
    """One run of samples to another rate, by libswresample.

    N samples in give exactly ceil(N * rate_out / rate_in) out, and output sample k lies k / rate_out seconds after
    input sample 0: the filter's delay is compensated, and flushed at the end.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        self._rate_in = rate_in
        self._ratio = Fraction(rate_out, rate_in)
        groups = [min(8, channels - at) for at in range(0, channels, 8)]
        self._swr = [(n, av.AudioResampler(format="flt", rate=rate_out, options=RESAMPLER_OPTIONS)) for n in groups]
        self._samples_in = 0
        self._samples_out = 0

    def push(self, samples: Samples) -> Samples:
        """(C, T) in, whatever is ready out: (C, T'), T' may be 0."""
        parts, at = [], 0
        for channels, swr in self._swr:
            parts.append(_unpack(swr.resample(self._frame(samples[at : at + channels])), channels))
            at += channels
        self._samples_in += samples.shape[1]
        return self._count(parts)

    def flush(self) -> Samples:
        """What the filter still holds, cut (or filled with zeros) to the exact count."""
        due = ceil(self._samples_in * self._ratio) - self._samples_out
        rest = self._count([_unpack(swr.resample(None), channels) for channels, swr in self._swr])
        return rest[:, :due] if rest.shape[1] >= due else np.pad(rest, ((0, 0), (0, due - rest.shape[1])))

    def _frame(self, samples: Samples) -> av.AudioFrame:
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=_PLAIN[samples.shape[0] - 1])
        frame.sample_rate = self._rate_in
        frame.time_base = Fraction(1, self._rate_in)
        frame.pts = self._samples_in
        return frame

    def _count(self, parts: list[Samples]) -> Samples:
        out = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._samples_out += out.shape[1]
        return out


def _unpack(frames: list[av.AudioFrame], channels: int) -> Samples:
    parts: list[Samples] = [f.to_ndarray().reshape(-1, channels) for f in frames]  # type: ignore[misc]
    return np.concatenate(parts).T if parts else np.empty((channels, 0), np.float32)


def mixing_matrix(names_in: Sequence[str], names_out: Sequence[str]) -> NDArray[np.float32]:
    """(C_out, C_in) that turns one layout into another; channel names are FFmpeg's ("FL", "LFE", "NONE", ...).

    Equal counts keep their order (5.1 and 5.1(side) differ in name only), and so do channels without names: what is
    too many is dropped, what is missing is silent. To mono: the mean. Otherwise channels of the same name are kept, and
    the rest goes to its side with the coefficients of ITU-R BS.775-4 (0.7071; LFE is dropped).
    """
    matrix = np.zeros((len(names_out), len(names_in)), np.float32)
    if len(names_in) == len(names_out) or "NONE" in (*names_in, *names_out):
        np.fill_diagonal(matrix, 1.0)
        return matrix
    if len(names_out) == 1:
        matrix[:] = 1.0 / len(names_in)
        return matrix
    for column, name in enumerate(names_in):
        for target, gain in _destinations(name, names_out):
            matrix[names_out.index(target), column] += gain
    return matrix


def _destinations(name: str, names_out: Sequence[str]) -> list[tuple[str, float]]:
    if name in names_out:
        return [(name, 1.0)]
    if name.startswith("LFE"):
        return []
    side = {"L": ("SL", "BL"), "R": ("SR", "BR")}.get(name[-1], ())
    if name[:1] in "SB" and side:  # side and back surrounds stand for each other
        near = [s for s in side if s in names_out]
        if near:
            return [(near[0], 1.0)]
    fronts = {"L": ("FL",), "R": ("FR",)}.get(name[-1], ("FC",) if "FC" in names_out else ("FL", "FR"))
    return [(front, 0.5**0.5) for front in fronts if front in names_out]
