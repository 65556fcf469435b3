"""Uncased WordPiece tokenisation as BERT defines it (Devlin et al. 2019, arXiv 1810.04805)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mediaml.errors import WeightsCorrupt

MAX_WORD_CHARACTERS = 100
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Text -> token ids with [CLS] in front and [SEP] at the end.

    Lower-cased, accents stripped, ideographs and punctuation apart; then the longest piece of the vocabulary first. A word
    that cannot be spelled in pieces is one [UNK].
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        """`tokens`: the vocabulary, in id order. Raises WeightsCorrupt where a special token is missing."""
        self.ids = {token: i for i, token in enumerate(tokens)}
        try:
            self.pad, self.unknown, self.start, self.end = (self.ids[t] for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]"))
        except KeyError as error:
            raise WeightsCorrupt(f"WordPiece vocabulary of {len(self.ids)} tokens lacks {error}") from None

    @classmethod
    def load(cls, path: Path) -> WordPiece:
        """Reads a vocab.txt: one token a line, the line number is the id."""
        return cls(path.read_text(encoding="utf-8").rstrip("\n").split("\n"))

    def encode(self, text: str, max_length: int = 256) -> list[int]:
        """At most `max_length` ids, the two special ones included; what is beyond is cut off."""
        pieces = [piece for word in words(text) for piece in self._pieces(word)]
        return [self.start, *pieces[: max_length - 2], self.end]

    def _pieces(self, word: str) -> list[int]:
        if len(word) > MAX_WORD_CHARACTERS:
            return [self.unknown]
        found = []
        begin = 0
        while begin < len(word):
            prefix = "##" if begin else ""
            for end in range(len(word), begin, -1):
                piece = self.ids.get(prefix + word[begin:end])
                if piece is not None:
                    break
            else:
                return [self.unknown]
            found.append(piece)
            begin = end
        return found


def words(text: str) -> list[str]:
    """Lower-cased words without accents; each punctuation mark and each ideograph is a word of its own."""
    spaced = []
    for c in text:
        if c in "\0\ufffd" or _is_control(c):
            continue
        if c.isspace() or unicodedata.category(c) == "Zs":
            spaced.append(" ")
        elif _is_cjk(ord(c)):
            spaced.append(f" {c} ")
        else:
            spaced.append(c)
    plain = unicodedata.normalize("NFD", "".join(spaced).lower())
    plain = "".join(c for c in plain if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if _is_punctuation(c) else c for c in plain).split()


def _is_control(c: str) -> bool:
    return c not in "\t\n\r" and unicodedata.category(c).startswith("C")


def _is_cjk(code: int) -> bool:
    return any(low <= code <= high for low, high in _CJK)


def _is_punctuation(c: str) -> bool:
    """ASCII symbols count as well as Unicode's P categories."""
    return (c.isascii() and c.isprintable() and not c.isalnum() and c != " ") or unicodedata.category(c).startswith("P")
