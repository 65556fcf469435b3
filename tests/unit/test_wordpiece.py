"""WordPiece tokenisation: what BERT's definition says of case, accents, punctuation, ideographs and unknown words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaml import weights
from mediaml.errors import WeightsAbsent, WeightsCorrupt
from mediaml.nets.wordpiece import WordPiece, words

TOKENS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##aff",
    "##able",
    "hello",
    ",",
    "!",
    "京",
    "run",
    "##n",
    "##ing",
    "a",
]


@pytest.fixture
def tokenizer(tmp_path: Path) -> WordPiece:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return WordPiece.load(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, WORLD!", ["hello", ",", "world", "!"]),
        ("naïve Café É", ["naive", "cafe", "e"]),
        ("東京 tower", ["東", "京", "tower"]),
        ("a\tb\nc\u00a0d\u3000e", ["a", "b", "c", "d", "e"]),
        ("x\0y\ufffdz\u200bw\x07", ["xyzw"]),
        ("3.5% of $4 [SEP]", ["3", ".", "5", "%", "of", "$", "4", "[", "sep", "]"]),
        ("don't—stop…", ["don", "'", "t", "—", "stop", "…"]),
        ("İSTANBUL ß", ["istanbul", "ß"]),
        ("  ", []),
    ],
)
def test_words(text: str, expected: list[str]):
    assert words(text) == expected


def test_the_longest_piece_comes_first(tokenizer: WordPiece):
    assert tokenizer.encode("unaffable") == [2, 4, 5, 6, 3]
    assert tokenizer.encode("Running") == [2, 11, 12, 13, 3]


def test_a_word_that_cannot_be_spelled_is_one_unknown(tokenizer: WordPiece):
    assert tokenizer.encode("hello unxyz, 京") == [2, 7, 1, 8, 10, 3]
    assert tokenizer.encode("a" * 101) == [2, 1, 3]


def test_long_texts_are_cut_with_the_end_kept(tokenizer: WordPiece):
    assert tokenizer.encode("hello " * 50, max_length=5) == [2, 7, 7, 7, 3]
    assert tokenizer.encode("") == [2, 3]


def test_a_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(WeightsCorrupt, match=r"2 tokens lacks '\[PAD\]'"):
        WordPiece(["a", "b"])


@pytest.mark.weights
def test_ids_of_the_published_vocabulary():
    """Ids that BERT's uncased vocabulary has had since 2018."""
    try:
        tokenizer = WordPiece.load(weights.resolve("minilm_l6_v2_vocab"))
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")
    assert len(tokenizer.ids) == 30522
    assert tokenizer.encode("Hello, world!") == [101, 7592, 1010, 2088, 999, 102]
    assert tokenizer.encode("embeddings") == [101, 7861, 8270, 4667, 2015, 102]
