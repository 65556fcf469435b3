"""Detectors of fine detail, levels, flags and size: each sees its fault and leaves look-alikes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml.analyzers.artifacts.banding import Banding, contours
from mediaml.analyzers.artifacts.blockiness import Blockiness, grid_step
from mediaml.analyzers.artifacts.blur import Blur, edge_sharpness
from mediaml.analyzers.artifacts.colour_flags import ColourFlags
from mediaml.analyzers.artifacts.combing import Combing, combs
from mediaml.analyzers.artifacts.findings import Detector
from mediaml.analyzers.artifacts.noise import Noise, likeness, noise_sigma
from mediaml.analyzers.artifacts.ringing import Ringing, waves
from mediaml.analyzers.artifacts.signal_levels import SignalLevels
from mediaml.analyzers.artifacts.upscaled import Upscaled, shrink_loss
from tests.contract.inputs import clip, media_info
from tests.detecting import LIMITED, kinds, native_spans, scene

HEIGHT, WIDTH = 270, 480
Luma = NDArray[np.uint8]


def clean(index: int = 0) -> Luma:
    """(270, 480) shapes with slightly soft edges and a little noise, as a camera gives them."""
    x = 40 + 6 * index
    window = cv2.GaussianBlur(scene(HEIGHT, WIDTH)[:, x : x + WIDTH], (0, 0), 0.6)
    return np.clip(window + np.random.default_rng(index).normal(0, 0.7, window.shape), 16, 235).astype(np.uint8)


def woven(index: int) -> Luma:
    picture = clean(index)
    picture[1::2] = clean(index + 1)[1::2]
    return picture


def blocky(index: int) -> Luma:
    _, coded = cv2.imencode(".jpg", clean(index), [cv2.IMWRITE_JPEG_QUALITY, 6])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def blurred(index: int) -> Luma:
    return np.asarray(cv2.GaussianBlur(clean(index), (0, 0), 3.0), np.uint8)


def noisy(index: int) -> Luma:
    return np.clip(clean(index) + np.random.default_rng(index).normal(0, 9, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)


def ringing(index: int) -> Luma:
    low, lower = (
        cv2.sepFilter2D(clean(index), cv2.CV_32F, taps, taps)
        for taps in (c * np.sinc(c * np.arange(-20, 21)) for c in (0.5, 0.3))
    )
    return np.clip(low + 2.0 * (low - lower), 0, 255).astype(np.uint8)


def gradient(index: int = 0) -> Luma:
    """A sky: 64 levels over the width, in steps of one."""
    return np.tile(np.rint(np.linspace(100, 164, WIDTH) + index / 4).astype(np.uint8), (HEIGHT, 1))


def banded(index: int) -> Luma:
    return (gradient(index) // 6 * 6).astype(np.uint8)


def enlarged(index: int) -> Luma:
    small = cv2.resize(clean(index), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize(
    ("detector", "kind", "faulty"),
    [
        (Combing, "combing", woven),
        (Blockiness, "blockiness", blocky),
        (Blur, "blur", blurred),
        (Noise, "noise", noisy),
        (Ringing, "ringing", ringing),
        (Banding, "banding", banded),
    ],
    ids=["combing", "blockiness", "blur", "noise", "ringing", "banding"],
)
def test_the_fault_is_found_where_it_is(detector: type[Detector], kind: str, faulty: Callable[[int], Luma]) -> None:
    pictures, before = ([faulty(i + k) if 4 <= i < 9 else clean(i + k) for i in range(13)] for k in (1, 0))
    (found,) = native_spans(detector(), pictures, previous=before)
    assert found["kind"] == kind
    assert (found["start_seconds"], found["end_seconds"]) == pytest.approx((2.0, 4.5))
    assert 2.0 <= found["evidence_seconds"] < 4.5
    clean_before = [clean(i) for i in range(13)]
    assert native_spans(detector(), [clean(i + 1) for i in range(13)], previous=clean_before) == []


def comb_share(luma: Luma, before: Luma) -> float:
    """What counts of a picture's combs."""
    share, agrees = combs(luma, before)
    return abs(share) if agrees >= 0.5 else 0.0


