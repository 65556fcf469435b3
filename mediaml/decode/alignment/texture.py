"""What texture counts for beside means: as much as its coding error is like theirs.

A coder that is short of bits renews the light and shade of a picture and leaves its texture as it was: in a slow dissolve the
texture of the old picture stays for many frames, while the means go with the time. Squared differences of detail stand for
those of all samples, and would outweigh the means four to eight times.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mediaml.decode.alignment.path import Floats, Path, Track

_OF = 1000  # frames
_FLOOR = 0.1  # squared codes


def weighted(distorted: Track, reference: Track, first: Path) -> tuple[Track, Track]:
    """Both with `texture` such that, along `first`, errors of detail are no greater than those of the means, or than what
    motion changes in it."""
    if distorted.detail is None or reference.detail is None:
        return distorted, reference
    rows = np.arange(len(distorted))[:: max(1, len(distorted) // _OF)]
    shown = first.index[rows]
    error = distorted.vectors(rows) - reference.vectors(shown)
    motion = reference.vectors(np.minimum(shown + 1, len(reference) - 1)) - reference.vectors(shown)
    (means, detail), (_, moves) = (np.split(x**2, 2, axis=1) for x in (error, motion))
    texture = min(1.0, (max(_usual(means), _usual(moves)) / _usual(detail)) ** 0.5)
    return replace(distorted, texture=texture), replace(reference, texture=texture)


def _usual(squares: Floats) -> float:
    return max(_FLOOR, float(np.median(squares.mean(1))))
