"""Training pairs for super-resolution x2: what a decoder gives at low resolution, beside the original at twice the size.

A shard is made from one seed and is the same whenever it is made: two clips of a moving camera over one picture, downscaled,
inter-coded three times each by x264, x265, SVT-AV1 or VP9 at a random CRF, decoded; beside them uncompressed pairs of the
same clips and of the picture itself. Luma only, limited range, uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.ops.resize import imresize
from mediaml.restore.strength import Steady
from pipelines.training_media.camera_motion import clip
from pipelines.training_media.drawings import drawing
from pipelines.training_media.encodes import Codec, Planes, as_viewed, rgb_to_planes
from pipelines.training_media.pictures import Picture

Plane = NDArray[np.uint8]
SIZE = (640, 384)  # width, height of a clip at high resolution
FRAMES = 10
PATCH = 64  # low-resolution pixels a side
_CRF: dict[Codec, tuple[float, float]] = {"x264": (18, 37), "x265": (18, 37), "svt-av1": (20, 48), "vp9": (20, 48)}
_CODEC_SHARE: dict[Codec, float] = {"x264": 0.5, "x265": 0.18, "svt-av1": 0.24, "vp9": 0.08}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Patches and whole frames of shards, luma codes of limited range.

    low, high      (M, 64, 64) and (M, 128, 128) uint8
    strength       (M,) float32, quantizer on H.264's scale over 51 as `StrengthTrack` follows it; 0 where nothing was coded
    frame          (M,) int64, the frame below that a player estimates the strength from; -1 where it is exported or none
    frames         (K, 192, 320) uint8, whole decoded frames, for the estimator of the quantizer
    frame_strength (K,) float32
    """

    low: Plane
    high: Plane
    strength: NDArray[np.float32]
    frame: NDArray[np.int64]
    frames: Plane
    frame_strength: NDArray[np.float32]


def make_shard(pictures: Sequence[Picture], seed: int, folder: Path) -> Path:
    """Writes shard `seed` below `folder` unless it is there; gives its path."""
    path = folder / f"pairs_{seed:05d}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, allow_pickle=False, **_shard(pictures, seed))
        part.replace(path)
    return path


def read_shards(paths: Sequence[Path]) -> Pairs:
    """All pairs of some shards, in memory (about 5 MB a shard)."""
    return _joined([Pairs(**np.load(path)) for path in paths])


def _joined(parts: Sequence[Pairs]) -> Pairs:
    """One after the other, each `frame` counted from where the frames of its part begin."""
    begins = np.cumsum([0, *(len(p.frames) for p in parts)])
    moved = [
        replace(p, frame=np.where(p.frame < 0, -1, p.frame + begin)) for p, begin in zip(parts, begins, strict=False)
    ]
    return Pairs(*(np.concatenate([getattr(p, f.name) for p in moved]) for f in fields(Pairs)))


def downscaled(high: Plane, kernel: str = "cubic") -> Plane:
    """(H, W) -> (H/2, W/2): MATLAB's antialiased bicubic, or OpenCV's area average."""
    if kernel == "area":
        return cv2.resize(high, (high.shape[1] // 2, high.shape[0] // 2), interpolation=cv2.INTER_AREA).astype(np.uint8)
    small = imresize(torch.from_numpy(high)[None, None].float(), scale=0.5)
    return small.round_().clamp_(0, 255).to(torch.uint8)[0, 0].numpy()


def strength_of(codec: Codec, crf: float, qp: float | None) -> float:
    """The quantizer on H.264's scale over 51, from what the decoder exports, else from the CRF.

    AV1's and VP9's index of 0..255 (four times their CRF) spans about the same steps as H.264's 0..51.
    """
    if codec == "x264":
        return (crf if qp is None else qp) / 51
    if codec == "vp9":
        return (4 * crf if qp is None else qp) / 255
    return crf / 51 if codec == "x265" else crf / 63


def _shard(pictures: Sequence[Picture], seed: int) -> dict[str, NDArray]:
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 20])
    chosen = rng.choice(len(pictures), size=4, replace=False)
    shown = [_read(pictures[seed % len(pictures)]), *(_read(pictures[i]) for i in chosen)]
    parts = [_still_pairs(p, rng, 14) for p in (*shown, drawing((960, 720), seed))]
    shown = shown[:3]
    if seed % 8 == 7:
        shown[0] = drawing((1600, 1000), seed)
    for k in range(2):
        coded_before = seed % 5 in (1, 3)
        frames = clip(shown, SIZE, FRAMES, seed * 2 + k, soft=coded_before and k == 0)
        high = [rgb_to_planes(f) for f in frames]
        if coded_before:
            high = [d.planes for d in as_viewed(high, "x264", float(rng.uniform(14, 28)), preset="fast")]
        kernel = "cubic" if rng.random() < 0.8 else "area"
        low = [(downscaled(y, kernel), downscaled(u, "area"), downscaled(v, "area")) for y, u, v in high]
        parts.append(_patches([high[4][0]], [low[4][0]], [0.0], rng, 12))
        parts += [_coded(high, low, rng) for _ in range(3)]
    joined = _joined(parts)
    return {f.name: getattr(joined, f.name) for f in fields(Pairs)}


