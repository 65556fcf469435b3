"""Lively programmes: scenes joined by cuts, dissolves, fades through black and white, and wipes; to count false alarms."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from benchmarks.faults.scenes import Scene
from benchmarks.faults.sources import FPS, Clip, Picture

Joint = Literal["cut", "dissolve", "black", "white", "wipe"]
_JOINTS: dict[Joint, float] = {"cut": 0.6, "dissolve": 0.22, "black": 0.1, "white": 0.03, "wipe": 0.05}
SHOTS = 60  # of a programme: about six minutes
_SHOT_SECONDS, _JOINT_SECONDS = (2.0, 10.0), (0.3, 1.6)
_LEVELS = {"black": 16, "white": 235}


class Lively(Clip):
    """One shot of each scene, in order; the name decides lengths and joints."""

    def __init__(self, name: str, scenes: Sequence[Scene]) -> None:
        self.name, self.width, self.height = name, scenes[0].width, scenes[0].height
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.shots: list[
            tuple[Scene, int, int, int, Joint]
        ] = []  # scene, its first frame, [first, stop), joint at the end
        self._joint_frames: list[int] = []
        first = 0
        for scene in scenes:
            length = round(float(rng.uniform(*_SHOT_SECONDS)) * FPS)
            joint: Joint = str(rng.choice(list(_JOINTS), p=list(_JOINTS.values())))  # type: ignore[assignment]
            if scene is scenes[-1]:
                joint = "cut"
            overlap = 0 if joint == "cut" else min(length // 2, round(float(rng.uniform(*_JOINT_SECONDS)) * FPS))
            at = scene.held * int(rng.integers(1000))
            self.shots.append((scene, at, first, first + length, joint))
            self._joint_frames.append(overlap)
            first += length - overlap
        self.frames = self.shots[-1][3]

    def frame(self, index: float) -> Picture:
        here = [k for k, (_, _, first, stop, _) in enumerate(self.shots) if first <= index < stop][:2]
        pictures = [s.frame(at + index - first) for s, at, first, _, _ in (self.shots[k] for k in here)]
        if len(here) == 1:
            return pictures[0]
        joint, first = self.shots[here[0]][4], self.shots[here[1]][2]
        share = (index - first + 1) / (self._joint_frames[here[0]] + 1)
        return _joined(joint, pictures[0], pictures[1], share, (self.width, self.height))


def _joined(joint: Joint, one: Picture, other: Picture, share: float, size: tuple[int, int]) -> Picture:
    if joint == "dissolve":
        return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8)
    if joint == "wipe":
        width, height = size
        shown, edge = one.copy(), round(share * width / 4) * 4
        shown[:height, :edge] = other[:height, :edge]
        chroma, new = (p[height:].reshape(2, height // 2, width // 2) for p in (shown, other))
        chroma[:, :, : edge // 2] = new[:, :, : edge // 2]
        return shown
    plain = np.full_like(one, 128)
    plain[: size[1]] = _LEVELS[joint]
    shown, far = (one, 1 - 2 * share) if share < 0.5 else (other, 2 * share - 1)
    return np.asarray(cv2.addWeighted(shown, far, plain, 1 - far, 0), np.uint8)


def lively(paths: Sequence[Path], seconds: float, size: tuple[int, int], first: int = 0) -> Iterator[Lively]:
    """Programmes until they last so long, numbered from `first`; each shot has a photograph of its own, then again others."""
    number, lasted = first, 0.0
    while lasted < seconds:
        scenes = []
        for shot in range(number * SHOTS, (number + 1) * SHOTS):
            order = np.random.default_rng(shot // len(paths)).permutation(len(paths))
            chosen = [paths[order[(shot + k) % len(paths)]] for k in range(3)]
            scenes.append(Scene(chosen, *size, seed=shot))
        programme = Lively(f"lively {size[0]}x{size[1]} {number}", scenes)
        yield programme
        number, lasted = number + 1, lasted + programme.frames / FPS
