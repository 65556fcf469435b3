"""Collects rows of the `tags` table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mediaml.derive.base import Derived
from mediaml.derive.inputs import Scope
from mediaml.spec import Table

_COLUMNS = ("media_id", "scope", "start_seconds", "end_seconds", "vocabulary", "tag_id", "label", "score", "rank")


class TagRows:
    """Tags of one vocabulary, ranked within their shot or file."""

    def __init__(self, vocabulary: str) -> None:
        self.vocabulary = vocabulary
        self.rows: dict[str, list[Any]] = {name: [] for name in _COLUMNS}

    def add(self, scope: Scope, tags: Sequence[tuple[str, str, float]], *, first: int = 1, **more: Any) -> None:
        """(tag id, label, score), best first, the first of them of rank `first`; `more` are further columns' values."""
        for rank, (tag_id, label, score) in enumerate(tags, first):
            place = (scope.media_id, scope.scope, scope.start_seconds, scope.end_seconds)
            values = (*place, self.vocabulary, tag_id, label, score, rank)
            for name, value in (*zip(_COLUMNS, values, strict=True), *more.items()):
                self.rows.setdefault(name, []).append(value)

    def derived(self) -> Derived:
        columns = self.rows | {"score": np.asarray(self.rows["score"], np.float32)}
        return Derived({Table.TAGS: columns}) if self.rows["media_id"] else Derived()
