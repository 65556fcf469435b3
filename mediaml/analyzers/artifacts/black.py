"""Spans of black pictures."""

from __future__ import annotations

import numpy as np

from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.small_view import SMALL, block_means, grey
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

_DARK = 20  # of 255: a sample that counts as black; covers noise and lifted blacks (FFmpeg's blackdetect takes 25)
_SHARE = 0.98  # of the picture, as FFmpeg's blackdetect
_SPREAD = 5.0  # levels: block means of a black picture differ by no more; those of a night scene do
_MINIMUM_SECONDS = 0.07  # two frames at 25 or 30 a second
_FULL_SEVERITY_SECONDS = 2.0


class Black(Detector):
    """Black: 98 % of the samples are within 8 % of black, and no block of the picture stands out.

    A dark scene has structure: its 8x8 block means (of 256x144) spread by more than 5 levels of 255, however dark it is.
    severity    length / 2 s, at most 1
    confidence  1 for a flat picture, down to 0.5 as the spread reaches its limit
    """

    spec = Spec(
        name="black",
        version=3,
        summary="spans of black pictures",
        outputs=(
            Column("black_share", "float32", "1", "share of samples within 8 % of black", minimum=0, maximum=1),
            Column(
                "block_spread", "float32", "8-bit code value", "spread of the block means of a 256x144 picture's luma",
                minimum=0, maximum=255,
            ),
        ),
        need=SMALL,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="FFmpeg blackdetect (pixel and picture thresholds)",
        cost_ms=0.05,
        kinds=("black",),
    )  # fmt: skip

    def measure(self, batch: FrameBatch) -> Measures:
        share = (grey(batch) <= _DARK).mean(axis=(1, 2))
        blocks = block_means(batch)
        return {"black_share": share, "block_spread": blocks.max(axis=(1, 2)) - blocks.min(axis=(1, 2))}

    def judge(self, track: Track) -> list[Finding]:
        spread = track["block_spread"]
        flags = (track["black_share"] >= _SHARE) & (spread <= _SPREAD)
        found = []
        for first, stop in track.spans(flags, join=0.0, minimum=_MINIMUM_SECONDS):
            start, end = track.start[first], track.end[stop - 1]
            wide = float(np.median(spread[first:stop]))
            found.append(
                Finding(
                    "black", start, end, (end - start) / _FULL_SEVERITY_SECONDS, 1 - 0.5 * ramp(wide, 1.0, _SPREAD),
                    (start + end) / 2, f"black for {end - start:.2f} s",
                )
            )  # fmt: skip
        return found
