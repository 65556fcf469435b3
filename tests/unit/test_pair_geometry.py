"""Where one picture of a pair lies in the other: crops, bars, scales, maps; shifts, shears and turns refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml.decode.alignment.signal import Window
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.geometry import _fits_better, _nearby
from mediaml.decode.pair.pictures import Crop
from mediaml.decode.pair.plan import plan_pair
from mediaml.decode.picture_map import picture_map, plainly_whole
from mediaml.errors import GeometryDiffers
from tests.clips import make_clip, texture
from tests.real_clips import write

LOSSLESS = {"qp": "0"}


def video(path: Path) -> VideoFile:
    return VideoFile.of(str(path))


def test_a_shifted_picture_is_refused(tmp_path: Path) -> None:
    a = video(make_clip(tmp_path / "a.mp4", [texture(320, 180, 3 * i) for i in range(8)], options=LOSSLESS))
    moved = [np.roll(texture(320, 180, 3 * i), 4, axis=0) for i in range(8)]
    b = video(make_clip(tmp_path / "b.mp4", moved, options=LOSSLESS))
    with pytest.raises(GeometryDiffers, match=r"shifted by (3.9|4.[01]) pixels down"):
        plan_pair(b, a)


def test_a_letterbox_is_undone(tmp_path: Path) -> None:
    a = video(make_clip(tmp_path / "a.mp4", [texture(320, 180, 3 * i) for i in range(8)], options=LOSSLESS))
    barred = []
    for i in range(8):
        canvas = np.zeros((180, 320, 3), np.uint8)
        canvas[22:158] = cv2.resize(texture(320, 180, 3 * i), (320, 136), interpolation=cv2.INTER_AREA)
        barred.append(canvas)
    plan = plan_pair(video(make_clip(tmp_path / "b.mp4", barred, options=LOSSLESS)), a)
    assert plan.crops == (Crop(0, 22, 320, 136), None)
    assert any("has bars" in note for note in plan.notes)


def test_a_centre_cut_is_compared_with_its_part(tmp_path: Path) -> None:
    a = video(make_clip(tmp_path / "a.mp4", [texture(320, 180, 3 * i) for i in range(8)], options=LOSSLESS))
    cut = [texture(320, 180, 3 * i)[:, 40:280] for i in range(8)]
    plan = plan_pair(video(make_clip(tmp_path / "b.mp4", cut, options=LOSSLESS)), a)
    assert plan.crops == (None, Crop(40, 0, 240, 180)) and plan.form.size == (240, 180)
    assert plan.alignment is not None  # made again within the crop
    assert plan.alignment.reference_window == Window(40 / 320, 0, 280 / 320, 1)
    assert plan.alignment.reference_index.tolist() == list(range(8))


def test_another_size_is_no_fault(tmp_path: Path) -> None:
    a = video(make_clip(tmp_path / "a.mp4", [texture(320, 180, 3 * i) for i in range(8)], options=LOSSLESS))
    small = [cv2.resize(texture(320, 180, 3 * i), (214, 120), interpolation=cv2.INTER_AREA) for i in range(8)]
    plan = plan_pair(video(make_clip(tmp_path / "b.mp4", small, options=LOSSLESS)), a)
    assert plan.crops == (None, None) and plan.form.size == (320, 180)


def test_a_crop_that_fits_no_better_than_the_whole_is_none() -> None:
    whole = texture(320, 180, 0)[:, :, 0]
    inner = np.ascontiguousarray(whole[20:160, 32:288])
    cut = cv2.resize(inner, (320, 180), interpolation=cv2.INTER_CUBIC)
    crop, sizes = Crop(32, 20, 256, 140), [(256, 140), (320, 180)]
    assert _fits_better([(cut, whole)], (None, crop), sizes)
    blurred = cv2.GaussianBlur(whole, (0, 0), 4)
    assert not _fits_better([(blurred, whole)], (None, Crop(0, 2, 320, 178)), [(320, 180), (320, 180)])


def test_a_crop_moves_to_where_the_pictures_differ_least() -> None:
    whole = texture(320, 180, 0)[:, :, 0]
    cut = cv2.resize(np.ascontiguousarray(whole[20:160, 32:288]), (320, 180), interpolation=cv2.INTER_CUBIC)
    sizes = [(256, 140), (320, 180)]
    for guess in (Crop(30, 24, 256, 140), Crop(36, 20, 256, 140)):
        assert _nearby([(cut, whole)], (None, guess), sizes) == (None, Crop(32, 20, 256, 140))
    blurred = cv2.GaussianBlur(whole, (0, 0), 4)
    bars = [(320, 184), (320, 180)]
    assert _nearby([(blurred, whole)], (Crop(0, 2, 320, 180), None), bars)[1] is None


def starved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a coder short of bits leaves of it: blurred in blocks, and coarse in levels."""
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    coarse = (small // 6 * 6 + 3).astype(np.uint8)
    return cv2.resize(coarse, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize(
    "matrix", [[[0.9, 0, 16], [0, 0.9, 9]], [[1, 0.03, -2], [0, 1, 0]], [[0.9994, -0.035, 3], [0.035, 0.9994, -4]]]
)
def test_whole_pictures_tell_a_map_to_a_fraction_of_a_pixel(matrix: list[list[float]]) -> None:
    """A part, a shear and a turn of a starved picture."""
    whole, true = texture(640, 360, 0)[:, :, 0], np.array(matrix)
    centred = true.copy()
    centred[:, 2] += true[:, :2] @ [0.5, 0.5] - 0.5
    part = cv2.warpAffine(whole, centred, (640, 360), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    found = picture_map(starved(part), whole)
    assert found is not None and not plainly_whole(found, whole.shape)
    corners = np.array([[60, 60, 1], [580, 60, 1], [60, 300, 1], [580, 300, 1]])
    assert np.abs(corners @ (found - true).T).max() < 0.5


@pytest.mark.parametrize(
    ("matrix", "word"), [([[1, 0.03, -2], [0, 1, 0]], "sheared"), ([[1, -0.03, 3], [0.03, 1, -4]], "turned")]
)
def test_a_sheared_or_turned_encode_is_refused(tmp_path: Path, matrix: list[list[float]], word: str) -> None:
    shown = [texture(320, 180, 3 * i) for i in range(8)]
    a = video(make_clip(tmp_path / "a.mp4", shown, options=LOSSLESS))
    mapped = [cv2.warpAffine(p, np.array(matrix, np.float64), (320, 180), borderMode=cv2.BORDER_REFLECT) for p in shown]
    b = video(make_clip(tmp_path / "b.mp4", mapped, options={"crf": "34"}))
    with pytest.raises(GeometryDiffers, match=word):
        plan_pair(b, a)


def test_a_slight_crop_of_a_slow_zoom(shared_data: Path, tmp_path: Path) -> None:
    """Whole thumbnails of the encode fit those of other times better, as the camera zooms; within the crop they do not."""
    from tests.real_clips import frames_of

    shown = frames_of(shared_data / "video/pytorch+torchcodec/test/resources/nasa_13013.mp4", 70, (320, 180))
    cut = [
        np.concatenate([p[4:176, 4:316].ravel(), p[180:].reshape(2, 90, 160)[:, 2:88, 2:158].ravel()]) for p in shown
    ]
    encode = write(tmp_path / "e.mp4", [c.reshape(-1, 312) for c in cut[5:]], crf=30)
    plan = plan_pair(video(encode), video(write(tmp_path / "r.mp4", shown, crf=4)))
    assert plan.crops == (None, Crop(4, 4, 312, 172))
    assert plan.alignment is not None and plan.alignment.reference_index.tolist() == list(range(5, 70))
