"""Frame probabilities -> transitions and shots, as TransNetV2's own post-processing defines them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CUT_FRAMES = 2
"""A transition that marks at most this many frames is a cut; a longer one is gradual (dissolve, fade, wipe)."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Frames [first, last] of a run above the threshold; `extent_*`: the same with the network's second head joined in."""

    first: int
    last: int
    extent_first: int
    extent_last: int
    probability: float  # the run's maximum, in [0, 1]

    @property
    def kind(self) -> str:
        return "cut" if self.extent_last - self.extent_first < CUT_FRAMES else "gradual"


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames [start, end); `transition` is the one that ends it, None at the end of the file."""

    start: int
    end: int
    transition: Transition | None


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True in an (N,) mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def find_transitions(centre: NDArray[np.float32], inside: NDArray[np.float32], threshold: float) -> list[Transition]:
    """(N,) probabilities of "the transition's centre" and "anywhere inside one" -> transitions in order."""
    spans = runs(inside > threshold)
    found = []
    for first, last in runs(centre > threshold):
        touching = [s for s in spans if s[0] <= last + 1 and s[1] >= first - 1]
        lowest = min([first, *(s[0] for s in touching)])
        highest = max([last, *(s[1] for s in touching)])
        found.append(Transition(first, last, lowest, highest, float(centre[first : last + 1].max())))
    return found


def shots_between(transitions: list[Transition], frames: int) -> list[Shot]:
    """The shots of a file of `frames` frames.

    A transition's first frame is the last of the shot before it; the shot after it starts behind its last frame. Frames
    between the two belong to no shot, nor do those of a transition that opens or ends the file. A file that is all
    transition is one shot.
    """
    shots = []
    start = 0
    for t in transitions:
        if t.first > 0:
            shots.append(Shot(start, t.first + 1, t))
        start = t.last + 1
    if start < frames:
        shots.append(Shot(start, frames, None))
    return shots or [Shot(0, frames, None)]


def shot_rows(
    shots: Sequence[Shot], pts: NDArray[np.float64], ends: NDArray[np.float64], index: NDArray[np.int64]
) -> dict[str, Any]:
    """Rows of the table `shots`; `pts`, `ends`, `index` are (N,): when each frame is shown and replaced, and its number."""
    ways = [s.transition for s in shots]
    return {
        "shot_index": np.arange(len(shots), dtype=np.int32),
        "start_seconds": [float(pts[s.start]) for s in shots],
        "end_seconds": [float(pts[s.end] if s.end < len(pts) else ends[-1]) for s in shots],
        "start_frame": [int(index[s.start]) for s in shots],
        "end_frame": [int(index[s.end - 1]) + 1 for s in shots],
        "transition": [t.kind if t else "end" for t in ways],
        "transition_start_seconds": [float(pts[t.extent_first]) if t else None for t in ways],
        "transition_end_seconds": [float(ends[t.extent_last]) if t else None for t in ways],
    }
