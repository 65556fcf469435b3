"""Faults of sound, made at known times and three severities: what `benchmarks/audio_detectors.py` injects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.audio_material import RATE

Programme = NDArray[np.float32]  # (2, T)
Event = tuple[float, float]  # seconds


@dataclass(frozen=True)
class Fault:
    """`make(programme, severity, rng)` gives the spoiled programme and where; `severities` are mild, middle, strong.

    collar    seconds by which start and end may differ
    """

    kind: str
    unit: str
    severities: tuple[float, float, float]
    make: Callable[[Programme, float, np.random.Generator], tuple[Programme, list[Event]]]
    collar: float = 0.2


def _place(programme: Programme, seconds: float, rng: np.random.Generator, edge: float = 1.0) -> int:
    room = programme.shape[1] - round((seconds + 2 * edge) * RATE)
    return round(edge * RATE) + int(rng.integers(max(room, 1)))


def _stretch(programme: Programme, seconds: float, rng: np.random.Generator) -> tuple[Programme, slice, Event]:
    start = _place(programme, seconds, rng)
    stop = start + round(seconds * RATE)
    return programme.copy(), slice(start, stop), (start / RATE, stop / RATE)


def _loud_places(programme: Programme, count: int, rng: np.random.Generator) -> list[int]:
    """Samples at least a second apart around which 50 ms of both channels are above -45 dBFS RMS."""
    found: list[int] = []
    for _ in range(400):
        at = _place(programme, 0.2, rng)
        near = programme[:, at - RATE // 40 : at + round(0.15 * RATE)]
        steps = near[:, : near.shape[1] // 1200 * 1200].reshape(2, -1, 1200)
        if (steps.std(axis=2) > 10 ** (-45 / 20)).all() and all(abs(at - f) > RATE for f in found):
            found.append(at)
        if len(found) == count:
            break
    return sorted(found)


def silence(programme: Programme, seconds: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    out, part, event = _stretch(programme, seconds, rng)
    out[:, part] = 0
    return out, [event]


def clipping(programme: Programme, share: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    """Two seconds amplified until `share` of their samples lie at full scale; an event is where three in a row do."""
    out, part, event = _stretch(programme, 2.0, rng)
    out[:, part] = np.clip(out[:, part] / np.quantile(np.abs(out[:, part]), 1 - share), -1, 1)
    high = np.abs(out[:, part]) >= 1
    at = np.flatnonzero((high[:, 2:] & high[:, 1:-1] & high[:, :-2]).any(axis=0))  # runs of three
    if not at.size:
        return programme, []
    parts = np.split(at, np.flatnonzero(np.diff(at) > 1.2 * RATE) + 1)
    return out, [(event[0] + p[0] / RATE, event[0] + p[-1] / RATE) for p in parts]


def true_peak(programme: Programme, dbtp: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    """Half a second that reaches `dbtp` between its samples."""
    from scipy.signal import resample_poly

    out, part, event = _stretch(programme, 0.5, rng)
    bend = np.ones(part.stop - part.start, np.float32)
    ramp = np.linspace(0, 1, RATE // 20, dtype=np.float32)
    peak = np.abs(resample_poly(out[:, part].astype(np.float64), 8, 1, axis=1)).max()
    gain = 10 ** (dbtp / 20) / peak
    bend[:] = gain
    bend[: ramp.size], bend[-ramp.size :] = 1 + (gain - 1) * ramp, 1 + (gain - 1) * ramp[::-1]
    out[:, part] *= bend
    fine = np.abs(resample_poly(out[:, part].astype(np.float64), 8, 1, axis=1)).max(axis=0)
    over = np.flatnonzero(fine > 10 ** (-1 / 20))
    if not over.size:
        return programme, []
    return out, [(event[0] + over[0] / 8 / RATE, event[0] + over[-1] / 8 / RATE)]


def missing_channel(programme: Programme, seconds: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    """The event is where the other channel is heard."""
    out, part, event = _stretch(programme, seconds, rng)
    lost = int(rng.integers(2))
    out[lost, part] = 0
    step = RATE // 4
    steps = out[1 - lost, part][: (part.stop - part.start) // step * step].reshape(-1, step)
    at = np.flatnonzero(steps.std(axis=1) > 10 ** (-50 / 20))
    if at.size / 4 < 2.0:
        return programme, []
    return out, [(event[0] + at[0] / 4, event[0] + (at[-1] + 1) / 4)]


def dual_mono(programme: Programme, seconds: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    out, part, event = _stretch(programme, seconds, rng)
    out[1, part] = out[0, part]
    return out, [event]


def inverted_phase(programme: Programme, seconds: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    """One polarity the wrong way round, of a programme that is nearly mono: what a wrong plug does."""
    out, part, event = _stretch(programme, seconds, rng)
    out[1, part] = -(0.97 * out[0, part] + 0.03 * out[1, part])
    return out, [event]


def dc_offset(programme: Programme, offset: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    out, part, event = _stretch(programme, 5.0, rng)
    out[:, part] += np.float32(offset * rng.choice([-1, 1]))
    return out, [event]


def hum(programme: Programme, dbfs: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    """Seven seconds of mains with harmonics that fall by 4 dB each, at `dbfs` RMS, 0.1 Hz off at most."""
    out, part, event = _stretch(programme, 7.0, rng)
    mains = float(rng.choice([50.0, 60.0])) + rng.uniform(-0.1, 0.1)
    t = np.arange(part.stop - part.start) / RATE
    wave = sum(10 ** (-4 * k / 20) * np.sin(2 * np.pi * mains * (k + 1) * t + rng.uniform(0, 6)) for k in range(8))
    wave = np.asarray(wave)
    wave *= 10 ** (dbfs / 20) / np.sqrt(np.mean(wave**2))
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 0.05)
    out[:, part] += (wave * fade).astype(np.float32)
    return out, [event]


def dropout(programme: Programme, seconds: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    out, length = programme.copy(), round(seconds * RATE)
    places = _loud_places(programme, 3, rng)
    for at in places:
        out[:, at : at + length] = 0
    return out, [(at / RATE, (at + length) / RATE) for at in places]


def click(programme: Programme, height: float, rng: np.random.Generator) -> tuple[Programme, list[Event]]:
    """Impulses of one to six samples that die away, `height` times the greatest sample of the programme."""
    out, places = programme.copy(), _loud_places(programme, 3, rng)
    for at in places:
        shape = np.exp(-np.arange(int(rng.integers(1, 7)))) * rng.choice([-1, 1])
        out[:, at : at + shape.size] += (height * np.abs(programme).max() * shape).astype(np.float32)
    return np.clip(out, -1, 1), [(at / RATE, at / RATE) for at in places]


FAULTS = (
    Fault("silence", "s", (0.6, 1.5, 4.0), silence),
    Fault("clipping", "share", (0.0005, 0.005, 0.05), clipping),
    Fault("true_peak_over", "dBTP", (-0.9, 0.0, 2.0), true_peak),
    Fault("missing_channel", "s", (2.5, 4.0, 8.0), missing_channel, 1.1),
    Fault("dual_mono", "s", (4.0, 6.0, 9.0), dual_mono, 1.1),
    Fault("inverted_phase", "s", (4.0, 6.0, 9.0), inverted_phase, 1.1),
    Fault("dc_offset", "of full scale", (0.006, 0.02, 0.08), dc_offset, 1.0),
    Fault("hum", "dBFS", (-50.0, -38.0, -28.0), hum, 1.5),
    Fault("dropout", "s", (0.004, 0.02, 0.1), dropout, 0.02),
    Fault("click", "of the peak", (0.2, 0.6, 1.0), click, 0.02),
)
