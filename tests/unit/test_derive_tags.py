"""The label space and tags, with a small head and made-up words in the place of the networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mediaml.derive import derive, imagenet_tags, label_space, vocabulary_tags
from mediaml.derive.vocabulary import parse_vocabulary
from mediaml.errors import WeightsAbsent
from tests.unit.derive_lakes import lite0, make_lake, put, shots
from tests.unit.lakes import media_id

WORDS = {"dog": 0, "cat": 1, "ship": 2, "beach": 3}
CLASSES = [("dog", "hound"), ("cat", "tabby"), ("ship", "boat")]


class Words:
    """A sentence embedder for four words: the unit vector of each word that is in the text, mixed."""

    def embed(self, texts) -> torch.Tensor:
        rows = torch.zeros(len(texts), 384)
        for row, text in zip(rows, texts, strict=True):
            for word, place in WORDS.items():
                row[place] = float(word in text)
        return F.normalize(rows, dim=1)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch):
    """Three classes whose logits are the vector's own three values; class names are vectors of the word space."""
    head = (torch.eye(3), torch.zeros(3))
    for module in (label_space, imagenet_tags):
        monkeypatch.setattr(module, "lite0_head", lambda: head)
    monkeypatch.setattr(imagenet_tags, "class_names", lambda: CLASSES)
    monkeypatch.setattr(label_space, "class_vectors", lambda: torch.eye(3, 384))
    monkeypatch.setattr(label_space, "TOP_CLASSES", 2)
    monkeypatch.setattr(label_space, "LOGITS_DIVISOR", 1.0)
    monkeypatch.setattr(vocabulary_tags, "sentence_embedder", Words)


def logits(*probabilities: tuple[float, float, float]) -> np.ndarray:
    return np.log(np.array(probabilities, np.float32))


VOCABULARY = """
id = "mine"
title = "Mine"
threshold = 0.5
[[tags]]
id = "animal"
label = "Animal"
prompts = ["beach"]
[[tags]]
id = "dogs"
label = "Dogs"
prompts = ["the cat", "one dog"]
parent = "animal"
[[tags]]
id = "sea"
label = "Sea"
prompts = ["a ship"]
threshold = 0.9
"""


def test_the_label_space_mixes_the_likeliest_classes():
    mixed = label_space.mix_classes(torch.tensor([[0.6, 0.1, 0.3], [0.0, 1.0, 0.0]]), torch.eye(3, 5), 2)
    norm = (0.6**2 + 0.3**2) ** 0.5
    assert torch.allclose(mixed[0], torch.tensor([0.6 / norm, 0, 0.3 / norm, 0, 0]))
    assert torch.allclose(mixed[1], torch.tensor([0.0, 1, 0, 0, 0]))


def test_label_space_rows_use_mean_probabilities_and_their_own_model(tmp_path: Path):
    lake = make_lake(tmp_path)
    vectors = logits((0.8, 0.15, 0.05), (0.4, 0.05, 0.55), (0.05, 0.05, 0.9))
    put(lake, "a", shots([0.0, 2.0, 3.0]), lite0([0.0, 1.0, 2.0], vectors))
    derive(lake, only=["label_space"])
    rows = lake.table("embeddings", where="analyzer = 'label_space@2'").to_pylist()
    got = {(r["scope"], r["start_seconds"]): np.array(r["vector"]) for r in rows}
    mean = np.array([0.6, 0, 0.3])  # of the first two frames; the second class is not among the top two
    assert got["shot", 0.0][:3] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert got["shot", 2.0][2] == pytest.approx(0.9 / np.hypot(0.9, 0.05), abs=1e-6)
    assert set(got) == {("file", 0.0), ("shot", 0.0), ("shot", 2.0)}
    assert {r["model"] for r in rows} == {label_space.MODEL}
    assert all(len(r["weights_sha256"].split("+")) == 3 for r in rows)


def test_vectors_of_other_weights_are_left_out(tmp_path: Path):
    lake = make_lake(tmp_path)
    put(lake, "a", lite0([0.0], logits((0.8, 0.1, 0.1)), "00" * 32))
    derive(lake, only=["label_space", "tags_imagenet"])
    assert lake.table("embeddings", where="analyzer = 'label_space@2'").num_rows == 0
    assert lake.table("tags").num_rows == 0


def test_imagenet_tags_are_ranked_mean_probabilities(tmp_path: Path):
    lake = make_lake(tmp_path)
    put(lake, "a", shots([0.0, 2.0]), lite0([0.0, 1.0], logits((0.78, 0.2, 0.02), (0.3, 0.68, 0.02))))
    derive(lake, only=["tags_imagenet"])
    rows = lake.table("tags", where="scope = 'shot'").to_pylist()
    assert [(r["rank"], r["tag_id"], r["label"]) for r in rows] == [(1, "class_0", "dog"), (2, "class_1", "cat")]
    assert [r["score"] for r in rows] == pytest.approx([0.54, 0.44], abs=1e-6)
    assert {r["vocabulary"] for r in rows} == {"imagenet_1k"}
    assert lake.table("tags", where="scope = 'file'").num_rows == 2


