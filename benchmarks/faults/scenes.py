"""Scenes: a photograph under one of many cameras, with things that move before it, captions, and drawings on twos.

Every picture is a closed form of its index, so a scene has no end and any frame can be asked for. What they should show to
the detectors of time: pans that ease into rest and out of it, zooms, hand-held shake, steps of someone who walks, whips, a
tripod; pieces of other photographs that cross, swing, or stop and go; captions that pop up; pictures that change in every
second or third frame.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.sources import FPS, Clip, Picture

Move = Literal["tripod", "pan", "pan and hold", "zoom", "hand-held", "walk", "whip"]
_MOVES: dict[Move, float] = {
    "tripod": 0.14, "pan": 0.2, "pan and hold": 0.14, "zoom": 0.14, "hand-held": 0.24, "walk": 0.1, "whip": 0.04,
}  # fmt: skip
_FRONT_SHARE, _CAPTION_SHARE, _TWOS_SHARE, _THREES_SHARE = 0.35, 0.15, 0.03, 0.02
_NOISE = (0.0, 0.0, 0.6, 1.0, 2.0)
_CUBIC = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
_SHAKES = (0.45, 0.9, 1.7, 3.1, 5.3)  # Hz
_WORDS = ("Chapter one", "LIVE 21:45", "- Where were you?", "Directed by nobody", "48 N 2 E")


@dataclass(frozen=True, slots=True)
class Path2D:
    """Where a camera or a thing is: `at(t)` gives (x, y) of -1..1 over the free room, px of shake, zoom and turn.

    period    s for the way there and back
    hold      whether it rests at both ends, with eased starts and stops
    """

    move: Move
    period: float
    phase: float
    angle: float
    shake: float
    zoom: float
    seed: int

    def at(self, t: float) -> tuple[float, float, float, float, float, float]:
        """(x, y, shake x, shake y, zoom, turn in radians) at `t` s."""
        u = t / self.period + self.phase
        along = _there_and_back(u, hold=self.move in ("pan and hold", "whip"))
        if self.move in ("tripod", "zoom"):
            along = 0.0
        sx, sy, turn = 0.0, 0.0, 0.0
        if self.shake:
            for k, hz in enumerate(_SHAKES):
                a, b, c = (math.sin(2 * math.pi * hz * t + self.seed * (k + 1) * j) for j in (1.0, 1.7, 2.3))
                sx, sy, turn = sx + a / (k + 1), sy + b / (k + 1), turn + c / (k + 1)
            sx, sy, turn = self.shake * sx, self.shake * sy, 0.002 * self.shake * turn
        if self.move == "walk":
            sy += 2 * self.shake * abs(math.sin(math.pi * 1.9 * t))
        zoom = self.zoom ** math.sin(2 * math.pi * u) if self.move == "zoom" else 1.0
        return along * math.cos(self.angle), along * math.sin(self.angle), sx, sy, zoom, turn


def _there_and_back(u: float, *, hold: bool) -> float:
    """-1 to 1 and back for each whole `u`; with `hold` half of the time at rest."""
    if not hold:
        return 2 / math.pi * math.asin(0.995 * math.sin(2 * math.pi * u))
    part = (2 * u) % 2
    s = min(1.0, 2 * (part % 1))
    eased = s * s * (3 - 2 * s)
    return 2 * eased - 1 if part < 1 else 1 - 2 * eased


class Scene(Clip):
    """One photograph behind, pieces of others before it; the seed decides everything else."""

    def __init__(self, paths: Sequence[Path], width: int, height: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.name, self.width, self.height = f"scene {seed} of {paths[0].stem}", width, height
        self._back = paths[0]
        self._seen = float(rng.uniform(0.5, 0.85))
        move = str(rng.choice(list(_MOVES), p=list(_MOVES.values())))
        self.camera = _camera(move, rng)  # type: ignore[arg-type]
        self.fronts = (
            [_Front(p, rng) for p in paths[1 : 1 + int(rng.integers(1, 3))]] if rng.random() < _FRONT_SHARE else []
        )
        self._noise = float(rng.choice(_NOISE))
        self._caption = (str(rng.choice(_WORDS)), float(rng.uniform(1, 4))) if rng.random() < _CAPTION_SHARE else None
        held = rng.random()
        self.held = 3 if held < _THREES_SHARE else 2 if held < _THREES_SHARE + _TWOS_SHARE else 1
        self._seed = seed

    def frame(self, index: float) -> Picture:
        drawn = index if self.held == 1 else math.floor(index / self.held) * self.held
        return _drawn(self, drawn)

    def draw(self, index: float) -> Picture:
        t = index / FPS
        view = _picture(self._back, self.width, self.height, self._seen)
        x, y, sx, sy, zoom, turn = self.camera.at(t)
        free = np.array(view.shape[1::-1]) - 1.12 * np.array([self.width, self.height])
        centre = np.array(view.shape[1::-1]) / 2 + np.maximum(free, 0) / 2 * (x, y) + (sx, sy)
        matrix = _matrix(centre, zoom, turn, (self.width, self.height))
        size = (self.width, self.height)
        warped = cv2.warpAffine(view, matrix, size, flags=_CUBIC, borderMode=cv2.BORDER_REFLECT)
        seen = np.asarray(warped, np.uint8)
        for front in self.fronts:
            seen = front.over(seen, t)
        if self._caption is not None and (t / self._caption[1]) % 2 > 1:
            cv2.putText(seen, self._caption[0], (20, self.height - 20), 0, 0.6, (235, 235, 235), 1, cv2.LINE_AA)
        if self._noise:
            seen = _noisy(seen, self._noise, int(index))
        return np.asarray(cv2.cvtColor(seen, cv2.COLOR_BGR2YUV_I420), np.uint8)


def moving_scenes(paths: Sequence[Path], size: tuple[int, int]) -> list[Scene]:
    """Scenes in which something moves, each of a photograph of its own; their seeds are none of the programmes'."""
    found: list[Scene] = []
    order = np.random.default_rng(len(paths)).permutation(len(paths))
    for number in range(len(paths)):
        chosen = [paths[order[(number + k) % len(paths)]] for k in range(3)]
        scene = Scene(chosen, *size, seed=1_000_000 + number)
        if scene.held == 1 and (scene.camera.move != "tripod" or scene.fronts):
            found.append(scene)
    return found


