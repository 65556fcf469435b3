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

_BLOCK = 16
_LINES = np.array([[1], [-3], [3], [-1]], np.float32)  # third difference of successive lines
_FIELD = np.array([[1], [0], [-3], [0], [3], [0], [-1]], np.float32)  # the same of one field's lines
_TIMES = 1.3  # as large as within a field the third difference is in a combed block
_LEVELS = 6.0  # that the third difference of lines must reach on average
_FLAT = 4.0  # levels: the third difference within a field is taken as at least this
_ALIKE = 0.3  # absolute cosine between what parts the fields and what changed since the picture before
_ENOUGH, _TOO_MUCH = (
    0.12,
    16.0,
)  # times the one's energy that the other has: over a field it moves half as far, energy 4
_CHANCE = 0.25  # of blocks of a texture that reach it by chance, at edges that move behind it
_TRIED = 400  # blocks of a picture that the cosine is taken of; of more, so many spread evenly
_COMBED = 0.006  # share of blocks from which on a picture is combed
_JOIN_SECONDS = 1.5  # stillness hides combs: gaps between combed pictures that still are one span
_MINIMUM_SECONDS = 1.0  # two combed samples


class Combing(Detector):
    """A 16x16 block is combed where its lines stand out against a field's lines, and what parts the fields is motion.

    stand out   the third difference of successive lines is 1.3 times that of one field's lines. The first answers to detail
                of two lines' period alone, which weaving makes; the second to twice the period, of which progressive
                pictures, however detailed, hold more. Textures of two lines' period look alike
    motion      fields of two instants differ by how far things moved between them; so the difference between a block's
                fields is like the change of both fields since the picture before (cosine of at least 0.3, of one sign
                throughout the picture: the field that is later) and about as large. A texture's is unlike it, moving or
                still (0.0 to 0.25), but for a quarter of its blocks at most, which are taken off

    Looked at twice a second on native luma. Fields half a frame apart show where something moves by a few lines or samples.
    kinds       "combing": at least two combed samples, gaps of up to 1.5 s closed. "interlaced": the stream says that its
                frames hold two fields; the whole file, whether or not combs were seen
    severity    combing: from 0.3 at 0.6 % to 1 at 10 % of the blocks; interlaced: 0.3
    """

    spec = Spec(
        name="combing",
        version=4,
        summary="combs of interlaced pictures, and streams flagged interlaced",
        outputs=(
            Column(
                "comb_share", "float32", "1", "share of combed 16x16 blocks of native luma; null for tiny pictures",
                minimum=0, maximum=1, nullable=True,
            ),
        ),
        need=PAIRS,
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
        if is_small(batch):
            return {"comb_share": np.full(len(luma), np.nan)}
        return {"comb_share": np.array([comb_share(*both) for both in zip(luma, previous8(batch), strict=True)])}

    def judge(self, track: Track) -> list[Finding]:
        share = np.nan_to_num(track["comb_share"])
        flagged = self._field_order in ("tt", "bb", "tb", "bt")
        found = [_flag(track, self._field_order)] if flagged else []
        for first, stop in track.spans(share >= _COMBED, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
            found.append(_comb(track, first, stop, share[first:stop], flagged))
        return found


def comb_share(luma: Bytes, before: Bytes) -> float:
    """Share of combed blocks; `luma` and the picture `before` it (H, W) uint8 with at least 22 lines and 16 columns."""
    stripes = _stripes(luma)
    places = np.argwhere(stripes)
    if not len(places):
        return 0.0
    tried = places[:: -(-len(places) // _TRIED)] * _BLOCK
    moved = abs(np.mean([_fields_moved(*(_lines_of(picture, *at) for picture in (luma, before))) for at in tried]))
    return max(0.0, float(moved) - _CHANCE) / (1 - _CHANCE) * len(places) / stripes.size


def _stripes(luma: Bytes) -> NDArray[np.bool_]:
    """(rows, columns) of blocks whose lines stand out against a field's lines."""
    rows, columns = (luma.shape[0] - 6) // _BLOCK, luma.shape[1] // _BLOCK
    height, width, size = rows * _BLOCK, columns * _BLOCK, (columns, rows)
    picture = luma[:, :width].astype(np.float32)
    lines, field = (np.abs(cv2.filter2D(picture, -1, kernel, anchor=(0, 0))) for kernel in (_LINES, _FIELD))
    first, second, within = (
        cv2.resize(d[i : i + height], size, interpolation=cv2.INTER_AREA)
        for d, i in ((lines, 1), (lines, 2), (field, 0))
    )
    between = (first + second) / 2
    return np.asarray((between > _TIMES * np.maximum(within, _FLAT)) & (between > _LEVELS))


def _lines_of(picture: Bytes, top: int, left: int) -> NDArray[np.float32]:
    """The samples of a block, and as many of the lines below as the third difference looks at."""
    return picture[top : top + _BLOCK + 4, left : left + _BLOCK].astype(np.float32)


def _fields_moved(block: NDArray[np.float32], before: NDArray[np.float32]) -> int:
    """Whether the lower field differs from the upper as both do from the picture before: (20, 16) samples.

    1 where the lower field is the later one, -1 where the upper is; 0 where the fields do not differ by motion.
    """
    apart = block[1:-1] - (block[:-2] + block[2:]) / 2
    apart[1::2] *= -1  # lower minus upper throughout
    change = block - before
    change = (change[:-2] + 2 * change[1:-1] + change[2:]) / 4  # of both fields
    parts, since = (x[:-1] + x[1:] for x in (apart, change))
    between, over = float((parts**2).sum()), float((since**2).sum())
    alike = float((parts * since).sum())
    moved = _ENOUGH * between <= over <= _TOO_MUCH * between and abs(alike) >= _ALIKE * np.sqrt(between * over)
    return int(np.sign(alike)) if moved else 0


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
