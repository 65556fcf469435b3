"""How the clips of mediaml_nr's data are spoiled, scaled and encoded: what is drawn, and what it does to the frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines import nr_encoders
from pipelines.training_media import encodes
from pipelines.training_media.encodes import Codec, Planes

FIRST_ENCODERS: tuple[Codec, ...] = ("x264", "x265", "vp9")  # of the first round
PRESETS: dict[Codec, str] = {"x264": "fast", "x265": "veryfast", "vp9": "6", "svt-av1": "10"}
CRF: dict[Codec, tuple[int, int]] = {"x264": (14, 44), "x265": (16, 45), "vp9": (12, 61), "svt-av1": (16, 61)}
TRAIN_SCALES, NEW_SCALES = (1.0, 0.667, 0.5, 0.333), (0.75, 0.4)
SPOILS = ("none", "noise", "blur", "recompressed", "upscaled")  # of the first round
_WIDER_SPOILS = (*SPOILS, "grain", "camera")
_WIDER_SHARES = (0.54, 0.08, 0.07, 0.08, 0.06, 0.09, 0.08)
_NOISY_SHARES = (0.35, 0.12, 0.06, 0.08, 0.05, 0.17, 0.17)  # of the third round's training
_MORE_SCALES = (0.85, 0.667, 0.6, 0.5, 0.45, 0.333)
_AMOUNTS = {
    "none": (0.0, 0.0),
    "noise": (2.0, 14.0),  # standard deviation, code values
    "blur": (0.5, 2.5),  # standard deviation, px
    "recompressed": (24.0, 42.0),  # CRF of the x264 encode before
    "upscaled": (1.4, 3.0),  # factor of the size lost before the encode
    "grain": (2.0, 12.0),  # standard deviation in the middle greys, code values
    "camera": (1.5, 10.0),  # the same at half of white
}
NOISY = ("noise", "grain", "camera")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a source is spoiled and encoded. `scale` is the encode's size over the source's; `codec` and `crf` name an encoder
    of PRESETS (first round) or of nr_encoders.ENCODERS, and its quality setting; `variant` are further arguments."""

    codec: str
    crf: float
    scale: float
    spoil: str
    amount: float
    interval: int  # frames between key frames
    variant: str = ""


def draw_recipe(part: str, rng: np.random.Generator) -> Recipe:
    """First round. Training: three codecs, four sizes. Test: SVT-AV1 in two of five and sizes never trained on in two of
    five."""
    test = part != "train"
    codec: Codec = "svt-av1" if test and rng.random() < 0.4 else FIRST_ENCODERS[int(rng.integers(len(FIRST_ENCODERS)))]
    scale = 1.0 if rng.random() < 0.5 else float(rng.choice(TRAIN_SCALES[1:]))
    if test and rng.random() < 0.4:
        scale = float(rng.choice(NEW_SCALES))
    spoil = str(rng.choice(SPOILS, p=[0.6, 0.1, 0.1, 0.12, 0.08]))
    amount = {name: rng.uniform(*_AMOUNTS[name]) for name in SPOILS[1:]}.get(spoil, 0.0)  # all are drawn
    return Recipe(codec, int(rng.integers(*CRF[codec])), scale, spoil, float(amount), 8 if rng.random() < 0.2 else 250)


def draw_wider_recipe(part: str, size: tuple[int, int], rng: np.random.Generator) -> Recipe:
    """Second round, of a source of `size` (width, height): every encoder of nr_encoders, three kinds of noise; AV1 and the
    sizes never trained on in two of five of a test. The third round's test is drawn alike."""
    test = part != "train"
    scale = 1.0 if rng.random() < 0.5 else float(rng.choice(TRAIN_SCALES[1:]))
    if test and rng.random() < 0.4:
        scale = float(rng.choice(NEW_SCALES))
    return _drawn(scale, size, _WIDER_SHARES, rng, test=test)


def draw_noisy_recipe(size: tuple[int, int], rng: np.random.Generator) -> Recipe:
    """Third round's training: nearly half of it noisy, two thirds made smaller, and more settings of the encoders."""
    scale = 1.0 if rng.random() < 0.35 else float(rng.choice(_MORE_SCALES))
    return _drawn(scale, size, _NOISY_SHARES, rng, later=True)


def draw_av1_recipe(size: tuple[int, int], rng: np.random.Generator) -> Recipe:
    """Fourth round: AV1's three encoders, for training, spoiled as in the second round."""
    scale = 1.0 if rng.random() < 0.45 else float(rng.choice(_MORE_SCALES))
    return _drawn(scale, size, _WIDER_SHARES, rng, codec="av1")


