"""The fast shot detector on generated sequences whose transitions are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.analyzers.shots.fast import VIEW, FastShots
from mediaml.spec import Table
from tests.frames import rgb_batch

Frames = NDArray[np.uint8]  # (N, 27, 48, 3)


def shot(seed: int, count: int) -> Frames:
    """A picture of blobs that drifts slowly."""
    random = np.random.default_rng(seed)
    base = cv2.resize(random.integers(0, 256, (10, 18, 3), dtype=np.uint8), (96, 54), interpolation=cv2.INTER_CUBIC)
    return np.stack([base[:27, n // 16 : n // 16 + 48] for n in range(count)])


def shots_of(frames: Frames, group: int = 40) -> list[tuple[int, int, str]]:
    analyzer = FastShots()
    analyzer.setup(torch.device("cpu"))
    for start in range(0, len(frames), group):
        analyzer.update(rgb_batch(frames[start : start + group], VIEW, fps=25, first=start))
    rows = analyzer.finish()[Table.SHOTS]
    return list(zip(rows["start_frame"], rows["end_frame"], rows["transition"], strict=True))


def mixed(old: Frames, new: Frames) -> Frames:
    share = ((np.arange(len(old)) + 1) / (len(old) + 1))[:, None, None, None]
    return np.round(old * (1 - share) + new * share).astype(np.uint8)


def test_a_cut_is_found_to_the_frame_however_frames_are_grouped() -> None:
    frames = np.concatenate([shot(1, 30), shot(2, 30), shot(3, 30)])
    expected = [(0, 30, "cut"), (30, 60, "cut"), (60, 90, "end")]
    assert shots_of(frames) == expected
    assert shots_of(frames, group=7) == expected


def test_a_dissolve_is_one_gradual_transition() -> None:
    old, new = shot(1, 50), shot(2, 50)
    frames = np.concatenate([old[:34], mixed(old[34:], new[:16]), new[16:]])
    (first, second) = shots_of(frames)
    assert first[2] == "gradual" and second[2] == "end"
    assert abs(first[1] - 34) <= 2 and abs(second[0] - 50) <= 2


def test_a_fade_through_black_is_one_transition() -> None:
    old, new = shot(1, 44), shot(2, 44)
    black = np.zeros_like(old[:1])
    out, back = mixed(old[34:], np.repeat(black, 10, 0)), mixed(np.repeat(black, 10, 0), new[:10])
    found = shots_of(np.concatenate([old[:34], out, black, back, new[10:]]))
    assert [f[2] for f in found] == ["gradual", "end"]
    assert abs(found[0][1] - 34) <= 2 and 53 <= found[1][0] <= 63  # the end of a fade is found less exactly


@pytest.mark.parametrize("length", [1, 2, 3])
def test_flashes_are_no_cuts(length: int) -> None:
    frames = shot(1, 80)
    frames[40 : 40 + length] = 250
    assert shots_of(frames) == [(0, 80, "end")]


def test_one_frame_and_no_frame() -> None:
    assert shots_of(shot(1, 1)) == [(0, 1, "end")]
    analyzer = FastShots()
    analyzer.setup(torch.device("cpu"))
    assert analyzer.finish() == {}
