"""Ringing: waves beside strong edges, left by a band limit (Gibbs): steep filters, resamplers, oversharpening after them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, Bytes, is_small, luma8, turned
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_REACH = 4  # px to each side that an edge's rise is measured over
_RISE, _WEAK_RISE = 60, 30  # levels: a strong edge, and one that is taken where strong ones are few
_FEW = 200  # strong edges in a direction
_EDGES = 1500  # looked at in each direction
_LEAST = 20  # edges, and sides of edges, in a direction
_AROUND = 32  # px to each side of an edge whose spectrum is taken
_NEAR = (3, 10)  # px from the edge: where it rings
_FAR = (11, 18)  # px from the edge: what the surface does by itself
_CALM = 0.2  # of the rise: wave that the surface may have by itself
_LINE = 0.8  # of the rise: what leaves the surface further is another line, not a wave
_LOWEST, _HIGHEST = 8, 26  # 64ths of a cycle a px: where a cut-off is looked for
_CLIFF = 9.0  # dB: one in 300 clean tuning pictures whose edges swing reaches 7.5, one of 2,026 9.3
_RINGS = 0.05  # of the rise
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 1.4  # three samples


@dataclass(frozen=True, slots=True)
class Waves:
    """What stands beside the strong edges of one direction.

    swing   median over the sides of edges of how far the picture swings to and fro, in shares of the edge
    cliff   dB by which the edges' spectrum falls at its cut-off, more than it fell before
    cutoff  cycles a px
    """

    swing: float
    cliff: float
    cutoff: float


class Ringing(Detector):
    """How far the picture swings beside strong edges, where the edges' spectrum ends at a cut-off as well.

    A band limit leaves two marks that fine texture, halos and soft lenses do not leave together: the spectrum of edges, which
    otherwise falls smoothly, ends within 0.05 cycles a px; and each edge has waves on both sides. The spectrum is the mean,
    in dB, over up to 1500 edges of 60 levels, or 30 where those are few, in each direction (64 px around each, Hann); its
    cliff is the lowest value before the cut-off over the highest beyond it, less the slope on either side. The swing is the
    total variation over 7 px less the net change, 3 to 10 px from the edge, less the same 11 to 18 px from it; the measure
    is its median over the edges' sides, in the direction that has the cliff (else the larger). Native luma, twice a second.

    A picture rings with a cliff of 9 dB and a swing of 5 %. Cut-offs from 0.125 to 0.41 cycles a px are looked for. Waves
    without a band limit (mosquito noise of block transforms) are measured, not reported.
    severity  0.3 at 5 % of the edge to 1 at 40 %
    """

    spec = Spec(
        name="ringing",
        version=4,
        summary="waves beside strong edges, left by a band limit",
        outputs=(
            Column(
                "ringing", "float32", "1", "swing beside strong edges, share of the edge; null without such edges",
                minimum=-1, maximum=10, nullable=True,
            ),
            Column(
                "ringing_cliff", "float32", "dB", "fall of the edges' spectrum at its cut-off; null without strong edges",
                minimum=-200, maximum=200, nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="spectra of edges as ISO 12233; swing beside edges as Marziliano et al. 2004; limits ours",
        cost_ms=15.0,
        kinds=("ringing",),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        small = is_small(batch)
        seen = [None if small else waves(y) for y in luma8(batch)]
        return {
            "ringing": np.array([np.nan if w is None else w.swing for w in seen]),
            "ringing_cliff": np.array([np.nan if w is None else w.cliff for w in seen]),
            "cutoff": np.array([np.nan if w is None else w.cutoff for w in seen]),
        }

    def judge(self, track: Track) -> list[Finding]:
        swing = np.nan_to_num(track["ringing"])
        flags = (swing >= _RINGS) & (np.nan_to_num(track["ringing_cliff"]) >= _CLIFF)
        found = []
        for first, stop in track.spans(flags, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            ringing = first + np.flatnonzero(flags[first:stop])
            worst = int(ringing[swing[ringing].argmax()])
            level, cliff = float(np.median(swing[ringing])), float(np.median(track["ringing_cliff"][ringing]))
            severity, sure = 0.3 + 0.7 * ramp(level, _RINGS, 0.4), 0.5 + 0.5 * ramp(cliff, _CLIFF, 2 * _CLIFF)
            message = (
                f"edges ring: waves beside them swing by {100 * level:.0f} % of the edge; the picture's detail ends at "
                f"{np.median(track['cutoff'][ringing]):.2f} cycles a px"
            )
            found.append(
                Finding("ringing", track.start[first], track.end[stop - 1], severity, sure, track.start[worst], message)
            )
        return found


def waves(luma: Bytes) -> Waves | None:
    """Of the direction of (H, W) luma that rings more; None with fewer than twenty strong edges in either."""
    both = [w for w in (_across(luma), _across(turned(luma))) if w is not None]
    return max(both, key=lambda w: (w.cliff >= _CLIFF, w.swing), default=None)


def _across(luma: Bytes) -> Waves | None:
    """At the edges across the rows."""
    rows, centre, height = _edges(luma)
    if len(rows) < _LEAST:
        return None
    sides = np.concatenate([_swings(luma, rows, centre, height, sign) for sign in (1, -1)])
    if len(sides) < _LEAST:
        return None
    cliff, cutoff = cliff_of(_spectrum(luma, rows, centre))
    return Waves(float(np.clip(np.median(sides), -1, 10)), cliff, cutoff)


def _edges(luma: Bytes) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """(rows, columns, rises) of edges across the rows, strong ones if there are enough: where the rise over 8 px peaks."""
    rise = cv2.absdiff(np.ascontiguousarray(luma[:, 2 * _REACH :]), np.ascontiguousarray(luma[:, : -2 * _REACH]))
    margin = _AROUND - _REACH
    inner = rise[:, margin : rise.shape[1] - margin]
    if inner.shape[1] < 1:
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    peak = (
        (inner >= _WEAK_RISE)
        & (inner >= rise[:, margin - 1 : -margin - 1])
        & (inner > rise[:, margin + 1 : rise.shape[1] - margin + 1])
    )
    strong = peak & (inner >= _RISE)
    rows, columns = np.nonzero(strong if np.count_nonzero(strong) >= _FEW else peak)
    if len(rows) > _EDGES:
        chosen = np.linspace(0, len(rows) - 1, _EDGES).astype(int)
        rows, columns = rows[chosen], columns[chosen]
    return rows, columns + _AROUND, rise[rows, columns + margin].astype(np.float64)


def _spectrum(luma: Bytes, rows: NDArray[np.intp], centre: NDArray[np.intp]) -> NDArray[np.float64]:
    """(33,) dB, mean over the edges: of 64 px around each, at 0 to half a cycle a px."""
    around = luma[rows[:, None], centre[:, None] + np.arange(-_AROUND, _AROUND)].astype(np.float32)
    around -= around.mean(axis=1, keepdims=True)
    window = np.hanning(2 * _AROUND + 2)[1:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(around * window, axis=1)) ** 2
    return (10 * np.log10(power + 1)).mean(axis=0, dtype=np.float64)


def cliff_of(spectrum: NDArray[np.float64]) -> tuple[float, float]:
    """(dB, cycles a px): the highest cliff of a spectrum in 64ths of a cycle, and where.

    All that lies below a cut-off stands above all beyond it; what the spectrum loses over three steps before and after is
    not counted, so that a gentle low pass has none.
    """
    best = (-200.0, 0.0)
    for at in range(_LOWEST, _HIGHEST + 1):
        slope = max(spectrum[at - 4] - spectrum[at - 1], spectrum[at + 3] - spectrum[at + 6], 0.0)
        cliff = float(spectrum[2:at].min() - spectrum[at + 3 :].max() - slope)
        best = max(best, (cliff, (at + 0.5) / (2 * _AROUND)))
    return best


def _swings(
    luma: Bytes, rows: NDArray[np.intp], centre: NDArray[np.intp], height: NDArray[np.float64], sign: int
) -> NDArray[np.float64]:
    """(sides,) swing near the edge less that further away, in shares of the edge, where the surface is calm further away."""
    near, far = (
        luma[rows[:, None], centre[:, None] + sign * np.arange(first, last + 1)] / height[:, None]
        for first, last in (_NEAR, _FAR)
    )
    close, away = (np.abs(np.diff(v, axis=1)).sum(axis=1) - np.abs(v[:, -1] - v[:, 0]) for v in (near, far))
    leaves = np.abs(near - far.mean(axis=1, keepdims=True)).max(axis=1)
    return (close - away)[(away <= _CALM) & (leaves <= _LINE)]
