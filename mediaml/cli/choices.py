"""Options that take one of a few words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mediaml.errors import UnknownName

Word = TypeVar("Word", bound=str)


def one_of(what: str, given: str, known: Iterable[Word]) -> Word:
    """`given`, if it is one of `known`. Raises UnknownName with near matches."""
    words = {str(k): k for k in known}
    if given not in words:
        raise UnknownName(what, given, words)
    return words[given]
