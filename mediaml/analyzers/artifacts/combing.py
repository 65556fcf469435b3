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

_BLOCK = 16
_LINES = np.array([[1], [-3], [3], [-1]], np.float32)  # third difference of successive lines
_FIELD = np.array([[1], [0], [-3], [0], [3], [0], [-1]], np.float32)  # the same of one field's lines
_TIMES = 1.6  # as large as within a field the third difference is in a combed block
_LEVELS = 8.0  # that the third difference of lines must reach on average
_FLAT = 4.0  # levels: the third difference within a field is taken as at least this
_COMBED = 0.012  # share of blocks from which on a picture is combed
_JOIN_SECONDS = 1.5  # stillness hides combs: gaps between combed pictures that still are one span
_MINIMUM_SECONDS = 1.0  # two combed samples


class Combing(Detector):
    """A 16x16 block is combed where the third difference of successive lines is 1.6 times that of one field's lines.

    The first answers to detail of two lines' period alone, which weaving makes; the second to twice the period, of which
    progressive pictures, however detailed, hold more. Only stripes of two lines look alike.
    Looked at twice a second on native luma. Fields half a frame apart show where something moves by a few lines or samples.
    kinds       "combing": at least two combed samples, gaps of up to 1.5 s closed. "interlaced": the stream says that its
                frames hold two fields; the whole file, whether or not combs were seen
    severity    combing: from 0.3 at 1.2 % to 1 at 10 % of the blocks; interlaced: 0.3
    """

    spec = Spec(
        name="combing",
        version=3,
        summary="combs of interlaced pictures, and streams flagged interlaced",
        outputs=(
            Column(
                "comb_share", "float32", "1", "share of combed 16x16 blocks of native luma; null for tiny pictures",
                minimum=0, maximum=1, nullable=True,
            ),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="differences between and within fields, as FFmpeg idet and Donald Graft's Decomb",
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
    """Share of combed blocks; `luma` (H, W) uint8 with at least 22 lines and 16 columns."""
    rows, columns = (luma.shape[0] - 6) // _BLOCK, luma.shape[1] // _BLOCK
    height, width, size = rows * _BLOCK, columns * _BLOCK, (columns, rows)
    picture = luma[:, :width].astype(np.float32)
    lines, field = (np.abs(cv2.filter2D(picture, -1, kernel, anchor=(0, 0))) for kernel in (_LINES, _FIELD))
    first, second, within = (
        cv2.resize(d[i : i + height], size, interpolation=cv2.INTER_AREA)
        for d, i in ((lines, 1), (lines, 2), (field, 0))
    )
    between = (first + second) / 2
    return float(((between > _TIMES * np.maximum(within, _FLAT)) & (between > _LEVELS)).mean())


def _flag(track: Track, order: str) -> Finding:
    first = "top" if order[0] == "t" else "bottom"
    message = f"the stream is flagged interlaced, {first} field coded first"
    return Finding("interlaced", track.start[0], track.end[-1], 0.3, 1.0, track.start[0], message)


def _comb(track: Track, first: int, stop: int, share: NDArray[np.float64], flagged: bool) -> Finding:
    worst = int(np.argmax(share))
    combed = float(np.mean(share >= _COMBED))
    told = "the stream is flagged interlaced" if flagged else "the stream is not flagged interlaced"
    size, often = 100 * share[worst], 100 * combed
    message = f"combed pictures: fields differ on {size:.1f} % of the picture, in {often:.0f} % of the samples; {told}"
    severity = 0.3 + 0.7 * ramp(float(share[worst]), _COMBED, 0.1)
    confidence = 0.6 + 0.4 * ramp(float(share[worst]), _COMBED, 3 * _COMBED)
    return Finding(
        "combing", track.start[first], track.end[stop - 1], severity, confidence, track.start[first + worst], message
    )
