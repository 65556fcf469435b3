"""Ranges, matrices, Lab and transfer functions against their standards' numbers and against Pillow and round trips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mediaml.errors import InvalidValue
from mediaml.frames import Colour, Planes
from mediaml.ops import transfer
from mediaml.ops.colour import (
    code_range,
    coded_luma,
    lab_to_srgb,
    luma_weights,
    rgb_luma,
    rgb_to_yuv,
    srgb_to_lab,
    unit_luma,
    yuv_to_rgb,
)
from mediaml.spec import View
from tests.frames import luma_batch, rgb_batch

Curve = Callable[[torch.Tensor], torch.Tensor]
MATRICES = ("bt709", "bt470bg", "smpte170m", "smpte240m", "fcc", "bt2020nc")


def test_code_ranges() -> None:
    assert code_range(8, "limited") == (16, 235, 128, 112)
    assert code_range(10, "limited") == (64, 940, 512, 448)
    assert code_range(8, "full") == (0, 255, 128, 127.5)
    assert code_range(16, "full")[:3] == (0, 65535, 32768)


def test_unit_luma_clamps_foot_and_headroom() -> None:
    y = torch.tensor([0, 16, 235, 255], dtype=torch.uint8)
    assert unit_luma(y, 8, "limited").tolist() == [0, 0, 1, 1]
    y = torch.tensor([64, 502, 940, 1023], dtype=torch.int32).to(torch.uint16)
    assert unit_luma(y, 10, "limited").tolist() == pytest.approx([0, 0.5, 1, 1])


def test_bt709_limited_red_is_the_code_of_colour_bars() -> None:
    """100 % red in BT.709, 8 bits: Y 63, Cb 102, Cr 240 (rounded from 62.6, 102.3, 240)."""
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    y, u, v = rgb_to_yuv(red, Colour("bt709"))
    assert [round(t.item()) for t in (y, u, v)] == [63, 102, 240]


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(("bit_depth", "range"), [(8, "limited"), (10, "limited"), (12, "full"), (16, "limited")])
def test_yuv_round_trip(matrix: str, bit_depth: int, range: str) -> None:
    colour = Colour(matrix, range)  # type: ignore[arg-type]
    rgb = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    dtype = torch.uint8 if bit_depth == 8 else torch.uint16
    y, u, v = (p.round().to(torch.int32).to(dtype) for p in rgb_to_yuv(rgb, colour, bit_depth))
    back = yuv_to_rgb(Planes(y, u, v, bit_depth), colour)
    assert (back - rgb).abs().max() < 2.5 / 2**bit_depth + 1e-5


def test_subsampled_chroma_of_flat_colour_and_grey() -> None:
    y = torch.full((1, 1, 5, 7), 63, dtype=torch.uint8)
    u, v = torch.full((1, 1, 3, 4), 102, dtype=torch.uint8), torch.full((1, 1, 3, 4), 240, dtype=torch.uint8)
    rgb = yuv_to_rgb(Planes(y, u, v, 8), Colour("bt709"))
    assert rgb.shape == (1, 3, 5, 7)
    assert rgb[0, :, 2, 3].tolist() == pytest.approx([1, 0, 0], abs=0.01)
    grey = yuv_to_rgb(Planes(torch.full((1, 1, 2, 2), 235, dtype=torch.uint8), None, None, 8), Colour())
    assert grey.shape == (1, 3, 2, 2) and (grey == 1).all()


def test_gbr_planes_are_reordered() -> None:
    g, b, r = (torch.full((1, 1, 1, 1), v, dtype=torch.uint8) for v in (10, 20, 30))
    rgb = yuv_to_rgb(Planes(g, b, r, 8), Colour("gbr", "full"))
    assert (rgb.flatten() * 255).tolist() == pytest.approx([30, 10, 20])


def test_unsupported_matrix_is_a_typed_error() -> None:
    with pytest.raises(InvalidValue, match="ictcp"):
        luma_weights("ictcp")


def test_luma_of_a_16_bit_view_without_planes_is_refused() -> None:
    batch = luma_batch(np.zeros((1, 2, 2), np.uint16), bit_depth=10)
    assert coded_luma(batch)[1] == 10
    assert batch.planes is not None
    batch.views[View.luma()] = batch.planes.y
    batch.planes = None
    with pytest.raises(InvalidValue, match="bit depth"):
        coded_luma(batch)
    batch.views[View.luma()] = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    assert coded_luma(batch)[1] == 8


def test_rgb_luma_of_a_view() -> None:
    view = View.rgb(2, 1)
    batch = rgb_batch(np.array([[[[255, 0, 0], [0, 255, 0]]]], np.uint8), view)
    assert rgb_luma(batch.view(view).float()).flatten().tolist() == pytest.approx([255 * 0.2126, 255 * 0.7152])


def test_lab_of_known_colours() -> None:
    """sRGB primaries and white, D65 (values of CIE 15 arithmetic, Lindbloom)."""
    rgb = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.float64)
    expected = [[100, 0, 0], [53.24, 80.09, 67.20], [87.74, -86.18, 83.18], [32.30, 79.19, -107.86], [0, 0, 0]]
    assert srgb_to_lab(rgb).tolist() == [pytest.approx(e, abs=0.02) for e in expected]


def test_lab_round_trip() -> None:
    rgb = torch.rand(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(lab_to_srgb(srgb_to_lab(rgb)), rgb, rtol=0, atol=1e-6)


def test_pq_of_known_luminances() -> None:
    """BT.2100: 100, 1000 and 10000 cd/m2 are coded 0.5081, 0.7518 and 1."""
    coded = transfer.pq_encode(torch.tensor([0.0, 100, 1000, 10000], dtype=torch.float64))
    assert coded.tolist() == pytest.approx([0, 0.50808, 0.75183, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (transfer.pq_decode, transfer.pq_encode),
        (transfer.hlg_decode, transfer.hlg_encode),
        (transfer.srgb_decode, transfer.srgb_encode),
    ],
)
def test_transfer_round_trips(there: Curve, back: Curve) -> None:
    x = torch.linspace(0, 1, 257, dtype=torch.float64)
    light = there(x)
    assert (light.diff() > 0).all()
    torch.testing.assert_close(back(light), x, rtol=0, atol=1e-6)


def test_hlg_reference_white_and_system_gamma() -> None:
    """BT.2408: 75 % HLG is 26.5 % scene light; the OOTF's gamma is 1.2 at 1000 cd/m2 and 1.33 at 2000."""
    assert transfer.hlg_decode(torch.tensor([0.5, 0.75, 1.0])).tolist() == pytest.approx([1 / 12, 0.265, 1], abs=1e-3)
    assert transfer.hlg_system_gamma(1000) == pytest.approx(1.2)
    assert transfer.hlg_system_gamma(2000) == pytest.approx(1.326, abs=1e-3)
