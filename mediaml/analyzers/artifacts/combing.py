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
_TIMES = 1.2  # as far as lines of one field, neighbouring lines differ in a combed block
_LEVELS = 2.5  # that neighbouring lines must differ by on average
_FLAT = 1.0  # level: differences within a field are taken as at least this
_COMBED = 0.007  # share of blocks from which on a picture is combed
_JOIN_SECONDS = 1.5  # stillness hides combs: gaps between combed pictures that still are one span
_MINIMUM_SECONDS = 1.0  # two combed samples


class Combing(Detector):
    """A 16x16 block is combed where neighbouring lines, of different fields, differ 1.2 times as much as lines of one field.

    Progressive pictures, however detailed, change more over two lines than over one; only stripes of two lines look alike.
    Looked at twice a second on native luma. Fields half a frame apart show where something moves by a few lines or samples.
    kinds       "combing": at least two combed samples, gaps of up to 1.5 s closed. "interlaced": the stream says that its
                frames hold two fields; the whole file, whether or not combs were seen
    severity    combing: from 0.3 at 0.7 % to 1 at 10 % of the blocks; interlaced: 0.3
    """

    spec = Spec(
        name="combing",
        version=2,
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
    """Share of combed blocks; `luma` (H, W) uint8 with at least 18 lines and 16 columns."""
    rows, columns = (luma.shape[0] - 2) // _BLOCK, luma.shape[1] // _BLOCK
    height, width, size = rows * _BLOCK, columns * _BLOCK, (columns, rows)
    near = cv2.absdiff(np.ascontiguousarray(luma[1:]), np.ascontiguousarray(luma[:-1]))
    within = cv2.absdiff(np.ascontiguousarray(luma[2:]), np.ascontiguousarray(luma[:-2]))
    upper, lower, field = (
        cv2.resize(d[i : i + height, :width].astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for d, i in ((near, 0), (near, 1), (within, 0))
    )
    between = (upper + lower) / 2
    return float(((between > _TIMES * np.maximum(field, _FLAT)) & (between > _LEVELS)).mean())


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
