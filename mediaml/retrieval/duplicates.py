"""`mediaml duplicates`: the same content again, re-encoded, cropped or trimmed, from stored vectors of frames.

Two media match where the frames of one follow those of the other at one and the same distance in time: along a diagonal of
the matrix of cosines, a run of frames that are all alike. That tells a trim (the run covers the shorter media) from two films
with a similar shot. What it cannot tell: a mirrored copy from a plain one (the vectors hardly see the difference), where in a
static picture a part lies, and works that share a title sequence from copies (they are listed with the seconds they share).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mediaml.derive.inputs import matrix
from mediaml.errors import InvalidValue
from mediaml.retrieval.space import LITE0, Space
from mediaml.retrieval.spaces import spaces_of
from mediaml.tables import Lake
from mediaml.tables.reader import literal
from mediaml.tables.rows import decode_path

Kind = Literal["same", "part", "shared"]
ALIKE = 0.60  # cosine from which two frames may be the same picture (benchmarks/duplicates.py)
RUN_ALIKE = 0.70  # mean cosine of a run
STILL_ALIKE = 0.75  # of media with fewer frames than a run has: 1 of 53,628 pairs of unrelated pictures reached it
COVERED = 0.6  # share of the shorter media that a run must cover to be a copy or a part
SHORTEST_RUN = 3  # frames, unless the media is shorter
SHARED_SECONDS = 5.0  # a shorter stretch in common of two longer works is not reported
CANDIDATE = 0.65  # cosine of two shots from which their media are compared frame by frame
_BLOCK = 4096
_GAP = 1  # frames below ALIKE that a run may step over

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Track:
    """The frames of one media: seconds ascending, unit vectors (N, D)."""

    seconds: NDArray[np.float64]
    values: NDArray[np.float32]

    @property
    def step(self) -> float:
        """Seconds between frames."""
        return float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else 1.0


@dataclass(frozen=True, slots=True)
class Match:
    """What two media have in common.

    kind         "same": each covers the other; "part": the shorter lies within the longer; "shared": a stretch of both
    similarity   mean cosine of the frames in common
    covered      share of the shorter media's frames that they are
    offset       seconds: time in b minus time in a
    a, b         (start, end) seconds of the stretch in each
    """

    kind: Kind
    similarity: float
    covered: float
    offset_seconds: float
    a: tuple[float, float]
    b: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two media of a lake that match; `a` is the longer one, or the one with the smaller id."""

    media_a: str
    path_a: str
    media_b: str
    path_b: str
    match: Match


def compare(a: Track, b: Track, alike: float = ALIKE, run_alike: float = RUN_ALIKE) -> Match | None:
    """The best run of like frames of two media sampled at the same rate; None where there is none worth the name."""
    cosines = a.values @ b.values.T
    shorter = min(cosines.shape)
    needed = min(SHORTEST_RUN, shorter)
    if shorter < SHORTEST_RUN:
        alike, run_alike = max(alike, STILL_ALIKE), max(run_alike, STILL_ALIKE)
    best: tuple[float, int, int, int] | None = None  # weight, offset in frames, first, last in a
    for shift in range(-(cosines.shape[0] - needed), cosines.shape[1] - needed + 1):
        diagonal = np.diagonal(cosines, shift)
        for first, last in _runs(diagonal >= alike):
            run = diagonal[first:last]
            length, mean = last - first, float(run.mean())
            if length >= needed and mean >= run_alike:
                weight = float((run - alike / 2).sum())
                if best is None or weight > best[0]:
                    best = (weight, shift, first - min(0, shift), length)
    if best is None:
        return None
    _, shift, first, length = best
    similarity = float(np.diagonal(cosines, shift)[first + min(0, shift) :][:length].mean())
    covered = length / shorter
    spans = [
        (float(t.seconds[i]), float(t.seconds[i + length - 1] + t.step)) for t, i in ((a, first), (b, first + shift))
    ]
    if covered < COVERED and length * a.step < SHARED_SECONDS:
        return None
    kind: Kind = "shared" if covered < COVERED else "same" if shorter >= 0.8 * max(cosines.shape) else "part"
    return Match(kind, similarity, covered, spans[1][0] - spans[0][0], spans[0], spans[1])


