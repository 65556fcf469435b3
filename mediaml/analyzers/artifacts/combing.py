"""Interlacing: pictures woven of two fields that show different instants (combs), and streams that say so themselves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE, Bytes, is_small, luma8
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Column, Spec

_TOOTH = 10  # levels by which each of four lines must stand out from its neighbours, in turn
_COMBED = 0.006  # share of samples within teeth from which on a picture is combed
_JOIN_SECONDS = 1.0  # stillness hides combs: gaps between combed pictures that still are one span
_MINIMUM_SECONDS = 1.0  # two combed samples


class Combing(Detector):
    """A sample is a tooth where four lines in a row alternate by at least 10 levels while lines of a field agree.

    Looked at twice a second on native luma. Fine horizontal stripes make teeth too, but rarely on 0.6 % of a picture.
    kinds       "combing": at least two combed samples, gaps of up to 1 s closed. "interlaced": the stream says that its
                frames hold two fields; the whole file, whether or not combs were seen
    severity    combing: from 0.3 at 0.6 % to 1 at 5 % of the picture; interlaced: 0.3
    """

    spec = Spec(
        name="combing",
        version=1,
        summary="combs of interlaced pictures, and streams flagged interlaced",
        outputs=(
            Column(
                "comb_share", "float32", "1", "share of native luma samples within comb teeth; null for tiny pictures",
                minimum=0, maximum=1, nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="line alternation as in FFmpeg idet and Donald Graft's Decomb",
        cost_ms=12.0,
        kinds=("combing", "interlaced"),
    )  # fmt: skip

    def start(self, media: MediaInfo) -> None:
        stream = media.main_video
        self._field_order = stream.field_order if stream else "unknown"

    def reset(self) -> None:
        self._field_order = "unknown"

    def measure(self, batch: FrameBatch) -> Measures:
        luma = luma8(batch)
        return {
            "comb_share": np.full(len(luma), np.nan) if is_small(batch) else np.array([comb_share(y) for y in luma])
        }

    def judge(self, track: Track) -> list[Finding]:
        share = np.nan_to_num(track["comb_share"])
        flagged = self._field_order in ("tt", "bb", "tb", "bt")
        found = [_flag(track, self._field_order)] if flagged else []
        for first, stop in track.spans(share >= _COMBED, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            found.append(_comb(track, first, stop, share[first:stop], flagged))
        return found


def comb_share(luma: Bytes) -> float:
    """Share of samples within teeth; `luma` (H, W) uint8 with at least four lines."""
    steps = cv2.subtract(luma[1:], luma[:-1], dtype=cv2.CV_16S)  # (H - 1, W)
    one, two, three = steps[:-2], -steps[1:-1], steps[2:]
    least = cv2.min(cv2.min(one, two), three)
    most = cv2.max(cv2.max(one, two), three)
    # within a field, lines agree: two steps in turn nearly cancel
    even = cv2.absdiff(one, two)
    odd = cv2.absdiff(two, three)
    uneven = cv2.max(even, odd)
    up = (least > _TOOTH) & (uneven < least)
    down = (most < -_TOOTH) & (uneven < -most)
    return float((np.count_nonzero(up) + np.count_nonzero(down)) / up.size)


def _flag(track: Track, order: str) -> Finding:
    first = "top" if order[0] == "t" else "bottom"
    message = f"the stream is flagged interlaced, {first} field coded first"
    return Finding("interlaced", track.start[0], track.end[-1], 0.3, 1.0, track.start[0], message)


def _comb(track: Track, first: int, stop: int, share: NDArray[np.float64], flagged: bool) -> Finding:
    worst = int(np.argmax(share))
    combed = float(np.mean(share >= _COMBED))
    told = "the stream is flagged interlaced" if flagged else "the stream is not flagged interlaced"
    size, often = 100 * share[worst], 100 * combed
    message = f"combed pictures: teeth on {size:.1f} % of the picture, in {often:.0f} % of the samples; {told}"
    severity = 0.3 + 0.7 * ramp(float(share[worst]), _COMBED, 0.05)
    confidence = 0.6 + 0.4 * ramp(float(share[worst]), _COMBED, 3 * _COMBED)
    return Finding(
        "combing", track.start[first], track.end[stop - 1], severity, confidence, track.start[first + worst], message
    )
