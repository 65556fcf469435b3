"""The synthetic test signals of EBU Tech 3341 (2016) and EBU Tech 3342 (2016), made from their descriptions.

Tech 3341's cases 7 and 8 and Tech 3342's cases 5 and 6 are recordings and cannot be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]  # (C, T)
SILENCE = -np.inf


def tones(parts: Sequence[tuple[float, float]], rate: int = 48000, hz: float = 1000.0, channels: int = 2) -> Signal:
    """A phase-continuous sine whose peak level is `dBFS` for `seconds`, part after part; the same in every channel."""
    levels = np.concatenate([np.full(round(seconds * rate), 10 ** (dbfs / 20)) for dbfs, seconds in parts])
    wave = levels * np.sin(2 * pi * hz * np.arange(levels.size) / rate)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def surround(levels_dbfs: Sequence[float], seconds: float = 20.0, rate: int = 48000) -> Signal:
    """One level a channel."""
    return np.concatenate([tones([(level, seconds)], rate, channels=1) for level in levels_dbfs])


@dataclass(frozen=True)
class Case:
    """Expected values in LUFS, LU or dBTP; None: not part of the case."""

    name: str
    samples: Signal
    layout: str = "stereo"
    integrated: float | None = None
    max_momentary: float | None = None
    max_short_term: float | None = None
    constant_momentary: float | None = None  # after the first second
    constant_short_term: float | None = None  # after the first three seconds
    range_lu: float | None = None
    true_peak: float | None = None


def integrated_cases(rate: int = 48000) -> list[Case]:
    """Tech 3341 cases 1 to 6."""
    quiet, loud = (-36.0, 10.0), (-23.0, 60.0)

    def case(number: int, samples: Signal, layout: str = "stereo", level: float = -23.0) -> Case:
        steady = {"max_momentary": level, "max_short_term": level} if number <= 2 else {}
        return Case(f"3341-{number}", samples, layout, integrated=level, **steady)

    return [
        case(1, tones([(-23.0, 20.0)], rate)),
        case(2, tones([(-33.0, 20.0)], rate), level=-33.0),
        case(3, tones([quiet, loud, quiet], rate)),
        case(4, tones([(-72.0, 10.0), quiet, loud, quiet, (-72.0, 10.0)], rate)),
        case(5, tones([(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)], rate)),
        case(6, surround([-28.0, -28.0, -24.0, -30.0, -30.0], rate=rate), "5.0"),
    ]


def window_cases(rate: int = 48000) -> list[Case]:
    """Tech 3341 cases 9 to 14: the windows' length, shape and step."""
    steps = [-38.0 + k for k in range(20)]
    return [
        Case("3341-9", tones([(-20.0, 1.34), (-30.0, 1.66)] * 5, rate), constant_short_term=-23.0),
        *(
            Case(f"3341-10-{k}", tones([(SILENCE, 0.15 * k), (-23.0, 3.0), (SILENCE, 1.0)], rate), max_short_term=-23.0)
            for k in range(20)
        ),
        *(
            Case(
                f"3341-11-{k}",
                tones([(SILENCE, 0.15 * k), (v, 3.0), (SILENCE, 3.0 - 0.15 * k)], rate),
                max_short_term=v,
            )
            for k, v in enumerate(steps)
        ),
        Case("3341-12", tones([(-20.0, 0.18), (-30.0, 0.22)] * 25, rate), constant_momentary=-23.0),
        *(
            Case(f"3341-13-{k}", tones([(SILENCE, 0.02 * k), (-23.0, 0.4), (SILENCE, 1.0)], rate), max_momentary=-23.0)
            for k in range(20)
        ),
        *(
            Case(
                f"3341-14-{k}", tones([(SILENCE, 0.02 * k), (v, 0.4), (SILENCE, 0.4 - 0.02 * k)], rate), max_momentary=v
            )
            for k, v in enumerate(steps)
        ),
    ]


def true_peak_cases(rate: int = 48000) -> list[Case]:
    """Tech 3341 cases 15 to 23; the tolerance is +0.2 / -0.4 dB."""

    def steady(number: int, divisor: int, degrees: float, amplitude: float, expected: float) -> Case:
        angle = 2 * pi * np.arange(rate) / divisor + degrees * pi / 180
        fade = np.minimum(1.0, np.minimum(np.arange(rate), np.arange(rate)[::-1]) / (0.01 * rate))
        wave = (amplitude * fade * np.sin(angle)).astype(np.float32)
        return Case(f"3341-{number}", np.stack([wave, wave]), true_peak=expected)

    return [
        steady(15, 4, 0.0, 0.50, -6.0),
        steady(16, 4, 45.0, 0.50, -6.0),
        steady(17, 6, 60.0, 0.50, -6.0),
        steady(18, 8, 67.5, 0.50, -6.0),
        steady(19, 4, 45.0, 1.41, 3.0),
        *(Case(f"3341-{20 + k}", offset_burst(k, rate), true_peak=0.0) for k in range(4)),
    ]


def offset_burst(offset: int, rate: int = 48000) -> Signal:
    """A sine of rate / 6 at half level with one period at full level, made at 4 * rate, limited to rate / 2, decimated.

    `offset` (0..3) is the phase of the decimation: the peak lies between the samples.
    """
    fine, length = 4 * rate, rate
    wave = 0.5 * np.sin(2 * pi * (rate / 6) * np.arange(length) / fine)
    middle = length // 2 - (length // 2) % 24
    wave[middle : middle + 24] *= 2
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(length, 1 / fine) > rate / 2] = 0
    limited = np.fft.irfft(spectrum, length)
    limited *= np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.01 * fine))
    wave32 = limited[offset::4].astype(np.float32)
    return np.stack([wave32, wave32])


def range_cases(rate: int = 48000) -> list[Case]:
    """Tech 3342 cases 1 to 4."""
    return [
        Case("3342-1", tones([(-20.0, 20.0), (-30.0, 20.0)], rate), range_lu=10.0),
        Case("3342-2", tones([(-20.0, 20.0), (-15.0, 20.0)], rate), range_lu=5.0),
        Case("3342-3", tones([(-40.0, 20.0), (-20.0, 20.0)], rate), range_lu=20.0),
        Case(
            "3342-4",
            tones([(-50.0, 20.0), (-35.0, 20.0), (-20.0, 20.0), (-35.0, 20.0), (-50.0, 20.0)], rate),
            range_lu=15.0,
        ),
    ]
