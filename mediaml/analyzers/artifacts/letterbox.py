"""Black bars above and below (letterbox) or beside (pillarbox) the picture, and where they come and go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.small_view import SMALL, Bytes, grey
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_BLACK = 26  # of 255: no sample of a bar exceeds it (FFmpeg's cropdetect takes 24)
_SMALLEST = 0.02  # share of the height or width that counts as a bar
_CONTRAST = 8.0  # levels that the picture's first line must exceed the bar by, at its brightest in the span
_FLAT = 3.0  # levels that a bar may brighten by towards the picture; a dark edge of a scene brightens more
_MINIMUM_SECONDS = 1.0
_SAME = 0.02  # share by which a bar may wander within one span


class Letterbox(Detector):
    """Bars on both opposite sides, black, straight, and still for at least 1 s.

    kinds       "letterbox": above and below; "pillarbox": left and right; both at once give two spans
    severity    0.2 where the bars last throughout; 0.6 where the file also shows the picture without them, or with other bars
    confidence  from the contrast between the bar and the line beside it
    Bars are known to 1/144 of the height and 1/256 of the width.
    """

    spec = Spec(
        name="letterbox",
        version=2,
        summary="letterbox and pillarbox bars, and their changes",
        outputs=tuple(
            Column(f"bar_{side}", "float32", "1", f"black bar at the {side}, share of the {axis}; null for a black picture",
                   minimum=0, maximum=1, nullable=True)
            for side, axis in (("top", "height"), ("bottom", "height"), ("left", "width"), ("right", "width"))
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="FFmpeg cropdetect (level of black lines)",
        cost_ms=0.1,
        kinds=("letterbox", "pillarbox"),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        luma = grey(batch)
        measures: dict[str, NDArray] = {}
        for axis, names in ((2, ("top", "bottom")), (1, ("left", "right"))):
            lines = luma.max(axis=axis)  # (N, 144) or (N, 256): the brightest sample of each row or column
            means = luma.mean(axis=axis, dtype=np.float32)
            for name, step in zip(names, (1, -1), strict=True):
                bar, contrast = _bars(lines[:, ::step], means[:, ::step])
                measures[f"bar_{name}"], measures[f"contrast_{name}"] = bar, contrast
        return measures

    def judge(self, track: Track) -> list[Finding]:
        return [
            *_judge(track, "letterbox", "top", "bottom"),
            *_judge(track, "pillarbox", "left", "right"),
        ]


def _bars(lines: Bytes, means: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) share of dark lines before the first bright one, and how far the line after next exceeds them; NaN if all dark."""
    bright = lines > _BLACK
    count = bright.argmax(axis=1)
    inside = np.minimum(count + 1, lines.shape[1] - 1)
    each = np.arange(len(lines))
    outside = means[each, np.maximum(count - 2, 0)]
    flat = outside - means[:, 0] <= _FLAT
    contrast = np.where((count > 0) & flat, means[each, inside] - outside, 0.0)
    nothing = ~bright.any(axis=1)
    share = count / lines.shape[1]
    share[nothing] = contrast[nothing] = np.nan
    return share.astype(np.float64), contrast.astype(np.float64)


def _steady(bar: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The bar without what lasts less than `window` frames: opening (minimum, then maximum) over time; no black frames."""
    known = ~np.isnan(bar)
    if known.sum() < window:
        return np.zeros(len(bar))
    values = bar[known]
    least = np.lib.stride_tricks.sliding_window_view(values, window).min(axis=1)
    padded = np.concatenate([np.full(window - 1, -1.0), least, np.full(window - 1, -1.0)])
    opened = np.lib.stride_tricks.sliding_window_view(padded, window).max(axis=1)
    return opened[np.maximum(np.cumsum(known) - 1, 0)]  # a black frame takes the bar of the frame before it


def _judge(track: Track, kind: str, one: str, other: str) -> list[Finding]:
    window = track.frames_in(_MINIMUM_SECONDS)
    sides = [_steady(track[f"bar_{side}"], window) for side in (one, other)]
    bar = np.minimum(*sides)
    flags = (bar >= _SMALLEST) & (np.abs(sides[0] - sides[1]) <= np.maximum(0.02, 0.3 * bar))
    known = ~np.isnan(track[f"bar_{one}"])
    spans = [part for span in track.spans(flags, join=0.0, minimum=_MINIMUM_SECONDS) for part in _parts(bar, *span)]
    found = []
    for first, stop in spans:
        contrasts = [np.nanpercentile(track[f"contrast_{side}"][first:stop], 90) for side in (one, other)]
        contrast = float(min(contrasts))
        if stop - first < window or not contrast >= _CONTRAST:
            continue
        elsewhere = known.copy()
        elsewhere[first:stop] = False
        changes = bool((elsewhere & (np.abs(bar - np.median(bar[first:stop])) > _SAME)).sum() >= window)
        found.append(_finding(track, kind, (first, stop), float(np.median(bar[first:stop])), contrast, changes))
    return found


def _parts(bar: NDArray[np.float64], first: int, stop: int) -> list[tuple[int, int]]:
    """The span cut where the bar's size changes."""
    cuts = [first + 1 + int(i) for i in np.flatnonzero(np.abs(np.diff(bar[first:stop])) > _SAME)]
    return list(zip([first, *cuts], [*cuts, stop], strict=True))


def _finding(track: Track, kind: str, span: tuple[int, int], bar: float, contrast: float, changes: bool) -> Finding:
    start, end = track.start[span[0]], track.end[span[1] - 1]
    where = "above and below" if kind == "letterbox" else "left and right"
    note = "; the picture has other borders elsewhere in the file" if changes else ""
    message = f"black bars {where}, each {100 * bar:.1f} % of the {'height' if kind == 'letterbox' else 'width'}{note}"
    confidence = 0.6 + 0.4 * ramp(contrast, _CONTRAST, 40.0)
    return Finding(kind, start, end, 0.6 if changes else 0.2, confidence, (start + end) / 2, message)
