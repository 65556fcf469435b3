"""Every fault of the alignment benchmark on a tiny clip: the right frames, the right part of the picture, the right words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.alignment_faults import Fault, Picture, faults
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair.plan import plan_pair
from mediaml.engine.score.pair import score
from mediaml.engine.score.text import alignment_line
from mediaml.errors import GeometryDiffers
from tests.real_clips import write

COUNT, WIDTH, HEIGHT = 72, 160, 96
FAULTS = {f.name: f for f in faults(COUNT)}
WORDS = {
    "none": "no offset; confidence",
    "offset of 17": "begins 0.680 s into the source",
    "encode trimmed": "source frames before the encode's first: 9, after its last: 20",
    "source trimmed": "the source begins 0.480 s into the encode",
    "9 dropped at once": "9 source frames left out (at 1.44 s)",
    "freeze of 12": "12 source frames lost in freezes that catch up",
    "25 to 30": "25 frames a second became 30 by showing frames again",
    "50 to 25": "25 frames a second became 12.5 by leaving frames out",
    "24 to 25": "25 frames a second became 26.0417 by showing frames again",
    "24 as 23.976": "25 frames a second are played at 24.975, frame for frame",
    "variable rate": "variable frame rate",
}


@pytest.fixture(scope="module")
def shown() -> list[Picture]:
    """Texture that pans at a varying speed, under a square that goes its own way; a cut in the middle."""
    rng = np.random.default_rng(3)
    grain = rng.normal(size=(2, HEIGHT + 40, 4 * WIDTH))
    kernel = np.exp(-(np.linspace(-2, 2, 15) ** 2))
    for axis in (1, 2):
        grain = np.apply_along_axis(lambda v: np.convolve(v, kernel / kernel.sum(), "same"), axis, grain)
    field = np.clip(120 + 45 * grain / grain.std(), 20, 230).astype(np.uint8)
    made = []
    for i in range(COUNT):
        x, y = int(2.4 * i + 12 * np.sin(i / 7)) + 14, int(10 + 8 * np.cos(i / 5))
        luma = field[2 * i // COUNT, y : y + HEIGHT, x : x + WIDTH].copy()
        luma[30:50, 10 + i : 34 + i] = 200 - i
        made.append(yuv(luma))
    return made


def yuv(luma: NDArray[np.uint8]) -> Picture:
    return np.concatenate([luma, np.full((luma.shape[0] // 2, luma.shape[1]), 128, np.uint8)])


def files(folder: Path, shown: Sequence[Picture], fault: Fault) -> tuple[Path, Path]:
    pictures = [shown[i] for i in fault.order]
    if fault.change is not None:
        pictures = [fault.change(p) for p in pictures]
    reference = write(folder / "r.mp4", shown[fault.head : len(shown) - fault.tail], crf=1)
    return write(folder / "d.mp4", pictures, crf=24, fps=fault.fps, pts=fault.pts), reference


@pytest.mark.parametrize("name", list(FAULTS))
def test_the_true_frames_are_found(shown: list[Picture], tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    plan = plan_pair(*(VideoFile.of(str(p)) for p in files(tmp_path, shown, fault)))
    assert plan.alignment is not None
    truth = fault.truth(COUNT)
    wrong = np.flatnonzero(plan.alignment.reference_index != truth)
    assert not len(wrong), (wrong, plan.alignment.reference_index[wrong], truth[wrong])
    assert plan.crops == (fault.crops(WIDTH, HEIGHT) if fault.crops else (None, None))


@pytest.mark.parametrize("name", list(WORDS))
def test_what_happened_is_said(shown: list[Picture], tmp_path: Path, name: str) -> None:
    result = score(*files(tmp_path, shown, FAULTS[name]), ["psnr_y"])
    assert WORDS[name] in alignment_line(result)


def test_a_blurred_shifted_picture_is_refused(shown: list[Picture], tmp_path: Path) -> None:
    import cv2

    blurred = [yuv(np.asarray(cv2.GaussianBlur(p[:HEIGHT], (0, 0), 1.2), np.uint8)) for p in shown[:30]]
    shifted = [yuv(np.roll(p[:HEIGHT], 4, axis=1)) for p in blurred]
    pair = write(tmp_path / "d.mp4", shifted, crf=20), write(tmp_path / "r.mp4", blurred, crf=1)
    with pytest.raises(GeometryDiffers, match=r"shifted by \d\.\d pixels right"):
        plan_pair(*(VideoFile.of(str(p)) for p in pair))
