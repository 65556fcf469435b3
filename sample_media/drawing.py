"""Moving pictures drawn by arithmetic: scenes that differ, colour bars, a talking head, and voice-like sound."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sample_media.encode import DeepPicture, Picture, Sound

WIDTH, HEIGHT, RATE = 640, 360, 48000


@lru_cache(maxsize=8)
def _cloud(seed: int, octaves: int = 5) -> NDArray[np.float32]:
    """(1.5 H, 1.5 W) value noise in [0, 1], smooth at every scale."""
    rng = np.random.default_rng(seed)
    height, width = HEIGHT * 3 // 2, WIDTH * 3 // 2
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = rng.random((3 * 2**octave, 5 * 2**octave), dtype=np.float32)
        total += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.min()) / (total.max() - total.min())


_PALETTES = (  # dark, middle, bright of each scene
    ((16, 42, 67), (98, 125, 152), (240, 244, 248)),
    ((61, 20, 8), (196, 90, 30), (255, 224, 160)),
    ((11, 48, 30), (70, 140, 80), (226, 245, 200)),
    ((40, 14, 62), (140, 70, 160), (250, 215, 240)),
    ((20, 20, 24), (110, 110, 118), (236, 236, 240)),
)


def _to_and_fro(way: float, limit: int) -> float:
    """A position in [0, limit] that turns back at both ends, so that nothing ever jumps."""
    return limit - abs(way % (2 * limit) - limit)


def _disc(canvas: Picture, centre: tuple[float, float], colour: NDArray[np.float32], thickness: int) -> None:
    """A disc (thickness -1) or ring of radius 34 px, placed to an eighth of a pixel: whole ones would make motion leap."""
    x, y = (round(8 * c) for c in centre)
    cv2.circle(canvas, (x, y), 8 * 34, tuple(int(v) for v in colour), thickness, cv2.LINE_AA, shift=3)


def scene(number: int, seconds: float, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """Scene `number` at a time: drifting clouds in the scene's own colours with one disc that crosses them."""
    cloud = _cloud(number)
    dx = _to_and_fro(40 + 30 * seconds, cloud.shape[1] - WIDTH)
    dy = _to_and_fro(20 + 10 * seconds * (1 + number % 3), cloud.shape[0] - HEIGHT)
    part = cv2.getRectSubPix(cloud, (WIDTH, HEIGHT), (dx + (WIDTH - 1) / 2, dy + (HEIGHT - 1) / 2))
    dark, middle, bright = (np.array(c, np.float32) for c in _PALETTES[number % len(_PALETTES)])
    low, high = np.minimum(part * 2, 1)[..., None], np.maximum(part * 2 - 1, 0)[..., None]
    picture = dark + (middle - dark) * low + (bright - middle) * high
    centre = _to_and_fro(80 + 120 * seconds, WIDTH), HEIGHT / 2 + 60 * float(np.sin(2 * seconds + number))
    canvas = np.ascontiguousarray(picture.astype(np.uint8))
    _disc(canvas, centre, bright, -1)
    _disc(canvas, centre, dark, 3)
    if (width, height) != (WIDTH, HEIGHT):
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(canvas, dtype=np.uint8)


