"""Interlacing: pictures woven of two fields that show different instants (combs), and streams that say so themselves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import PAIRS, Bytes, is_small, luma8, previous8
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Column, Spec

_TEETH = 4  # levels by which a line leaves the mean of the lines around it
_LINES = 4  # in a row, every other one above and below the lines around: a thin line of the picture makes three
_MOVED = 4  # levels of change since the picture before
_LOOKED_AT = 20_000  # combed samples of a picture that are compared with its motion; of more, every so many
_AGREES = 0.5  # of the samples, those that agree less those that do not: a texture has about as many of both
_WEAK, _STRONG = 0.0004, 0.003  # share of the picture in combs
_WEAK_SAMPLES, _STRONG_SAMPLES = 4, 2  # of one sign that make a finding
_MIXED = 0.25  # of a span's combs that may have the other sign: those of the picture after the last comb have
_FAINT = 0.05  # of the largest share: fainter samples do not begin or end a span
_JOIN_SECONDS = 1.5  # stillness hides combs: gaps between combed pictures that still are one span


class Combing(Detector):
    """A sample is combed where four lines in a row leave the lines around to alternate sides, and what parts them is motion.

    Fields of two instants differ by how far things moved between them. So where lines alternate, the difference between the
    fields has the sign of the change since the picture before, or throughout the opposite one, by which field is later. A
    texture of two lines' period that moves has either sign in about equal parts; one that stands still does not change.
    Thus few samples tell: distant windows, if they have one sign in four pictures.

    Looked at twice a second on native luma.
    kinds       "combing": at least two pictures with combs on 0.3 % of them, or four with 0.04 %, of one sign; gaps of up to
                1.5 s closed. "interlaced": the stream says that its frames hold two fields; the whole file, whether or
                not combs were seen
    severity    combing: from 0.3 at 0.3 % to 1 at 10 % of the picture; interlaced: 0.3
    """

    spec = Spec(
        name="combing",
        version=5,
        summary="combs of interlaced pictures, and streams flagged interlaced",
        outputs=(
            Column(
                "comb_share", "float32", "1",
                "share of native luma in combs with the sign of motion less that against it; null for tiny pictures",
                minimum=0, maximum=1, nullable=True,
            ),
        ),
        need=PAIRS,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="lines that alternate, as Donald Graft's Decomb; their sign against motion: ours",
        cost_ms=8.0,
        kinds=("combing", "interlaced"),
    )  # fmt: skip

    def start(self, media: MediaInfo) -> None:
        stream = media.main_video
        self._field_order = stream.field_order if stream else "unknown"

    def reset(self) -> None:
        self._field_order = "unknown"

    def measure(self, batch: FrameBatch) -> Measures:
        luma = luma8(batch)
        if is_small(batch):
            return {"comb_share": np.full(len(luma), np.nan), "later": np.zeros(len(luma))}
        both = np.array([combs(*pair) for pair in zip(luma, previous8(batch), strict=True)])
        return {"comb_share": np.abs(both[:, 0]), "later": np.sign(both[:, 0]) * (both[:, 1] >= _AGREES)}

    def judge(self, track: Track) -> list[Finding]:
        share = np.nan_to_num(track["comb_share"])
        sign = np.where(share >= _WEAK, track["later"], 0.0)
        flagged = self._field_order in ("tt", "bb", "tb", "bt")
        found = [_flag(track, self._field_order)] if flagged else []
        for first, stop in track.spans(sign != 0, join=_JOIN_SECONDS, minimum=0.0):
            combed = _of_one_sign(sign[first:stop] * share[first:stop])
            strong = np.count_nonzero(share[first:stop][combed] >= _STRONG)
            if strong >= _STRONG_SAMPLES or len(combed) >= _WEAK_SAMPLES:
                found.append(_comb(track, first + int(combed[0]), first + int(combed[-1]) + 1, share, flagged))
        return found


def _of_one_sign(combed: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which of (N,) signed shares have the sign of most of the combs; none where too many have the other."""
    main = np.sign(combed.sum())
    shares = main * combed
    if -shares[shares < 0].sum() > _MIXED * shares[shares > 0].sum():
        return np.zeros(0, np.intp)
    return np.flatnonzero(shares > _FAINT * shares.max())


def combs(luma: Bytes, before: Bytes) -> tuple[float, float]:
    """(share of the samples in combs that motion confirms less those that it contradicts, the same over their sum).

    `luma` and the picture `before` it are (H, W) uint8 with at least 9 lines. The share is positive where the lower field is
    the later one, negative where the upper is; the second value is never negative.
    """
    lines = luma.astype(np.int16)
    teeth = 2 * lines[1:-1] - lines[:-2] - lines[2:]
    teeth[1::2] *= -1  # lower field less upper throughout
    column, rows = np.ones((_LINES, 1), np.uint8), len(teeth) - _LINES + 1
    least, most = (np.asarray(f(teeth, column, anchor=(0, 0)), np.int16)[:rows] for f in (cv2.erode, cv2.dilate))
    low, high = least >= 2 * _TEETH, most <= -2 * _TEETH
    top, left = np.nonzero(low | high)
    if not len(top):
        return 0.0, 0.0
    each = -(-len(top) // _LOOKED_AT)
    top, left = top[::each], left[::each]
    line = top + 1 + _LINES // 2
    change = sum(
        w * (lines[line + k, left] - before[line + k, left].astype(np.int16)) for k, w in ((-1, 1), (0, 2), (1, 1))
    )
    alike = np.sign(change) * np.where(low[top, left], 1, -1) * (np.abs(change) >= 4 * _MOVED)
    total = int(np.count_nonzero(alike))
    return each * float(alike.sum()) / low.size, abs(float(alike.sum())) / max(total, 1)


def _flag(track: Track, order: str) -> Finding:
    first = "top" if order[0] == "t" else "bottom"
    message = f"the stream is flagged interlaced, {first} field coded first"
    return Finding("interlaced", track.start[0], track.end[-1], 0.3, 1.0, track.start[0], message)


def _comb(track: Track, first: int, stop: int, shares: NDArray[np.float64], flagged: bool) -> Finding:
    share = shares[first:stop]
    worst = int(np.argmax(share))
    often = 100 * float(np.mean(share >= _WEAK))
    told = "the stream is flagged interlaced" if flagged else "the stream is not flagged interlaced"
    size = 100 * share[worst]
    message = f"combed pictures: fields differ on {size:.2g} % of the picture, in {often:.0f} % of the samples; {told}"
    severity = 0.3 + 0.7 * ramp(float(share[worst]), _STRONG, 0.1)
    confidence = 0.6 + 0.4 * ramp(float(share[worst]), _STRONG, 4 * _STRONG)
    return Finding(
        "combing", track.start[first], track.end[stop - 1], severity, confidence, track.start[first + worst], message
    )
