"""PSNR, PSNR-HVS, XPSNR and CIEDE2000: definitions, limits, awkward input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mediaml import metrics
from mediaml.errors import InvalidValue, UnknownName
from mediaml.metrics.ciede2000 import difference
from mediaml.metrics.psnr_hvs import transform_float, transform_integer
from mediaml.metrics.xpsnr import History, block_size, block_sums


def codes(height: int, width: int, depth: int = 8, frames: int = 2, seed: int = 0) -> Tensor:
    """Noise around the middle of the range."""
    rng = torch.Generator().manual_seed(seed)
    top = 2**depth - 1
    found = torch.randint(top // 4, 3 * top // 4, (frames, 1, height, width), generator=rng, dtype=torch.int32)
    return found.to(torch.uint8 if depth == 8 else torch.uint16)


def moved(x: Tensor, by: int) -> Tensor:
    return (x.to(torch.int32) + by).to(x.dtype)


@pytest.mark.parametrize("depth", [8, 9, 10, 12, 14, 16])
def test_psnr_of_a_known_error(depth: int) -> None:
    x = codes(37, 53, depth)
    step = 2 ** (depth - 8) * 3
    expected = 20 * math.log10((2**depth - 1) / step)
    assert metrics.psnr(x, moved(x, step), bit_depth=depth).tolist() == pytest.approx([expected] * 2, abs=1e-9)
    assert metrics.mse(x, moved(x, step), bit_depth=depth)[0].item() == pytest.approx((step / (2**depth - 1)) ** 2)


@pytest.mark.parametrize(("depth", "cap"), [(8, 60), (10, 72), (16, 108)])
def test_equal_pictures_by_convention(depth: int, cap: float) -> None:
    x = codes(16, 16, depth)
    found = {
        c: metrics.psnr(x, x, bit_depth=depth, convention=c)[0].item() for c in ("libvmaf", "ffmpeg", "piq", "pyiqa")
    }
    assert found == {"libvmaf": cap, "ffmpeg": math.inf, "piq": pytest.approx(80), "pyiqa": pytest.approx(80)}


def test_psnr_of_float_and_of_wide_integers_is_that_of_codes() -> None:
    x, y = codes(20, 30), codes(20, 30, seed=1)
    expected = metrics.psnr(x, y)
    torch.testing.assert_close(metrics.psnr(x.double() / 255, y.double() / 255), expected)
    torch.testing.assert_close(metrics.psnr(x.to(torch.int64), y.to(torch.int64), bit_depth=8), expected)
    assert metrics.psnr(x[:, :, :1, :1], y[:, :, :1, :1]).shape == (2,)


def test_pooling_is_named() -> None:
    mse = torch.tensor([1e-3, 1e-5], dtype=torch.float64)
    assert metrics.pooled_psnr(mse).item() == pytest.approx(-10 * math.log10(5.05e-4))
    assert metrics.pooled_psnr(mse, pooling="frame_mean").item() == pytest.approx(40)
    assert metrics.pooled_psnr(mse * 0, pooling="frame_mean", cap=60).item() == 60
    assert metrics.psnr_611(torch.tensor(30.0), torch.tensor(40.0), torch.tensor(42.0)).item() == pytest.approx(32.75)
    with pytest.raises(InvalidValue, match="at least one"):
        metrics.pooled_psnr(torch.zeros(0))


def test_psnr_refusals() -> None:
    x = torch.rand(1, 1, 8, 8)
    with pytest.raises(UnknownName, match="did you mean libvmaf"):
        metrics.psnr(x, x, convention="libvmav")
    with pytest.raises(InvalidValue, match="NaN"):
        metrics.psnr(x * torch.nan, x)
    with pytest.raises(InvalidValue, match=r"0\.\.1023"):
        metrics.psnr(codes(8, 8, 12), codes(8, 8, 12), bit_depth=10)


def test_integer_transform_is_a_rounded_dct() -> None:
    x = codes(8, 8, frames=300)[:, 0].permute(1, 2, 0).to(torch.int32)
    exact = transform_float(x.double())
    assert (transform_integer(x) - exact).abs().max() < 5
    torch.testing.assert_close(exact[0, 0], x.double().sum(dim=(0, 1)) / 8)
    torch.testing.assert_close(exact.square().sum(dim=(0, 1)), x.double().square().sum(dim=(0, 1)))


def test_psnr_hvs_of_float_is_near_that_of_codes() -> None:
    x, y = codes(64, 71), codes(64, 71, seed=1)
    exact = metrics.psnr_hvs(x.double() / 255, y.double() / 255)
    torch.testing.assert_close(metrics.psnr_hvs(x, y), exact, rtol=0, atol=0.05)
    wide = [(t.to(torch.int32) * 257).to(torch.uint16) for t in (x, y)]
    torch.testing.assert_close(metrics.psnr_hvs(*wide, bit_depth=16), exact, rtol=0, atol=0.01)


def test_masking_hides_errors_in_texture_but_not_in_flat_places() -> None:
    texture, flat = codes(64, 64), torch.full((2, 1, 64, 64), 90, dtype=torch.uint8)
    noise = torch.randint(-3, 4, texture.shape, generator=torch.Generator().manual_seed(5))
    gain = []
    for x in (texture, flat):
        y = (x.to(torch.int64) + noise).to(torch.uint8)
        gain.append(metrics.psnr_hvs(x, y) - metrics.psnr_hvs(x, y, masking=False))
    assert (gain[0] > 5).all() and (gain[1] < 3).all() and (gain[1] >= 0).all()
    assert metrics.psnr_hvs(flat, flat).tolist() == [100.0, 100.0]
    with pytest.raises(InvalidValue, match="8 pixels"):
        metrics.psnr_hvs(flat[:, :, :7], flat[:, :, :7])


def test_psnr_hvs_has_a_gradient() -> None:
    x, y = (codes(32, 32, seed=s).float() / 255 for s in (0, 1))
    y = y.requires_grad_()
    metrics.psnr_hvs(x, y).sum().backward()
    assert y.grad is not None and y.grad.isfinite().all() and y.grad.abs().max() > 0


def test_xpsnr_does_not_depend_on_how_a_stream_is_cut() -> None:
    x, y = codes(120, 200, frames=5), codes(120, 200, frames=5, seed=1)
    whole = metrics.xpsnr(x, y, frame_rate=50)
    history, parts = History(), []
    for part, other in zip(x.split(2), y.split(2), strict=True):
        parts.append(metrics.xpsnr(part, other, frame_rate=50, history=history))
        history = history.after(part)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    assert metrics.pooled_xpsnr(whole[:, 0]).item() == pytest.approx(whole.mean().item(), abs=0.2)


def test_tiny_pictures_have_plain_psnr_for_xpsnr() -> None:
    x, y = codes(16, 20), codes(16, 20, seed=1)
    assert block_size(16, 20) == 0
    torch.testing.assert_close(metrics.xpsnr(x, y)[:, 0], metrics.psnr(x, y, convention="ffmpeg"))
    assert metrics.xpsnr(x, x).tolist() == [[100.0], [100.0]]
    assert block_size(2160, 3840) == 128
    with pytest.raises(InvalidValue, match="frame_rate"):
        metrics.xpsnr(x, y, frame_rate=0)


def test_errors_in_busy_blocks_weigh_less() -> None:
    x = torch.full((1, 1, 480, 720), 128, dtype=torch.uint8)
    x[..., :360] = codes(480, 360, frames=1)
    left, right = x.clone(), x.clone()
    left[..., 100:200] += 4
    right[..., 500:600] += 4
    assert metrics.psnr(x, left) == metrics.psnr(x, right)
    assert (metrics.xpsnr(x, left) > metrics.xpsnr(x, right) + 1).all()


def test_block_sums_of_a_picture_that_does_not_divide() -> None:
    found = block_sums(torch.arange(15.0).view(3, 5), 2, 2)
    assert found.tolist() == [[0 + 1 + 5 + 6, 2 + 3 + 7 + 8, 4 + 9], [10 + 11, 12 + 13, 14]]


def test_colour_differences_of_sharma_wu_and_dalal() -> None:
    """Pairs 1 and 7 of their table 1, but here hue weighs a quarter: a difference of chroma alone is theirs."""
    one = [torch.tensor(v, dtype=torch.float64) for v in ([50.0, 50.0], [2.6772, 0.0], [-79.7751, 0.0])]
    other = [torch.tensor(v, dtype=torch.float64) for v in ([50.0, 50.0], [0.0, -1.0], [-82.7485, 2.0])]
    found = difference((one[0], one[1], one[2]), (other[0], other[1], other[2]))
    assert found[1].item() == pytest.approx(2.3669, abs=1e-4)  # against grey: chroma alone
    assert 0 < found[0].item() < 2.0425  # mostly hue, which weighs a quarter


def test_ciede2000_repeats_chroma_and_wants_three_planes() -> None:
    y, d = codes(33, 47), codes(33, 47, seed=1)
    half = [codes(17, 24, seed=s) for s in (2, 3)]
    full = [t.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :33, :47] for t in half]
    torch.testing.assert_close(metrics.ciede2000([y, *half], [d, *half]), metrics.ciede2000([y, *full], [d, *full]))
    assert metrics.ciede2000([y, *half], [y, *half]).tolist() == [100.0, 100.0]
    with pytest.raises(InvalidValue, match="planes Y, U and V"):
        metrics.ciede2000([y], [d])
