"""Tempo from an onset envelope, key from a chroma profile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Probe-tone ratings of Krumhansl & Kessler 1982, from the tonic up by semitones.
_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
_SLOWEST_BPM, _FASTEST_BPM, _CENTRE_BPM = 40.0, 240.0, 120.0


def tempo(onsets: NDArray[np.float64], steps_a_second: float) -> tuple[float | None, float]:
    """(beats a minute, confidence 0 to 1) of an onset envelope; None where it is shorter than 4 s or has no onsets.

    The lag whose autocorrelation, averaged over its first four multiples and weighted towards 120 (log-normal, one octave;
    Ellis 2007), is greatest. Confidence: the autocorrelation there over that at lag 0. Halves and doubles are a known doubt.
    """
    x = onsets - onsets.mean() if onsets.size else onsets
    if x.size < 4 * steps_a_second or float(x @ x) <= 1e-12:
        return None, 0.0
    size = 1 << (2 * x.size - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(x, size)) ** 2
    auto = np.fft.irfft(spectrum, size)[: x.size]
    auto /= auto[0]
    lags = np.arange(60 * steps_a_second / _FASTEST_BPM, min(60 * steps_a_second / _SLOWEST_BPM, x.size / 4), 0.25)
    if not lags.size:
        return None, 0.0
    grid = np.arange(x.size)
    summed = np.mean([np.interp(lags * k, grid, auto) for k in (1, 2, 3, 4)], axis=0)
    bpm = 60 * steps_a_second / lags
    weighted = summed * np.exp(-0.5 * np.log2(bpm / _CENTRE_BPM) ** 2)
    best = int(weighted.argmax())
    return float(bpm[best]), float(np.clip(summed[best], 0.0, 1.0))


def key(chroma: NDArray[np.float64]) -> tuple[str | None, str | None, float]:
    """(key, mode, confidence) of a 12-bin profile from C up; None without any energy.

    The greatest correlation with Krumhansl & Kessler's profiles in all 24 keys (Krumhansl 1990). Confidence: by how much it
    exceeds the best key other than its relative and parallel ones, at most 1.
    """
    if chroma.size != 12 or float(chroma.max(initial=0.0)) <= 0 or np.ptp(chroma) <= 1e-9 * float(chroma.max()):
        return None, None, 0.0
    scores = np.array(
        [[np.corrcoef(np.roll(p, k), chroma)[0, 1] for k in range(12)] for p in (_MAJOR, _MINOR)]
    )  # (2, 12)
    mode, tonic = (int(v) for v in np.unravel_index(int(scores.argmax()), scores.shape))
    others = scores.copy()
    relative = (tonic + 9) % 12 if mode == 0 else (tonic + 3) % 12
    others[mode, tonic] = others[1 - mode, tonic] = others[1 - mode, relative] = -1.0
    sure = float(np.clip((scores[mode, tonic] - others.max()) * 4, 0.0, 1.0))
    return KEYS[tonic], ("major", "minor")[mode], sure
