"""Over- and under-exposure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.small_view import SMALL, Bytes, block_means, grey, pictures
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_WHITE = 250  # of 255: burnt out
_BRIGHT = 180  # from here to white: the slopes around what is burnt out, which graphics on white do not have
_OVER_SHARE, _SLOPE_SHARE = 0.2, 0.12
_LARGE_SHARE, _LARGE_SLOPE_SHARE = 0.4, 0.05  # where much is burnt out, little slope is left
_TINTED = (128, 245)  # least channel of a colour whose greatest one is burnt out
_TINTED_SHARE = 0.02
_PEAK_PERCENTILE = 99.5
_UNDER_PEAK, _UNDER_MEAN = 90.0, 60.0  # levels that an under-exposed picture stays below
_LAMP, _LAMP_SAMPLES = 110, 3  # that so few samples may not pass: specks of light, such as stars, are well exposed
_STRUCTURE = 6.0  # levels of spread between blocks: less is black, not under-exposed
_JOIN_SECONDS = 0.5
_OVER_SECONDS, _UNDER_SECONDS = 0.5, 1.5  # fades from and to black are dark for a second


class Exposure(Detector):
    """Judged on the luma of the 256x144 picture, 0..255.

    kinds     "over_exposed": at least a fifth of the picture is burnt out (250 and above), amid bright slopes (180..249 on
              an eighth of it, or a twentieth where two fifths are burnt out) or bright colours with one channel burnt out
              (on a fiftieth), both of which white slides lack. "under_exposed":
              even the brightest half per cent stays below 90 and the mean below 60 for 1.5 s, three samples of 36,864
              at most pass 110, and the picture is not black; lamps, stars and highlights keep night scenes out
    severity  over: by the share burnt out, 0.3 at a fifth to 1 at seven tenths; under: by the peak, 0.3 at 90 to 1 at 30
    """

    spec = Spec(
        name="exposure",
        version=5,
        summary="over- and under-exposed pictures",
        outputs=(
            Column("burnt_share", "float32", "1", "share of the picture at or near white", minimum=0, maximum=1),
            Column(
                "peak_luma", "float32", "8-bit code value", "99.5th percentile of full-range luma", minimum=0, maximum=255
            ),
            Column("mean_luma", "float32", "8-bit code value", "mean full-range luma at 256x144", minimum=0, maximum=255),
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="luma histogram with clipped highlights; limits ours",
        cost_ms=0.1,
        kinds=("over_exposed", "under_exposed"),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        counts = histograms(batch)  # (N, 256)
        share = counts / counts.sum(axis=1, keepdims=True)
        below = share.cumsum(axis=1)
        blocks = block_means(batch)
        return {
            "burnt_share": share[:, _WHITE:].sum(axis=1),
            "slope_share": share[:, _BRIGHT:_WHITE].sum(axis=1),
            "tinted_share": tinted(pictures(batch), share[:, _WHITE:].sum(axis=1) >= _OVER_SHARE),
            "peak_luma": (below < _PEAK_PERCENTILE / 100 - 1e-9).sum(axis=1),
            "mean_luma": share @ np.arange(256),
            "lamps": counts[:, _LAMP + 1 :].sum(axis=1),
            "spread": blocks.max(axis=(1, 2)) - blocks.min(axis=(1, 2)),
        }

    def judge(self, track: Track) -> list[Finding]:
        burnt, peak = track["burnt_share"], track["peak_luma"]
        slope = track["slope_share"]
        over = (burnt >= _OVER_SHARE) & (slope >= _SLOPE_SHARE)
        over |= (burnt >= _LARGE_SHARE) & (slope >= _LARGE_SLOPE_SHARE)
        over |= (burnt >= _OVER_SHARE) & (track["tinted_share"] >= _TINTED_SHARE)
        under = (peak <= _UNDER_PEAK) & (track["mean_luma"] <= _UNDER_MEAN) & (track["spread"] > _STRUCTURE)
        under &= track["lamps"] <= _LAMP_SAMPLES
        found = []
        for first, stop in track.spans(over, join=_JOIN_SECONDS, minimum=_OVER_SECONDS):
            share = float(np.median(burnt[first:stop]))
            message = f"over-exposed: {100 * share:.0f} % of the picture is burnt out"
            severity, sure = 0.3 + 0.7 * ramp(share, _OVER_SHARE, 0.7), 0.6 + 0.4 * ramp(share, _OVER_SHARE, 0.4)
            worst = first + int(burnt[first:stop].argmax())
            found.append(_finding(track, "over_exposed", (first, stop), (severity, sure), worst, message))
        for first, stop in track.spans(under, join=_JOIN_SECONDS, minimum=_UNDER_SECONDS):
            top = float(np.median(peak[first:stop]))
            message = f"under-exposed: the brightest parts reach {100 * top / 255:.0f} % of white"
            severity, sure = 0.3 + 0.7 * ramp(top, _UNDER_PEAK, 30.0), 0.5 + 0.4 * ramp(top, _UNDER_PEAK, 50.0)
            worst = first + int(peak[first:stop].argmin())
            found.append(_finding(track, "under_exposed", (first, stop), (severity, sure), worst, message))
        return found


def histograms(batch: FrameBatch) -> NDArray[np.int64]:
    """(N, 256) counts of the small picture's luma."""

    def make() -> NDArray[np.int64]:
        return np.stack([np.bincount(picture.ravel(), minlength=256) for picture in grey(batch)])

    return batch.shared("artifacts.small_histogram", make)


def tinted(rgb: Bytes, wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) share of bright colours with one channel burnt out in (N, 144, 256, 3) pictures; 0 where not wanted."""
    found = np.zeros(len(rgb))
    for i in np.flatnonzero(wanted):
        red, green, blue = cv2.split(rgb[i])
        greatest, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
        found[i] = ((greatest >= _WHITE) & (least >= _TINTED[0]) & (least < _TINTED[1])).mean()
    return found


def _finding(
    track: Track, kind: str, span: tuple[int, int], strength: tuple[float, float], worst: int, message: str
) -> Finding:
    return Finding(kind, track.start[span[0]], track.end[span[1] - 1], *strength, track.start[worst], message)
