"""Separable filters: both implementations against scipy and each other; MATLAB's resize against its definition; GGD fits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from mediaml.errors import InvalidValue
from mediaml.ops import filters
from mediaml.ops.resize import imresize
from mediaml.ops.statistics import FLAT_MSCN, fit_aggd, fit_ggd, mscn

SCIPY_MODE = {"reflect": "mirror", "symmetric": "reflect", "replicate": "nearest", "zero": "constant"}
BORDERS = tuple(SCIPY_MODE)


def picture(height: int, width: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (
        torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height * 100 + width), dtype=dtype)
        * 255
    )


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", [(31, 17), (4, 5)])
def test_separable_is_scipys_correlation(border: filters.Border, size: tuple[int, int]) -> None:
    x = picture(*size)
    across, down = (0.1, 0.2, 0.7), (0.5, -0.25, 0.125, 1.0, 2.0)
    expected = ndimage.correlate1d(x.numpy(), across, axis=3, mode=SCIPY_MODE[border])
    expected = ndimage.correlate1d(expected, down, axis=2, mode=SCIPY_MODE[border])
    torch.testing.assert_close(
        filters.separable(x, across, down, border), torch.from_numpy(expected), rtol=0, atol=1e-10
    )


@settings(max_examples=40, deadline=None)
@given(
    h=st.integers(1, 12),
    w=st.integers(1, 12),
    kx=st.sampled_from([1, 3, 7, 11]),
    ky=st.sampled_from([1, 3, 7]),
    border=st.sampled_from(BORDERS),
)
def test_opencv_and_torch_paths_agree_at_any_size(h: int, w: int, kx: int, ky: int, border: filters.Border) -> None:
    x = picture(h, w, torch.float32)
    across, down = filters.gaussian_taps(kx, 1.3), filters.gaussian_taps(ky, 0.8)
    a = filters._separable_opencv(x, across, down, border)
    b = filters._separable_torch(x, across, down, border)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=255e-5)


def test_sobel_is_scipys() -> None:
    x = picture(9, 8)
    across, down = filters.sobel(x)
    for axis, got in ((1, across), (0, down)):
        expected = ndimage.sobel(x[1, 2].numpy(), axis=axis, mode="mirror")
        torch.testing.assert_close(got[1, 2], torch.from_numpy(expected), rtol=0, atol=1e-9)


def test_gaussian_taps_sum_to_one_and_refuse_nonsense() -> None:
    assert math.fsum(filters.gaussian_taps(7, 7 / 6)) == pytest.approx(1, abs=1e-12)
    for size, sigma in ((4, 1.0), (0, 1.0), (7, 0.0)):
        with pytest.raises(InvalidValue):
            filters.gaussian_taps(size, sigma)
    with pytest.raises(InvalidValue, match="uint8"):
        filters.separable(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), (1.0,), (1.0,))
    with pytest.raises(InvalidValue, match="odd"):
        filters.separable(torch.zeros(1, 1, 4, 4), (0.5, 0.5), (1.0,))


def matlab_resize_1d(x: np.ndarray, length: int, scale: float) -> np.ndarray:
    """The definition, written plainly: antialiased Keys cubic, mirrored border."""

    def cubic(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t <= 2 else 0.0

    shrink, n, out = min(scale, 1.0), len(x), []
    for i in range(length):
        centre = (i + 0.5) / scale - 0.5
        reach = 2 / shrink
        at = range(math.floor(centre - reach), math.ceil(centre + reach) + 1)
        weight = np.array([cubic((centre - j) * shrink) for j in at])
        source = [x[j % (2 * n)] if j % (2 * n) < n else x[2 * n - 1 - j % (2 * n)] for j in at]
        out.append(weight @ np.array(source) / weight.sum())
    return np.array(out)


@pytest.mark.parametrize(("length", "scale"), [(8, 0.5), (6, 1 / 3), (32, 2.0), (48, 3.0), (7, 7 / 16)])
def test_imresize_is_its_definition(length: int, scale: float) -> None:
    x = picture(16, 1)[:1, :1]
    expected = matlab_resize_1d(x[0, 0, :, 0].numpy(), length, scale).tolist()
    assert imresize(x, scale=scale)[0, 0, :, 0].tolist() == pytest.approx(expected, abs=1e-9)
    if length == 16 * scale:
        assert imresize(x, (length, 1))[0, 0, :, 0].tolist() == pytest.approx(expected, abs=1e-9)


def test_imresize_by_scale_rounds_up_and_keeps_flat_pictures_flat() -> None:
    flat = torch.full((1, 2, 13, 9), 7.0)
    got = imresize(flat, scale=0.5)
    assert got.shape == (1, 2, 7, 5) and (got - 7).abs().max() < 1e-5
    assert imresize(flat, scale=1.0) is flat
    for kernel in ("linear", "box"):
        assert (imresize(flat, (4, 20), kernel=kernel) - 7).abs().max() < 1e-5


def test_imresize_without_antialiasing_interpolates() -> None:
    x = torch.arange(8, dtype=torch.float64).view(1, 1, 1, 8)
    assert imresize(x, (1, 4), antialias=False).flatten()[1:3].tolist() == pytest.approx([2.5, 4.5])


@pytest.mark.parametrize("wrong", [{}, {"size": (2, 2), "scale": 0.5}, {"scale": 0.0}, {"size": (0, 2)}])
def test_imresize_refuses_nonsense(wrong: dict) -> None:
    with pytest.raises(InvalidValue):
        imresize(torch.zeros(1, 1, 4, 4), **wrong)
    with pytest.raises(InvalidValue, match="float"):
        imresize(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), scale=0.5)


def test_ggd_fit_finds_the_shape_of_samples() -> None:
    for shape in (0.8, 2.0, 4.0):
        x = stats.gennorm.rvs(shape, scale=2.0, size=200_000, random_state=0)
        alpha, variance = fit_ggd(torch.from_numpy(x)[None])
        assert alpha.item() == pytest.approx(shape, rel=0.03)
        assert variance.item() == pytest.approx(x.var(), rel=1e-3)


def test_aggd_fit_finds_shape_and_both_scales() -> None:
    rng = np.random.default_rng(0)
    magnitude = np.abs(stats.gennorm.rvs(1.5, size=400_000, random_state=rng))
    right = rng.random(400_000) < 3 / 4  # mass is proportional to scale
    fit = fit_aggd(torch.from_numpy(np.where(right, 3 * magnitude, -magnitude))[None])
    rms = np.sqrt((magnitude**2).mean())
    assert fit.alpha.item() == pytest.approx(1.5, rel=0.03)
    assert (fit.left.item(), fit.right.item()) == (pytest.approx(rms, rel=0.01), pytest.approx(3 * rms, rel=0.01))


def test_fits_of_nothing_are_nan_and_rows_are_independent() -> None:
    x = torch.stack([torch.zeros(100), torch.ones(100), torch.linspace(-1, 1, 100)])
    fit = fit_aggd(x)
    assert fit.alpha.isnan().tolist() == [True, True, False]
    assert fit_ggd(x)[0].isnan().tolist() == [True, False, False]
    assert fit_aggd(x[2:]).alpha == fit.alpha[2]


def test_mscn_of_flat_and_shifted_pictures() -> None:
    assert mscn(torch.full((1, 1, 20, 20), 200.0), "replicate").abs().max() < FLAT_MSCN
    x = picture(20, 24)[:, :1] / 2
    torch.testing.assert_close(mscn(x, "replicate"), mscn(x + 100, "replicate"), rtol=0, atol=1e-5)
    with_zero = mscn(torch.full((1, 1, 20, 20), 200.0), "zero")
    assert with_zero[0, 0, 0, 0] != 0 and with_zero[0, 0, 10, 10].abs() < FLAT_MSCN
