"""Clean programmes: shots of photographs under a moving camera, joined by cuts and dissolves, for counting false alarms."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from benchmarks.faults.sources import FPS, Camera, Clip, Photograph, Picture, Sources, Split, size_of

Size = tuple[int, int]
SMALL, LARGE = (320, 180), (640, 360)  # of the programmes: from every photograph, and from the large ones alone
SHOTS = 60  # a programme: about six minutes
SHOT_SECONDS = (3.0, 9.0)
DISSOLVE_SHARE, DISSOLVE_SECONDS = 0.25, (0.4, 1.2)
_TRIPOD_SHARE = 0.15
_PACE, _SEEN = (0.25, 3.0), (0.45, 0.9)
_LEAST_SHRUNK = 0.75  # a photograph is made at least this much smaller, so that JPEG's own faults are gone
_BURNT_SHARE = 0.05  # photographs with more than this burnt out show a fault themselves, and are left out
_APART = 4000  # frames of a camera path that a shot's first one is drawn from


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames [first, stop) of the programme; the last `overlap` of them dissolve into the next shot."""

    clip: Clip
    at: int
    first: int
    stop: int
    overlap: int


class Programme(Clip):
    """One shot of each clip, in order; all clips have one size. The name decides lengths and transitions."""

    def __init__(self, name: str, clips: Sequence[Clip]) -> None:
        self.name, self.width, self.height = name, clips[0].width, clips[0].height
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.shots: list[Shot] = []
        first = 0
        for clip in clips:
            length = round(float(rng.uniform(*SHOT_SECONDS)) * FPS)
            dissolves = clip is not clips[-1] and rng.random() < DISSOLVE_SHARE
            overlap = round(float(rng.uniform(*DISSOLVE_SECONDS)) * FPS) if dissolves else 0
            at = int(rng.integers(_APART))
            self.shots.append(Shot(clip, at, first, first + length, overlap))
            first += length - overlap
        self.frames = self.shots[-1].stop

    def frame(self, index: float) -> Picture:
        shown = [s for s in self.shots if s.first <= index < s.stop]
        pictures = [s.clip.frame(s.at + index - s.first) for s in shown]
        if len(shown) == 1:
            return pictures[0]
        share = (index - shown[1].first + 1) / (shown[0].overlap + 1)
        return np.asarray(cv2.addWeighted(pictures[0], 1 - share, pictures[1], share, 0), np.uint8)


@cache
def _burnt(path: Path) -> float:
    """Share of a photograph that is burnt out."""
    grey = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    return 1.0 if grey is None else float((grey >= 248).mean())


def programmes(sources: Sources, split: Split, seconds: float, size: Size) -> Iterator[Programme]:
    """Programmes of this split's photographs until they last so long; each round over them looks from other places."""
    paths = clean_pictures(sources, split, size)
    rng = np.random.default_rng((1 if split == "tuning" else 2) + size[0])
    label = sources.fresh.name if sources.fresh is not None and split == "held out" else split
    at, lasted = 0, 0.0
    while lasted < seconds:
        clips: list[Clip] = []
        for i in range(at, at + SHOTS):
            pace = 0.0 if rng.random() < _TRIPOD_SHARE else float(np.exp(rng.uniform(*np.log(_PACE))))
            path = paths[i % len(paths)]
            seen = float(rng.uniform(max(_SEEN[0], _least_seen(path, size)), _SEEN[1]))
            camera = Camera(pace, seen, bool(rng.random() < 0.5))
            clips.append(Photograph(path, *size, float(rng.choice([0.0, 0.6, 1.0])), camera, keep=False))
        programme = Programme(f"{label} {size[0]}x{size[1]} {at // SHOTS}", clips)
        yield programme
        at, lasted = at + SHOTS, lasted + programme.frames / FPS


def clean_pictures(sources: Sources, split: Split, size: Size) -> list[Path]:
    """The photographs that are large enough for programmes of this size, and not burnt out."""
    large = [p for p in sources.pictures(split) if _least_seen(p, size) < _SEEN[1]]
    return [p for p in large if _burnt(p) <= _BURNT_SHARE]


def _least_seen(path: Path, size: Size) -> float:
    """Share of a photograph that must be in the picture for it to be made smaller by enough."""
    wide, high = sorted(size_of(path), reverse=True)
    return max(size[0] / wide, size[1] / high) / _LEAST_SHRUNK
