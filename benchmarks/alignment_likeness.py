"""Whether a wrong reference frame can be told from the right one: by nothing (`like`), or not by the encode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.alignment_faults import Fault, Picture, planes

SAME_MSE = 0.5

Indices = NDArray[np.int64]


def like(shown: Sequence[Picture], found: Indices, truth: Indices) -> NDArray[np.bool_]:
    """Whether source frame found[i] is truth[i], or is so like it that nothing could tell them apart; -1 is like none."""
    same = found == truth
    for i in np.flatnonzero(~same & (found >= 0) & (truth >= 0)).tolist():
        same[i] = _difference(_luma(shown[found[i]]), _luma(shown[truth[i]])) <= SAME_MSE
    return same


def as_pictures(
    distorted: Path, shown: Sequence[Picture], fault: Fault, found: Indices, truth: Indices
) -> NDArray[np.bool_]:
    """Whether frame i of the encode is, at full size, no nearer to source frame truth[i] than to found[i]: its picture does
    not tell better. Both as the fault changes pictures (crop, bars, size)."""
    say = found == truth
    doubted = set(np.flatnonzero(~say & (found >= 0) & (truth >= 0)).tolist())
    if not doubted:
        return say
    with av.open(str(distorted)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i in doubted:
                encoded = frame.to_ndarray()[: frame.height, : frame.width].astype(np.float32)
                given, true = (
                    _luma(shown[j] if fault.change is None else fault.change(shown[j])) for j in (found[i], truth[i])
                )
                say[i] = _difference(encoded, given) <= _difference(encoded, true)
    return say


def _luma(picture: Picture) -> NDArray[np.float32]:
    return planes(picture)[0].astype(np.float32)


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(((a - b) ** 2).mean())
