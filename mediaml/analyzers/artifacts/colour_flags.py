"""Colour flags that the pictures contradict: range, matrix, and flags that contradict each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.chroma_samples import ChromaSamples, chroma_samples
from mediaml.analyzers.artifacts.findings import Detector, Finding, Measures, Track, ramp
from mediaml.analyzers.artifacts.native_view import NATIVE
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo, VideoStream
from mediaml.spec import Column, Spec

_OTHER = {"bt709": "smpte170m", "smpte170m": "bt709", "bt470bg": "bt709"}
_NAMES = {"bt709": "BT.709", "smpte170m": "BT.601", "bt470bg": "BT.601"}
_THOUSANDTH = 0.001  # of the samples at either end say how dark and bright a picture is
_STEP = 2  # every so many chroma samples are enough for a statistic
_DEEP, _DEEP_SHARE = (10 - 16) / 219, 0.001  # sub-black, and the share of a picture: limited pictures have none
_FOOT, _HEAD = (12 - 16) / 219, (239 - 16) / 219  # with both ends left, less is enough
_FOOT_SHARE, _HEAD_SHARE = 0.0005, 0.005
_BEYOND_FRAMES = 0.25  # share of the samples that use the codes of full range
_TENTH = 10  # per cent of the samples, in which each end is left by _FAR at least
_FAR = 0.025  # of the range, by a thousandth of the picture: overshoot of limited pictures stays within it at one end
_RINGING = 7.5 / 255  # beyond black and white that filters and coders leave
_NEAR_BLACK, _NEAR_WHITE = (27 / 255, 210 / 255)  # that a limited picture in a full-range file comes close to
_EXCESS = 0.004  # share of the picture out of gamut by the stated matrix
_TIMES = 3.0  # as much as by the other one
_TOLERANCE = 0.03  # beyond 0..1 that counts as out of gamut
_LEAST_SAMPLES = 2


class ColourFlags(Detector):
    """One finding a file at most of each kind, over the whole file.

    kinds "wrong_range": flagged limited, yet a quarter of the pictures hold luma below 10 of 255 on a thousandth, or below 12
          on a twentieth of a hundredth and above 239 on half a hundredth (super-white alone is what many cameras record), or
          a tenth leave black and a tenth white by 2.5 %; or flagged full, yet black lies near 16 and white near 235
          throughout.
          "wrong_matrix": saturated colours leave the R'G'B' cube by the stated one of BT.601 and BT.709 but not by the
          other one; needs saturated colours.
          "inconsistent_flags": PQ or HLG with 8 bits or BT.709 primaries, BT.2020 primaries with an older matrix
    severity  0.7, 0.5, 0.5
    """

    spec = Spec(
        name="colour_flags",
        version=4,
        summary="wrong range or matrix flags",
        outputs=(
            Column("gamut_excess_stated", "float32", "1", "share of the picture outside R'G'B' by its matrix; null for grey",
                   minimum=0, maximum=1, nullable=True),
            Column("gamut_excess_other", "float32", "1", "the same by the other of BT.601 and BT.709; null for others",
                   minimum=0, maximum=1, nullable=True),
        ),
        need=NATIVE,
        ordered=True,
        groups=("qc", "artifacts"),
        default=False,
        cite="ITU-T H.273 (code points), ITU-R BT.601, BT.709 (matrices and ranges)",
        cost_ms=8.0,
        kinds=("wrong_range", "wrong_matrix", "inconsistent_flags"),
    )  # fmt: skip

    def start(self, media: MediaInfo) -> None:
        self._stream = media.main_video

    def reset(self) -> None:
        self._stream: VideoStream | None = None
        self._range, self._matrix = "limited", "bt709"

    def measure(self, batch: FrameBatch) -> Measures:
        self._range, self._matrix = batch.colour.range, batch.colour.matrix
        names = ("gamut_excess_stated", "gamut_excess_other", "deep", "foot", "head", "low", "high")
        return dict(zip(names, np.array([_measures(s) for s in chroma_samples(batch)], np.float64).T, strict=True))

    def judge(self, track: Track) -> list[Finding]:
        found = inconsistent(track, self._stream)
        if len(track) < _LEAST_SAMPLES:
            return found
        found += _limited(track) if self._range == "limited" else _full(track)
        return found + _matrix(track, self._matrix)


def _measures(sample: ChromaSamples) -> tuple[float, ...]:
    y = sample.luma
    ends = [int(share * (y.size - 1)) for share in (_THOUSANDTH, 1 - _THOUSANDTH)]
    low, high = np.partition(y.ravel(), ends)[ends]
    thin = ChromaSamples(
        y[::_STEP, ::_STEP],
        None if sample.cb is None else sample.cb[::_STEP, ::_STEP],
        None if sample.cr is None else sample.cr[::_STEP, ::_STEP],
        sample.matrix,
    )
    stated, other = (_excess(thin, m) for m in (sample.matrix, _OTHER.get(sample.matrix)))
    deep, foot, head = (float(outside.mean()) for outside in (y < _DEEP, y < _FOOT, y > _HEAD))
    return stated, other, deep, foot, head, float(low), float(high)


def _excess(sample: ChromaSamples, matrix: str | None) -> float:
    rgb = sample.rgb(matrix) if matrix is not None else None
    if rgb is None:
        return float("nan")
    outside = np.zeros(sample.luma.shape, bool)
    for channel in rgb:
        outside |= (channel < -_TOLERANCE) | (channel > 1 + _TOLERANCE)
    return float(outside.mean())


def _limited(track: Track) -> list[Finding]:
    both = (track["foot"] >= _FOOT_SHARE) & (track["head"] >= _HEAD_SHARE)
    beyond = (track["deep"] >= _DEEP_SHARE) | both
    share = float(beyond.mean())
    lowest, highest = float(np.percentile(track["low"], _TENTH)), float(np.percentile(track["high"], 100 - _TENTH))
    if share < _BEYOND_FRAMES and not (lowest <= -_FAR and highest >= 1 + _FAR):
        return []
    message = (
        f"flagged limited range, but luma reaches from {100 * lowest:.0f} to {100 * highest:.0f} % of it, "
        f"and {100 * share:.0f} % of the pictures use the code values of full range"
    )
    worst = int((track["foot"] + track["head"]).argmax())
    return [_whole(track, "wrong_range", 0.7, 0.5 + 0.5 * ramp(share, 0.0, 0.8), message, worst)]


def _full(track: Track) -> list[Finding]:
    lowest, highest = float(track["low"].min()), float(track["high"].max())
    black, white = 16 / 255, 235 / 255
    inside = lowest >= black - _RINGING and highest <= white + _RINGING
    if not (inside and lowest <= _NEAR_BLACK and highest >= _NEAR_WHITE):
        return []
    codes = f"{255 * lowest:.0f}..{255 * highest:.0f}"
    message = f"flagged full range, but luma keeps to {codes} of 255 throughout, as limited range does"
    return [_whole(track, "wrong_range", 0.7, 0.8, message)]


def _matrix(track: Track, matrix: str) -> list[Finding]:
    stated, other = (_mean(track[f"gamut_excess_{which}"]) for which in ("stated", "other"))
    if not (stated >= _EXCESS and stated >= _TIMES * other):
        return []
    alternative = _NAMES[_OTHER[matrix]]
    message = (
        f"{100 * stated:.1f} % of the picture leaves R'G'B' by the matrix {_NAMES[matrix]}, {100 * other:.1f} % by "
        f"{alternative}: probably {alternative}"
    )
    confidence = 0.5 + 0.4 * ramp(stated / max(other, 1e-4), _TIMES, 10.0)
    worst = int(np.nan_to_num(track["gamut_excess_stated"]).argmax())
    return [_whole(track, "wrong_matrix", 0.5, confidence, message, worst)]


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def inconsistent(track: Track, stream: VideoStream | None) -> list[Finding]:
    """Flags that contradict each other."""
    if stream is None:
        return []
    wrong = []
    hdr = stream.transfer in ("smpte2084", "arib-std-b67")
    if hdr and (stream.bit_depth or 10) < 10:
        wrong.append(f"transfer {stream.transfer} with {stream.bit_depth} bits")
    if hdr and stream.primaries in ("bt709", "smpte170m", "bt470bg"):
        wrong.append(f"transfer {stream.transfer} with primaries {stream.primaries}")
    if stream.primaries == "bt2020" and stream.matrix in ("bt709", "smpte170m", "bt470bg"):
        wrong.append(f"primaries bt2020 with matrix {stream.matrix}")
    return (
        [_whole(track, "inconsistent_flags", 0.5, 0.9, "colour flags contradict each other: " + "; ".join(wrong))]
        if wrong
        else []
    )


def _whole(
    track: Track, kind: str, severity: float, confidence: float, message: str, worst: int | None = None
) -> Finding:
    """A finding of the whole file; its evidence is the sample `worst`, or the middle one where all are alike."""
    evidence = track.start[len(track) // 2 if worst is None else worst]
    return Finding(kind, track.start[0], track.end[-1], severity, confidence, evidence, message)
