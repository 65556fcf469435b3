"""Training pairs for super-resolution x2: what a decoder gives at low resolution, beside the original at twice the size.

A shard is made from one seed and is the same whenever it is made: two clips of a moving camera over one picture, downscaled,
inter-coded three times each by x264, x265, SVT-AV1 or VP9 at a random CRF, decoded; beside them uncompressed pairs of the
same clips and of the picture itself. Luma only, limited range, uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.ops.resize import imresize
from pipelines.training_media.camera_motion import clip
from pipelines.training_media.drawings import drawing
from pipelines.training_media.encodes import Codec, Planes, as_viewed, rgb_to_planes
from pipelines.training_media.pictures import Picture

Plane = NDArray[np.uint8]
SIZE = (640, 384)  # width, height of a clip at high resolution
FRAMES = 10
SOFT_SEEDS = 1000  # from this seed on the originals are soft and were coded before, as real video is
PATCH = 64  # low-resolution pixels a side
_CRF: dict[Codec, tuple[float, float]] = {"x264": (18, 36), "x265": (18, 36), "svt-av1": (20, 48), "vp9": (20, 48)}
_CODEC_SHARE: dict[Codec, float] = {"x264": 0.4, "x265": 0.22, "svt-av1": 0.28, "vp9": 0.1}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Patches and whole frames of shards, luma codes of limited range.

    low, high      (M, 64, 64) and (M, 128, 128) uint8
    strength       (M,) float32, quantizer on H.264's scale over 51; 0 where nothing was coded
    frames         (K, 192, 320) uint8, whole decoded frames, for the estimator of the quantizer
    frame_strength (K,) float32
    """

    low: Plane
    high: Plane
    strength: NDArray[np.float32]
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
    """All pairs of some shards, in memory (about 3 MB a shard)."""
    loaded = [dict(np.load(path)) for path in paths]
    return Pairs(*(np.concatenate([shard[f.name] for shard in loaded]) for f in fields(Pairs)))


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
    chosen = rng.choice(len(pictures), size=3, replace=False)
    shown = [pictures[seed % len(pictures)].read(), *(pictures[i].read() for i in chosen[:2])]
    parts: list[_Part] = [_still_pairs(p, rng, 16) for p in (*shown, drawing((960, 720), seed))]
    if seed % 8 == 7:
        shown[0] = drawing((1600, 1000), seed)
    for k in range(2):
        soft = seed >= SOFT_SEEDS
        high = [rgb_to_planes(f) for f in clip(shown, SIZE, FRAMES, seed * 2 + k, soft=soft and k == 0)]
        if soft:
            high = [d.planes for d in as_viewed(high, "x264", float(rng.uniform(16, 26)))]
        kernel = "cubic" if rng.random() < 0.8 else "area"
        low = [(downscaled(y, kernel), downscaled(u, "area"), downscaled(v, "area")) for y, u, v in high]
        parts.append(_patches([high[4][0]], [low[4][0]], [0.0], rng, 10))
        parts += [_coded(high, low, rng) for _ in range(3)]
    return {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Pairs)}


_Part = Pairs


def _coded(high: Sequence[Planes], low: Sequence[Planes], rng: np.random.Generator) -> _Part:
    codec: Codec = rng.choice(list(_CODEC_SHARE), p=list(_CODEC_SHARE.values()))
    crf = float(np.round(rng.uniform(*_CRF[codec])))
    seen = as_viewed(
        low, codec, crf, preset={"x264": str(rng.choice(["veryfast", "medium"])), "x265": "fast"}.get(codec)
    )
    which = [int(i) for i in rng.choice(np.arange(1, FRAMES), size=2, replace=False)]
    if rng.random() < 0.2:
        which[0] = 0
    strength = [strength_of(codec, crf, seen[i].qp) for i in which]
    return _patches([high[i][0] for i in which], [seen[i].planes[0] for i in which], strength, rng, 9)


def _patches(
    high: Sequence[Plane], low: Sequence[Plane], strength: Sequence[float], rng: np.random.Generator, count: int
) -> _Part:
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


def _still_pairs(picture: NDArray[np.uint8], rng: np.random.Generator, count: int) -> _Part:
    """Uncompressed pairs of the picture, shrunk until it is sharp: what single-image benchmarks measure."""
    height, width = picture.shape[:2]
    scale = min(float(rng.uniform(400, 1300)) / min(height, width), 0.7)
    size = (max(256, round(width * scale)) // 4 * 4, max(256, round(height * scale)) // 4 * 4)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    luma = rgb_to_planes(small)[0]
    patches = _patches([luma], [downscaled(luma)], [0.0], rng, count)
    whole = np.zeros((0, SIZE[1] // 2, SIZE[0] // 2), np.uint8)
    return Pairs(patches.low, patches.high, patches.strength, whole, np.zeros(0, np.float32))
