"""What `derive` computes again and what it leaves, in which order, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mediaml.cli import derive as command
from mediaml.derive import base, derive, run, shot_summary, vocabulary_tags
from mediaml.derive.vocabulary import parse_vocabulary, shipped_vocabularies
from mediaml.errors import InvalidValue, LakeMissing, UnknownName, WeightsAbsent
from mediaml.media import MediaInfo
from mediaml.spec import Table
from mediaml.tables import MediaRows
from tests.unit.derive_lakes import LUMA, frames, lite0, make_lake, put, shots
from tests.unit.test_derive_tags import VOCABULARY, logits, small_networks  # noqa: F401


def counts(summary: run.DeriveSummary, name: str) -> tuple[int, int, int]:
    return summary.computed[name], summary.unchanged[name], summary.failed[name]


def filled(tmp_path: Path):
    lake = make_lake(tmp_path)
    for name in "ab":
        put(lake, name, shots([0.0, 2.0]), frames(LUMA, [0.0], [5], "luma@1"), lite0([0.0], logits((0.6, 0.1, 0.3))))
    return lake


def test_a_rerun_computes_nothing_and_changes_nothing(tmp_path: Path):
    lake = filled(tmp_path)
    first = derive(lake)
    assert all(counts(first, name) == (2, 0, 0) for name in first.computed)
    assert set(first.computed) == {
        "camera_class",
        "shot_scale",
        "shot_summary",
        "embed_lite0_pooled",
        "label_space",
        "tags_imagenet",
        "tags_scenes",
    }
    before = {t: lake.table(t) for t in ("shots", "tags", "embeddings")}
    second = derive(str(tmp_path / "lake"))
    assert all(counts(second, name) == (0, 2, 0) for name in second.computed)
    for table, rows in before.items():
        assert lake.table(table).equals(rows)


def test_only_media_whose_sources_changed_are_computed_again(tmp_path: Path):
    lake = filled(tmp_path)
    derive(lake)
    a = put(lake, "a", shots([0.0, 1.0, 2.0], parameters="other"))
    put(lake, "c", frames(LUMA, [0.0], [5], "luma@1"))
    again = derive(lake)
    assert counts(again, "shot_summary") == (2, 1, 0)
    assert counts(again, "embed_lite0_pooled") == (1, 1, 0)
    assert counts(again, "tags_imagenet") == (1, 1, 0)
    summaries = lake.table("shots", where=f"analyzer = 'shot_summary@3' AND media_id = '{a}'")
    assert summaries.column("end_seconds").to_pylist() == [1.0, 2.0]


def test_a_vocabulary_changed_and_changed_back_is_computed_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lake = filled(tmp_path)
    strict = VOCABULARY.replace("threshold = 0.5", "threshold = 0.95")
    expected = {VOCABULARY: {"animal", "dogs"}, strict: set()}
    for text in (VOCABULARY, strict, VOCABULARY):
        summary = derive(lake, vocabularies=[parse_vocabulary(text, "v")])
        assert counts(summary, "tags_mine") == (2, 0, 0)
        tags = lake.table("tags", where="vocabulary = 'mine'").column("tag_id").to_pylist()
        assert set(tags) == expected[text]
    assert counts(derive(lake), "label_space") == (0, 2, 0)
    assert lake.table("tags", where="vocabulary = 'mine'").num_rows == 8


def test_rows_are_valid_from_when_the_content_came_to_be(tmp_path: Path):
    lake = make_lake(tmp_path)
    moment = datetime(2020, 1, 2, tzinfo=UTC)
    facts = MediaRows(MediaInfo("a.mp4", 1, "video", "mov", "QuickTime", None, None, None, None))
    lake.commit([lake.stage("ab" * 32, media=facts, analyzers=[shots([0.0, 1.0])], valid_from=moment)])
    derive(lake, only=["shot_summary"])
    rows = lake.table("shots", where="analyzer = 'shot_summary@3'").to_pylist()
    assert [r["valid_from"] for r in rows] == [moment]
    assert rows[0]["computed_at"] > moment


def test_one_media_at_fault_costs_no_other_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lake = filled(tmp_path)
    bad = put(lake, "bad", shots([0.0, 2.0]))
    plain = shot_summary.ShotSummary.run

    def failing(self, lake, media_ids: Sequence[str]) -> base.Derived:
        if bad in media_ids:
            raise ValueError("a fault")
        return plain(self, lake, media_ids)

    monkeypatch.setattr(shot_summary.ShotSummary, "run", failing)
    assert counts(derive(lake, only=["shot_summary"]), "shot_summary") == (2, 0, 1)
    (error,) = lake.table("errors").to_pylist()
    assert (error["media_id"], error["analyzer"]) == (bad, "shot_summary@3")
    assert "a fault" in error["message"]
    monkeypatch.setattr(shot_summary.ShotSummary, "run", plain)
    assert counts(derive(lake, only=["shot_summary"]), "shot_summary") == (1, 2, 0)
    assert lake.table("errors").num_rows == 0


def test_absent_weights_stop_only_what_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def absent():
        raise WeightsAbsent("run: mediaml weights pull minilm_l6_v2")

    lake = filled(tmp_path)
    monkeypatch.setattr(vocabulary_tags, "sentence_embedder", absent)
    with pytest.raises(WeightsAbsent, match="mediaml weights pull minilm"):
        derive(lake)
    done = set(lake.table("tags").column("vocabulary").to_pylist())
    assert done == {"imagenet_1k"}
    assert lake.table("shots", where="analyzer = 'shot_summary@3'").num_rows == 2


def test_an_empty_lake_needs_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "MEDIA_AT_ONCE", 1)
    summary = derive(make_lake(tmp_path))
    assert not any(summary.computed.values())


def test_small_groups_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    together = filled(tmp_path / "together")
    derive(together)
    monkeypatch.setattr(run, "MEDIA_AT_ONCE", 1)
    apart = filled(tmp_path / "apart")
    derive(apart)
    for table in ("shots", "tags", "embeddings"):
        left, right = (lake.table(table).drop_columns(["computed_at", "valid_from"]) for lake in (together, apart))
        assert left.to_pylist() == right.to_pylist()


def test_bad_use(tmp_path: Path):
    lake = make_lake(tmp_path)
    with pytest.raises(UnknownName, match="unknown derivation 'tag'; did you mean tags"):
        derive(lake, only=["tag"])
    with pytest.raises(LakeMissing):
        derive(tmp_path / "nowhere")
    with pytest.raises(InvalidValue, match="two derivations are called tags_scenes"):
        derive(lake, vocabularies=shipped_vocabularies())
    with pytest.raises(InvalidValue, match="cannot be read"):
        derive(lake, vocabularies=[tmp_path / "gone.toml"])


def test_derivations_come_after_what_they_read():
    vocabularies = [parse_vocabulary(VOCABULARY, "v")]
    names = [d.spec.name for d in base.in_order(list(reversed(run.select(vocabularies))))]
    assert names.index("label_space") < names.index("tags_mine")
    tags = {"tags_imagenet", "tags_mine"}
    assert set(names) == {"camera_class", "shot_scale", "shot_summary", "embed_lite0_pooled", "label_space"} | tags


@pytest.mark.parametrize("name", sorted(base.registry()))
def test_every_derivation_declares_itself(name: str):
    spec = base.registry()[name].spec
    assert spec.need is None
    assert spec.summary
    assert spec.cite
    assert all(c.table in Table for c in spec.outputs)


def test_the_command_prints_counts_and_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    lake = str(filled(tmp_path).path)
    words = tmp_path / "mine.toml"
    words.write_text(VOCABULARY)
    made = CliRunner().invoke(app, ["derive", lake, "--vocabulary", str(words), "--json"])
    assert made.exit_code == 0, made.output
    summary = json.loads(made.stdout)
    assert summary["computed"]["tags_mine"] == 2
    assert summary["rows"]["tags_mine"] == 8
    again = CliRunner().invoke(app, ["derive", lake, "--only", "tags,shot_summary", "--json"])
    assert json.loads(again.stdout)["unchanged"] == {"shot_summary": 2, "tags_imagenet": 2, "tags_scenes": 2}
    monkeypatch.setattr(shot_summary.ShotSummary, "parameters", {"changed": 1})
    monkeypatch.setattr(shot_summary.ShotSummary, "run", lambda *_: 1 / 0)
    assert CliRunner().invoke(app, ["derive", lake, "--json"]).exit_code == 1