def test_vocabulary_tags_need_their_threshold_and_bring_their_parents(tmp_path: Path):
    lake = make_lake(tmp_path)
    put(lake, "a", shots([0.0, 1.0, 2.0]), lite0([0.0, 1.0], logits((0.6, 0.1, 0.3), (0.02, 0.08, 0.9))))
    derive(lake, vocabularies=[parse_vocabulary(VOCABULARY, "v")], only=["label_space", "tags_mine"])
    tags = lake.table("tags", where="scope = 'shot'").to_pylist()
    dog = 0.6 / np.hypot(0.6, 0.3)
    sea = 0.9 / np.hypot(0.9, 0.08)
    assert [(t["start_seconds"], t["rank"], t["tag_id"]) for t in tags] == [
        (0.0, 1, "animal"),
        (0.0, 2, "dogs"),
        (1.0, 1, "sea"),
    ]
    assert [t["score"] for t in tags] == pytest.approx([dog, dog, sea], abs=1e-6)
    assert {(t["analyzer"], t["vocabulary"]) for t in tags} == {("tags_mine@2", "mine")}
    column = next(c for c in lake.describe("tags") if c.name == "score")
    assert "only that may be a probability" in column.description
    assert {t["scale"] for t in tags} == {"cosine"} and {t["share_of_time"] for t in tags} == {None}


def test_a_file_has_its_shots_tags_with_their_share_of_time(tmp_path: Path):
    lake = make_lake(tmp_path)
    shown = logits((0.6, 0.1, 0.3), (0.02, 0.08, 0.9), (0.02, 0.08, 0.9))
    put(lake, "a", shots([0.0, 1.0, 3.0]), lite0([0.0, 1.0, 2.0], shown))
    put(lake, "b", lite0([0.0], logits((0.98, 0.01, 0.01))))
    derive(lake, vocabularies=[parse_vocabulary(VOCABULARY, "v")], only=["label_space", "tags_mine"])
    files = lake.table("tags", where="scope = 'file'").to_pylist()
    found = {(t["media_id"], t["tag_id"]): t for t in files}
    a, b = media_id("a"), media_id("b")
    assert {k for k, _ in found} == {a, b}
    assert found[a, "dogs"]["share_of_time"] == pytest.approx(1 / 3)
    assert found[a, "sea"]["share_of_time"] == pytest.approx(2 / 3)
    assert found[a, "dogs"]["score"] == pytest.approx(0.6 / np.hypot(0.6, 0.3), abs=1e-6)
    assert found[b, "dogs"]["share_of_time"] == 1
    assert sorted(t["rank"] for t in files if t["media_id"] == a) == [1, 2, 3]


def test_calibration_turns_cosines_into_probabilities_and_unknown_is_an_answer(tmp_path: Path):
    lake = make_lake(tmp_path)
    put(lake, "a", shots([0.0, 1.0, 2.0]), lite0([0.0, 1.0], logits((0.9, 0.05, 0.05), (0.34, 0.33, 0.33))))
    fit = f'[calibration."{label_space.MODEL}"]\nslope = 10.0\noffset = -8.0\nfitted_on = "a test"\n'
    text = VOCABULARY.replace("[[tags]]", "unknown = true\n[[tags]]", 1) + fit
    derive(lake, vocabularies=[parse_vocabulary(text, "v")], only=["label_space", "tags_mine"])
    tags = lake.table("tags", where="scope = 'shot'").to_pylist()
    assert {t["scale"] for t in tags} == {"probability"}
    dogs = next(t for t in tags if t["tag_id"] == "dogs")
    cosine = 0.9 / np.hypot(0.9, 0.05)
    assert dogs["score"] == pytest.approx(1 / (1 + np.exp(8 - 10 * cosine)), abs=1e-5)
    unsure = [t for t in tags if t["start_seconds"] == 1.0]
    assert [t["tag_id"] for t in unsure] == ["unknown"] and 0 < unsure[0]["score"] < 1


def test_open_clip_spaces_are_scored_against_the_negatives():
    def texts(words, templates):
        assert templates
        return np.stack([np.eye(4, dtype=np.float32)[WORD_ROWS[w]] for w in words])

    words = parse_vocabulary(VOCABULARY.replace("[[tags]]", 'negatives = ["nothing"]\n[[tags]]', 1), "v")
    target = vocabulary_tags.Target("open_clip", "embed_x_pooled", "open_clip:x", (), texts, "ab", logit_scale=10.0)
    tags = vocabulary_tags.VocabularyTags(words, target)
    tags.setup()
    vector = np.array([[0.0, 0.8, 0.0, 0.6]], np.float32)
    assert tags.scale == "contrast" and tags.spec.name == "tags_mine_by_embed_x"
    assert tags.scores(vector)[0] == pytest.approx(
        [1 / (1 + np.exp(6)), 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(6))], abs=1e-5
    )


WORD_ROWS = {"beach": 0, "the cat": 1, "one dog": 0, "a ship": 2, "nothing": 3}


@pytest.mark.weights
def test_words_find_labels_in_the_real_spaces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    try:
        vectors = label_space.class_vectors()
        embedder = label_space.sentence_embedder()
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")
    names = [first for first, _ in label_space.class_names()]
    assert len(names) == 1000
    posteriors = torch.zeros(3, 1000)
    for row, name in enumerate(("golden retriever", "container ship", "banana")):
        posteriors[row, names.index(name)] = 0.7
        posteriors[row, 999] = 0.3
    mixed = label_space.mix_classes(posteriors, vectors, label_space.TOP_CLASSES)
    queries = embedder.embed(["a pet dog", "a boat at sea", "fruit"])
    assert (queries @ mixed.T).argmax(1).tolist() == [0, 1, 2]
