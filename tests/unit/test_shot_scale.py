"""Shot scale from the heights of faces and people."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaml.derive import derive
from mediaml.derive.shot_scale import scale_of
from mediaml.spec import Column
from tests.unit.derive_lakes import frames, make_lake, put, shots

FACE = Column("largest_face_height", "float32", "1", "height of the largest face", minimum=0, maximum=1)
PERSON = Column("tallest_person_height", "float32", "1", "height of the tallest person", minimum=0, maximum=1)


@pytest.mark.parametrize(
    ("face", "person", "expected"),
    [
        (0.8, None, ("extreme_close_up", "face")),
        (0.45, 1.0, ("close_up", "face")),
        (0.3, 1.0, ("medium_close_up", "face")),
        (0.2, None, ("medium_shot", "face")),
        (0.13, None, ("medium_long_shot", "face")),
        (0.08, 0.6, ("long_shot", "face")),
        (0.02, None, ("extreme_long_shot", "face")),
        (0.04, 0.4, ("long_shot", "person")),  # a small face's box is coarse
        (0.055, 0.2, ("extreme_long_shot", "person")),
        (0.04, 0.99, ("extreme_long_shot", "face")),  # a person who fills the height tells nothing
        (None, 0.99, (None, None)),
        (None, 0.7, ("long_shot", "person")),
        (None, 0.1, ("extreme_long_shot", "person")),
        (None, None, (None, None)),
    ],
)
def test_the_scale_follows_the_largest_face_then_the_tallest_person(face, person, expected):
    assert scale_of(face, person) == expected


def test_a_shot_takes_the_median_of_the_looks_that_show_a_face(tmp_path: Path):
    lake = make_lake(tmp_path)
    times = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 13.0, 20.0]
    a = put(
        lake,
        "a",
        shots([0.0, 10.0, 20.0, 30.0]),
        frames(FACE, times, [0.45, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0], "faces@1"),
        frames(PERSON, times, [1.0, 1.0, 1.0, 0.5, 0.6, 0.7, 0.0, 0.0], "objects@1"),
    )
    put(lake, "nobody looked", shots([0.0, 5.0]))
    derive(lake, only=["shot_scale"])
    rows = lake.table("shots", where="analyzer = 'shot_scale@2'").to_pylist()
    assert [(r["media_id"], r["shot_scale"], r["shot_scale_from"]) for r in rows] == [
        (a, "close_up", "face"),
        (a, "long_shot", "person"),  # one look of four shows a face
        (a, None, None),
    ]
