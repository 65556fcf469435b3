"""Whether a fault can be seen in a clip at all: a wrong flag shows on saturated colours or at both ends of the range only.

Each test looks at the faulty pictures or the clip itself, never at what a detector measures.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.colour import chroma, luma, to_rgb
from benchmarks.faults.sources import Clip, Picture

_BLACK, _WHITE = 24, 218  # coded luma that the darkest and brightest thousandth of a clip must reach
_BURNT_SHARES = (0.25, 0.95)
_SATURATED_SHARE = 0.03
_ILLEGAL_SHARE = 0.01
_WAVE_LEVELS, _WAVE_SHARE = 4, 0.005  # waves leave the clip's range around by so much, on so much of the picture
_PLATEAU = 4  # px: a band is at least so wide
_BAND_STEPS = (2.5, 12.0)  # levels between plateaus: smaller ones are the coder's own, larger ones edges of the picture
_GENTLE = 0.35  # of the step: that the clip itself, smoothed, rises by at most where a band ends
_CALM = 1.5  # levels of detail around, root of the mean square: in textures nobody sees a plateau
_BORDERS_SHARE = 0.02  # of the picture: borders of bands, two pixels wide
LOOKED_AT = range(5, 125, 24)  # frames of a clip that `Fault.shows` looks at


def uses_both_ends(clip: Clip, pictures: list[Picture]) -> bool:  # noqa: ARG001
    """The clip, unspoiled, holds black and white."""
    levels = np.concatenate([luma(clip.frame(i)).ravel()[::7] for i in LOOKED_AT])
    low, high = np.percentile(levels, (0.1, 99.9))
    return bool(low <= _BLACK and high >= _WHITE)


def waves_show(clip: Clip, pictures: list[Picture]) -> bool:
    """Beside edges the picture is brighter or darker than anything within 4 px in the clip; soft clips have no edges."""
    shares = [_overshoots(luma(clip.frame(i)), luma(p)) for i, p in zip(LOOKED_AT, pictures, strict=True)]
    return float(np.median(shares)) >= _WAVE_SHARE


def _overshoots(clean: Picture, faulty: Picture) -> float:
    around = np.ones((9, 9), np.uint8)
    above = cv2.subtract(faulty, cv2.dilate(clean, around))
    below = cv2.subtract(cv2.erode(clean, around), faulty)
    return float((cv2.max(above, below) >= _WAVE_LEVELS).mean())


def bands_show(clean: Picture, faulty: Picture) -> bool:
    """On a fiftieth of the picture lie borders between plateaus where the clean one rises gently and has no texture."""
    return _borders(luma(clean), luma(faulty)) >= _BORDERS_SHARE


def _borders(clean: Picture, faulty: Picture) -> float:
    before, after = clean.astype(np.float32), faulty.astype(np.float32)
    smooth = cv2.GaussianBlur(before, (0, 0), 2.0)
    calm = cv2.blur((before - smooth) ** 2, (15, 15)) <= _CALM**2
    across = _borders_across(smooth, after, calm) + _borders_across(smooth.T, after.T, calm.T)
    return 2 * across / clean.size


def _borders_across(smooth: NDArray[np.float32], after: NDArray[np.float32], calm: NDArray[np.bool_]) -> int:
    steps, rise = np.abs(np.diff(after, axis=1)), np.abs(np.diff(smooth, axis=1))
    least, most = _BAND_STEPS
    border = (steps >= least) & (steps <= most) & (rise <= _GENTLE * steps) & calm[:, 1:]
    runs = np.lib.stride_tricks.sliding_window_view(steps == 0, _PLATEAU - 1, axis=1).all(axis=-1)
    middle = border[:, _PLATEAU - 1 : -(_PLATEAU - 1)]
    return int((middle & runs[:, : middle.shape[1]] & runs[:, -middle.shape[1] :]).sum())


def is_legal(clip: Clip, pictures: list[Picture]) -> bool:  # noqa: ARG001
    """The clip, unspoiled, keeps R'G'B' within what EBU R 103 tolerates on 99 % of each picture."""
    return max(_illegal(clip.frame(i)) for i in LOOKED_AT) <= _ILLEGAL_SHARE


def _illegal(picture: Picture) -> float:
    height, width = luma(picture).shape
    y = (
        cv2.resize(luma(picture), (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32) - 16
    ) / 219
    cb, cr = ((c.astype(np.float32) - 128) / 224 for c in chroma(picture))
    red, blue = y + 1.402 * cr, y + 1.772 * cb
    rgb: NDArray[np.float32] = np.stack([red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue])
    return float(((rgb.min(axis=0) < -0.05) | (rgb.max(axis=0) > 1.05)).mean())


def is_burnt(clip: Clip, pictures: list[Picture]) -> bool:  # noqa: ARG001
    """Light was lost on a quarter of the picture, but not on all of it."""
    burnt = [float((cv2.cvtColor(to_rgb(p), cv2.COLOR_RGB2GRAY) >= 250).mean()) for p in pictures]
    return _BURNT_SHARES[0] <= float(np.median(burnt)) <= _BURNT_SHARES[1]


def is_saturated(clip: Clip, pictures: list[Picture]) -> bool:  # noqa: ARG001
    """Read as BT.709, three in a hundred samples are saturated and have no green, or all of it.

    Read as BT.601, such samples leave R'G'B'; reds, blues and yellows with some green in them only change.
    """
    return float(np.median([_saturated(p) for p in pictures])) >= _SATURATED_SHARE


def _saturated(picture: Picture) -> float:
    height, width = luma(picture).shape
    y = cv2.resize(luma(picture), (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
    cb, cr = ((c.astype(np.float32) - 128) / 224 for c in chroma(picture))
    y = (y - 16) / 219
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    rgb: NDArray[np.float32] = np.stack([red, green, blue])
    saturated = rgb.max(axis=0) - rgb.min(axis=0) >= 0.5
    return float((saturated & ((green <= 0.015) | (green >= 0.985))).mean())
