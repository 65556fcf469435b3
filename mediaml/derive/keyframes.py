"""Which instant of a shot stands for it: sharp, neither dark nor burnt, outside transitions, with a face and open eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaml.derive.inputs import SHOTS, from_media, sql_list
from mediaml.tables import Lake

DARK, LIT, BURNT = (0.05, 0.18), 1.0, (0.85, 0.97)
"""Mean luma: worthless at and below .05, full worth from .18 to .85, worthless at .97."""
CLEAR_SECONDS = 0.4
"""A frame so far from a transition (or a cut) has full worth; one inside a transition has none."""
FACE, PICTURE, CENTRE = 0.3, 0.1, 0.2
"""How much worth a face (of at least LEAST_FACE of the picture) and a thumbnail add, and the edge of a shot costs."""
LEAST_FACE = 0.01
EYES, SHUT, OPEN = 0.15, 0.5, 0.85
"""How much worth the eyes of a large face add or cost: as wide as .85 of the shot's widest they add it, at half of that they
cost it (painted shut, they measure .45 to .65: benchmarks/eyes.py). Without a measure they neither add nor cost."""
_FLOOR = 0.02  # what nothing speaks for is still better than no keyframe
_FACTS = ("si", "luma_mean", "largest_face_share", "largest_face_eye_openness")
_LOOKED = ("luma_mean", "largest_face_share")


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Frames of one shot, in order of time; NaN where a fact is not known.

    seconds    (N,) presentation times
    sharpness  (N,) spatial information, or the thumbnails' sharpness where there is none
    luma       (N,) mean luma, 0 black to 1 white
    face       (N,) share of the picture that the largest face has
    eyes       (N,) openness of its eyes (`mediaml.ops.eyes`)
    pictured   (N,) whether there is a thumbnail of it
    """

    seconds: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    luma: NDArray[np.float64]
    face: NDArray[np.float64]
    eyes: NDArray[np.float64]
    pictured: NDArray[np.bool_]


