"""Where a copy of a sound lies in time against its original: offset and drift, by generalised cross-correlation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mediaml.ops.kweighting import fast_length

Signal = NDArray[np.float32]  # (T,)
_ENVELOPE_HZ = 100
_WINDOW_SECONDS = 4.0
_REACH_SECONDS = 0.4  # how far the lag may move between windows
_WINDOWS = 40
_PEAK_OVER_REST = 5.0  # of a trustworthy correlation: greatest value over the standard deviation of all
_STRAIGHT_SECONDS = 0.002  # how far a window may lie off the fitted line and still count for it
_LEAST_SHARE = 0.4
_LEAST_RMS = 1e-4


@dataclass(frozen=True, slots=True)
class AudioAlignment:
    """distorted time = reference time + offset_seconds + drift_ppm * 1e-6 * reference time.

    windows       places that were compared; trusted: those with a clear peak that lie on the line
    residual_seconds  median distance of the trusted ones from the line
    inverted      whether the copy has the opposite polarity
    """

    offset_seconds: float
    drift_ppm: float
    windows: int
    trusted: int
    residual_seconds: float
    inverted: bool

    @property
    def reliable(self) -> bool:
        """Whether enough places agree to say that the two hold the same sound."""
        return self.trusted >= max(1, round(_LEAST_SHARE * self.windows))


def align_audio(reference: Signal, distorted: Signal, rate: int, maximum_seconds: float = 60.0) -> AudioAlignment:
    """Offset and drift of `distorted` against `reference`, both mono at `rate` Hz, right to a fraction of a millisecond.

    The energy envelopes at 100 Hz give a first offset of at most `maximum_seconds`; GCC-PHAT (Knapp & Carter 1976) over
    windows of 4 s along the file refines it, and a line through the lags (Theil-Sen) gives offset and drift. Drift is
    followed up to 0.4 s from window to window.
    """
    lag = _envelope_lag(reference, distorted, rate, maximum_seconds)
    length = min(round(_WINDOW_SECONDS * rate), reference.size, distorted.size)
    first, last = max(0, -lag), min(reference.size, distorted.size - lag) - length
    starts = (
        np.unique(np.linspace(first, max(first, last), _WINDOWS).astype(int)) if last > first else np.array([first])
    )
    if last > first:
        starts = starts[np.concatenate([[True], np.diff(starts) > 0])]
    found: list[tuple[float, float, bool, bool]] = []  # time, lag (s), trusted, inverted
    middle = len(starts) // 2  # the envelopes' lag is that of the middle: go from there to both ends
    for order in (range(middle, len(starts)), range(middle - 1, -1, -1)):
        near = lag
        for k in order:
            at = int(starts[k])
            local = _window_lag(reference, distorted, at, length, near, rate)
            if local is None:
                continue
            seconds, clear, inverted = local
            found.append(((at + length / 2) / rate, seconds, clear, inverted))
            near = round(seconds * rate) if clear else near
    return _refined(reference, distorted, rate, _fit(found, lag / rate))


def aligned_copy(reference: Signal, distorted: Signal, rate: int, how: AudioAlignment) -> tuple[Signal, Signal, float]:
    """(reference, distorted) over the time both hold, sample k of one belonging to sample k of the other, and the reference
    time of the first sample. The distorted one is read between its samples by a 32-tap Kaiser-windowed sinc."""
    stretch = 1.0 + how.drift_ppm * 1e-6
    first = max(0.0, -how.offset_seconds / stretch)
    last = min(reference.size / rate, (distorted.size / rate - how.offset_seconds) / stretch)
    count = int((last - first) * rate)
    if count <= 0:
        return reference[:0], distorted[:0], first
    start = round(first * rate)
    count = min(count, reference.size - start)
    positions = np.arange(start, start + count, dtype=np.float64) * stretch + how.offset_seconds * rate
    return reference[start : start + count], _read_between(distorted, positions.astype(np.float64)), start / rate


def _envelope_lag(reference: Signal, distorted: Signal, rate: int, maximum_seconds: float) -> int:
    step = rate // _ENVELOPE_HZ

    def envelope(x: Signal) -> NDArray[np.float64]:
        steps = x[: x.size // step * step].reshape(-1, step)
        level = np.log10(np.sqrt((steps.astype(np.float64) ** 2).mean(axis=1)) + _LEAST_RMS)
        return level - level.mean() if level.size else level

    a, b = envelope(reference), envelope(distorted)
    if a.size < 2 or b.size < 2:
        return 0
    size = fast_length(a.size + b.size)
    raw = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    reach = min(round(maximum_seconds * _ENVELOPE_HZ), max(a.size, b.size) - 1)
    lags = np.arange(-reach, reach + 1)
    overlap = np.minimum(a.size, b.size - lags) - np.maximum(0, -lags)
    values = np.where(overlap > min(a.size, b.size) // 4, raw[lags], -np.inf)
    return int(lags[int(values.argmax())]) * step


def _window_lag(
    reference: Signal, distorted: Signal, at: int, length: int, near: int, rate: int
) -> tuple[float, bool, bool] | None:
    """(lag in seconds, clear, inverted) of one window; None where either side is silent or not there."""
    reach = round(_REACH_SECONDS * rate)
    low = at + near - reach
    piece = distorted[max(low, 0) : at + near + length + reach]
    window = reference[at : at + length]
    if min(piece.size, window.size) < rate // 4 or min(window.std(), piece.std()) < _LEAST_RMS:
        return None
    size = fast_length(piece.size + window.size)
    cross = np.fft.rfft(piece * np.hanning(piece.size), size) * np.conj(
        np.fft.rfft(window * np.hanning(window.size), size)
    )
    weight = np.abs(cross)
    weight = np.maximum(weight, 1e-3 * weight.max() + 1e-30)
    values = np.fft.irfft(cross / weight, size)
    lags = np.arange(-(window.size - 1), piece.size)
    allowed = np.abs(lags + max(low, 0) - at - near) <= reach
    chosen, lags = values[lags[allowed]], lags[allowed]
    peak = int(np.abs(chosen).argmax())
    clear = abs(chosen[peak]) > _PEAK_OVER_REST * chosen.std()
    offset = float(lags[peak]) + _vertex(np.abs(chosen), peak) + max(low, 0) - at
    return offset / rate, bool(clear), bool(chosen[peak] < 0)


def _vertex(values: NDArray[np.float64], at: int) -> float:
    """Where the parabola through three values has its top, from -0.5 to 0.5."""
    if not 0 < at < values.size - 1:
        return 0.0
    a, b, c = values[at - 1 : at + 2]
    curve = a - 2 * b + c
    return 0.0 if curve == 0 else float(np.clip(0.5 * (a - c) / curve, -0.5, 0.5))


def _fit(found: list[tuple[float, float, bool, bool]], fallback: float) -> AudioAlignment:
    clear = np.array([(t, lag) for t, lag, ok, _ in found if ok])
    if not len(clear):
        return AudioAlignment(fallback, 0.0, len(found), 0, 0.0, inverted=False)
    times, lags = clear[:, 0], clear[:, 1]
    slope = 0.0
    if len(clear) >= 3 and np.ptp(times) >= 2 * _WINDOW_SECONDS:
        i, j = np.triu_indices(len(clear), 1)
        apart = np.abs(times[j] - times[i]) >= _WINDOW_SECONDS / 2
        slope = float(np.median((lags[j] - lags[i])[apart] / (times[j] - times[i])[apart]))
    start = float(np.median(lags - slope * times))
    on_line = np.abs(lags - start - slope * times) <= _STRAIGHT_SECONDS
    if on_line.sum() >= 3 and slope != 0.0:
        slope, start = (float(v) for v in np.polyfit(times[on_line], lags[on_line], 1))
    elif on_line.any():
        start = float(np.median(lags[on_line] - slope * times[on_line]))
    rest = np.abs(lags - start - slope * times)[on_line]
    inverted = sum(inv for _, _, ok, inv in found if ok) > len(clear) / 2
    return AudioAlignment(
        start, slope * 1e6, len(found), int(on_line.sum()), float(np.median(rest)) if rest.size else 0.0, inverted
    )


def _refined(reference: Signal, distorted: Signal, rate: int, how: AudioAlignment) -> AudioAlignment:
    """The same, to a hundredth of a sample: from the slope of the cross-spectrum's phase over eight parts of the copy."""
    if not how.reliable:
        return how
    left, right, start = aligned_copy(reference, distorted, rate, how)
    length = min(left.size // 8, 1 << 17)
    if length < rate // 4:
        return how
    rows: list[tuple[float, float, float]] = []  # time, rest of the lag (s), weight
    omega = 2 * np.pi * np.fft.rfftfreq(length)
    for k in range(8):
        at = k * (left.size // 8)
        window = np.hanning(length)
        cross = np.fft.rfft(right[at : at + length] * window) * np.conj(np.fft.rfft(left[at : at + length] * window))
        if how.inverted:
            cross = -cross
        weight = np.abs(cross) * (np.abs(np.angle(cross)) < np.pi / 2)
        spread = float((weight * omega**2).sum())
        if spread > 0:
            samples = -float((weight * omega * np.angle(cross)).sum()) / spread
            rows.append((start + (at + length / 2) / rate, samples / rate, float(weight.sum())))
    if len(rows) < 4 or max(abs(r[1]) for r in rows) > 1 / rate:
        return how
    times, rest, weights = (np.array(c) for c in zip(*rows, strict=True))
    degree = 1 if how.drift_ppm != 0 else 0
    fit = np.polyfit(times, rest, degree, w=np.sqrt(weights))
    slope = float(fit[0]) if degree else 0.0
    return replace(how, offset_seconds=how.offset_seconds + float(fit[-1]), drift_ppm=how.drift_ppm + slope * 1e6)


def _read_between(signal: Signal, positions: NDArray[np.float64], taps: int = 32) -> Signal:
    """Values at fractional sample positions; zero beyond the ends."""
    if np.allclose(positions, np.rint(positions), atol=1e-6) and positions.size:
        at = np.rint(positions).astype(np.int64)
        inside = (at >= 0) & (at < signal.size)
        return np.where(inside, signal[np.clip(at, 0, signal.size - 1)], 0).astype(np.float32)
    padded = np.pad(signal, (taps, taps))
    out = np.empty(positions.size, np.float32)
    offsets = np.arange(-taps // 2 + 1, taps // 2 + 1)
    for low in range(0, positions.size, 1 << 16):
        part = positions[low : low + (1 << 16)]
        whole = np.floor(part).astype(np.int64)
        distance = offsets[None, :] - (part - whole)[:, None]
        window = np.i0(8.0 * np.sqrt(np.clip(1 - (distance / (taps / 2)) ** 2, 0, None))) / np.i0(8.0)
        index = np.clip(whole[:, None] + offsets + taps, 0, padded.size - 1)
        out[low : low + part.size] = (padded[index] * np.sinc(distance) * window).sum(axis=1)
    return out
