"""all-MiniLM-L6-v2: a six-layer BERT encoder whose mean-pooled output is a sentence embedding.

Wang et al. 2020 (arXiv 2002.10957), Reimers & Gurevych 2019 (arXiv 1908.10084). Module names follow the published
checkpoint, so that its state dict loads as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from mediaml.nets.wordpiece import WordPiece

HIDDEN = 384
LAYERS = 6
HEADS = 12
INTERMEDIATE = 1536
VOCABULARY = 30522
POSITIONS = 512
MAX_TOKENS = 256
EPS = 1e-12


class _Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, HIDDEN)
        self.position_embeddings = nn.Embedding(POSITIONS, HIDDEN)
        self.token_type_embeddings = nn.Embedding(2, HIDDEN)
        self.LayerNorm = nn.LayerNorm(HIDDEN, eps=EPS)

    def forward(self, ids: Tensor) -> Tensor:
        positions = self.position_embeddings.weight[: ids.shape[1]]
        return self.LayerNorm(self.word_embeddings(ids) + positions + self.token_type_embeddings.weight[0])


class _SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(HIDDEN, HIDDEN)
        self.key = nn.Linear(HIDDEN, HIDDEN)
        self.value = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (p(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for p in (self.query, self.key, self.value))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class _Residual(nn.Module):
    """Projects back to the hidden size, adds the input, normalises."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(features, HIDDEN)
        self.LayerNorm = nn.LayerNorm(HIDDEN, eps=EPS)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(y) + x)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": _SelfAttention(), "output": _Residual(HIDDEN)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(HIDDEN, INTERMEDIATE)})
        self.output = _Residual(INTERMEDIATE)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class MiniLM(nn.Module):
    """Token ids -> unit vectors of 384."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = _Embeddings()
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer() for _ in range(LAYERS))})

    def forward(self, ids: Tensor, attended: Tensor) -> Tensor:
        """(N, T) int64 ids and (N, T) bool, False for padding -> (N, 384), mean over the tokens, L2-normalised."""
        x = self.embeddings(ids)
        mask = attended[:, None, None, :]
        for layer in self.encoder["layer"]:  # type: ignore[union-attr]
            x = layer(x, mask)
        weight = attended.unsqueeze(-1).to(x.dtype)
        return F.normalize((x * weight).sum(1) / weight.sum(1), dim=1)


class SentenceEmbedder:
    """Texts -> unit vectors. Texts longer than 256 tokens are cut off there, as the model was trained."""

    def __init__(self, state: Mapping[str, Tensor], tokenizer: WordPiece) -> None:
        """`state` of the published checkpoint; its pooler and position buffer take no part in the embedding."""
        self.tokenizer = tokenizer
        self.net = MiniLM()
        used = {k: v for k, v in state.items() if not k.startswith("pooler.") and k != "embeddings.position_ids"}
        self.net.load_state_dict(used)
        self.net.eval()

    @classmethod
    def load(cls, weights: Path, vocabulary: Path) -> SentenceEmbedder:
        """From model.safetensors and vocab.txt."""
        return cls(load_file(weights), WordPiece.load(vocabulary))

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], batch: int = 64) -> Tensor:
        """(N, 384) float32, each of length 1, in the order of `texts`."""
        encoded = [self.tokenizer.encode(text, MAX_TOKENS) for text in texts]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        out = torch.empty(len(texts), HIDDEN)
        for begin in range(0, len(order), batch):
            chosen = order[begin : begin + batch]
            longest = max(len(encoded[i]) for i in chosen)
            ids = torch.full((len(chosen), longest), self.tokenizer.pad)
            for row, i in enumerate(chosen):
                ids[row, : len(encoded[i])] = torch.tensor(encoded[i])
            out[chosen] = self.net(ids, ids != self.tokenizer.pad)
        return out
