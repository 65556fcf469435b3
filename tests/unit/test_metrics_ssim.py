"""SSIM and MS-SSIM: conventions, both implementations, awkward input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue, UnknownName
from mediaml.metrics import ms_ssim, ssim
from mediaml.metrics.ssim_conventions import CONVENTIONS
from mediaml.metrics.windows import box, halved, shrunk

NAMES = sorted(CONVENTIONS)


def pair(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two smooth pictures and noisy copies of them, float64 in [0, 1]."""
    rng = torch.Generator().manual_seed(seed)
    small = torch.rand(2, 1, height // 8 + 2, width // 8 + 2, generator=rng, dtype=torch.float64)
    x = F.interpolate(small, size=(height, width), mode="bilinear")
    return x, (x + 0.05 * torch.randn(x.shape, generator=rng, dtype=torch.float64)).clamp(0, 1)


def plain_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Wang et al. 2004 by its equations, 11x11 Gaussian where it fits; (N, 1, H, W) on 0..255."""
    at = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-(at**2) / 4.5)
    window = (line[:, None] * line / line.sum() ** 2)[None, None]
    mx, my = F.conv2d(x, window), F.conv2d(y, window)
    vx, vy = F.conv2d(x * x, window) - mx**2, F.conv2d(y * y, window) - my**2
    cov = F.conv2d(x * y, window) - mx * my
    c1, c2 = 6.5025, 58.5225
    return ((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean(dim=(1, 2, 3))


def test_small_pictures_follow_the_equations() -> None:
    x, y = pair(60, 83)
    expected = plain_ssim(x * 255, y * 255)
    for name in ("wang2004", "piq"):
        torch.testing.assert_close(ssim(x, y, convention=name), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(ssim(x, y), expected, rtol=0, atol=2e-3)
    rounded = plain_ssim((x * 255).round(), (y * 255).round())
    torch.testing.assert_close(ssim(x, y, convention="pyiqa"), rounded, rtol=0, atol=1e-9)


def test_large_pictures_are_shrunk_as_the_convention_says() -> None:
    x, y = pair(640, 650)  # 640 / 256 is 2.5: MATLAB and libvmaf take 3, piq takes 2
    means = [F.avg_pool2d(t * 255, 2) for t in (x, y)]
    torch.testing.assert_close(ssim(x, y, convention="piq"), plain_ssim(*means), rtol=0, atol=1e-9)
    assert shrunk(x, "matlab").shape[2:] == (214, 217)
    assert shrunk(x, "libvmaf").shape[2:] == (213, 216)
    assert shrunk(x, "none") is x


def test_libvmafs_boxes_of_odd_sizes_keep_one_more() -> None:
    x = torch.arange(385.0 * 401).view(1, 1, 385, 401)
    small = shrunk(x, "libvmaf")  # by 2, boxes begin one pixel before the picture
    assert small.shape[2:] == (193, 201)
    assert small[0, 0, 0, 0] == x[0, 0, 0, 0]  # mirrored with the edge repeated: the corner four times
    assert small[0, 0, 1, 1] == x[0, 0, 1:3, 1:3].mean()


@pytest.mark.parametrize("name", NAMES)
def test_opencv_and_torch_say_the_same(name: str) -> None:
    x, y = (t.float() for t in pair(401, 397))
    other = x.clone().requires_grad_()
    torch.testing.assert_close(ssim(x, y, convention=name), ssim(other, y, convention=name).detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        ms_ssim(x, y, convention=name), ms_ssim(other, y, convention=name).detach(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_equal_pictures_give_one_and_worse_ones_less(name: str) -> None:
    x, y = pair(200, 180)
    worse = (x + 3 * (y - x)).clamp(0, 1)
    for metric in (ssim, ms_ssim):
        same, near, far = (metric(x, t, convention=name) for t in (x, y, worse))
        torch.testing.assert_close(same, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-5)
        assert (near < 0.999).all() and (far < near).all()


@pytest.mark.parametrize("name", NAMES)
def test_codes_of_any_depth_mean_the_same(name: str) -> None:
    x, y = pair(180, 190)
    eight = [(t * 255).round().to(torch.uint8) for t in (x, y)]
    expected = ssim(*eight, convention=name)
    for depth in (9, 10, 12, 16):
        wide = [(t.to(torch.int32) << (depth - 8)).to(torch.uint16) for t in eight]
        found = ssim(*wide, bit_depth=depth, convention=name)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 if name == "libvmaf" else 2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_flat_and_inverted_pictures_are_finite(name: str) -> None:
    flat = torch.full((1, 1, 180, 180), 200, dtype=torch.uint8)
    x = (pair(180, 180)[0][:1] * 255).to(torch.uint8)
    for a, b in ((flat, flat), (flat, flat - 40), (x, 255 - x), (flat, x)):
        for metric in (ssim, ms_ssim):
            found = metric(a, b, convention=name)
            assert found.isfinite().all() and (found <= 1.001).all()


@pytest.mark.parametrize("metric", [ssim, ms_ssim])
def test_gradient_points_to_the_reference(metric: object) -> None:
    x, y = (t[:1].float() for t in pair(180, 180))
    y = y.requires_grad_()
    metric(x, y).sum().backward()  # type: ignore[operator]
    assert y.grad is not None and y.grad.isfinite().all()
    with torch.no_grad():
        better = (y + 20 * y.grad).clamp(0, 1)
    assert metric(x, better) > metric(x, y)  # type: ignore[operator]


def test_refusals_say_what_is_wrong() -> None:
    x = torch.zeros(1, 1, 10, 64)
    with pytest.raises(InvalidValue, match="needs 11 pixels"):
        ssim(x, x)
    with pytest.raises(InvalidValue, match="needs 6 pixels"):
        ssim(x[:, :, :5], x[:, :, :5], convention="torchmetrics")
    with pytest.raises(InvalidValue, match="176 pixels"):
        ms_ssim(torch.zeros(1, 1, 175, 300), torch.zeros(1, 1, 175, 300))
    with pytest.raises(UnknownName, match="did you mean torchmetrics"):
        ssim(x, x, convention="torchmetric")
    with pytest.raises(InvalidValue, match="NaN"):
        ssim(torch.full((1, 1, 20, 20), torch.nan), torch.zeros(1, 1, 20, 20))


def test_box_and_halving_of_a_known_picture() -> None:
    x = torch.tensor([[[[1.0, 3.0, 5.0], [7.0, 9.0, 11.0], [13.0, 15.0, 17.0]]]])
    assert box(x, 2, 0, 2, 2).flatten().tolist() == [5.0, 8.0, 14.0, 17.0]
    assert box(x.clone().requires_grad_(), 2, 0, 2, 2).flatten().tolist() == [5.0, 8.0, 14.0, 17.0]
    assert halved(x, "pool_padded_left").flatten().tolist() == [1.0, 4.0, 10.0, 13.0]
    assert halved(x, "pool_padded_zero").flatten().tolist() == [0.25, 2.0, 5.0, 13.0]
    assert halved(torch.full((1, 1, 8, 8), 50.0), "wavelet").flatten().tolist() == pytest.approx([50.0] * 16, abs=1e-3)
