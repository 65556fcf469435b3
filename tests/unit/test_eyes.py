"""Eye openness, on drawn eyes."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from mediaml.ops import eyes
from mediaml.ops.eyes import eye_openness, luma_of

LEFT, RIGHT, NOSE = (80.0, 70.0), (140.0, 70.0), (110.0, 105.0)


def face(open_eyes: bool, iris: float = 0.2, angle: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    """Skin of .6 with two irises of .19 distances, half under the lids, or with two lines of lashes."""
    picture = np.full((160, 220), 0.6, np.float32)
    for x, y in (LEFT, RIGHT):
        at = (round(x), round(y))
        if open_eyes:
            cv2.circle(picture, at, 6, iris, -1, cv2.LINE_AA)
        else:
            cv2.line(picture, (at[0] - 11, at[1] + 3), (at[0] + 11, at[1] + 3), 0.15, 2, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((110, 80), angle, scale)
    return torch.from_numpy(cv2.warpAffine(picture, turn, (220, 160), borderMode=cv2.BORDER_REPLICATE))


def points(angle: float = 0.0, scale: float = 1.0) -> list[tuple[float, float]]:
    turn = cv2.getRotationMatrix2D((110, 80), angle, scale)
    return [tuple(float(v) for v in turn @ (*p, 1.0)) for p in (LEFT, RIGHT, NOSE)]  # type: ignore[misc]


@pytest.mark.parametrize("angle", [0.0, 25.0, -40.0])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_open_eyes_measure_more_than_the_line_of_lashes(angle: float, scale: float) -> None:
    wide, shut = (eye_openness(face(o, angle=angle, scale=scale), *points(angle, scale)) for o in (True, False))
    assert 0.05 < wide < 0.2
    assert shut < 0.5 * wide


def test_it_depends_on_the_irises_luma_so_faces_are_not_compared() -> None:
    dark, pale = (eye_openness(face(True, iris), *points()) for iris in (0.1, 0.4))
    assert dark > 1.5 * pale


def test_small_eyes_are_not_told_and_the_order_of_the_eyes_does_not_matter() -> None:
    assert math.isnan(eye_openness(face(True), (80.0, 70.0), (80.0 + eyes.LEAST_DISTANCE_PX - 1, 70.0), NOSE))
    assert eye_openness(face(True), LEFT, RIGHT, NOSE) == pytest.approx(eye_openness(face(True), RIGHT, LEFT, NOSE))


def test_eyes_beyond_the_picture_and_black_pictures_give_numbers() -> None:
    assert 0 <= eye_openness(face(True), (-20.0, 5.0), (40.0, -9.0), (10.0, 30.0)) <= 1
    assert eye_openness(torch.zeros(160, 220), *points()) == 0.0


def test_luma_is_that_of_bt709() -> None:
    picture = torch.tensor([[[255, 0, 0, 255]], [[0, 255, 0, 255]], [[0, 0, 255, 255]]], dtype=torch.uint8)
    assert luma_of(picture)[0].tolist() == pytest.approx([0.2126, 0.7152, 0.0722, 1.0], abs=1e-6)
