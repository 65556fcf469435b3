"""Signal levels: luma and R'G'B' outside what EBU R 103 tolerates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.chroma_samples import ChromaSamples, chroma_samples
from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Spec

LOWEST, HIGHEST = (5 - 16) / 219, (246 - 16) / 219  # R 103: 5..246 in 8 bits, 5 % beyond black and white
AREA = 0.01  # of the picture: smaller errors are tolerated
_JOIN_SECONDS = 1.0
_MINIMUM_SECONDS = 0.9  # two samples


class SignalLevels(Detector):
    """Shares of the picture beyond the tolerance of EBU R 103 (version 2 on treats R', G', B' and Y' alike), twice a second.

    R'G'B' are computed by the stated matrix and range at the size of the chroma planes. Full-range pictures are held to the
    same 5 % beyond black and white, which their luma cannot leave. Null for matrices that are no sum of luma and two
    colour differences.
    kinds     "out_of_gamut": R', G' or B' outside on more than 1 % of the picture; "clipped_luma": luma
              outside on more than 1 %
    severity  0.3 at 1 % of the picture to 1 at 20 %
    """

    spec = Spec(
        name="signal_levels",
        version=2,
        summary="luma and R'G'B' beyond EBU R 103",
        outputs=tuple(
            Column(name, "float32", "1", what, minimum=0, maximum=1, nullable=True)
            for name, what in (
                (
                    "out_of_gamut_share",
                    "share of the picture with R', G' or B' outside -5..105 %; null for grey pictures",
                ),
                ("luma_below_share", "share of the picture with luma under -5 % (5 in 8 bits)"),
                ("luma_above_share", "share of the picture with luma over 105 % (246 in 8 bits)"),
                ("luma_at_black_share", "share of the picture with luma at or under nominal black"),
                ("luma_at_white_share", "share of the picture with luma at or over nominal white"),
            )
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="EBU R 103 version 3.0 (2020); EBU QC 0051B, video signal levels",
        cost_ms=12.0,
        kinds=("out_of_gamut", "clipped_luma"),
    )

    def measure(self, batch: FrameBatch) -> Measures:
        names = [c.name for c in self.spec.outputs]
        rows = [_shares(sample) for sample in chroma_samples(batch)]
        return dict(zip(names, np.array(rows, np.float64).T, strict=True))

    def judge(self, track: Track) -> list[Finding]:
        gamut = np.nan_to_num(track["out_of_gamut_share"])
        luma = np.nan_to_num(track["luma_below_share"] + track["luma_above_share"])
        return [
            *_judge(track, "out_of_gamut", gamut, "R', G' or B'"),
            *_judge(track, "clipped_luma", luma, "luma"),
        ]


def _shares(sample: ChromaSamples) -> Sequence[float]:
    y = sample.luma
    low, high = float((y < LOWEST - 1e-4).mean()), float((y > HIGHEST + 1e-4).mean())
    at_black, at_white = float((y <= 1e-4).mean()), float((y >= 1 - 1e-4).mean())
    rgb = sample.rgb()
    if rgb is None:
        return (np.nan, low, high, at_black, at_white)
    outside = np.zeros(y.shape, bool)
    for channel in rgb:
        outside |= (channel < LOWEST - 1e-4) | (channel > HIGHEST + 1e-4)
    return (float(outside.mean()), low, high, at_black, at_white)


def _judge(track: Track, kind: str, share: NDArray[np.float64], what: str) -> list[Finding]:
    found = []
    for first, stop in track.spans(share > AREA, join=_JOIN_SECONDS, minimum=_MINIMUM_SECONDS):
        worst = first + int(share[first:stop].argmax())
        area = float(share[worst])
        message = f"{what} beyond EBU R 103 on {100 * area:.1f} % of the picture (1 % is tolerated)"
        severity = 0.3 + 0.7 * ramp(area, AREA, 0.2)
        found.append(Finding(kind, track.start[first], track.end[stop - 1], severity, 0.9, track.start[worst], message))
    return found
