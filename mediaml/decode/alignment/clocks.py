"""Which clock two files share: frames retimed one for one, or pictures resampled in time; and the path that goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.anchor import Anchor
from mediaml.decode.alignment.path import Path, Track, comparable, first_path, frame_for_frame, pair_distance
from mediaml.decode.alignment.steady import places_in, steady_path
from mediaml.decode.alignment.texture import weighted

COUNTED = 2.0  # uneven times that mean nothing: as unlikely as a loss of frames (steady.DROP)


def find_path(distorted: Track, reference: Track, anchor: Anchor | None = None) -> Path:
    """The cheapest path of all clocks that the files' times allow. Deterministic; both need at least one frame. anchor: what
    the first picture says."""
    distorted, reference = comparable(distorted, reference)
    first = first_path(distorted, reference)
    reference = replace(reference, gain=first.gain, offset=first.offset)
    distorted, reference = weighted(distorted, reference, first)
    clocks = _clocks(distorted, reference, first)
    paths = [(steady_path(distorted, reference, first, places, anchor), more) for places, more in clocks]
    found, _ = min(paths, key=lambda path: path[0].cost + path[1])
    index = np.clip(found.index, 0, len(reference) - 1)
    return replace(
        first, index=index, distance=pair_distance(distorted, reference, index), outside=index != found.index
    )


def _clocks(distorted: Track, reference: Track, first: Path) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Where among the reference's frames each distorted one may lie, at some lag; and what it costs to think so."""
    paced = frame_for_frame(distorted, reference)
    for seconds in (paced,) if paced is distorted.pts_seconds else (paced, distorted.pts_seconds):
        lag = float(np.median(reference.pts_seconds[first.index] - seconds))
        yield places_in(reference, seconds + lag), 0.0
    if _uneven(distorted) or _uneven(reference):
        yield np.arange(len(distorted), dtype=np.float64), COUNTED


def _uneven(track: Track) -> bool:
    gaps = np.diff(track.pts_seconds)
    return bool(len(gaps) > 2 and float(gaps.max() - gaps.min()) > 0.2 * float(np.median(gaps)))
