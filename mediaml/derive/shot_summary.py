"""One row a shot: the mean of every frame column over the shot, and the keyframe that stands for it."""

from __future__ import annotations

from collections.abc import Sequence

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import SHOTS, from_media, sql_list
from mediaml.derive.keyframes import keyframes
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake
from mediaml.tables.lake import ColumnInfo

_KEYS = ("media_id", "shot_index", "start_seconds", "end_seconds", "start_frame", "end_frame")


class ShotSummary(Derivation):
    """`mean_X` for each real-valued frame column X, over the frames of the shot at which X was computed.

    The keyframe is the thumbnail or sampled frame that `mediaml.derive.keyframes` finds worthiest: sharp, neither dark nor
    burnt, clear of transitions, with a face where faces were looked for; null where no frame of the shot was looked at.
    """

    spec = Spec(
        name="shot_summary",
        version=3,
        summary="Means of all frame columns a shot, and its keyframe",
        outputs=(
            Column("frames_summarised", "int64", "frames", "frames with any value in the shot", Table.SHOTS, minimum=0),
            Column("keyframe_seconds", "float64", "s", "time of the shot's keyframe", Table.SHOTS, nullable=True),
        ),
        groups=("shots",),
        cite="arithmetic means; keyframe as described in mediaml.derive.keyframes",
    )

    sources = (SHOTS,)
    source_tables = (Table.FRAMES, Table.THUMBNAILS)

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        pooled = [c for c in lake.describe("frames") if c.dtype in ("float32", "float64") and c.name != "pts_seconds"]
        columns = {f"mean_{c.name}": c for c in pooled}
        found = lake.query(_summary_sql([c.name for c in pooled], media_ids)).to_pydict()
        chosen = keyframes(lake, media_ids)
        shots = list(zip(found["media_id"], found["shot_index"], strict=True))
        found["keyframe_seconds"] = [chosen.get(shot) for shot in shots]
        present = {n: c for n, c in columns.items() if any(v is not None for v in found[n])}
        rows = {n: found[n] for n in (*_KEYS, "frames_summarised", "keyframe_seconds", *present)}
        return Derived({Table.SHOTS: rows}, tuple(_mean_column(n, c) for n, c in present.items()))


def _mean_column(name: str, of: ColumnInfo) -> Column:
    text = f"mean over the shot's frames of: {of.description}"
    return Column(name, "float64", of.unit, text, Table.SHOTS, of.minimum, of.maximum, nullable=True)


def _shots_sql(media_ids: Sequence[str]) -> str:
    return f"s AS (SELECT {', '.join(_KEYS)} FROM shots WHERE {from_media(media_ids, [SHOTS])})"  # noqa: S608


def _summary_sql(columns: Sequence[str], media_ids: Sequence[str]) -> str:
    keys = ", ".join(f"s.{k}" for k in _KEYS)
    means = "".join(f", avg(f.{c}) AS mean_{c}" for c in columns)
    return (
        f"WITH {_shots_sql(media_ids)} "  # noqa: S608
        f"SELECT {keys}, count(DISTINCT f.pts_seconds) AS frames_summarised{means} "
        f"FROM s LEFT JOIN (FROM frames WHERE media_id IN {sql_list(media_ids)}) f "
        "ON f.media_id = s.media_id AND f.pts_seconds >= s.start_seconds AND f.pts_seconds < s.end_seconds "
        f"GROUP BY {keys} ORDER BY s.media_id, s.shot_index"
    )