def test_stripes_are_not_combs_where_they_are_few_and_fields_agree() -> None:
    stripes = clean()
    stripes[100:104, 100:140] = np.array([60, 60, 160, 160], np.uint8)[:, None]
    assert comb_share(stripes, stripes) == 0


def test_fine_texture_in_motion_is_no_comb() -> None:
    texture = np.random.default_rng(4).integers(40, 200, (HEIGHT, WIDTH)).astype(np.uint8)
    assert comb_share(texture, np.roll(texture, 1, axis=1)) == 0
    stripes = np.repeat(np.array([60, 60, 60, 160, 160, 160], np.uint8), WIDTH).reshape(6, WIDTH)
    rails = np.tile(stripes, (HEIGHT // 6, 1))
    assert comb_share(rails, np.roll(rails, 1, axis=0)) == 0


@pytest.mark.parametrize("moved", [(0, 0), (0, 1), (0, 7), (1, 0), (3, 2)])
def test_a_texture_of_two_lines_is_no_comb_moving_or_still(moved: tuple[int, int]) -> None:
    fine = 300 * cv2.GaussianBlur(np.random.default_rng(4).standard_normal((HEIGHT, WIDTH)), (0, 0), 4)
    fine[1::2] *= -1
    picture = np.clip(clean().astype(int) + fine, 16, 235).astype(np.uint8)
    assert combs(picture, woven(2))[0] != 0
    assert comb_share(picture, np.roll(picture, moved, axis=(0, 1))) < 0.0004


def test_fields_of_two_instants_are_combs() -> None:
    assert combs(woven(3), woven(2))[0] > 0.02
    late = clean(3)
    late[::2] = clean(4)[::2]  # the upper field later than the lower
    before = clean(2)
    before[::2] = clean(3)[::2]
    assert combs(late, before)[0] < -0.02
    assert comb_share(clean(3), clean(2)) == 0


def test_an_interlaced_flag_is_told() -> None:
    media = media_info(clip(3), None)
    flagged = replace(media, video=(replace(media.video[0], field_order="tt"),))
    found = native_spans(Combing(), [clean(i) for i in range(4)], media=flagged)
    assert kinds(found) == ["interlaced"] and "top field" in found[0]["message"]


def test_bands_are_levels_that_are_missing_from_a_gradient() -> None:
    coarse, fine, _ = contours(gradient())
    assert coarse == 0 and fine > 0.02
    coarse, fine, step = contours(banded(0))
    assert coarse > 0.02 and fine == 0 and step == 6
    assert contours(np.repeat(np.repeat(banded(0), 4, axis=0), 4, axis=1))[2] == 6  # large pictures are halved
    assert contours((gradient() // 20 * 20).astype(np.uint8))[:2] == (0, 0)  # edges, not bands


def test_one_line_of_the_picture_is_no_grid() -> None:
    """A frame around the picture steps by forty levels at one place of a grid, blocks step at all of them."""
    framed = np.full((HEIGHT, WIDTH), 120, np.uint8)
    framed[:, 24:], framed[24:, :24] = 160, 160
    assert grid_step(framed)[1] == 0
    blocks = (100 + np.kron(np.indices((HEIGHT // 8, WIDTH // 8)).sum(axis=0) % 2 * 4, np.ones((8, 8)))).astype(
        np.uint8
    )
    step, clarity = grid_step(blocks)
    assert step == pytest.approx(4, abs=0.3) and clarity > 20


def test_shallow_depth_of_field_is_not_defocus() -> None:
    picture = blurred(0)
    picture[80:180, 150:330] = clean()[80:180, 150:330]
    assert native_spans(Blur(), [picture] * 4) == []


@pytest.mark.parametrize(("sigma", "expected"), [(1.0, 0.68), (2.0, 0.40)])
def test_sharpness_of_a_gaussian_edge(sigma: float, expected: float) -> None:
    """The share of a Gaussian edge's rise within one pixel to each side, of that within four: from the error function."""
    from math import erf, sqrt

    edges = np.where((np.arange(WIDTH) // 60) % 2 == 0, 60.0, 190.0)
    picture = cv2.GaussianBlur(np.tile(edges, (HEIGHT, 1)), (0, 0), sigma).round().astype(np.uint8)
    assert erf(1 / sigma / sqrt(2)) / erf(4 / sigma / sqrt(2)) == pytest.approx(expected, abs=0.02)
    assert edge_sharpness(picture) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_is_measured_in_levels(sigma: float) -> None:
    flat = np.full((HEIGHT, WIDTH), 120.0) + np.random.default_rng(0).normal(0, sigma, (HEIGHT, WIDTH))
    assert noise_sigma(np.clip(flat, 0, 255).astype(np.uint8)) == pytest.approx(sigma, rel=0.15)


def test_texture_moves_with_the_picture_and_noise_does_not() -> None:
    """Grass as strong as noise is found again in the picture before, a few px away."""
    rng = np.random.default_rng(1)
    grass = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 60, (400, 640)), (0, 0), 0.7), 0, 255).astype(np.uint8)
    moved = [np.ascontiguousarray(grass[2 * i : 2 * i + HEIGHT, 5 * i : 5 * i + WIDTH]) for i in range(9)]
    assert noise_sigma(moved[0]) > 6
    assert likeness(moved[1], moved[0]) > 0.5
    assert native_spans(Noise(), moved[1:], previous=moved[:-1]) == []
    assert likeness(noisy(1), noisy(0)) < 0.25
    assert likeness(noisy(0), noisy(0)) == pytest.approx(1)


@pytest.mark.parametrize("cutoff", [0.15, 0.2, 0.25, 0.3])
def test_a_band_limit_is_measured(cutoff: float) -> None:
    """Edges cut off by an ideal low pass, whose waves swing by 9 %, -5 %, 3 % of each (Gibbs)."""
    edges = np.where((np.arange(WIDTH) // 60) % 2 == 0, 60.0, 190.0)
    spectrum = np.fft.fft(edges)
    spectrum[np.abs(np.fft.fftfreq(WIDTH)) > cutoff] = 0
    found = waves(np.tile(np.fft.ifft(spectrum).real.round(), (HEIGHT, 1)).astype(np.uint8))
    assert found is not None and found.cutoff == pytest.approx(cutoff, abs=0.03)
    assert found.cliff > 25 and 0.05 < found.swing < 0.25
    smooth = waves(np.tile(edges, (HEIGHT, 1)).astype(np.uint8))
    assert smooth is not None and smooth.cliff < 6 and smooth.swing == 0


def test_halos_texture_and_soft_lenses_are_no_band_limit() -> None:
    sharp = clean().astype(np.float32)
    halos = np.clip(sharp + 2 * (sharp - cv2.GaussianBlur(sharp, (0, 0), 1.5)), 0, 255).astype(np.uint8)
    texture = np.random.default_rng(4).integers(40, 200, (HEIGHT, WIDTH)).astype(np.uint8)
    for picture in (halos, texture, blurred(0)):
        found = waves(picture)
        assert found is None or found.cliff < 6
    assert native_spans(Ringing(), [halos] * 4) == []
    assert waves(np.full((HEIGHT, WIDTH), 90, np.uint8)) is None


def test_enlarging_by_two_is_seen() -> None:
    assert shrink_loss(enlarged(0))[0] < 0.35 and shrink_loss(enlarged(0))[1] == 2.0
    assert shrink_loss(clean())[0] > 0.4
    media = media_info(clip(3), None)
    (found,) = native_spans(Upscaled(), [enlarged(i) for i in range(4)], media=media)
    assert found["kind"] == "upscaled" and (found["start_seconds"], found["end_seconds"]) == pytest.approx(
        (0, 2), abs=0.5
    )
    assert native_spans(Upscaled(), [clean(i) for i in range(4)], media=media) == []


@pytest.mark.parametrize(
    ("luma", "chroma", "expected"),
    [
        pytest.param(246, 128, [], id="246 is tolerated"),
        pytest.param(247, 128, ["clipped_luma", "out_of_gamut"], id="247 is not"),
        pytest.param(5, 128, [], id="5 is tolerated"),
        pytest.param(4, 128, ["clipped_luma", "out_of_gamut"], id="4 is not"),
        pytest.param(60, 200, ["out_of_gamut"], id="a colour that no RGB has"),
    ],
)
def test_levels_of_r_103(luma: int, chroma: int, expected: list[str]) -> None:
    picture = np.full((64, 96), luma, np.uint8)
    assert sorted(kinds(native_spans(SignalLevels(), [picture] * 4, chroma=chroma))) == expected


def test_one_per_cent_of_the_picture_is_tolerated() -> None:
    picture = np.full((100, 100), 120, np.uint8)
    picture[:10, :10] = 255
    assert native_spans(SignalLevels(), [picture] * 4) == []
    picture[:14, :10] = 255
    assert "clipped_luma" in kinds(native_spans(SignalLevels(), [picture] * 4))


def test_range_flags() -> None:
    ramp = np.tile(np.linspace(0, 255, WIDTH), (HEIGHT, 1)).round().astype(np.uint8)
    limited = np.tile(np.linspace(16, 235, WIDTH), (HEIGHT, 1)).round().astype(np.uint8)
    full = replace(LIMITED, range="full")
    assert kinds(native_spans(ColourFlags(), [ramp] * 4)) == ["wrong_range"]
    assert kinds(native_spans(ColourFlags(), [limited] * 4)) == []
    assert kinds(native_spans(ColourFlags(), [limited] * 4, colour=full)) == ["wrong_range"]
    assert kinds(native_spans(ColourFlags(), [ramp] * 4, colour=full)) == []
    sunk, camera = limited.copy(), limited.copy()
    sunk[:40, :40] = 2  # black areas far below black say it alone; super-white does not, cameras record it
    camera[:40, :40] = 254
    assert kinds(native_spans(ColourFlags(), [sunk] * 4)) == ["wrong_range"]
    assert kinds(native_spans(ColourFlags(), [camera] * 4)) == []


def test_flags_that_contradict_each_other() -> None:
    media = media_info(clip(3), None)
    odd = replace(media, video=(replace(media.video[0], transfer="smpte2084", primaries="bt709", bit_depth=8),))
    (found,) = native_spans(ColourFlags(), [clean(i) for i in range(3)], media=odd)
    assert found["kind"] == "inconsistent_flags" and "8 bits" in found["message"]


def test_few_combs_tell_where_their_sign_stays() -> None:
    """Lit windows far away; and the same lines where the later field changes from picture to picture."""

    def town(index: int, upper: int, lower: int) -> Luma:
        picture = np.full((HEIGHT, WIDTH), 60, np.uint8)
        for field, moved in ((0, upper), (1, lower)):
            for left in (100, 140, 180):
                picture[60 + field : 72 : 2, left + 2 * (index + moved) :][:, :9] = 200
        return picture

    one = [town(4 * i, 0, 1) for i in range(8)]
    before = [town(4 * i - 1, 0, 1) for i in range(8)]
    (found,) = native_spans(Combing(), one, previous=before)
    assert found["kind"] == "combing" and found["severity"] == pytest.approx(0.3)
    either = [town(4 * i, i % 2, 1 - i % 2) for i in range(8)]
    earlier = [town(4 * i - 1, i % 2, 1 - i % 2) for i in range(8)]
    assert native_spans(Combing(), either, previous=earlier) == []
