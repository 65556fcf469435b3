"""HDR to SDR against the formulas of BT.2100, BT.2390 and BT.2087, evaluated in float64 a pixel at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.decode.tonemap import TARGET_PEAK, ToneMap, eetf, hlg_to_scene, light_to_pq, pq_to_light
from mediaml.frames import Colour
from mediaml.media import HdrInfo
from mediaml.spec import Need, View

PQ = Colour("bt2020nc", "limited", "smpte2084", "bt2020")
HLG = Colour("bt2020nc", "limited", "arib-std-b67", "bt2020")


def tone(colour: Colour, hdr: HdrInfo | None = None) -> ToneMap:
    found = ToneMap.of(colour, hdr)
    assert found is not None
    return found


def grey(level: float) -> NDArray[np.uint16]:
    return np.full((1, 1, 3), round(level * 65535), np.uint16)


def reference_pq(code: NDArray, peak: float) -> NDArray:
    """(n, 3) PQ codes in [0, 1] to 8-bit SDR, straight from the documents."""
    light = pq_to_light(code)
    largest = light.max(axis=1, keepdims=True)
    light = light * eetf(largest, peak) / np.maximum(largest, 1e-9) / TARGET_PEAK
    matrix = np.array(
        [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
    )
    return 255 * np.clip(light @ matrix.T, 0, 1) ** (1 / 2.4)


@pytest.mark.parametrize(
    ("light", "code"), [(0.0, 0.0), (100, 0.508078), (203, 0.580689), (1000, 0.751827), (10000, 1.0)]
)
def test_pq_curve(light: float, code: float) -> None:
    assert float(light_to_pq(light)) == pytest.approx(code, abs=2e-6)
    assert float(pq_to_light(np.array(code))) == pytest.approx(light, rel=1e-4, abs=1e-3)


def test_hlg_curve() -> None:
    assert hlg_to_scene(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.0, 1 / 12, 1.0], abs=1e-6)


@pytest.mark.parametrize("peak", [400.0, 1000.0, 4000.0, 10000.0])
def test_eetf_is_monotonic_and_ends_at_the_target(peak: float) -> None:
    light = np.linspace(0, peak, 4001)
    mapped = eetf(light, peak)
    assert (np.diff(mapped) > -1e-9).all()
    assert mapped[-1] == pytest.approx(TARGET_PEAK, rel=1e-6)
    assert mapped[0] == pytest.approx(0, abs=1e-6)
    knee = 1.5 * float(light_to_pq(TARGET_PEAK)) - 0.5 * float(light_to_pq(peak))
    below = light < float(pq_to_light(np.array(knee)))
    np.testing.assert_allclose(mapped[below], light[below], rtol=1e-6, atol=1e-6)


def test_eetf_leaves_a_dim_source_alone() -> None:
    light = np.array([0.0, 50.0, 150.0])
    np.testing.assert_array_equal(eetf(light, 150.0), light)


@pytest.mark.parametrize("peak", [None, 600.0, 4000.0])
def test_tables_agree_with_the_formulas(peak: float | None) -> None:
    codes = np.random.default_rng(0).integers(0, 49000, (500, 3)).astype(np.uint16)
    got = tone(PQ, HdrInfo(max_cll=peak) if peak else None)(codes[None])[0]
    expected = reference_pq(codes / 65535, peak or 1000.0)
    assert np.abs(got - expected).max() <= 1.0


def test_neutral_stays_neutral_and_reference_levels_are_sensible() -> None:
    for colour in (PQ, HLG):
        for level in np.linspace(0, 1, 11):
            r, g, b = (int(c) for c in tone(colour)(grey(level))[0, 0])
            assert max(r, g, b) - min(r, g, b) <= 1
    assert tone(PQ)(grey(0)).max() == 0
    assert tone(PQ)(grey(0.751827)).min() >= 254  # the source's peak becomes white
    diffuse_white = int(tone(PQ)(grey(0.580689))[0, 0, 1])
    assert 200 <= diffuse_white <= 245


def test_hlg_and_pq_of_the_same_light_agree() -> None:
    """BT.2408: HLG 75 % is 203 cd/m2 on a 1000 cd/m2 display."""
    for level in (0.3, 0.5, 0.75, 0.95):
        scene = float(hlg_to_scene(np.array(level)))
        light = 1000 * scene**1.2
        a = int(tone(HLG)(grey(level))[0, 0, 1])
        b = int(tone(PQ)(grey(float(light_to_pq(light))))[0, 0, 1])
        assert abs(a - b) <= 1
    assert 1000 * float(hlg_to_scene(np.array(0.75))) ** 1.2 == pytest.approx(203, abs=1)


@pytest.mark.parametrize(
    ("hdr", "peak"),
    [
        (None, 1000.0), (HdrInfo(max_cll=600), 600.0), (HdrInfo(max_cll=0, mastering_max_luminance=4000), 4000.0),
        (HdrInfo(max_cll=50000), 1000.0),
    ],
)  # fmt: skip
def test_source_peak(hdr: HdrInfo | None, peak: float) -> None:
    assert tone(PQ, hdr).source_peak == peak


def test_sdr_is_not_mapped() -> None:
    assert ToneMap.of(Colour(), None) is None
    assert ToneMap.of(Colour("bt2020nc", "limited", "bt2020-10", "bt2020"), None) is None


@pytest.mark.parametrize("name", ["hlg10-color-test.mp4", "hdr10-av1.mp4"])
def test_real_hdr_files_come_out_exposed(shared_data: Path, name: str) -> None:
    path = next(shared_data.rglob(name))
    media = probe(path)
    view = View.rgb(96, 54, filter="area")
    with MediaStream(path, media, make_plan(media, [Need(view)])) as decoded:
        batch = next(iter(decoded)).batch
    picture = batch.view(view)[0].float()  # type: ignore[union-attr]
    assert 20 < picture.mean() < 200
    assert picture.amax() > 150
