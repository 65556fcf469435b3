"""What the camera does in each shot: static, pan, tilt, zoom, handheld, or moving in several ways at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import SHOTS, from_media, sql_list
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake

LEAST_RATES = 3
"""A shot with fewer known rates is not classed."""
STEADY, CLEAR = 0.02, 0.04
"""Picture widths a second (zoom: 1/s): a median below is no motion, one above is a motion of the camera."""
SHAKE = 0.03
"""Picture widths a second: jitter of pan and tilt above it is a camera held by hand."""
DOMINANT = 1.8
"""A motion gives the shot its name if it is so many times larger than any other."""

_KEYS = ("media_id", "shot_index", "start_seconds", "end_seconds", "start_frame", "end_frame")
_NAMES = (("pan_left", "pan_right"), ("tilt_up", "tilt_down"), ("zoom_out", "zoom_in"))


class CameraClass(Derivation):
    """One class a shot, from the rates of `camera_motion`; null where too few are known.

    static    medians of pan, tilt and zoom below .02 (widths/s, 1/s) and little jitter
    handheld  jitter (median absolute change of pan and tilt from one look to the next) of .03 widths/s and more, without a
              clear motion of the camera
    pan_left, pan_right, tilt_up, tilt_down, zoom_in, zoom_out   one motion, 1.8 times stronger than the others
    moving    several at once, or a slow drift
    """

    spec = Spec(
        name="camera_class",
        version=1,
        summary="what the camera does in each shot",
        outputs=(
            Column(
                "camera", "string", "class", "static, handheld, pan_*, tilt_*, zoom_* or moving", Table.SHOTS, nullable=True
            ),
            Column(
                "camera_shake", "float32", "picture widths/s", "jitter of pan and tilt", Table.SHOTS,
                minimum=0, nullable=True,
            ),
        ),
        groups=("shots",),
        cite="thresholds in mediaml.derive.camera_class",
    )  # fmt: skip

    sources = (SHOTS, "camera_motion")

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        if not any(c.name == "pan_rate" for c in lake.describe("frames")):
            return Derived()
        found = lake.query(_sql(media_ids)).to_pylist()
        rows: dict[str, list] = {n: [] for n in (*_KEYS, "camera", "camera_shake")}
        for key, frames in groupby(found, key=lambda r: tuple(r[k] for k in _KEYS)):
            rates = np.array(
                [(r["pan_rate"], r["tilt_rate"], r["zoom_rate"]) for r in frames if r["pan_rate"] is not None]
            )
            for name, value in zip(_KEYS, key, strict=True):
                rows[name].append(value)
            shake = jitter(rates)
            rows["camera"].append(classify(rates))
            rows["camera_shake"].append(None if math.isnan(shake) else shake)
        return Derived({Table.SHOTS: rows}) if rows["media_id"] else Derived()


def jitter(rates: np.ndarray) -> float:
    """Median absolute change of pan and tilt, of (N, 3) rates of pan, tilt and zoom; NaN for fewer than LEAST_RATES."""
    if len(rates) < LEAST_RATES:
        return math.nan
    return float(np.median(np.abs(np.diff(rates[:, :2], axis=0)).max(axis=1)))


def classify(rates: np.ndarray) -> str | None:
    """(N, 3) rates of pan, tilt and zoom of a shot -> its class."""
    if len(rates) < LEAST_RATES:
        return None
    middle = np.median(rates, axis=0)
    size = np.abs(middle)
    order = np.argsort(-size)
    strongest, second = size[order[0]], size[order[1]]
    if strongest >= CLEAR and strongest >= DOMINANT * second:
        return _NAMES[order[0]][int(middle[order[0]] > 0)]
    if strongest >= CLEAR:
        return "moving"
    if jitter(rates) >= SHAKE:
        return "handheld"
    return "static" if strongest < STEADY else "moving"


def _sql(media_ids: Sequence[str]) -> str:
    keys = ", ".join(f"s.{k}" for k in _KEYS)
    return (
        f"WITH s AS (SELECT {', '.join(_KEYS)} FROM shots WHERE {from_media(media_ids, [SHOTS])}), "  # noqa: S608
        "f AS (SELECT media_id, pts_seconds, pan_rate, tilt_rate, zoom_rate FROM frames "
        f"WHERE media_id IN {sql_list(media_ids)} AND pan_rate IS NOT NULL) "
        f"SELECT {keys}, f.pan_rate, f.tilt_rate, f.zoom_rate FROM s LEFT JOIN f ON f.media_id = s.media_id "
        "AND f.pts_seconds > s.start_seconds AND f.pts_seconds < s.end_seconds "
        f"ORDER BY {keys}, f.pts_seconds"
    )