def _runs(alike: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of stretches of True, stepping over at most `_GAP` in a row that are not."""
    at = np.flatnonzero(alike)
    if len(at) == 0:
        return
    cuts = np.flatnonzero(np.diff(at) > _GAP + 1)
    for part in np.split(at, cuts + 1):
        yield int(part[0]), int(part[-1]) + 1


def duplicates(
    lake: Lake | str | os.PathLike[str], *, model: str | None = None, progress: Progress | None = None
) -> list[Duplicate]:
    """Every two media of a lake that show the same content, most alike first.

    Media are compared where two of their shots are alike; then frame by frame. By default in the space of Lite0.
    Raises InvalidValue (no vectors of frames), LakeError.
    """
    opened = lake if isinstance(lake, Lake) else Lake.open(lake)
    space = _space(opened, model)
    pairs = sorted(_candidates(opened, space))
    tracks: dict[str, Track] = {}
    paths = _paths(opened)
    found = []
    for done, (one, other) in enumerate(pairs):
        for media_id in (one, other):
            if media_id not in tracks:
                tracks[media_id] = _track(opened, space, media_id)
        a, b = (one, other) if len(tracks[one].seconds) >= len(tracks[other].seconds) else (other, one)
        match = compare(tracks[a], tracks[b]) if len(tracks[a].seconds) and len(tracks[b].seconds) else None
        if match is not None:
            found.append(Duplicate(a, paths.get(a, ""), b, paths.get(b, ""), match))
        if progress is not None:
            progress(done + 1, len(pairs))
        if done + 1 < len(pairs) and pairs[done + 1][0] != one:
            tracks.clear()  # pairs are sorted: what comes next needs other tracks
    order = {"same": 0, "part": 1, "shared": 2}
    return sorted(found, key=lambda d: (order[d.match.kind], -d.match.similarity, d.path_a, d.path_b))


def _space(lake: Lake, model: str | None) -> Space:
    wanted = LITE0 if model in (None, "lite0") else str(model)
    for space in spaces_of(lake):
        if wanted in (space.model, space.model.split("@")[0]):
            return space
    has = ", ".join(s.model for s in spaces_of(lake)) or "no vectors at all"
    raise InvalidValue(
        f"duplicates are found by vectors of {wanted}; this lake has {has}. Run: mediaml embed MEDIA --out LAKE"
    )


def _chosen(space: Space) -> str:
    return f"model = {literal(space.model)} AND weights_sha256 = {literal(space.weights_sha256)}"


def _candidates(lake: Lake, space: Space) -> set[tuple[str, str]]:
    """Media of which two shots (or frames, of media without shots) are alike."""
    shots = f"SELECT media_id FROM embeddings WHERE {_chosen(space)} AND scope = 'shot'"  # noqa: S608
    where = f"{_chosen(space)} AND (scope = 'shot' OR (scope = 'frame' AND media_id NOT IN ({shots})))"
    found = lake.table("embeddings", ["media_id", "vector"], where)
    media = np.asarray(found.column("media_id").to_pylist(), dtype=object)
    values = _unit(matrix(found.column("vector")))
    pairs: set[tuple[str, str]] = set()
    for begin in range(0, len(values), _BLOCK):
        rows, columns = np.nonzero(values[begin : begin + _BLOCK] @ values[begin:].T >= CANDIDATE)
        for one, other in {(media[begin + r], media[begin + c]) for r, c in zip(rows, columns, strict=True)}:
            if one != other:
                pairs.add((min(one, other), max(one, other)))
    return pairs


def _track(lake: Lake, space: Space, media_id: str) -> Track:
    where = f"{_chosen(space)} AND scope = 'frame' AND media_id = {literal(media_id)}"
    found = lake.table("embeddings", ["start_seconds", "vector"], where).sort_by("start_seconds")
    return Track(found.column("start_seconds").to_numpy(), _unit(matrix(found.column("vector"))))


def _paths(lake: Lake) -> dict[str, str]:
    rows = lake.table("media", ["media_id", "path"]).to_pylist()
    return {r["media_id"]: decode_path(r["path"]) for r in rows}


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12) if len(values) else values