def _drawn(
    scale: float,
    size: tuple[int, int],
    shares: Sequence[float],
    rng: np.random.Generator,
    *,
    test: bool = False,
    later: bool = False,
    codec: str | None = None,
) -> Recipe:
    at = _even(size[0] * scale), _even(size[1] * scale)
    name, quality, variant = nr_encoders.draw(test, at, rng, later=later, codec=codec)
    spoil = str(rng.choice(_WIDER_SPOILS, p=shares))
    amount = float(rng.uniform(*_AMOUNTS[spoil]))
    drawn = int(rng.choice([8, 12, 250], p=[0.15, 0.15, 0.7]))
    interval = nr_encoders.ENCODERS[name].interval or drawn
    return Recipe(name, quality, scale, spoil, amount, interval, variant)


def spoiled(frames: Sequence[Planes], recipe: Recipe, rng: np.random.Generator) -> list[Planes]:
    """The frames as the encoder's owner has them."""
    out = list(frames)
    height, width = frames[0][0].shape
    if recipe.spoil == "recompressed":
        out = [d.planes for d in encodes.as_viewed(out, "x264", round(recipe.amount), preset="veryfast")]
    elif recipe.spoil == "noise":
        out = [(_noisy(y, recipe.amount, rng), _noisy(u, recipe.amount / 2, rng), v) for y, u, v in out]
    elif recipe.spoil in ("grain", "camera"):
        out = _filmed(out, recipe.spoil, recipe.amount, rng)
    elif recipe.spoil == "blur":
        out = [_each(f, lambda p: cv2.GaussianBlur(p, (0, 0), recipe.amount)) for f in out]
    elif recipe.spoil == "upscaled":
        small = _even(width / recipe.amount), _even(height / recipe.amount)
        out = [_resized(_resized(f, small), (width, height)) for f in out]
    return out


def scaled(frames: Sequence[Planes], scale: float) -> list[Planes]:
    """The frames at an encode's size."""
    height, width = frames[0][0].shape
    return [_resized(f, (_even(width * scale), _even(height * scale))) for f in frames]


def _noisy(plane: NDArray[np.uint8], deviation: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(np.rint(plane + rng.normal(0, deviation, plane.shape)), 0, 255).astype(np.uint8)


def _filmed(frames: Sequence[Planes], kind: str, amount: float, rng: np.random.Generator) -> list[Planes]:
    """Film grain: blobs of .5 to 1.3 px, strongest in the middle greys, weak in colour. A camera's noise: its variance grows
    with the light (shot noise) over a floor (read noise), a demosaic's width of 0 to .8 px, strong in colour."""
    grain = kind == "grain"
    width = float(rng.uniform(0.5, 1.3) if grain else rng.uniform(0.0, 0.8))
    floor, colour = float(rng.uniform(0.1, 0.6)), float(rng.uniform(0.0, 0.3) if grain else rng.uniform(0.3, 0.9))
    out = []
    for y, u, v in frames:
        light = np.clip((y.astype(np.float32) - 16) / 219, 0, 1)
        strength = 4 * light * (1 - light) * 0.8 + 0.2 if grain else np.sqrt(floor + (1 - floor) * 2 * light)
        half = cv2.resize(strength, (u.shape[1], u.shape[0]), interpolation=cv2.INTER_AREA)
        parts = ((y, amount * strength), (u, colour * amount * half), (v, colour * amount * half))
        y, u, v = (np.clip(np.rint(p + s * _blobs(p.shape, width, rng)), 0, 255).astype(np.uint8) for p, s in parts)
        out.append((y, u, v))
    return out


def _blobs(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Normal noise of deviation 1, blurred by `width` px."""
    plain = rng.standard_normal(shape, dtype=np.float32)
    if width < 0.3:
        return plain
    soft = cv2.GaussianBlur(plain, (0, 0), width)
    return np.asarray(soft / max(float(soft.std()), 1e-6), np.float32)


def _each(frame: Planes, change: Callable[[Any], Any]) -> Planes:
    y, u, v = frame
    return change(y), change(u), change(v)


def _even(size: float) -> int:
    return max(16, 2 * round(size / 2))


def _resized(frame: Planes, size: tuple[int, int]) -> Planes:
    """(width, height) of luma; antialiased down, bicubic up."""
    if (frame[0].shape[1], frame[0].shape[0]) == size:
        return frame
    how = cv2.INTER_AREA if size[0] < frame[0].shape[1] else cv2.INTER_CUBIC
    chroma = size[0] // 2, size[1] // 2
    y, u, v = (
        np.asarray(cv2.resize(p, s, interpolation=how), np.uint8)
        for p, s in zip(frame, (size, chroma, chroma), strict=True)
    )
    return y, u, v
