"""VIF, ADM and motion: what they must say of made pictures, whatever the reference implementation."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import pytest
import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics import AdmOptions, SpeedOptions, adm, motion, motion2, motion3, speed_chroma, vif
from mediaml.metrics.vmaf_features import MotionMeter, Plan, normal, spatial, temporal
from mediaml.metrics.vmaf_model import Feature
from mediaml.metrics.wavelet import source_indices, transform

NO_GAIN = (("adm_enhn_gain_limit", 1.0),)


def texture(frames: int = 2, height: int = 96, width: int = 130, seed: int = 0) -> Tensor:
    """(N, 1, H, W) uint8 with detail at several scales."""
    rng = torch.Generator().manual_seed(seed)
    pictures = []
    for _ in range(frames):
        noise = torch.randn(height, width, generator=rng).numpy()
        pictures.append(sum(torch.from_numpy(cv2.GaussianBlur(noise, (0, 0), s)) * 20 * s for s in (0.5, 2.0, 6.0)))
    return (torch.stack(pictures)[:, None] + 120).round().clamp(16, 235).to(torch.uint8)


def blurred(x: Tensor, sigma: float) -> Tensor:
    return torch.stack([torch.from_numpy(cv2.GaussianBlur(p.numpy(), (0, 0), sigma)) for p in x[:, 0]])[:, None]


@pytest.fixture(scope="module")
def x() -> Tensor:
    return texture()


def test_a_picture_is_like_itself(x: Tensor) -> None:
    assert torch.allclose(vif(x, x), torch.ones(2, 4, dtype=torch.float64), atol=1e-5)
    found = adm(x, x)
    assert torch.allclose(found.adm2, torch.ones(2, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(found.aim, torch.zeros(2, dtype=torch.float64), atol=1e-6)


def test_flat_pictures_count_as_kept() -> None:
    flat, brighter = (
        torch.full((1, 1, 64, 64), 40, dtype=torch.uint8),
        torch.full((1, 1, 64, 64), 200, dtype=torch.uint8),
    )
    assert torch.allclose(vif(flat, brighter), torch.ones(1, 4, dtype=torch.float64), atol=1e-4)
    assert adm(flat, brighter).adm2.item() == pytest.approx(1.0)


def test_more_blur_is_worse_at_every_scale(x: Tensor) -> None:
    mild, strong = blurred(x, 0.8), blurred(x, 3.0)
    assert bool((vif(x, strong) < vif(x, mild)).all()) and bool((vif(x, mild) < 1).all())
    assert bool((adm(x, strong).scales < adm(x, mild).scales).all())


def test_contrast_counts_only_without_a_limit(x: Tensor) -> None:
    raised = ((x.float() - 120) * 1.2 + 120).round().clamp(0, 255).to(torch.uint8)
    assert bool((vif(x, raised) > 1.02).all()) and bool((vif(x, raised, enhancement_gain_limit=1.0) <= 1).all())
    assert bool((adm(x, raised).adm2 > 1.02).all())
    assert bool((adm(x, raised, options=AdmOptions(enhn_gain_limit=1.0)).adm2 <= 1).all())


def test_noise_is_impairment_and_not_lost_detail(x: Tensor) -> None:
    noisy = (x.float() + 12 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).round().clamp(0, 255)
    found = adm(x, noisy.to(torch.uint8))
    assert bool((found.aim > 0.05).all()) and bool((found.adm2 > 0.8).all())
    half = 0.5 * found.adm2 + 0.5 * (1 - found.aim)
    assert torch.allclose(found.adm3, half)


def test_bit_depth_and_float_say_the_same(x: Tensor) -> None:
    y = blurred(x, 1.0)
    wide = [(t.to(torch.int32) * 4).to(torch.uint16) for t in (x, y)]
    unit = [t.float() / 255 for t in (x, y)]
    for metric in (vif, lambda *a, **k: adm(*a, **k).adm2):
        expected = metric(x, y)
        assert torch.allclose(metric(*wide, bit_depth=10), expected, atol=1e-5)
        assert torch.allclose(metric(*unit), expected, atol=1e-5)
    assert torch.allclose(motion(wide[0], bit_depth=10), motion(x), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (64, 19)])
def test_odd_sizes_and_the_differentiable_path(size: tuple[int, int]) -> None:
    x = texture(1, *size)
    y = blurred(x, 1.0)
    a, b = x.float() / 255, (y.float() / 255).requires_grad_()
    assert torch.allclose(vif(a, b), vif(x, y), atol=2e-3)
    assert torch.allclose(adm(a, b).adm2, adm(x, y).adm2, atol=2e-3)
    (vif(a, b).sum() + adm(a, b).adm3.sum()).backward()
    assert b.grad is not None and bool(b.grad.isfinite().all()) and float(b.grad.abs().sum()) > 0


@pytest.mark.parametrize("metric", [lambda a, b: vif(a, b).sum(), lambda a, b: adm(a, b).adm2.sum()])
def test_gradient_is_the_slope(metric: Callable[[Tensor, Tensor], Tensor]) -> None:
    a = texture(1, 48, 48).double() / 255
    b = (0.8 * a + 0.1).requires_grad_()
    metric(a, b).backward()
    assert b.grad is not None
    step = b.grad / b.grad.abs().max() * 2e-3
    ends = [metric(a, (b.detach() + s * step).requires_grad_()).item() for s in (-1, 1)]
    assert (ends[1] - ends[0]) / 2 == pytest.approx(float((b.grad * step).sum()), rel=0.05)


def test_wavelet_borders_mirror_first_and_repeat_last() -> None:
    assert source_indices(6).T.tolist() == [[1, 0, 1, 2], [1, 2, 3, 4], [3, 4, 5, 5]]
    assert source_indices(5).T.tolist() == [[1, 0, 1, 2], [1, 2, 3, 4], [3, 4, 4, 3]]


@pytest.mark.parametrize("size", [(37, 54), (16, 17)])
def test_both_wavelet_paths_agree(size: tuple[int, int]) -> None:
    x = texture(2, *size).double() - 128
    for scale in range(4):
        fast, plain = transform(x, scale), transform(x.requires_grad_(), scale)
        x = x.detach()
        assert torch.allclose(fast.low, plain.low, atol=1e-9) and torch.allclose(fast.detail, plain.detail, atol=1e-9)


def test_motion_of_a_moving_picture() -> None:
    still = texture(1, 60, 80)
    moved = torch.cat([still, still, still.roll(3, dims=3), still.roll(4, dims=3)])
    found = motion(moved)
    assert found[0] == 0 and found[1] == 0 and found[2] > found[3] > 1
    assert motion2(found).tolist() == [0, 0, found[3], found[3]]
    assert motion3(found, maximum=2.0).tolist() == [0, 0, min(2.0, found[3]), min(2.0, found[3])]


def test_motion3_of_the_first_is_that_of_the_second() -> None:
    found = torch.tensor([0.0, 4.6, 4.2], dtype=torch.float64)
    assert motion2(found).tolist() == [0.0, 4.2, 4.2] and motion3(found).tolist() == [4.6, 4.2, 4.2]
    one = torch.zeros(1, dtype=torch.float64)
    assert motion2(one).tolist() == motion3(one).tolist() == [0.0]


def test_motion_across_batches_is_motion_of_the_whole() -> None:
    x, meter = texture(7, 40, 50), MotionMeter()
    parts = [meter.push(x[a:b], 8) for a, b in ((0, 1), (1, 4), (4, 7))]
    assert torch.equal(torch.cat(parts), motion(x))
    assert meter.push(texture(1, 20, 20), 8).tolist() == [0.0]  # another size: nothing to compare with
    meter = MotionMeter(2)
    parts = [meter.push(x[a:b], 8) for a, b in ((0, 1), (1, 2), (2, 6), (6, 7))]
    assert torch.equal(torch.cat(parts), motion(x, step=2))


def test_motion_over_five_frames_as_libvmaf_has_it() -> None:
    """The values that libvmaf 3.1 gives for seven frames of a real clip, from its own differences two frames apart."""
    moved = torch.tensor([0.0, 0.0, 3.7917, 4.36732, 4.74406, 2.8503, 4.05593], dtype=torch.float64)
    two = [0.0, 0.0, 4.36732, 3.7917, 2.8503, 4.05593, 4.05593]
    assert motion2(moved, step=2).tolist() == two
    assert motion3(moved, step=2).tolist() == [3.7917, 3.7917, *two[2:]]
    averaged = motion3(moved, step=2, average=True).tolist()
    assert averaged == pytest.approx([3.7917, 3.7917, 4.07951, 4.07951, 3.321, 3.45312, 4.05593], abs=1e-5)
    for few in (1, 2):
        assert motion3(torch.zeros(few, dtype=torch.float64), step=2, average=True).tolist() == [0.0] * few


def test_features_are_computed_once_for_several_models(x: Tensor) -> None:
    y = blurred(x, 1.0)
    wanted = [
        Feature("vif_scale1"),
        Feature("adm2"),
        Feature("adm2", NO_GAIN),
        Feature("adm_scale2"),
        Feature("motion2"),
    ]
    plan = Plan.of(wanted)
    assert plan == Plan((100.0,), (AdmOptions(), AdmOptions(enhn_gain_limit=1.0)))
    found = spatial(x, y, 8, plan) | temporal({1: motion(x)}, wanted)
    assert set(wanted) <= set(found)
    assert torch.allclose(found[Feature("vif_scale1")], vif(x, y)[:, 1])
    assert torch.allclose(found[wanted[2]], adm(x, y, options=AdmOptions(enhn_gain_limit=1.0)).adm2)


@pytest.mark.parametrize(
    ("feature", "complaint"),
    [
        (Feature("sharpness"), "VMAF feature 'sharpness'; known: vif_scale0"),
        (Feature("adm2", (("adm_wish", 1.0),)), "option adm_wish; known: adm_enhn_gain_limit"),
        (Feature("speed_chroma_uv", (("speed_prescale", 0.5),)), "speed_prescale_method 'nearest': only bilinear"),
        (Feature("speed_chroma_uv", (("speed_prescale", 2.0),)), "speed_prescale 2 must lie in 0.1..1"),
    ],
)
def test_an_unknown_feature_or_option(feature: Feature, complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        Plan.of([feature])


def test_a_display_without_a_table(x: Tensor) -> None:
    with pytest.raises(InvalidValue, match="adm_csf_mode 2 for 900 lines at 3 heights; mode 2 knows 1080 at 3"):
        adm(x, x, options=AdmOptions(csf_mode=2, ref_display_height=900))


def test_options_that_say_the_default_are_none() -> None:
    said = Feature("adm3", (("adm_csf_mode", 2.0), ("adm_noise_weight", 0.03125), ("adm_ref_display_height", 1080.0)))
    assert normal(said) == Feature("adm3", (("adm_csf_mode", 2.0),))
    assert normal(Feature("speed_chroma_uv", (("speed_kernelscale", 1.0),))) == Feature("speed_chroma_uv")
    assert Plan.of([said]).adm_options == (AdmOptions(csf_mode=2),)


def test_speed_says_how_much_chroma_differs() -> None:
    u, v = texture(2, 200, 260, seed=2), texture(2, 200, 260, seed=3)
    assert speed_chroma((u, v), (u, v)).tolist() == [0.0, 0.0]
    mild, strong = (tuple(blurred(t, s) for t in (u, v)) for s in (2.0, 8.0))
    assert bool((speed_chroma((u, v), strong) > speed_chroma((u, v), mild)).all())
    assert bool((speed_chroma((u, v), mild) > 0).all())
    assert speed_chroma((u, v), strong, options=SpeedOptions(max_val=0.01)).tolist() == [0.01, 0.01]


def test_a_flat_plane_takes_the_value_of_the_other() -> None:
    u, flat = texture(1, 160, 160), torch.full((1, 1, 160, 160), 128, dtype=torch.uint8)
    worse = blurred(u, 6.0)
    assert torch.equal(speed_chroma((u, flat), (worse, flat)), speed_chroma((u, u), (worse, worse)))
    assert speed_chroma((flat, flat), (flat, flat)).tolist() == [0.0]


def test_speed_refuses() -> None:
    small = texture(1, 79, 200)
    with pytest.raises(InvalidValue, match="200x79; this metric needs 80 pixels"):
        speed_chroma((small, small), (small, small))
    with pytest.raises(InvalidValue, match="speed_weight_var_mode 7"):
        speed_chroma((small, small), (small, small), options=SpeedOptions(weight_var_mode=7))


def test_a_model_of_chroma_asks_for_it(x: Tensor) -> None:
    with pytest.raises(InvalidValue, match="give the U and V planes"):
        spatial(x, x, 8, Plan.of([Feature("vif_scale0"), Feature("speed_chroma_uv")]))


def not_a_number(x: Tensor) -> Tensor:
    spoiled = x.float() / 255
    spoiled[0, 0, 3, 3] = torch.nan
    return spoiled


@pytest.mark.parametrize(
    ("spoil", "bit_depth", "complaint"),
    [
        (lambda x: x[:, 0], None, r"must be \(N, 1, H, W\)"),
        (lambda x: x[:, :, :10], None, "130x10; this metric needs 16 pixels"),
        (lambda x: x.float(), None, "range is 0..1"),
        (not_a_number, None, "without NaN"),
        (lambda x: x.to(torch.uint16), None, "give uint8, uint16 with bit_depth"),
        (lambda x: x.to(torch.int32) + 2000, 10, "range is 0..1023"),
        (lambda x: x.float() / 255, 8, "float pictures lie in"),
    ],
)
def test_bad_pictures(x: Tensor, spoil: Callable[[Tensor], Tensor], bit_depth: int | None, complaint: str) -> None:
    bad = spoil(x)
    for metric in (vif, adm):
        with pytest.raises(InvalidValue, match=complaint):
            metric(bad, bad, bit_depth=bit_depth)


def test_pictures_that_are_no_pair(x: Tensor) -> None:
    with pytest.raises(InvalidValue, match="bring them to one size"):
        vif(x, x[:, :, :-2])
