"""Shot summaries, keyframes and pooled embeddings against values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mediaml.derive import derive
from mediaml.tables import AnalyzerRows
from tests.unit.derive_lakes import BRIGHT, EYES, FACE, LUMA, NIQE, SI, frames, lite0, make_lake, put, shots, thumbnails


def summary_rows(lake, media: str) -> list[dict]:
    return lake.table("shots", where=f"analyzer = 'shot_summary@3' AND media_id = '{media}'").to_pylist()


def test_means_over_the_frames_of_each_shot(tmp_path: Path):
    lake = make_lake(tmp_path)
    a = put(
        lake,
        "a",
        shots([0.0, 1.0, 2.0, 3.0]),
        frames(LUMA, [0.0, 0.5, 1.0, 1.9], [10, 20, 50, 70], "luma@1"),
        frames(NIQE, [0.0, 1.5], [4.0, None], "niqe@1"),
    )
    b = put(lake, "b", shots([0.0, 4.0]), frames(LUMA, [1.0], [99], "luma@1"))
    summary = derive(lake, only=["shot_summary"])
    assert summary.computed == {"shot_summary": 2}
    assert summary.rows == {"shot_summary": 4}
    first, second, third = summary_rows(lake, a)
    assert (first["mean_luma_mean"], second["mean_luma_mean"], third["mean_luma_mean"]) == (15, 60, None)
    assert (first["mean_niqe"], second["mean_niqe"], third["mean_niqe"]) == (4, None, None)
    assert [s["frames_summarised"] for s in (first, second, third)] == [2, 3, 0]
    assert (second["shot_index"], second["start_seconds"], second["end_frame"]) == (1, 1.0, 20)
    assert [s["mean_luma_mean"] for s in summary_rows(lake, b)] == [99]
    column = next(c for c in lake.describe("shots") if c.name == "mean_luma_mean")
    assert (column.unit, column.minimum, column.maximum) == ("code value", 0, 255)
    assert "mean luma" in column.description


def test_the_wide_view_joins_a_shot_and_its_summary(tmp_path: Path):
    lake = make_lake(tmp_path)
    put(lake, "a", shots([0.0, 1.0]), frames(LUMA, [0.5], [7], "luma@1"))
    derive(lake, only=["shot_summary"])
    (row,) = lake.table("shots_wide").to_pylist()
    assert (row["transition"], row["mean_luma_mean"]) == ("cut", 7)


def keyframe(tmp_path: Path, *rows: AnalyzerRows) -> list[float | None]:
    lake = make_lake(tmp_path)
    a = put(lake, "a", *rows)
    derive(lake, only=["shot_summary"])
    return [s["keyframe_seconds"] for s in summary_rows(lake, a)]


def test_the_keyframe_is_sharp_and_away_from_the_cuts(tmp_path: Path):
    times = [0.0, 3.0, 4.0, 5.0, 9.9, 10.5, 19.0]
    sharp = frames(SI, times, [90.0, 20.0, 40.0, 30.0, 95.0, 1.0, 2.0], "siti@1")
    assert keyframe(tmp_path, shots([0.0, 10.0, 20.0, 21.0]), thumbnails(times), sharp) == [4.0, 19.0, None]


def test_the_keyframe_is_neither_dark_nor_burnt(tmp_path: Path):
    times = [2.0, 4.0, 6.0]
    lit = frames(BRIGHT, times, [0.03, 0.4, 0.96], "colour_stats@1")
    sharp = frames(SI, times, [90.0, 50.0, 80.0], "siti@1")
    assert keyframe(tmp_path, shots([0.0, 10.0]), thumbnails(times), lit, sharp) == [4.0]


def test_the_keyframe_lies_outside_dissolves(tmp_path: Path):
    """The dissolve from 8.5 to 11.5 reaches into both shots."""
    times = [4.0, 9.0, 11.0, 16.0]
    sharp = frames(SI, times, [40.0, 90.0, 90.0, 40.0], "siti@1")
    found = keyframe(tmp_path, shots([0.0, 10.0, 20.0], spans=[(8.5, 11.5), None]), thumbnails(times), sharp)
    assert found == [4.0, 16.0]


def test_a_face_makes_a_frame_the_keyframe(tmp_path: Path):
    times = [4.0, 5.0, 6.0]
    sharp = frames(SI, times, [50.0, 50.0, 45.0], "siti@1")
    seen = frames(FACE, times, [0.0, 0.0, 0.08], "faces@1")
    assert keyframe(tmp_path, shots([0.0, 10.0]), thumbnails(times), sharp, seen) == [6.0]


@pytest.mark.parametrize(
    ("openness", "expected"),
    [
        ([0.03, 0.03, 0.1], 6.0),  # shut in the sharper ones
        ([0.1, 0.1, 0.03], 5.0),
        ([None, None, 0.03], 5.0),  # one measure has nothing to be compared with
    ],
)
def test_open_eyes_are_preferred_among_frames_of_one_shot(
    tmp_path: Path, openness: list[float | None], expected: float
) -> None:
    times = [4.0, 5.0, 6.0]
    sharp = frames(SI, times, [50.0, 52.0, 50.0], "siti@1")
    seen = frames(FACE, times, [0.08, 0.08, 0.08], "faces@1")
    eyes = frames(EYES, times, openness, "eyes@1")
    assert keyframe(tmp_path, shots([0.0, 10.0]), thumbnails(times), sharp, seen, eyes) == [expected]


def test_a_sampled_frame_does_where_the_shot_has_no_thumbnail(tmp_path: Path):
    lit = frames(BRIGHT, [1.0, 12.0, 15.0], [0.5, 0.5, 0.5], "colour_stats@1")
    assert keyframe(tmp_path, shots([0.0, 10.0, 20.0]), thumbnails([5.0]), lit) == [5.0, 15.0]


def test_without_sharpness_the_keyframe_is_nearest_to_the_middle(tmp_path: Path):
    lake = make_lake(tmp_path)
    a = put(lake, "a", shots([0.0, 10.0]), thumbnails([0.0, 3.0, 4.5, 9.0]))
    derive(lake, only=["shot_summary"])
    assert [s["keyframe_seconds"] for s in summary_rows(lake, a)] == [4.5]


def test_pooled_embeddings_are_means_of_the_frames_in_the_scope(tmp_path: Path):
    lake = make_lake(tmp_path)
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3) ** 2
    a = put(lake, "a", shots([0.0, 2.0, 2.5, 4.0]), lite0([0.0, 1.0, 2.5, 3.5], vectors, "ab" * 32))
    b = put(lake, "b", lite0([5.0], vectors[:1] + 1, "cd" * 32))
    derive(lake, only=["embed_lite0_pooled"])
    rows = lake.table("embeddings", where="analyzer = 'embed_lite0_pooled@1'").to_pylist()
    got = {(r["media_id"], r["scope"], r["start_seconds"], r["end_seconds"]): r for r in rows}
    expected = {
        (a, "file", 0.0, 4.5): vectors.mean(0),
        (a, "shot", 0.0, 2.0): vectors[:2].mean(0),
        (a, "shot", 2.5, 4.0): vectors[2:].mean(0),
        (b, "file", 5.0, 6.0): vectors[0] + 1,
    }
    assert set(got) == set(expected)
    for key, vector in expected.items():
        assert got[key]["vector"] == pytest.approx(vector.tolist())
        assert (got[key]["model"], got[key]["pooling"]) == ("embed_lite0@1", "mean")
        assert got[key]["weights_sha256"] == ("ab" if key[0] == a else "cd") * 32
