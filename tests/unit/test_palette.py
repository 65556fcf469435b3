"""The palette of files whose colours are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.analyzers.colour_stats import SMALL_RGB
from mediaml.analyzers.palette import Palette, weighted_k_means
from mediaml.spec import Table, View
from tests.frames import rgb_batch

assert isinstance(SMALL_RGB.view, View)
VIEW = SMALL_RGB.view
COLOURS = [(20, 20, 25), (200, 30, 40), (40, 160, 60), (30, 60, 190), (240, 230, 90)]


def stripes(widths: list[int], noise: int = 0) -> NDArray[np.uint8]:
    """Vertical stripes of COLOURS, `widths` pixels each (256 in all)."""
    row = np.repeat(np.array(COLOURS[: len(widths)]), widths, axis=0)
    rgb = np.broadcast_to(row, (144, 256, 3)) + np.random.default_rng(0).integers(-noise, noise + 1, (144, 256, 3))
    return rgb.clip(0, 255).astype(np.uint8)


def palette(*pictures: NDArray[np.uint8], size: int = 100) -> tuple[NDArray, list[float]]:
    """(5, 3) colours in 0..255 and their shares."""
    analyzer = Palette()
    for i in range(0, len(pictures), size):
        assert analyzer.update(rgb_batch(np.stack(pictures[i : i + size]), VIEW)) == {}
    row = analyzer.finish()[Table.FILES]
    return np.array(row["palette_rgb"][0]).reshape(5, 3) * 255, row["palette_share"][0]


def test_five_colours_come_back_in_order_of_share() -> None:
    colours, shares = palette(stripes([100, 60, 48, 32, 16], noise=6))
    assert shares == pytest.approx([w / 256 for w in (100, 60, 48, 32, 16)], abs=1e-3)
    assert np.abs(colours - np.array(COLOURS)).max() < 2.5


def test_shares_are_over_the_file() -> None:
    colours, shares = palette(stripes([256]), stripes([256]), stripes([0, 256]))
    assert shares[:2] == pytest.approx([2 / 3, 1 / 3]) and shares[2:] == [0, 0, 0]
    assert np.abs(colours[:2] - np.array(COLOURS[:2])).max() < 0.01


def test_fewer_colours_repeat_the_first_with_share_zero() -> None:
    colours, shares = palette(np.zeros((144, 256, 3), np.uint8))
    assert shares == [1, 0, 0, 0, 0] and np.abs(colours).max() < 1e-3


def test_batches_and_order_do_not_matter_to_the_last_bit() -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (144, 256, 3)).astype(np.uint8) for _ in range(3)] + [stripes([100, 100, 56])]
    a, b = palette(*pictures), palette(*pictures[::-1], size=1)
    assert np.array_equal(a[0], b[0]) and a[1] == b[1]
    assert sum(a[1]) == pytest.approx(1)


def test_finish_resets() -> None:
    analyzer = Palette()
    assert analyzer.finish() == {}
    analyzer.update(rgb_batch(stripes([256])[None], VIEW))
    assert analyzer.finish() and analyzer.finish() == {}


def test_k_means_weights_and_fewer_points_than_centres() -> None:
    points = torch.tensor([[0.0], [1.0], [10.0]], dtype=torch.float64)
    centres, shares = weighted_k_means(points, torch.tensor([3.0, 1.0, 4.0], dtype=torch.float64), 2)
    assert sorted(centres.flatten().tolist()) == pytest.approx([0.25, 10]) and shares.tolist() == [0.5, 0.5]
    centres, shares = weighted_k_means(points, torch.ones(3, dtype=torch.float64), 5)
    assert shares.tolist() == pytest.approx([1 / 3] * 3 + [0, 0]) and len(centres) == 5
