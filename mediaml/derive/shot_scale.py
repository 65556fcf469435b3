"""How near the camera is to people in each shot, from the height of faces and of people in the picture."""

from __future__ import annotations

from collections.abc import Sequence

from mediaml.derive.base import Derivation, Derived
from mediaml.derive.inputs import SHOTS, from_media, sql_list
from mediaml.spec import Column, Spec, Table
from mediaml.tables import Lake

FACE_SCALES = (
    (0.70, "extreme_close_up"),  # the face does not fit
    (0.40, "close_up"),  # up to two heads fit: head and shoulders
    (0.27, "medium_close_up"),  # three heads: to the chest
    (0.18, "medium_shot"),  # four and a half: to the waist
    (0.12, "medium_long_shot"),  # six and a half: to the knees
    (0.05, "long_shot"),  # the whole figure
    (0.0, "extreme_long_shot"),
)
"""Least height of the face as a share of the picture's. A head is taken for 1.25 faces, a figure for 7.5 heads."""
PERSON_SCALES = ((0.95, None), (0.35, "long_shot"), (0.0, "extreme_long_shot"))
"""Least height of the tallest person, without a face; a person who fills the picture may be cut off anywhere: not known."""
SMALL_FACE = 0.06
"""Below it a face's box is too coarse (20 px are the least that is looked for): where a person is known, that decides."""
LEAST_SHARE = 1 / 3
"""A face (or a person) counts if it is seen in so many of the looks at the shot."""

_KEYS = ("media_id", "shot_index", "start_seconds", "end_seconds", "start_frame", "end_frame")
_FACTS = ("largest_face_height", "tallest_person_height")


class ShotScale(Derivation):
    """One scale a shot, by the median height of the largest face, else (or of faces below .06) of the tallest person.

    Null where nobody is seen.

    Names are those of the vocabulary `shot_scale`. Faces that MTCNN misses (profiles, backs, masks) leave the shot to the
    person boxes, where `objects` ran.
    """

    spec = Spec(
        name="shot_scale",
        version=2,
        summary="shot scale from faces and people",
        outputs=(
            Column("shot_scale", "string", "class", "extreme_close_up .. extreme_long_shot; null where nobody is seen",
                   Table.SHOTS, nullable=True),
            Column("shot_scale_from", "string", "class", "face or person: what the scale was told from",
                   Table.SHOTS, nullable=True),
        ),
        groups=("shots",),
        cite="classes: Savardi et al. 2018, Shot scale analysis in movies; limits in mediaml.derive.shot_scale",
    )  # fmt: skip

    sources = (SHOTS, "faces", "objects")

    def run(self, lake: Lake, media_ids: Sequence[str]) -> Derived:
        there = {c.name for c in lake.describe("frames")}
        facts = [n for n in _FACTS if n in there]
        found = lake.query(_sql(facts, media_ids)).to_pylist() if facts else []
        rows: dict[str, list] = {n: [] for n in (*_KEYS, "shot_scale", "shot_scale_from")}
        for shot in found:
            scale, source = scale_of(shot.get("largest_face_height"), shot.get("tallest_person_height"))
            for name in _KEYS:
                rows[name].append(shot[name])
            rows["shot_scale"].append(scale)
            rows["shot_scale_from"].append(source)
        return Derived({Table.SHOTS: rows}) if found else Derived()


def scale_of(face: float | None, person: float | None) -> tuple[str | None, str | None]:
    """Median heights as shares of the picture's, None for nobody -> the scale, and what it was told from."""
    by_person = None if person is None else next(name for least, name in PERSON_SCALES if person >= least)
    if face is not None and (face >= SMALL_FACE or by_person is None):
        return next(name for least, name in FACE_SCALES if face >= least), "face"
    return by_person, "person" if by_person else None


def _sql(facts: Sequence[str], media_ids: Sequence[str]) -> str:
    """A row a shot of media in which anybody was looked for; the median over the looks that show one, null for too few."""
    keys = ", ".join(f"s.{k}" for k in _KEYS)
    medians = ", ".join(
        f"CASE WHEN count(f.{n}) FILTER (f.{n} > 0) >= {LEAST_SHARE} * count(f.{n}) "
        f"THEN median(f.{n}) FILTER (f.{n} > 0) END AS {n}"
        for n in facts
    )
    known = " OR ".join(f"{n} IS NOT NULL" for n in facts)
    return (
        f"WITH s AS (SELECT {', '.join(_KEYS)} FROM shots WHERE {from_media(media_ids, [SHOTS])}), "  # noqa: S608
        f"f AS (SELECT media_id, pts_seconds, {', '.join(facts)} FROM frames "
        f"WHERE media_id IN {sql_list(media_ids)} AND ({known})) "
        f"SELECT {keys}, {medians} FROM s LEFT JOIN f ON f.media_id = s.media_id "
        "AND f.pts_seconds >= s.start_seconds AND f.pts_seconds < s.end_seconds "
        f"WHERE s.media_id IN (SELECT media_id FROM f) GROUP BY {keys} ORDER BY s.media_id, s.shot_index"
    )
