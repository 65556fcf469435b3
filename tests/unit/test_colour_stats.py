"""Brightness and colour statistics of pictures whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.analyzers.colour_stats import SMALL_RGB, ColourStats, colourfulness, percentile
from mediaml.spec import View
from tests.frames import rgb_batch

assert isinstance(SMALL_RGB.view, View)
VIEW = SMALL_RGB.view
BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)


def halves(a: tuple[int, int, int], b: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Left half `a`, right half `b`."""
    rgb = np.empty((144, 256, 3), np.uint8)
    rgb[:, :128], rgb[:, 128:] = a, b
    return rgb


def stats(*pictures: NDArray[np.uint8]) -> dict[str, list[float]]:
    return {n: v.tolist() for n, v in ColourStats().update(rgb_batch(np.stack(pictures), VIEW)).items()}


def test_black_and_white_halves() -> None:
    got = stats(halves(BLACK, WHITE))
    expected = {
        "luma_mean": 0.5,
        "luma_std": 0.5,
        "luma_p01": 0,
        "luma_p50": 0,
        "luma_p99": 1,
        "saturation_mean": 0,
        "colourfulness": 0,
        "warmth": 0,
        "dark_share": 0.5,
        "bright_share": 0.5,
        "black_clip_share": 0.5,
        "white_clip_share": 0.5,
    }
    assert {n: v[0] for n, v in got.items()} == {n: pytest.approx(v, abs=1e-5) for n, v in expected.items()}


def test_black_is_defined_everywhere() -> None:
    got = stats(halves(BLACK, BLACK))
    assert {n for n, v in got.items() if v[0] != 0} == {"dark_share", "black_clip_share"}


def test_red_and_blue() -> None:
    red, mixed, blue = (stats(halves(*pair)) for pair in ((RED, RED), (RED, BLUE), (BLUE, BLUE)))
    assert [s["warmth"][0] for s in (red, mixed, blue)] == pytest.approx([1, 0, -1], abs=1e-6)
    assert red["saturation_mean"][0] == 1 and red["luma_mean"][0] == pytest.approx(0.2126, abs=1e-4)
    # opponents of red: (255, 127.5), of blue: (0, -255); equation 10
    spread = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, -63.75)
    assert mixed["colourfulness"][0] == pytest.approx(spread, rel=1e-4)
    assert red["colourfulness"][0] == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-4)


def test_frames_do_not_mix() -> None:
    both = stats(halves(BLACK, WHITE), halves(RED, BLUE))
    alone = stats(halves(RED, BLUE))
    assert {n: v[1] for n, v in both.items()} == {n: pytest.approx(v[0], abs=1e-6) for n, v in alone.items()}


def test_percentile_is_nearest_rank() -> None:
    x = torch.arange(1, 101, dtype=torch.float32).flip(0)[None]
    assert [percentile(x, s).item() for s in (0.0, 0.01, 0.5, 0.99, 1.0)] == [1, 1, 50, 99, 100]


def test_colourfulness_of_noise_against_numpy() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (1, 3, 1000)).astype(np.float64)
    r, g, b = rgb[0]
    rg, yb = r - g, 0.5 * (r + g) - b
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert colourfulness(torch.from_numpy(rgb)).item() == pytest.approx(expected)
