"""What an alignment says happened to the frames, one event after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment


@dataclass(frozen=True, slots=True)
class Event:
    """What happens at a distorted frame, `frames` times.

    kind   "drop", "repeat", "freeze" (a repeat, then a drop of as many: the picture stands and catches up), "none" (no
           counterpart)
    """

    kind: str
    seconds: float  # on the distorted file's timeline
    frame_index: int
    frames: int

    @property
    def text(self) -> str:
        s = "s" if self.frames != 1 else ""
        return {
            "drop": f"{self.frames} reference frame{s} left out before it",
            "repeat": f"the reference frame before it is shown again ({self.frames}×)",
            "freeze": f"the picture before it stands for {self.frames} frame{s} and then catches up",
            "none": f"{self.frames} distorted frame{s} without a reference frame from here on",
        }[self.kind]


def events(found: Alignment) -> list[Event]:
    """Drops, repeats (both beyond what the two frame rates explain), freezes and frames without a counterpart, in order."""
    index, times = found.reference_index, found.distorted_pts_seconds
    unmatched = np.concatenate([[False], index < 0, [False]])
    edges = np.flatnonzero(np.diff(unmatched.astype(np.int8))).tolist()
    listed = [Event("none", float(times[a]), a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    at = np.flatnonzero(index >= 0)
    expected = period_seconds(times) / (period_seconds(found.reference_pts_seconds) or 1.0)
    most, least = max(1, ceil(expected - 0.02)), floor(expected + 0.02)
    for i, step in zip(at[1:].tolist(), np.diff(index[at]).tolist(), strict=True):
        stands = bool(listed) and listed[-1].kind == "repeat" and listed[-1].frame_index + listed[-1].frames == i
        if step > most:
            if stands and listed[-1].frames == step - most:
                listed[-1] = replace(listed[-1], kind="freeze")
            else:
                listed.append(Event("drop", float(times[i]), i, step - most))
        elif step < least:
            if stands:
                listed[-1] = replace(listed[-1], frames=listed[-1].frames + least - step)
            else:
                listed.append(Event("repeat", float(times[i]), i, least - step))
    return sorted(listed, key=lambda e: e.frame_index)


def period_seconds(times: NDArray[np.float64]) -> float:
    """The usual distance of frames."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.04