@lru_cache(maxsize=80)
def _read(picture: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, at most 3072 wide or high: reading 13 MB of PNG takes longer than a clip."""
    pixels = picture.read()
    shrink = 3072 / max(pixels.shape[:2])
    if shrink >= 1:
        return pixels
    size = (round(pixels.shape[1] * shrink), round(pixels.shape[0] * shrink))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _coded(high: Sequence[Planes], low: Sequence[Planes], rng: np.random.Generator) -> Pairs:
    codec: Codec = rng.choice(list(_CODEC_SHARE), p=list(_CODEC_SHARE.values()))
    crf = float(np.round(rng.uniform(*_CRF[codec])))
    seen = as_viewed(
        low, codec, crf, preset={"x264": str(rng.choice(["veryfast", "medium"])), "x265": "fast"}.get(codec)
    )
    which = sorted(int(i) for i in rng.choice(np.arange(1, FRAMES), size=3, replace=False))
    if rng.random() < 0.3:
        which[0] = 0
    exported = [d.qp for d in seen if d.qp is not None]
    known = strength_of(codec, crf, float(np.mean(exported)) if exported else None)
    track = Steady()
    steady = [track.next(strength_of(codec, crf, d.qp)) for d in seen]
    made = _patches([high[i][0] for i in which], [seen[i].planes[0] for i in which], [steady[i] for i in which], rng, 7)
    frames = np.stack([seen[i].planes[0] for i in (0, FRAMES // 2)])
    first = -1 if exported else 0
    return replace(
        made, frame=np.full_like(made.frame, first), frames=frames, frame_strength=np.full(2, known, np.float32)
    )


def _patches(
    high: Sequence[Plane], low: Sequence[Plane], strength: Sequence[float], rng: np.random.Generator, count: int
) -> Pairs:
    """`count` patches of every frame, more where there is detail; the frames whole as well."""
    lows, highs = [], []
    for big, small in zip(high, low, strict=True):
        for y, x in _places(big, rng, count):
            lows.append(small[y : y + PATCH, x : x + PATCH])
            highs.append(big[2 * y : 2 * (y + PATCH), 2 * x : 2 * (x + PATCH)])
    return Pairs(
        np.stack(lows),
        np.stack(highs),
        np.repeat(np.array(strength, np.float32), count),
        np.full(len(lows), -1),
        np.stack(low),
        np.array(strength, np.float32),
    )


def _places(high: Plane, rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """(row, column) of low-resolution patches: each the most detailed of four drawn at random."""
    height, width = high.shape[0] // 2 - PATCH, high.shape[1] // 2 - PATCH
    detail = cv2.integral(np.abs(cv2.Laplacian(high, cv2.CV_32F)))
    side = 2 * PATCH
    found = []
    for _ in range(count):
        y = 2 * rng.integers(height // 2 + 1, size=4)
        x = 2 * rng.integers(width // 2 + 1, size=4)
        top, left = 2 * y, 2 * x
        sums = detail[top + side, left + side] - detail[top, left + side] - detail[top + side, left] + detail[top, left]
        best = int(np.argmax(sums))
        found.append((int(y[best]), int(x[best])))
    return found


def _still_pairs(picture: NDArray[np.uint8], rng: np.random.Generator, count: int) -> Pairs:
    """Uncompressed pairs of the picture, shrunk until it is sharp: what single-image benchmarks measure."""
    height, width = picture.shape[:2]
    scale = min(float(rng.uniform(400, 1300)) / min(height, width), 0.7)
    size = (max(256, round(width * scale)) // 4 * 4, max(256, round(height * scale)) // 4 * 4)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    luma = rgb_to_planes(small)[0]
    patches = _patches([luma], [downscaled(luma)], [0.0], rng, count)
    whole = np.zeros((0, SIZE[1] // 2, SIZE[0] // 2), np.uint8)
    return replace(patches, frames=whole, frame_strength=np.zeros(0, np.float32))
