"""SI and TI against a direct numpy and scipy implementation of ITU-T P.910, in every domain and bit depth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from mediaml.analyzers.quality_nr.siti import SiTi, domain_curve
from mediaml.errors import InvalidValue
from mediaml.frames import Colour
from mediaml.spec import Table
from tests.frames import FULL, luma_batch

LIMITED = Colour()


def moving(frames: int = 5, height: int = 90, width: int = 130, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    wide = ndimage.gaussian_filter(rng.uniform(0, 255, (height, width + 3 * frames)), 1.5, mode="wrap")
    wide = (wide - wide.min()) / (wide.max() - wide.min()) * 255
    return np.stack([wide[:, 3 * i : 3 * i + width] for i in range(frames)]).round().astype(np.uint8)


def pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    x = (light / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * x) / (1 + 18.6875 * x)) ** 78.84375


def si_ti(pictures: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """(N, H, W) in [0, 1] -> SI of each, TI from the second on."""
    si = []
    for p in pictures:
        magnitude = np.hypot(ndimage.sobel(p, axis=0), ndimage.sobel(p, axis=1))
        si.append(magnitude[1:-1, 1:-1].std() * 255)
    return si, [(b - a).std() * 255 for a, b in pairwise(pictures)]


def check(analyzer: SiTi, y: NDArray, colour: Colour, bit_depth: int, expected: NDArray[np.float64]) -> None:
    got = analyzer.update(luma_batch(y, colour, bit_depth))
    si, ti = si_ti(expected)
    assert got["si"].tolist() == pytest.approx(si, rel=1e-4, abs=1e-3)
    assert torch.isnan(got["ti"][0])
    assert got["ti"][1:].tolist() == pytest.approx(ti, rel=1e-4, abs=1e-3)
    row = analyzer.finish()[Table.FILES]
    assert row["si_max"][0] == pytest.approx(max(si), rel=1e-4)
    assert row["ti_mean"][0] == pytest.approx(np.mean(ti), rel=1e-4)


def test_sdr_limited_range_is_shown_by_bt1886_and_coded_by_pq() -> None:
    y = moving()
    signal = np.clip((y - 16.0) / 219, 0, 1)
    check(SiTi(), y, LIMITED, 8, pq(299.9 * signal**2.4 + 0.1))


def test_full_range_16_bit() -> None:
    y = moving().astype(np.uint16) * 257
    check(SiTi(), y, FULL, 16, pq(299.9 * (y / 65535) ** 2.4 + 0.1))


def test_pq_input_is_taken_as_it_is() -> None:
    y = moving().astype(np.uint16) * 4
    colour = Colour("bt2020nc", "limited", "smpte2084", "bt2020")
    check(SiTi(), y, colour, 10, np.clip((y - 64.0) / 876, 0, 1))


def test_hlg_input_is_shown_by_bt2100() -> None:
    y = moving().astype(np.uint16) * 16
    x = np.clip((y - 256.0) / 3504, 0, 1)
    scene = np.where(x <= 0.5, x**2 / 3, (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    colour = Colour("bt2020nc", "limited", "arib-std-b67", "bt2020")
    check(SiTi(), y, colour, 12, pq(999.99 * scene**1.2 + 0.01))


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_code_domain_is_the_2008_formula_on_8_bit_scale(bit_depth: int) -> None:
    y = moving()
    coded = y if bit_depth == 8 else y.astype(np.uint16) * 4 + 1
    check(SiTi("code"), coded, LIMITED, bit_depth, coded / 2 ** (bit_depth - 8) / 255)


@pytest.mark.parametrize("height", [64, 65, 66, 67, 130])
def test_strips_join_without_a_seam(height: int) -> None:
    y = moving(2, height, 40)
    check(SiTi("code"), y, LIMITED, 8, y / 255.0)


def test_device_path_equals_cpu_path() -> None:
    y = moving(4, 70, 50)
    batch = luma_batch(y, LIMITED)
    host, device = SiTi(), SiTi()
    expected = host.update(batch)
    assert batch.planes is not None
    got = device._on_device(batch.planes.y, domain_curve("pq", 8, LIMITED))
    torch.testing.assert_close(got, torch.stack([expected["si"], expected["ti"]]), rtol=1e-4, atol=1e-3, equal_nan=True)


def test_flat_pictures_have_none() -> None:
    analyzer = SiTi()
    got = analyzer.update(luma_batch(np.full((3, 20, 20), 16, np.uint8), LIMITED))
    assert got["si"].tolist() == [0, 0, 0] and got["ti"][1:].tolist() == [0, 0]


def test_pictures_below_three_pixels_have_no_si_but_ti() -> None:
    analyzer = SiTi("code")
    got = analyzer.update(luma_batch(np.array([[[10, 10]], [[20, 40]]], np.uint8)))
    assert torch.isnan(got["si"]).all() and got["ti"][1] == pytest.approx(10)
    row = analyzer.finish()[Table.FILES]
    assert row["si_max"] == [None] and row["ti_max"] == [pytest.approx(10)]


def test_single_frame_has_no_ti() -> None:
    analyzer = SiTi()
    analyzer.update(luma_batch(moving(1)))
    row = analyzer.finish()[Table.FILES]
    assert row["ti_max"] == [None] and row["ti_mean"] == [None] and row["si_max"][0] > 1
    assert analyzer.finish() == {}


def test_ti_starts_anew_where_the_size_changes() -> None:
    analyzer = SiTi()
    analyzer.update(luma_batch(moving(2)))
    got = analyzer.update(luma_batch(moving(2, 40, 60), first=2))
    assert torch.isnan(got["ti"]).tolist() == [True, False]


def test_unknown_domain_is_refused_and_the_domain_is_a_parameter() -> None:
    with pytest.raises(InvalidValue, match="'pq'"):
        SiTi("linear")  # type: ignore[arg-type]
    assert SiTi("code").parameters == {"domain": "code"}
