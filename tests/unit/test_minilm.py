"""The sentence encoder: padding changes nothing, vectors have unit length, published similarities are met."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from mediaml import weights
from mediaml.errors import WeightsAbsent
from mediaml.nets.minilm import MAX_TOKENS, MiniLM, SentenceEmbedder
from mediaml.nets.wordpiece import WordPiece

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(50))]


@pytest.fixture(scope="module")
def untrained() -> SentenceEmbedder:
    torch.manual_seed(3)
    return SentenceEmbedder(MiniLM().state_dict(), WordPiece(TOKENS))


def test_padding_and_order_change_nothing(untrained: SentenceEmbedder):
    texts = ["w1 w2 w3 w4 w5 w6 w7", "w9", "", "w3 w4"]
    together = untrained.embed(texts, batch=3)
    alone = torch.cat([untrained.embed([t]) for t in texts])
    assert together.shape == (4, 384)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(4), atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_attention_matches_its_definition(untrained: SentenceEmbedder):
    net = untrained.net.encoder["layer"][0].attention["self"]
    x = torch.randn(1, 5, 384)
    mask = torch.tensor([[True, True, True, False, True]])[:, None, None]
    q, k, v = (p(x).view(5, 12, 32).transpose(0, 1) for p in (net.query, net.key, net.value))
    scores = q @ k.transpose(1, 2) / 32**0.5
    scores[..., 3] = -torch.inf
    expected = (scores.softmax(-1) @ v).transpose(0, 1).reshape(1, 5, 384)
    assert torch.allclose(net(x, mask), expected, atol=1e-5)


def test_no_texts_give_no_vectors(untrained: SentenceEmbedder):
    assert untrained.embed([]).shape == (0, 384)


def test_texts_are_cut_at_256_tokens(untrained: SentenceEmbedder):
    long, cut = "w1 " * 400, "w1 " * (MAX_TOKENS - 2)
    assert torch.equal(untrained.embed([long]), untrained.embed([cut]))


def test_the_checkpoint_is_read_from_safetensors(untrained: SentenceEmbedder, tmp_path):
    state = {k: v.contiguous() for k, v in untrained.net.state_dict().items()}
    extra = {"pooler.dense.weight": torch.zeros(2, 2), "embeddings.position_ids": torch.arange(512)[None]}
    save_file(state | extra, tmp_path / "model.safetensors")
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    loaded = SentenceEmbedder.load(tmp_path / "model.safetensors", tmp_path / "vocab.txt")
    assert torch.equal(loaded.embed(["w1 w2"]), untrained.embed(["w1 w2"]))


@pytest.mark.weights
def test_similarities_of_the_model_card():
    """Values that the model's publisher gives for these sentences."""
    try:
        files = weights.resolve("minilm_l6_v2"), weights.resolve("minilm_l6_v2_vocab")
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")
    texts = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    vectors = SentenceEmbedder.load(*files).embed(texts)
    assert (vectors[1:] @ vectors[0]).tolist() == pytest.approx([0.695, 0.943, 0.257], abs=5e-4)
