"""`mediaml tag`: which vocabularies fit which spaces, and what the command says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mediaml import weights
from mediaml.analyzers.embed.open_clip import open_clip_analyzer
from mediaml.cli import _register, app
from mediaml.derive import vocabulary_tags
from mediaml.derive.label_space import MODEL
from mediaml.errors import InvalidValue, UnknownName
from mediaml.retrieval.tagging import tag
from mediaml.spec import Table
from mediaml.tables import AnalyzerRows, Lake
from tests.open_clip_lab import tiny
from tests.unit.lakes import media_id

WORDS = 'id = "mine"\ntitle = "Mine"\nthreshold = 0.5\n{more}[[tags]]\nid = "dog"\nlabel = "Dog"\nprompts = ["dog"]\n'


class Words:
    def embed(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[float("dog" in t), float("cat" in t), 0.1] for t in texts])


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_tags, "sentence_embedder", Words)


def vocabulary(folder: Path, more: str = "") -> Path:
    path = folder / "mine.toml"
    path.write_text(WORDS.format(more=more))
    return path


def put(lake: Lake, name: str, analyzer: str, model: str, sha256: str, vectors: np.ndarray) -> None:
    """A file vector, and a shot of a second for each."""
    n = len(vectors)
    rows: dict[str, Any] = {
        "start_seconds": [*range(n), 0],
        "end_seconds": [*range(1, n + 1), n],
        "scope": ["shot"] * n + ["file"],
        "model": [model] * (n + 1),
        "weights_sha256": [sha256] * (n + 1),
        "vector": np.concatenate([vectors, vectors.mean(0, keepdims=True)]).astype(np.float32),
    }
    rows |= {k: np.asarray(rows[k], float) for k in ("start_seconds", "end_seconds")}
    lake.commit(
        [lake.stage(media_id(name), analyzers=[AnalyzerRows(f"{analyzer}@1", "", {}, {Table.EMBEDDINGS: rows})])]
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.open(tmp_path / "lake", create=True)
    put(made, "a", "label_space", MODEL, "ab" * 32, np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 0], [0.9, 0.1, 0]]))
    return made


def test_tags_of_shots_and_their_share_of_the_file(lake: Lake, tmp_path: Path) -> None:
    (done,) = tag(lake, [vocabulary(tmp_path)])
    assert (done.vocabulary, done.model, done.scale, done.media_computed) == ("mine", MODEL, "cosine", 1)
    assert "is not calibrated in" in done.warnings[0]
    rows = lake.table("tags").to_pylist()
    assert [(r["scope"], r["start_seconds"]) for r in rows] == [("file", 0.0), ("shot", 0.0), ("shot", 3.0)]
    assert rows[0]["share_of_time"] == pytest.approx(0.5) and rows[1]["share_of_time"] is None
    (again,) = tag(lake, [vocabulary(tmp_path)])
    assert (again.media_computed, again.media_unchanged) == (0, 1)


def test_a_vocabulary_for_other_spaces_is_refused_or_warned_of(lake: Lake, tmp_path: Path) -> None:
    path = vocabulary(tmp_path, 'embedders = ["open_clip"]\n')
    for model in (None, "label_space"):
        with pytest.raises(InvalidValue, match=r"mine is meaningful for open_clip.*--force"):
            tag(lake, [path], model=model)
    (done,) = tag(lake, [path], force=True)
    assert "its tags are noise" in done.warnings[0] and done.rows == 3
    with pytest.raises(InvalidValue, match="open_clip:ViT-B-32/openai; it has"):
        tag(lake, [path], model="open_clip:ViT-B-32/openai")
    with pytest.raises(InvalidValue, match="no vocabulary was named"):
        tag(lake, [])
    with pytest.raises(UnknownName, match="did you mean coco_80"):
        tag(lake, ["coco80"])
    with pytest.raises(InvalidValue, match="no space that words can search"):
        tag(Lake.open(tmp_path / "empty", create=True), [path], force=True)


def test_open_clip_spaces_use_their_own_text_tower(lake: Lake, tmp_path: Path) -> None:
    address = f"open_clip:@{tiny(tmp_path / 'tiny')}"
    analyzer = open_clip_analyzer(address)()
    analyzer.setup(torch.device("cpu"))
    vector = analyzer.net.texts(["dog"]).numpy()
    sha256 = weights.identity_sha256(analyzer.spec.weights[0])
    put(lake, "a", f"{analyzer.spec.name}_pooled", analyzer.space, sha256, vector)
    (done,) = tag(lake, [vocabulary(tmp_path, 'negatives = ["nothing at all"]\n')], model=address)
    assert done.scale == "contrast" and done.model == analyzer.space and done.rows == 2
    found = lake.table("tags", where="scope = 'shot'").to_pylist()
    assert found[0]["analyzer"].startswith("tags_mine_by_embed_open_clip_tiny") and found[0]["score"] > 0.5
    (plain,) = tag(lake, [vocabulary(tmp_path)])
    assert plain.model == MODEL, "weights of one's own must be named"
    assert {r["analyzer"].split("@")[0] for r in lake.table("tags").to_pylist()} == {
        "tags_mine",
        found[0]["analyzer"].split("@")[0],
    }


def test_the_command(lake: Lake, tmp_path: Path) -> None:
    if not app.registered_commands:
        _register()
    run = CliRunner()
    listed = json.loads(run.invoke(app, ["tag", "--list", "--json"]).stdout)
    kinetics = next(v for v in listed if v["id"] == "kinetics_700")
    assert kinetics["tags"] == 700 and kinetics["embedders"] == ["open_clip"]
    told = run.invoke(app, ["tag", str(lake.path), "-v", str(vocabulary(tmp_path)), "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)[0]["rows"] == 3