@lru_cache(maxsize=3000)
def _drawn(scene: Scene, index: float) -> Picture:
    return scene.draw(index)


def _camera(move: Move, rng: np.random.Generator) -> Path2D:
    period = {"pan": 12.0, "pan and hold": 8.0, "whip": 5.0, "zoom": 14.0}.get(move, 20.0)
    return Path2D(
        move=move,
        period=period * float(np.exp(rng.uniform(-0.9, 0.9))) if move != "whip" else float(rng.uniform(2.0, 5.0)),
        phase=float(rng.random()),
        angle=float(rng.uniform(0, 2 * math.pi)),
        shake=float(rng.uniform(0.4, 2.2)) if move in ("hand-held", "walk") else 0.0,
        zoom=float(rng.uniform(1.05, 1.25)),
        seed=int(rng.integers(1, 1000)),
    )


class _Front:
    """A soft-edged piece of a photograph that moves by itself."""

    def __init__(self, path: Path, rng: np.random.Generator) -> None:
        self._path, self._seen = path, float(rng.uniform(0.6, 0.95))
        self._axes = rng.uniform(0.12, 0.35, 2)
        move: Move = ("pan", "pan and hold", "hand-held")[int(rng.integers(3))]  # type: ignore[assignment]
        period, phase, angle = float(rng.uniform(2.0, 10.0)), float(rng.random()), float(rng.uniform(0, 6.28))
        shake = float(rng.uniform(1, 4)) if move == "hand-held" else 0.0
        self._way = Path2D(move, period, phase, angle, shake, 1.0, int(rng.integers(1, 1000)))

    def over(self, shown: NDArray[np.uint8], t: float) -> NDArray[np.uint8]:
        height, width = shown.shape[:2]
        piece, mask = _cut_out(self._path, width, height, self._seen, tuple(self._axes.tolist()))
        x, y, sx, sy, _, turn = self._way.at(t)
        place = np.array([0.4 * x * width + sx, 0.4 * y * height + sy])
        reach = float(self._axes.max()) * width + 8  # around its middle: further out it is not there
        middle = np.array([width, height]) / 2 + place
        left, top = np.maximum(np.floor(middle - reach), 0).astype(int)
        right, bottom = np.minimum(np.ceil(middle + reach), (width, height)).astype(int)
        if right <= left or bottom <= top:
            return shown
        matrix = _matrix(np.array([width, height]) / 2 - place, 1.0, turn, (width, height))
        matrix[:, 2] += matrix[:, :2] @ (left, top)
        moved, soft = (
            cv2.warpAffine(p, matrix, (right - left, bottom - top), flags=_CUBIC, borderMode=cv2.BORDER_CONSTANT)
            for p in (piece, mask)
        )
        share, under = cv2.merge([soft, soft, soft]).astype(np.float32) / 255, shown[top:bottom, left:right]
        blend = np.rint(under + share * (moved.astype(np.float32) - under)).clip(0, 255)
        shown[top:bottom, left:right] = blend.astype(np.uint8)
        return shown


def _matrix(centre: NDArray[np.float64], zoom: float, turn: float, size: tuple[int, int]) -> NDArray[np.float64]:
    """(2, 3): output px -> px of the picture, `centre` in the middle."""
    a, b = zoom * math.cos(turn), zoom * math.sin(turn)
    cx, cy = (size[0] - 1) / 2, (size[1] - 1) / 2
    return np.array([[a, -b, centre[0] - a * cx + b * cy], [b, a, centre[1] - b * cx - a * cy]])


@lru_cache(maxsize=64)
def _picture(path: Path, width: int, height: int, seen: float) -> NDArray[np.uint8]:
    """(H, W, 3) BGR, so large that (width, height) of it are `seen` of its tighter side."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    if picture.shape[0] > picture.shape[1]:
        picture = np.ascontiguousarray(np.rot90(picture))
    scale = max(width / picture.shape[1], height / picture.shape[0]) / seen
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how), np.uint8)


@lru_cache(maxsize=64)
def _cut_out(
    path: Path, width: int, height: int, seen: float, axes: tuple[float, float]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The middle of a photograph (height, width, 3), and how much of it is there, 0 to 255."""
    whole = _picture(path, width, height, seen)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    mask = np.zeros((height, width), np.uint8)
    box = (
        (width / 2, height / 2),
        (2 * axes[0] * width, 2 * axes[1] * height),
        float(zlib.crc32(path.name.encode()) % 180),
    )
    cv2.ellipse(mask, box, 255, -1, cv2.LINE_AA)
    piece = np.ascontiguousarray(whole[top : top + height, left : left + width])
    return piece, np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2), np.uint8)


def _noisy(picture: NDArray[np.uint8], sigma: float, index: int) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    shift = (index * 7919) % height
    return np.asarray(cv2.add(picture, _grain(height, width, sigma)[shift : shift + height], dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=8)
def _grain(height: int, width: int, sigma: float) -> NDArray[np.int16]:
    once = np.rint(sigma * np.random.default_rng(11).standard_normal((height, width, 3))).astype(np.int16)
    return np.concatenate([once, once])
