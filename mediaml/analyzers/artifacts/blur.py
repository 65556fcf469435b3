"""Blur and defocus: how sharp the sharpest edges of the picture are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, Bytes, is_small, luma8, turned
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_REACH = 4  # px to each side of an edge that its whole rise is measured over
_RISE = 30  # levels over 8 px: an edge
_SHARPEST_PERCENTILE = 95
_LEAST_EDGES = 100
_BLURRED = 0.5  # of the rise within 2 px: sharpest edges softer than a Gaussian of about 1.5 px
_RELATIVE = 0.68  # of the file's own usual sharpness
_SOFT = 0.55  # that a relative loss must fall below
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 1.4  # three samples


class Blur(Detector):
    """The share of an edge's rise over 8 px that falls on its middle 2 px, at the sharpest twentieth of all edges.

    A step gives 1, one blurred by a Gaussian of 1 px 0.68, of 2 px 0.40, a ramp 0.25. Background out of focus and motion
    blur leave some edge sharp, so shallow depth of field is not defocus. Native luma, twice a second; above 1080 lines the
    distances grow with the height. Null where fewer than a hundred samples lie on edges.

    A picture is blurred below 0.5, or below 0.55 where the file's usual sharpness is half as much again.
    severity  0.3 at 0.55 to 1 at 0.28
    """

    spec = Spec(
        name="blur",
        version=2,
        summary="blurred and defocused pictures",
        outputs=(
            Column(
                "edge_sharpness", "float32", "1", "share of an edge's rise within 2 px, sharpest 5 %; null without edges",
                minimum=0, maximum=1, nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="edge width as Marziliano et al. 2002; Zhuo & Sim 2011 (gradient ratio of two scales); FFmpeg blurdetect",
        cost_ms=15.0,
        kinds=("blur",),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        luma = luma8(batch)
        values = np.full(len(luma), np.nan) if is_small(batch) else np.array([edge_sharpness(y) for y in luma])
        return {"edge_sharpness": values}

    def judge(self, track: Track) -> list[Finding]:
        sharp = track["edge_sharpness"]
        known = sharp[~np.isnan(sharp)]
        if not len(known):
            return []
        usual = float(np.percentile(known, 75))
        values = np.nan_to_num(sharp, nan=1.0)
        flags = (values < _BLURRED) | ((values < _SOFT) & (values < _RELATIVE * usual))
        found = []
        for first, stop in track.spans(flags, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            worst = first + int(values[first:stop].argmin())
            level = float(np.median(values[first:stop]))
            severity = 0.3 + 0.7 * ramp(level, _SOFT, 0.28)
            sure = 0.5 + 0.5 * ramp(level, 0.8 * usual, 0.5 * usual)
            message = f"blurred: even the sharpest edges rise by only {100 * level:.0f} % within 2 px"
            found.append(
                Finding("blur", track.start[first], track.end[stop - 1], severity, sure, track.start[worst], message)
            )
        return found


def edge_sharpness(luma: Bytes) -> float:
    """The measure of (H, W) luma; NaN with fewer than a hundred samples on edges."""
    step = max(1, round(luma.shape[0] / 1080))
    shares = np.concatenate([_shares(luma, step), _shares(turned(luma), step)])
    return float(np.percentile(shares, _SHARPEST_PERCENTILE)) if len(shares) >= _LEAST_EDGES else float("nan")


def _shares(luma: Bytes, step: int) -> NDArray[np.float64]:
    """Rise within 2 px over rise within 8 px, at the steepest sample of every edge across the rows."""
    reach = _REACH * step
    if luma.shape[1] <= 2 * reach + 1:
        return np.zeros(0)
    wide = cv2.absdiff(np.ascontiguousarray(luma[:, 2 * reach :]), np.ascontiguousarray(luma[:, : -2 * reach]))
    near = luma[:, reach - step : luma.shape[1] - reach + step]
    fine = cv2.absdiff(np.ascontiguousarray(near[:, 2 * step :]), np.ascontiguousarray(near[:, : -2 * step]))
    steepest = np.zeros(fine.shape, bool)
    steepest[:, 1:-1] = (fine[:, 1:-1] >= fine[:, :-2]) & (fine[:, 1:-1] > fine[:, 2:])
    on_edge = (wide >= _RISE) & steepest
    return np.minimum(fine[on_edge] / wide[on_edge].astype(np.float64), 1.0)
