"""Title features: pooling, masks, history, drift and export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mediaml.errors import InvalidValue, LakeError, LakeVersionError, UnknownName
from mediaml.rec.behaviour import Events, read_events
from mediaml.rec.drift import builds, feature_drift, population_stability
from mediaml.rec.export import TARGETS, Target, export_features
from mediaml.rec.features import build_features
from mediaml.rec.items import read_items
from mediaml.rec.joining import explain, join_events
from mediaml.rec.lake_content import vector_column
from mediaml.rec.pooling import PoolingSettings, pool
from mediaml.tables import Lake
from mediaml.tables.asof import AsOfRule
from tests.report_lake import media_id
from tests.unit.rec_lakes import (
    ANALYZED,
    BUILT,
    DAY,
    RELEASE,
    SHA,
    events,
    make_lake,
    shot_vectors,
    stage_title,
    write_titles,
)

VECTOR = vector_column("embed_test@1", SHA, PoolingSettings())
TITLES = ("t0,clip_0.mp4,,", "t1,clip_1.mp4,,", "t2,clip_2.mp4,,")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path)


def build(lake: Lake, folder: Path, *lines: str, days: int = 0):
    return build_features(lake, write_titles(folder, *(lines or TITLES)), now=BUILT + days * DAY)


def joined(lake: Lake, folder: Path, log: Events, rule: AsOfRule | None = None) -> list[dict]:
    join_events(lake, log, folder / "train.parquet", rule)
    return pq.read_table(folder / "train.parquet").to_pylist()


# Pooling


def test_pooling_by_hand() -> None:
    shots = np.array([[1.0, 0.0], [3.0, -2.0]], np.float32)
    seconds = np.array([1.0, 3.0])
    assert pool(shots, seconds, PoolingSettings("mean")).tolist() == [2.0, -1.0]
    assert pool(shots, seconds, PoolingSettings("mean", duration_power=1)).tolist() == [2.5, -1.5]
    gem = pool(shots, seconds, PoolingSettings("gem", gem_power=3))
    np.testing.assert_allclose(gem, [(28 / 2) ** (1 / 3), -((8 / 2) ** (1 / 3))], rtol=1e-6)


def test_a_still_counts_as_one_second() -> None:
    shots = np.array([[0.0], [4.0]], np.float32)
    assert pool(shots, np.array([0.0, 3.0]), PoolingSettings("mean", duration_power=1)).tolist() == [3.0]


def test_gem_is_diluted_less_by_empty_shots() -> None:
    strong = np.ones((2, 8), np.float32)
    with_credits = np.concatenate([strong, np.zeros((6, 8), np.float32)])
    left = {m: pool(with_credits, np.ones(8), PoolingSettings(m))[0] for m in ("mean", "gem")}
    assert left["mean"] == pytest.approx(0.25)
    assert left["gem"] == pytest.approx(0.25 ** (1 / 3))


@pytest.mark.parametrize("wrong", [{"method": "gme"}, {"gem_power": 0.5}, {"duration_power": 2}])
def test_pooling_settings_are_checked(wrong: dict) -> None:
    with pytest.raises((UnknownName, InvalidValue)):
        PoolingSettings(**wrong)


# Building


def test_one_row_a_title_with_masks_for_what_is_missing(lake: Lake, tmp_path: Path) -> None:
    report = build(lake, tmp_path)
    rows = {r["title_id"]: r for r in lake.table("features").to_pylist()}
    assert (report.titles, report.written, report.present["loudness"], report.present["rhythm"]) == (3, 3, 2, 3)
    assert [rows[t]["has_loudness"] for t in ("t0", "t1", "t2")] == [True, False, True]
    assert rows["t1"]["integrated_lufs"] is None, "absent sound is null, never zero"
    assert rows["t0"]["valid_from"] == RELEASE
    assert rows["t0"]["computed_at"] == BUILT
    assert [rows[t][VECTOR][0] for t in ("t0", "t1", "t2")] == [1.0, 2.0, 3.0]
    assert rows["t0"]["shots_per_minute"] == pytest.approx(15.0)
    assert rows["t0"]["share_silence"] == pytest.approx(2.5 / 12)
    assert json.loads(rows["t0"]["tags_imagenet"]) == {f"n{i}": pytest.approx(1 / 3, abs=1e-6) for i in (3, 4, 5)}
    sources = json.loads(rows["t0"]["provenance"])
    assert sources["loudness"] == {"analyzers": ["loudness@1"], "media": 1, "computed_at": "2024-03-10T00:00:00Z"}


def test_the_schema_says_what_columns_mean(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    columns = {c.name: c for c in lake.describe("features")}
    assert columns[VECTOR].dtype == "float32[4]"
    assert (columns["integrated_lufs"].unit, columns["shot_seconds_mean"].unit) == ("LUFS", "s")


def test_a_title_of_many_files_pools_all_their_shots(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path, "all,clip_*.mp4,,")
    row = lake.table("features").to_pylist()[0]
    first = ((1 + 8 + 27) / 3) ** (1 / 3)  # element 0 of every shot of file n is n + 1
    assert row[VECTOR][0] == pytest.approx(first, rel=1e-6)
    assert json.loads(row["media_ids"]) == sorted(media_id(i) for i in range(3))
    assert json.loads(row["provenance"])["loudness"]["media"] == 2


def test_a_build_that_finds_nothing_new_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    before = lake.refresh().head
    again = build(lake, tmp_path, days=1)
    assert (again.written, again.unchanged, lake.refresh().head) == (0, 3, before)
    assert builds(lake) == [BUILT]


def test_only_changed_titles_are_written_and_the_old_rows_stay(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    lake.commit([stage_title(lake, 0, shot_vectors(0, shift=0.5), computed_at=BUILT + DAY)])
    report = build(lake, tmp_path, days=2)
    assert (report.written, report.unchanged) == (1, 2)
    log = read_events(events(("u", "t0", BUILT + DAY), ("u", "t0", BUILT + 3 * DAY)))
    assert [r[VECTOR][0] for r in joined(lake, tmp_path, log)] == [1.0, 1.5]
    rows = joined(lake, tmp_path, log, AsOfRule("valid"))
    assert [r[VECTOR][0] for r in rows] == [1.5, 1.5], "valid: the newest correction, also for the past"


def test_another_model_gets_another_column(lake: Lake, tmp_path: Path) -> None:
    """Vectors of two spaces must never meet in one column."""
    build(lake, tmp_path)
    lake.commit([stage_title(lake, i, shot_vectors(i, version=2, dimensions=6), sound=i != 1) for i in range(3)])
    build(lake, tmp_path, days=1)
    newer = vector_column("embed_test@2", SHA, PoolingSettings())
    log = read_events(events(("u", "t0", BUILT + DAY / 2), ("u", "t0", BUILT + 2 * DAY)))
    rows = joined(lake, tmp_path, log)
    assert [(r[VECTOR] is None, r[newer] is None) for r in rows] == [(False, True), (True, False)]
    assert [r["has_" + newer.removeprefix("vector_")] for r in rows] == [False, True]


def test_deleted_titles_end(lake: Lake, tmp_path: Path) -> None:
    end = BUILT + 5 * DAY
    build(lake, tmp_path, *TITLES[1:], f"t0,clip_0.mp4,,{end.isoformat()}")
    log = read_events(events(("u", "t0", end - DAY), ("u", "t0", end)))
    rows = joined(lake, tmp_path, log)
    assert [r["feature_status"] for r in rows] == ["joined", "deleted"]
    assert (rows[1][VECTOR], rows[1]["has_rhythm"]) == (None, False)


def test_a_title_that_leaves_titles_csv_ends_with_that_build(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    report = build(lake, tmp_path, *TITLES[1:], days=10)
    assert (report.written, report.deleted) == (1, 1)
    assert build(lake, tmp_path, *TITLES[1:], days=11).written == 0
    log = read_events(events(("u", "t0", BUILT + 9 * DAY), ("u", "t0", BUILT + 10 * DAY)))
    assert [r["feature_status"] for r in joined(lake, tmp_path, log)] == ["joined", "deleted"]
    build(lake, tmp_path, days=20)
    log = read_events(events(("u", "t0", BUILT + 15 * DAY), ("u", "t0", BUILT + 21 * DAY)))
    assert [r["feature_status"] for r in joined(lake, tmp_path, log)] == ["deleted", "joined"], "it came back"


def test_a_corrected_date_never_changes_what_was_known(lake: Lake, tmp_path: Path) -> None:
    """First the title was said to start early; a later build says it starts later."""
    late = RELEASE + 40 * DAY
    build(lake, tmp_path, *TITLES)
    build(lake, tmp_path, f"t0,clip_0.mp4,{late.isoformat()},", *TITLES[1:], days=5)
    times = (BUILT + DAY, BUILT + 6 * DAY, late)
    log = read_events(events(*(("u", "t0", t) for t in times)))
    assert [r["feature_status"] for r in joined(lake, tmp_path, log)] == ["joined", "deleted", "joined"]


def test_builds_cannot_go_back_in_time(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    with pytest.raises(InvalidValue, match="must be later"):
        build(lake, tmp_path, days=-1)


def test_scaling_is_stored_beside_the_features(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    where = f"feature = '{VECTOR}' AND element = 0"
    row = lake.table("feature_scaling", where=where).to_pylist()[0]
    assert (row["mean"], row["titles"]) == (2.0, 3)
    assert row["std"] == pytest.approx(np.std([1, 2, 3]))
    loudness = lake.table("feature_scaling", where="feature = 'integrated_lufs'").to_pylist()[0]
    assert loudness["titles"] == 2, "only over the titles that have it"


# Joining


def test_every_fate_of_an_event_is_counted(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    rows = [
        ("u", "t0", BUILT),
        ("u", "t0", BUILT - DAY),
        ("u", "t0", RELEASE - DAY),
        ("u", "x", BUILT),
        ("u", "t2", BUILT + 90 * DAY),
    ]
    log = read_events(events(*rows))
    report = join_events(lake, log, tmp_path / "o.parquet", AsOfRule(max_age=100 * DAY))
    assert report.statuses == {"joined": 1, "not_yet_known": 1, "not_yet_valid": 1, "unknown_key": 1, "too_old": 1}
    assert report.present["has_loudness"] == 1
    dropped = join_events(lake, log, tmp_path / "o.parquet", unmatched="drop")
    assert dropped.rows_written == pq.read_metadata(tmp_path / "o.parquet").num_rows == 2


def test_the_hint_when_nothing_was_known_in_time(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    log = read_events(events(("u", "t0", ANALYZED), ("u", "t1", ANALYZED)))
    report = join_events(lake, log, tmp_path / "o.parquet")
    assert "first build: 2024-03-20 00:00 UTC" in report.hint
    assert "--asof valid" in report.lines()[-1]


def test_chosen_features_and_clashing_names(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    log = read_events(events(("u", "t0", BUILT)))
    join_events(lake, log, tmp_path / "o.parquet", columns=[VECTOR])
    schema = pq.read_schema(tmp_path / "o.parquet")
    assert VECTOR in schema.names and "integrated_lufs" not in schema.names
    assert str(schema.field(VECTOR).type).startswith("fixed_size_list<element: float>[4]")
    with pytest.raises(UnknownName, match="did you mean integrated_lufs"):
        join_events(lake, log, tmp_path / "o.parquet", columns=["integrated_luf"])
    with pytest.raises(InvalidValue, match="frame_rate"):
        join_events(lake, read_events(events(("u", "t0", BUILT), frame_rate=[1])), tmp_path / "o.parquet")


def test_explain_says_where_each_value_comes_from(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    lake.commit([stage_title(lake, 0, shot_vectors(0, shift=0.5), computed_at=BUILT + DAY)])
    build(lake, tmp_path, days=2)
    found = explain(lake, read_events(events(("u", "t0", BUILT + DAY))), 0)
    assert [(c.computed_at, c.verdict) for c in found.candidates] == [
        (BUILT + 2 * DAY, "not yet known"),
        (BUILT, "chosen"),
    ]
    assert found.sources["embed_test_" + VECTOR[-8:]]["analyzers"] == ["embed_test_pooled@1"]
    assert list(found.media_ids) == [media_id(0)]
    with pytest.raises(InvalidValue, match="rows count from 0"):
        explain(lake, read_events(events(("u", "t0", BUILT))), 7)


def test_a_lake_without_features_and_a_lake_of_another_version(lake: Lake, tmp_path: Path) -> None:
    log = read_events(events(("u", "t0", BUILT)))
    with pytest.raises(InvalidValue, match="mediaml features build"):
        join_events(lake, log, tmp_path / "o.parquet")
    build(lake, tmp_path)
    with pytest.raises(UnknownName, match="did you mean default"):
        join_events(lake, log, tmp_path / "o.parquet", feature_set="defautl")
    form = lake.path / "manifest" / "format.json"
    form.write_text('{"format": 99}')
    with pytest.raises(LakeVersionError, match="99"):
        Lake.open(lake.path)
    form.write_text("{}")
    with pytest.raises(LakeError, match="no format number"):
        Lake.open(lake.path)


# Drift


def test_drift_between_two_builds(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path)
    with pytest.raises(InvalidValue, match="two builds"):
        feature_drift(lake)
    lake.commit(
        [stage_title(lake, i, shot_vectors(i, shift=3.0), sound=True, computed_at=BUILT + DAY) for i in range(3)]
    )
    build(lake, tmp_path, days=2)
    found = {d.feature: d for d in feature_drift(lake)}
    assert found[VECTOR].changed == 1.0
    assert 0.5 < (found[VECTOR].cosine or 0) < 0.999
    assert (found["integrated_lufs"].presence_before, found["integrated_lufs"].presence_after) == (
        pytest.approx(2 / 3),
        1.0,
    )
    assert (found["duration_seconds"].changed, found["duration_seconds"].psi) == (0.0, 0.0)


def test_population_stability_by_hand() -> None:
    before, after = np.arange(10.0), np.full(10, 9.0)
    expected = 9 * (1e-4 - 0.1) * np.log(1e-4 / 0.1) + (1 - 0.1) * np.log(1 / 0.1)
    assert population_stability(before, after) == pytest.approx(expected)
    assert population_stability(before, before) == 0.0


# Export


def test_item_numbers_are_stable(lake: Lake, tmp_path: Path) -> None:
    build(lake, tmp_path, *TITLES[1:])
    assert read_items(lake).title_ids == ("t1", "t2")
    build(lake, tmp_path, TITLES[0], TITLES[2], days=1)
    items = read_items(lake)
    assert items.title_ids == ("t1", "t2", "t0"), "new titles come after; a deleted one keeps its number"
    assert (items.rows >= 0).tolist() == [False, True, True]


@pytest.mark.parametrize("target", TARGETS)
def test_exports(lake: Lake, tmp_path: Path, target: Target) -> None:
    build(lake, tmp_path)
    log = read_events(events(("u", "t0", BUILT), ("v", "t1", BUILT + DAY), ("u", "zz", BUILT)))
    out = tmp_path / "out"
    report = export_features(lake, target, out, events=log)
    card = json.loads((out / "card.json").read_text())
    assert (report.items, report.with_features, card["items"]) == (3, 3, 3)
    assert VECTOR in {c["name"] for c in card["columns"]}
    _check_export(target, out)
    with pytest.raises(InvalidValue, match="exists already"):
        export_features(lake, target, out, events=log)


def _check_export(target: Target, out: Path) -> None:
    if target == "parquet":
        rows = pq.read_table(out / "items.parquet").to_pylist()
        assert [(r["item_id"], r["title_id"], r[VECTOR][0]) for r in rows] == [
            (0, "t0", 1.0),
            (1, "t1", 2.0),
            (2, "t2", 3.0),
        ]
        assert rows[1]["integrated_lufs"] is None
    elif target == "torch":
        from safetensors.torch import load_file

        tensors = load_file(out / "items.safetensors")
        assert tensors[VECTOR][:, 0].tolist() == [1.0, 2.0, 3.0]
        assert tensors["tags_imagenet"].sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
        names = json.loads((out / "card.json").read_text())["notes"]["scalars"]
        place = names.index("integrated_lufs")
        assert tensors["scalars.present"][:, place].tolist() == [True, False, True]
        assert tensors["scalars"][1, place].isnan()
        assert tensors[f"mean.{VECTOR}"][0] == 2.0
    elif target == "mmrec":
        lines = (out / "dataset.inter").read_text().splitlines()
        assert lines[0].split("\t") == ["userID", "itemID", "rating", "timestamp", "x_label"]
        assert [line.split("\t")[:2] for line in lines[1:]] == [["0", "0"], ["1", "1"]]
        assert np.load(out / "image_feat.npy")[:, 0].tolist() == [1.0, 2.0]  # as many as MMRec makes of the log
        notes = json.loads((out / "card.json").read_text())["notes"]
        assert (notes["events_left_out"], notes["titles_past_the_last_with_events"]) == (1, ["t2"])
    elif target == "cornac":
        assert (out / "item_ids.txt").read_text().split() == ["t0", "t1", "t2"]
        features, present = (np.load(out / f"{n}.npy") for n in ("item_features", "item_features_present"))
        assert features.shape == present.shape and np.isfinite(features).all() and not present.all()
        assert (out / "feedback.tsv").read_text().splitlines()[0].split("\t")[:3] == ["u", "t0", "1.0"]
    else:
        rows = pq.read_table(out / "features.parquet").to_pylist()
        assert [(r["title_id"], r["event_timestamp"]) for r in rows] == [(t, BUILT) for t in ("t0", "t1", "t2")]
        compile((out / "features.py").read_text(), "features.py", "exec")


def test_mmrec_needs_a_log_and_absent_vectors_are_said(lake: Lake, tmp_path: Path) -> None:
    lake.commit([stage_title(lake, 3)])
    build(lake, tmp_path, *TITLES, "t3,clip_3.mp4,,")
    with pytest.raises(InvalidValue, match="needs a behaviour log"):
        export_features(lake, "mmrec", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_features(lake, "mmrec", tmp_path / "out", events=read_events(events(("u", "t3", BUILT))))
    notes = json.loads((tmp_path / "out" / "card.json").read_text())["notes"]
    assert notes["image_feat.npy"]["absent_items"] == 1
    assert np.load(tmp_path / "out" / "image_feat.npy")[3, 0] == pytest.approx(2.0)
