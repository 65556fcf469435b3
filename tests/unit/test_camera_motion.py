"""Camera motion on a picture that is moved by known amounts, and its class a shot."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.analyzers.shots.camera_motion import HEIGHT, VIEW, WIDTH, CameraMotion
from mediaml.derive.camera_class import CameraClass, classify, jitter
from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows
from tests.frames import rgb_batch
from tests.unit.derive_lakes import make_lake, put, shots

FPS = 10


def moved(dx: float = 0, dy: float = 0, scale: float = 1, degrees: float = 0, count: int = 6) -> NDArray[np.uint8]:
    """The scene moves by (dx, dy) px, grows by `scale` and turns by `degrees` a picture, about the middle."""
    random = np.random.default_rng(5)
    scene = cv2.GaussianBlur(random.integers(0, 256, (400, 600, 3), dtype=np.uint8), (0, 0), 2.5)
    scene = cv2.normalize(scene, np.empty_like(scene), 0, 255, cv2.NORM_MINMAX)
    shown = []
    for n in range(count):
        turn = cv2.getRotationMatrix2D((300, 200), -degrees * n, scale**n)  # OpenCV's angle is counter-clockwise
        turn[:, 2] += (dx * n - 300 + (WIDTH - 1) / 2, dy * n - 200 + (HEIGHT - 1) / 2)
        shown.append(cv2.warpAffine(scene, turn, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC))
    return np.stack(shown)


def rates(pictures: NDArray[np.uint8]) -> dict[str, NDArray]:
    analyzer = CameraMotion()
    analyzer.setup(torch.device("cpu"))
    found = analyzer.update(rgb_batch(pictures, VIEW, fps=FPS))
    return {name: column.numpy() for name, column in found.items()}


@pytest.mark.parametrize(
    ("motion", "name", "expected"),
    [
        ({"dx": -6.0}, "pan_rate", 6 * FPS / WIDTH),
        ({"dx": 3.0}, "pan_rate", -3 * FPS / WIDTH),
        ({"dy": -4.0}, "tilt_rate", 4 * FPS / WIDTH),
        ({"scale": 1.02}, "zoom_rate", np.log(1.02) * FPS),
        ({"degrees": 1.0}, "roll_rate", 1.0 * FPS),
    ],
)
def test_known_motion_is_measured(motion: dict, name: str, expected: float) -> None:
    found = rates(moved(**motion))
    assert all(np.isnan(column[0]) for column in found.values())
    assert found[name][1:] == pytest.approx(expected, rel=0.05)
    others = {"pan_rate", "tilt_rate", "zoom_rate"} - {name}
    assert all(np.abs(found[o][1:]).max() < 0.02 for o in others)


def test_a_moving_object_does_not_move_the_camera() -> None:
    pictures = moved()
    for n, picture in enumerate(pictures):
        cv2.circle(picture, (40 + 15 * n, 70), 25, (255, 255, 255), -1)
    assert np.abs(rates(pictures)["pan_rate"][1:]).max() < 0.02


def test_a_cut_and_a_flat_picture_are_unknown() -> None:
    cut = np.concatenate([moved(count=2), 255 - moved(dx=80, dy=40, count=2)[1:]])
    assert np.isnan(rates(cut)["pan_rate"][2])
    assert np.isnan(rates(np.full((3, HEIGHT, WIDTH, 3), 90, np.uint8))["pan_rate"]).all()


def steady(pan: float = 0, tilt: float = 0, zoom: float = 0, shake: float = 0) -> NDArray:
    noise = np.random.default_rng(1).normal(0, shake, (20, 3)) if shake else np.zeros((20, 3))
    return np.array([pan, tilt, zoom]) + noise


def test_classes() -> None:
    assert classify(steady()) == "static"
    assert classify(steady(pan=0.2)) == "pan_right" and classify(steady(pan=-0.2)) == "pan_left"
    assert classify(steady(tilt=0.2)) == "tilt_down" and classify(steady(zoom=0.1, pan=0.01)) == "zoom_in"
    assert classify(steady(pan=0.2, zoom=0.18)) == "moving" and classify(steady(pan=0.03)) == "moving"
    assert classify(steady(shake=0.05)) == "handheld" and jitter(steady(shake=0.05)) > 0.03
    assert classify(steady()[:2]) is None


def test_each_shot_gets_its_class_from_its_own_rates(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    names = ("pan_rate", "tilt_rate", "zoom_rate")
    columns = tuple(Column(n, "float32", "1/s", "a rate", nullable=True) for n in names)
    times = [n / FPS for n in range(20)]
    values = {"pan_rate": [None] + [0.0] * 9 + [0.3] * 10, "tilt_rate": [0.0] * 20, "zoom_rate": [0.0] * 20}
    rows = {"frame_index": list(range(20)), "pts_seconds": times, **values}
    motion = AnalyzerRows("camera_motion@1", "", {Table.FRAMES: columns}, {Table.FRAMES: rows})
    media = put(lake, "a", shots([0.0, 1.0, 2.0]), motion)
    found = CameraClass().run(lake, [media]).rows[Table.SHOTS]
    assert found["camera"] == ["static", "pan_right"]
