"""Collects rows of the `boxes` table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mediaml.analyzers.artifacts.findings import unit

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge as shares of the picture's width and height, in [0, 1]."""


def share_box(edges: Sequence[float], width: int, height: int) -> Box:
    """Left, top, right, bottom in pixels -> shares of the picture, clipped to it."""
    left, top, right, bottom = edges
    return unit(left / width), unit(top / height), unit(right / width), unit(bottom / height)


def area(box: Box) -> float:
    """Share of the picture's area."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


class BoxRows:
    """Boxes of one kind, with further columns where the analyzer declares some."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._rows: list[tuple[float, str, float, Box, Mapping[str, Any]]] = []

    def add(self, pts_seconds: float, label: str, score: float, box: Box, **more: Any) -> None:
        self._rows.append((pts_seconds, label, score, box, more))

    def take(self) -> dict[str, list[Any]]:
        """The columns in order of time, then as they were added; forgets them. Empty without a box."""
        rows, self._rows = sorted(self._rows, key=lambda r: r[0]), []
        if not rows:
            return {}
        columns: dict[str, list[Any]] = {
            "pts_seconds": [r[0] for r in rows],
            "kind": [self.kind] * len(rows),
            "label": [r[1] for r in rows],
            "score": [unit(r[2]) for r in rows],
        }
        for place, name in enumerate(("x_min", "y_min", "x_max", "y_max")):
            columns[name] = [r[3][place] for r in rows]
        return columns | {name: [r[4][name] for r in rows] for name in rows[0][4]}
