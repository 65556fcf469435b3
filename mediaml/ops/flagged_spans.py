"""Flags on a regular grid to spans, without flicker."""

from __future__ import annotations

from collections.abc import Sequence


def flagged_spans(flags: Sequence[bool], *, join: int, minimum: int) -> list[tuple[int, int]]:
    """(start, stop) of runs of true flags, stop exclusive.

    Runs with at most `join` false flags between them are one; of those, the ones that hold at least `minimum` true flags are
    given.
    """
    spans: list[tuple[int, int, int]] = []  # start, stop, true flags
    for at, flag in enumerate(flags):
        if not flag:
            continue
        if spans and at - spans[-1][1] <= join:
            start, _, count = spans[-1]
            spans[-1] = (start, at + 1, count + 1)
        else:
            spans.append((at, at + 1, 1))
    return [(start, stop) for start, stop, count in spans if count >= minimum]