def bars(seconds: float) -> Picture:
    """75 % colour bars over a grey ramp, with a white marker that sweeps once a second."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
    for i, colour in enumerate(colours):
        picture[: HEIGHT * 3 // 4, i * WIDTH // 7 : (i + 1) * WIDTH // 7] = colour
    picture[HEIGHT * 3 // 4 :] = np.linspace(0, 255, WIDTH).astype(np.uint8)[None, :, None]
    x = int(seconds % 1 * WIDTH)
    picture[HEIGHT * 3 // 4 - 12 : HEIGHT * 3 // 4, x : x + 8] = 255
    return picture


def talking_head(seconds: float, openness: float) -> Picture:
    """A drawn face that sways and blinks before a soft background; the mouth opens by `openness` in [0, 1]."""
    small = cv2.resize(scene(4, seconds * 0.2), (WIDTH // 8, HEIGHT // 8), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2), (WIDTH * 2, HEIGHT * 2), interpolation=cv2.INTER_CUBIC)
    image = Image.fromarray(np.asarray(soft, dtype=np.uint8))
    draw = ImageDraw.Draw(image)
    x, y = WIDTH + int(24 * np.sin(1.3 * seconds)), HEIGHT - 30 + int(8 * np.sin(2.1 * seconds))

    def oval(cx: float, cy: float, rx: float, ry: float, colour: tuple[int, int, int]) -> None:
        draw.ellipse((x + cx - rx, y + cy - ry, x + cx + rx, y + cy + ry), fill=colour)

    oval(0, 420, 330, 210, (38, 52, 84))  # shoulders
    draw.rectangle((x - 60, y + 120, x + 60, y + 260), fill=(205, 150, 122))
    oval(0, -60, 182, 205, (58, 38, 28))  # hair
    oval(0, 0, 158, 205, (224, 172, 142))
    eye = 3 if seconds % 3 < 0.12 else 17
    for side in (-62, 62):
        oval(side, -38, 28, eye, (250, 250, 248))
        oval(side + 5 * np.sin(0.9 * seconds), -38, 11, min(eye, 11), (50, 70, 90))
        draw.line((x + side - 32, y - 80, x + side + 32, y - 84), fill=(58, 38, 28), width=9)
    draw.line((x, y - 20, x - 14, y + 44, x + 10, y + 48), fill=(186, 130, 104), width=7)
    oval(0, 104, 58 - 14 * openness, 7 + 34 * openness, (120, 36, 44))
    return np.asarray(image.reduce(2), dtype=np.uint8)


def pq_encoded(picture: Picture, peak_nits: float) -> DeepPicture:
    """(H, W, 3) uint16: the picture shown at a gamma of 2.4 and a white of `peak_nits`, coded by SMPTE ST 2084 (PQ)."""
    light = (np.arange(256) / 255) ** 2.4 * peak_nits / 10000
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    coded = ((c1 + c2 * light**m1) / (1 + c3 * light**m1)) ** m2
    return np.round(coded * 65535).astype(np.uint16)[picture]


def silence(seconds: float) -> Sound:
    return np.zeros((2, round(seconds * RATE)), np.float32)


def tone(seconds: float, hz: float = 1000.0, dbfs: float = -20.0) -> Sound:
    """A stereo sine whose peak lies `dbfs` decibels below full scale, with 5 ms ramps."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t)
    ramp = np.minimum(1, np.minimum(t, t[::-1]) / 0.005)
    return np.tile(wave * ramp, (2, 1)).astype(np.float32)


def voice(seconds: float, seed: int = 3) -> tuple[Sound, NDArray[np.float32]]:
    """Voice-like sound (2, T) and its syllable envelope (T,) in [0, 1]: harmonics of a gliding pitch under formants, in a
    room whose own sound (-54 dBFS) is there between the syllables."""
    t = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    knots = np.arange(0, seconds + 0.12, 0.12)
    syllables = np.interp(t, knots, rng.uniform(0, 1, len(knots)))
    envelope = np.clip(syllables * 1.5 - 0.3, 0, 1) * np.clip(8 * (np.sin(2 * np.pi * t / 2.4) + 0.8), 0, 1)
    pitch = 118 + 16 * np.sin(2 * np.pi * 0.7 * t) + 6 * np.sin(2 * np.pi * 5 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    first, second = 500 + 220 * np.sin(2 * np.pi * 1.7 * t), 1500 + 500 * np.sin(2 * np.pi * 1.1 * t + 1)
    wave = np.zeros_like(t)
    for k in range(1, 30):
        hz = k * pitch
        gain = np.exp(-(((hz - first) / 180) ** 2)) + 0.5 * np.exp(-(((hz - second) / 260) ** 2)) + 0.03
        wave += gain * np.sin(k * phase)
    wave *= envelope * 0.3 / np.abs(wave).max()
    wave += rng.normal(0, 0.002, len(wave))
    return np.tile(wave, (2, 1)).astype(np.float32), envelope.astype(np.float32)
