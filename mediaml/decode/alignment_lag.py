"""What a first path says about the time between two files, for the second one to lean on.

A file made at one frame rate from another shows at each instant the newest source frame: one constant, the phase, gives all
its frames. Coding smears pictures over time (a repeated frame drifts towards its neighbour), which misleads a path about
single frames but hardly about the phase of a hundred. So where one phase explains a stretch nearly as well as the path, the
path leans on it firmly, but for frames that clearly contradict it (a freeze). Elsewhere it leans lightly on the lags of
frames that could not be any neighbour's picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment_path import Lags, Path, Track, pair_distance, squared_differences

_TELLING = 0.3  # noises by which a neighbour must fit worse
_NEARBY = 31  # telling frames from which a frame's lag is expected
_BLOCK, _MARGIN = 48, 40
_PHASES = np.arange(-8, 17) / 8  # reference frames
_FIRM = 4.0
_LEAST_TELLING = 6
_SAME_RATE = 0.06  # equal rates have equal lags: no phase is needed
_HOLDS = 0.8  # share of frames that a phase must explain

Seconds = NDArray[np.float64]


def expected_lags(distorted: Track, reference: Track, path: Path) -> Lags:
    """Of a path between two files."""
    lag = reference.pts_seconds[path.index] - distorted.pts_seconds
    telling = _telling(distorted, reference, path)
    low, high = _usual(lag, telling, reference.period_seconds)
    weight = np.ones(len(lag), np.float32)
    if abs(distorted.period_seconds / reference.period_seconds - 1) < _SAME_RATE:
        return Lags(low, high, weight)
    last: tuple[int, float] | None = None  # (end, phase) of the block before that had one
    for start in range(0, len(lag), _BLOCK):
        rows = np.arange(max(0, start - _MARGIN), min(len(lag), start + _BLOCK + _MARGIN))
        found = _phase(distorted, reference, path, rows, telling[rows])
        if found is None:
            continue
        phase, agrees = found
        stop = min(start + _BLOCK, len(lag))
        firm = rows[agrees & (rows >= start) & (rows < stop)]
        end, before = last or (0, phase)
        if not telling[end:start].any() and abs(before - phase) < reference.period_seconds / 2:
            firm = np.concatenate([np.arange(end, start), firm])  # nothing told in between, and nothing changed
        low[firm], high[firm] = phase - reference.period_seconds * (1 - 1e-3), phase
        weight[firm] = _FIRM
        last = stop, phase
    return Lags(low, high, weight)


def _telling(distorted: Track, reference: Track, path: Path) -> NDArray[np.bool_]:
    """Frames that could not be any neighbour's picture."""
    last = len(reference) - 1
    beside = [pair_distance(distorted, reference, np.clip(path.index + d, 0, last)) for d in (-1, 1)]
    return (np.minimum(*beside) - path.distance > _TELLING * path.noise) & (path.distance < 8 * path.noise)


def _usual(lag: Seconds, telling: NDArray[np.bool_], period: float) -> tuple[Seconds, Seconds]:
    """(M,) bounds from the telling frames nearby; an interval of one reference frame at least, both values at a change."""
    at = np.flatnonzero(telling)
    if (
        len(at) < _LEAST_TELLING
    ):  # the pictures hardly tell: as the clocks have it, from those that do or from the start
        level = float(np.median(lag[at])) if len(at) else 0.0
        return np.full(len(lag), level - period / 2), np.full(len(lag), level + period / 2)
    window = min(_NEARBY, len(at) - 1 + len(at) % 2)
    padded = np.pad(lag[at], window // 2, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, window)
    low, high = (np.quantile(views, q, axis=1) for q in (0.1, 0.9))
    spare = np.maximum(0, (1 - 1e-3) * period - (high - low)) / 2
    after = np.clip(np.searchsorted(at, np.arange(len(lag))), 0, len(at) - 1)
    before = np.maximum(after - 1, 0)
    return np.minimum(low[before], low[after]) - spare[before], np.maximum(high[before], high[after]) + spare[after]


def _phase(
    distorted: Track, reference: Track, path: Path, rows: NDArray[np.int64], telling: NDArray[np.bool_]
) -> tuple[float, NDArray[np.bool_]] | None:
    """(the phase in seconds that fits these frames best, which of them agree); None where none does, or little tells."""
    if telling.sum() < _LEAST_TELLING:
        return None
    times = distorted.pts_seconds[rows]
    lag = reference.pts_seconds[path.index[rows]] - times
    phases = float(np.median(lag[telling])) + _PHASES * reference.period_seconds
    shown = np.searchsorted(reference.pts_seconds, times[:, None] + phases + 1e-6, side="right") - 1
    shown = np.clip(shown, 0, len(reference) - 1)  # (rows, phases)
    distance = _distances(distorted, reference, rows, shown)
    ceiling = np.float32(8 * path.noise) + path.distance[rows, None]
    costs = np.minimum(distance, ceiling).mean(0)
    best = int(np.argmin(costs))
    level = np.flatnonzero(costs > costs[best] * 1.002 + 1e-3)
    first = level[level < best].max(initial=-1) + 1
    stop = level[level > best].min(initial=len(costs))
    middle = (int(first) + int(stop) - 1) / 2
    chosen = distance[:, int(middle)]
    agrees = chosen <= 1.2 * path.distance[rows] + 0.2 * path.noise
    phase = float(np.interp(middle, np.arange(len(phases)), phases))
    return (phase, agrees) if agrees.mean() >= _HOLDS else None


def _distances(
    distorted: Track, reference: Track, rows: NDArray[np.int64], shown: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(rows, phases) mean squared differences."""
    low = int(shown.min())
    squares = squared_differences(distorted.vectors(rows), reference.vectors(slice(low, int(shown.max()) + 1)))
    return np.take_along_axis(squares, shown - low, axis=1)