def worth(of: Candidates, start: float, end: float, transitions: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """(N,) how well each candidate stands for the shot [start, end) s; `transitions` are spans in s that touch it."""
    t = of.seconds
    sharp = _filled(of.sharpness, t)
    sharp = sharp / sharp.max() if sharp.max() > 0 else np.ones_like(sharp)
    luma = _filled(of.luma, t, unknown=0.5)
    lit = np.clip((luma - DARK[0]) / (DARK[1] - DARK[0]), 0, LIT) * np.clip(
        (BURNT[1] - luma) / (BURNT[1] - BURNT[0]), 0, LIT
    )
    reach = min(CLEAR_SECONDS, (end - start) / 4)
    away = np.minimum(t - start, end - t)
    for begin, stop in transitions:
        away = np.minimum(away, np.where((t >= begin) & (t < stop), 0.0, np.maximum(begin - t, t - stop)))
    clear = np.clip(away / max(reach, 1e-6), 0, 1)
    face = np.clip(_nearest(of.face, t) / LEAST_FACE, 0, 1)
    centre = 1 - CENTRE * np.abs(2 * (t - start) / max(end - start, 1e-6) - 1)
    bonus = (1 + FACE * face) * (1 + PICTURE * of.pictured) * (1 + EYES * _eyes(of.eyes)) * centre
    return (_FLOOR + sharp) * (_FLOOR + lit) * (_FLOOR + clear) * bonus


def _eyes(openness: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for eyes (nearly) as wide as the widest of the shot, -1 for shut ones, 0 where nothing is known or to be compared."""
    known = ~np.isnan(openness)
    if known.sum() < 2 or np.nanmax(openness) <= 0:
        return np.zeros(len(openness))
    share = openness / np.nanmax(openness)
    return np.where(known, 2 * np.clip((share - SHUT) / (OPEN - SHUT), 0, 1) - 1, 0.0)


def choose(of: Candidates, start: float, end: float, transitions: Sequence[tuple[float, float]]) -> float | None:
    """The instant of the worthiest candidate (the earliest of equals); None without one."""
    return float(of.seconds[int(np.argmax(worth(of, start, end, transitions)))]) if len(of.seconds) else None


def _filled(values: NDArray[np.float64], at: NDArray[np.float64], unknown: float = 1.0) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    return np.interp(at, at[known], values[known]) if known.any() else np.full(len(at), unknown)


def _nearest(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at the nearest instants at which they are known; 0 where none is within half a second."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.zeros(len(at))
    distance = np.abs(at[:, None] - at[known][None])
    best = distance.argmin(1)
    return np.where(distance[np.arange(len(at)), best] <= 0.5, values[known[best]], 0.0)


def keyframes(lake: Lake, media_ids: Sequence[str]) -> dict[tuple[str, int], float]:
    """(media id, shot index) -> seconds, for every shot in which a frame was looked at."""
    shots = lake.query(_shots_sql(lake, media_ids)).to_pylist()
    found = lake.query(_candidates_sql(lake, media_ids)).to_pydict()
    media = np.array(found["media_id"], dtype=str)
    facts = {n: np.array([np.nan if v is None else v for v in found[n]], float) for n in (*_FACTS, "sharpness")}
    seconds, pictured = np.array(found["pts_seconds"], float), np.array(found["pictured"], bool)
    sharpness = facts["sharpness"] if np.isnan(facts["si"]).all() else facts["si"]
    chosen = {}
    for index, shot in enumerate(shots):
        first, last = (int(np.searchsorted(media, shot["media_id"], side)) for side in ("left", "right"))
        low, high = first + np.searchsorted(seconds[first:last], [shot["start_seconds"], shot["end_seconds"]])
        part = slice(int(low), int(high))
        luma, face, eyes = (facts[n][part] for n in ("luma_mean", "largest_face_share", "largest_face_eye_openness"))
        candidates = Candidates(seconds[part], sharpness[part], luma, face, eyes, pictured[part])
        before = shots[index - 1] if index and shots[index - 1]["media_id"] == shot["media_id"] else None
        spans = [(s["begin"], s["stop"]) for s in (before, shot) if s and s["begin"] is not None]
        best = choose(candidates, shot["start_seconds"], shot["end_seconds"], spans)
        if best is not None:
            chosen[shot["media_id"], shot["shot_index"]] = best
    return chosen


def _shots_sql(lake: Lake, media_ids: Sequence[str]) -> str:
    spans = {"transition_start_seconds", "transition_end_seconds"} <= {c.name for c in lake.describe("shots")}
    ends = ("transition_start_seconds", "transition_end_seconds") if spans else ("NULL::DOUBLE", "NULL::DOUBLE")
    return (
        f"SELECT media_id, shot_index, start_seconds, end_seconds, {ends[0]} AS begin, {ends[1]} AS stop "  # noqa: S608
        f"FROM shots WHERE {from_media(media_ids, [SHOTS])} ORDER BY media_id, start_seconds"
    )


def _candidates_sql(lake: Lake, media_ids: Sequence[str]) -> str:
    """Thumbnails, and the frames whose brightness or faces are known, with what is known of each."""
    there = {c.name for c in lake.describe("frames")}
    own = any(c.name == "sharpness" for c in lake.describe("thumbnails"))
    columns = [f"f.{n}" if n in there else f"NULL::FLOAT AS {n}" for n in _FACTS]
    looked = " OR ".join(f"{n} IS NOT NULL" for n in _LOOKED if n in there) or "false"
    which = f"media_id IN {sql_list(media_ids)}"
    facts = ", ".join(f"max({n}) AS {n}" for n in _FACTS)
    return (
        f"WITH t AS (SELECT media_id, pts_seconds, {'max(sharpness)' if own else 'NULL::FLOAT'} AS sharpness "  # noqa: S608
        f"FROM thumbnails WHERE {which} AND NOT starts_with(analyzer, 'qc_') GROUP BY ALL), "
        f"f AS (SELECT media_id, pts_seconds, {', '.join(columns)} FROM frames f WHERE {which}), "
        f"g AS (SELECT media_id, pts_seconds, {facts} FROM f GROUP BY ALL) "
        "SELECT coalesce(t.media_id, g.media_id) AS media_id, coalesce(t.pts_seconds, g.pts_seconds) AS pts_seconds, "
        f"{', '.join(f'g.{n}' for n in _FACTS)}, t.sharpness, t.media_id IS NOT NULL AS pictured "
        f"FROM (FROM g WHERE {looked} OR (media_id, pts_seconds) IN (SELECT (media_id, pts_seconds) FROM t)) g "
        "FULL JOIN t ON t.media_id = g.media_id AND t.pts_seconds = g.pts_seconds ORDER BY 1, 2"
    )
