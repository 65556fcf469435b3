"""Which rows "fast_bilinear" reads, and what it makes of them."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mediaml.decode.colour import source_of, traits
from mediaml.decode.row_sampling import LUMA_SHARE, RowSampler, sampled_rows
from mediaml.decode.views import ViewMaker
from mediaml.spec import View
from tests.unit.test_planes import fill, stream


def grey_frame(picture: np.ndarray, pixel_format: str = "yuv444p") -> av.VideoFrame:
    """Luma of `picture` (H, W) in [0, 1], full range, neutral chroma."""
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], pixel_format)
    deep = pixel_format.endswith("10le")
    top, dtype = (1023, np.uint16) if deep else (255, np.uint8)
    fill(frame, 0, np.rint(picture * top).astype(dtype))
    for i in (1, 2):
        plane = frame.planes[i]
        fill(frame, i, np.full((plane.height, plane.width), (top + 1) // 2, dtype))
    frame.color_range = 2
    return frame


def fast(frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    seen = stream(width=frame.width, height=frame.height)
    return ViewMaker(View.rgb(width, height), seen).make(frame, source_of(traits(frame), seen))


@pytest.mark.parametrize(
    ("rows", "target", "step", "count"),
    [(1080, 224, 5, 216), (1080, 144, 7, 154), (720, 224, 3, 240), (720, 144, 3, 240), (540, 224, 1, 540), (270, 224, 1, 270),
     (2160, 224, 9, 240), (100, 224, 1, 100), (360, 9, 35, 10), (1, 5, 1, 1), (5, 1, 1, 5)],
)  # fmt: skip
def test_rows_that_are_read(rows: int, target: int, step: int, count: int) -> None:
    read = range(rows)[sampled_rows(rows, target, LUMA_SHARE)]
    assert (read.step, len(read)) == (step, count)
    assert abs(read[0] - (rows - 1 - read[-1])) <= 1  # from the middle out


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p", "yuv420p10le"])
@pytest.mark.parametrize(("width", "height"), [(16, 9), (48, 27), (224, 126), (320, 144), (64, 144)])
def test_positions_are_kept(width: int, height: int, pixel_format: str) -> None:
    y, x = np.mgrid[0:360, 0:640]
    for ramp, made in [(x / 639, lambda p: p[height // 2, :, 0]), (y / 359, lambda p: p[:, width // 2, 0])]:
        line = made(fast(grey_frame(ramp, pixel_format), width, height)).astype(float)
        expected = 255 * (np.arange(len(line)) + 0.5) / len(line)
        inner = slice(len(line) // 6, -(len(line) // 6))
        assert np.abs(line - expected)[inner].max() <= 1.5 + 0.25 * 255 / len(line)  # a quarter of a sample


def test_nearer_to_the_antialiased_picture_than_two_neighbouring_rows() -> None:
    rng = np.random.default_rng(5)
    texture = cv2.GaussianBlur(rng.normal(size=(270, 480)), (0, 0), 1.5)  # finer than the view shows, as in pictures
    picture = np.clip(0.5 + 0.15 * texture / texture.std(), 0, 1)
    whole = torch.from_numpy(picture)[None, None]
    wanted, neighbours = (
        F.interpolate(whole, (48, 85), mode="bilinear", antialias=a)[0, 0].numpy() for a in (True, False)
    )
    got = fast(grey_frame(picture), 85, 48)[..., 0] / 255
    assert np.abs(got - wanted).mean() < 0.95 * np.abs(neighbours - wanted).mean()


def test_both_fields_are_seen() -> None:
    fields = np.tile(np.array([[0.0], [1.0]]), (144, 320))
    for height in (144, 72, 48):
        picture = fast(grey_frame(fields), 160, height)
        assert 90 < picture.mean() < 165


def test_what_stands_between_pictures_is_not_handed_out() -> None:
    seen = stream(width=320, height=180)
    sampler = RowSampler()
    first, second = (grey_frame(np.full((180, 320), level)) for level in (0.25, 0.75))
    source = source_of(traits(first), seen)
    one = sampler.make(first, source, (32, 18))
    two = sampler.make(second, source, (32, 18))
    assert one.mean() < 80 and two.mean() > 170
    assert sampler.make(first, source, (16, 9)).shape == (9, 16, 3)
