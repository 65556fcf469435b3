"""Flashes: the numbers of ITU-R BT.1702 and WCAG 2.3.1."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.flashes import Flashes, chromaticity
from tests.detecting import FPS, kinds, small_spans


def code(light: float) -> int:
    """The sRGB code value of a relative luminance."""
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


def flicker(
    rate: float,
    dark: float,
    bright: float,
    *,
    seconds: float = 3.0,
    rows: int = 144,
    colour: tuple[int, int, int] = (1, 1, 1),
) -> NDArray[np.uint8]:
    """Grey pictures whose upper `rows` flash `rate` times a second between two relative luminances."""
    frames = round(seconds * FPS)
    rgb = np.full((frames, 144, 256, 3), code(dark), np.uint8)
    lit = (np.arange(frames) / FPS * 2 * rate).astype(int) % 2 == 1
    rgb[lit, :rows] = np.array(colour) * code(bright)
    return rgb


@pytest.mark.parametrize(
    ("rate", "found"),
    [(2.0, []), (3.0, []), (4.0, ["flashes"]), (10.0, ["flashes"])],
    ids=["2", "3", "4", "10 a second"],
)
def test_more_than_three_flashes_a_second(rate: float, found: list[str]) -> None:
    assert kinds(small_spans(Flashes(), flicker(rate, 0.1, 0.6))) == found


@pytest.mark.parametrize(
    ("dark", "bright", "found"),
    [
        pytest.param(0.30, 0.42, ["flashes"], id="a tenth and more"),
        pytest.param(0.30, 0.39, [], id="less than a tenth"),
        pytest.param(0.78, 0.95, ["flashes"], id="darker image under 0.8"),
        pytest.param(0.83, 1.00, [], id="darker image over 0.8"),
    ],
)
def test_a_flash_is_a_tenth_of_the_greatest_luminance(dark: float, bright: float, found: list[str]) -> None:
    assert kinds(small_spans(Flashes(), flicker(5.0, dark, bright))) == found


@pytest.mark.parametrize(("rows", "found"), [(32, []), (40, ["flashes"])])
def test_a_quarter_of_the_picture(rows: int, found: list[str]) -> None:
    """A quarter of 144 rows is 36."""
    assert kinds(small_spans(Flashes(), flicker(5.0, 0.1, 0.6, rows=rows))) == found


def test_rate_and_times() -> None:
    quiet = np.full((50, 144, 256, 3), code(0.1), np.uint8)
    rgb = np.concatenate([quiet, flicker(5.0, 0.1, 0.6, seconds=2.0), quiet])
    (found,) = small_spans(Flashes(), rgb)
    assert found["start_seconds"] == pytest.approx(2.1, abs=0.05)  # the first rise
    assert found["end_seconds"] == pytest.approx(4.0, abs=0.05)  # the last fall
    assert found["message"].startswith("5 flashes")


def test_a_saturated_red_of_even_luminance_flashes() -> None:
    red = np.full((75, 144, 256, 3), (100, 105, 110), np.uint8)
    lit = (np.arange(75) / FPS * 10).astype(int) % 2 == 1
    red[lit] = (225, 0, 0)
    assert kinds(small_spans(Flashes(), red)) == ["red_flashes"]
    blue = red.copy()
    blue[lit] = (60, 60, 255)
    assert kinds(small_spans(Flashes(), blue)) == []


def test_chromaticity_of_known_colours() -> None:
    """CIE 1976 u'v' of BT.709 red and of D65 white."""
    found = chromaticity(np.array([[1, 0, 0], [1, 1, 1], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(found, [[0.4507, 0.5229], [0.1978, 0.4683], [0.1978, 0.4683]], atol=5e-4)


def test_a_pan_over_fine_shapes_is_no_flash() -> None:
    from tests.detecting import panning

    assert small_spans(Flashes(), panning(75, step=3.0)) == []


def test_a_texture_in_motion_is_no_flash() -> None:
    """Bars of 16 px that move by half a period a frame: half of the cells brighten while the others darken."""
    columns = np.arange(256)
    pictures = [np.where((columns + 8 * i) // 16 % 2 == 0, 230, 20).astype(np.uint8) for i in range(50)]
    rgb = np.stack([np.broadcast_to(p[None, :, None], (144, 256, 3)) for p in pictures])
    assert small_spans(Flashes(), rgb) == []


def test_red_flashes_after_a_reddish_scene() -> None:
    """What the first red is compared with is the grey before it, not the scene that the file began with."""
    rgb = np.full((75, 144, 256, 3), (68, 12, 10), np.uint8)
    lit = (np.arange(50) // 3) % 2 == 1
    rgb[25:] = np.where(lit[:, None, None, None], np.array([225, 0, 0], np.uint8), np.array([100, 105, 110], np.uint8))
    (found,) = [f for f in small_spans(Flashes(), rgb) if f["kind"] == "red_flashes"]
    assert found["start_seconds"] > 1.0 and found["end_seconds"] > 2.5
