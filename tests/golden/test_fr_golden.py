"""The metrics beside VMAF against golden scores and against an independent ffmpeg (libvmaf, xpsnr)."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor

from mediaml import metrics
from mediaml.metrics import CambiOptions
from tests.golden.fr_oracle import Oracle, Planes, made_pair, read_raw

YUV = "vmaf-yuv/Netflix+vmaf_resource/python/test/resource/yuv"


@pytest.fixture
def oracle(tmp_path: Path) -> Oracle:
    pytest.importorskip("imageio_ffmpeg")
    return Oracle(tmp_path)


def source_pair(shared_data: Path) -> tuple[Planes, Planes]:
    folder = shared_data / YUV
    ref, dist = (read_raw(folder / f"src01_{n}_576x324.yuv420p10le.yuv", 576, 324, 10) for n in ("hrc00", "hrc01"))
    return ref, dist


@pytest.mark.data
def test_scores_that_the_references_own_tests_assert(shared_data: Path) -> None:
    ref, dist = source_pair(shared_data)
    luma = {"ref": ref[0], "dist": dist[0], "bit_depth": 10}
    assert metrics.psnr(**luma).mean().item() == pytest.approx(32.571433, abs=1e-4)
    assert metrics.ssim(**luma).mean().item() == pytest.approx(0.897863, abs=2e-6)
    assert metrics.ms_ssim(**luma).mean().item() == pytest.approx(0.974749, abs=2e-6)
    assert metrics.ciede2000(ref, dist, bit_depth=10).mean().item() == pytest.approx(34.398339, abs=1e-5)
    assert metrics.cambi(dist[0], bit_depth=10).mean().item() == pytest.approx(0.958548, abs=2e-6)
    assert metrics.cambi(ref[0], bit_depth=10).mean().item() == pytest.approx(0.0013863, abs=1e-6)


@pytest.mark.data
def test_cambi_of_an_upscaled_encode(shared_data: Path) -> None:
    path = shared_data / YUV / "KristenAndSara_1280x720_8bit_processed.yuv"
    luma = read_raw(path, 1280, 720, 8)[0]
    found = metrics.cambi(luma, options=CambiOptions(enc_width=960, enc_height=540)).mean().item()
    assert found == pytest.approx(0.773078, abs=2e-6)


@pytest.mark.data
def test_the_eight_bit_pair(shared_data: Path) -> None:
    folder = shared_data / "fr-y4m/rust-av+av-metrics/testfiles"
    pair = []
    for name in ("yuv420p8_input.y4m", "yuv420p8_output.y4m"):
        head = (folder / name).read_bytes()[:200].index(b"\n") + 1
        pair.append(read_raw(folder / name, 640, 360, 8, skip=head, gap=len(b"FRAME\n")))
    ref, dist = pair
    found = [
        metrics.pooled_psnr(metrics.mse(a, b), pooling="frame_mean").item() for a, b in zip(ref, dist, strict=True)
    ]
    assert found == pytest.approx([32.5450, 36.4087, 39.8244], abs=1e-4)
    assert metrics.ciede2000(ref, dist).mean().item() == pytest.approx(36.2821, abs=1e-3)


@pytest.mark.data
@pytest.mark.parametrize(("name", "psnr", "ssim"), [("I03.bmp", 21.11, 0.6993), ("I04.bmp", 20.99, 0.9978)])
def test_official_scores_of_stills(shared_data: Path, name: str, psnr: float, ssim: float) -> None:
    folder = shared_data / "iqa-calib/chaofengc+IQA-PyTorch/ResultsCalibra"
    rgb = [cv2.imread(str(folder / d / name))[..., ::-1].copy() for d in ("ref_dir", "dist_dir")]
    channels = [torch.from_numpy(p).permute(2, 0, 1)[:, None] for p in rgb]  # (3, 1, H, W)
    together = metrics.pooled_psnr(metrics.mse(channels[0], channels[1]))
    assert together.item() == pytest.approx(psnr, abs=0.006)
    luma = [(p @ [0.298936, 0.587043, 0.114021]).round().astype("uint8") for p in rgb]
    grey = [torch.from_numpy(p)[None, None] for p in luma]
    assert metrics.ssim(grey[0], grey[1], convention="pyiqa").item() == pytest.approx(ssim, abs=6e-4)


@pytest.mark.parametrize(
    ("width", "height", "depth", "chroma"),
    [(402, 301, 8, "420"), (322, 242, 10, "420"), (640, 386, 12, "444"), (256, 224, 8, "444"), (300, 218, 10, "422")],
)
def test_libvmaf_says_the_same(oracle: Oracle, width: int, height: int, depth: int, chroma: str) -> None:
    ref, dist = made_pair(width, height, depth, chroma, frames=2)
    features = ["psnr", "float_ssim", "float_ms_ssim", "psnr_hvs", "ciede", "cambi"]
    expected = oracle.libvmaf(ref, dist, depth, chroma, features)
    luma = {"ref": ref[0], "dist": dist[0], "bit_depth": depth}
    assert_close(metrics.ssim(**luma), expected["float_ssim"], 2e-5)
    assert_close(metrics.ms_ssim(**luma), expected["float_ms_ssim"], 2e-5)
    assert_close(metrics.cambi(dist[0], bit_depth=depth), expected["cambi"], 1e-5)
    assert_close(metrics.psnr(**luma), expected["psnr_y"], 1e-5)
    if height % 2:  # libvmaf leaves the last row of chroma out
        return
    for name, a, b in zip(("psnr_cb", "psnr_cr"), ref[1:], dist[1:], strict=True):
        assert_close(metrics.psnr(a, b, bit_depth=depth), expected[name], 1e-5)
    hvs = metrics.psnr_hvs_planes(ref, dist, bit_depth=depth)
    for i, name in enumerate(("psnr_hvs_y", "psnr_hvs_cb", "psnr_hvs_cr", "psnr_hvs")):
        assert_close(hvs[:, i], expected[name], 1e-4)
    if chroma != "422":  # which libvmaf misreads
        assert_close(metrics.ciede2000(ref, dist, bit_depth=depth), expected["ciede2000"], 1e-4)


def test_libvmafs_cambi_options(oracle: Oracle) -> None:
    ref, dist = made_pair(700, 400, 8, "420", frames=1)
    settings = {"enc_width": 500, "enc_height": 300, "window_size": 101, "max_log_contrast": 3, "tvi_threshold": 0.012}
    written = "".join(f"\\:{k}={v}" for k, v in {**settings, "cambi_topk": 0.2, "cambi_vis_lum_threshold": 9}.items())
    expected = oracle.libvmaf(ref, dist, 8, "420", [f"cambi{written}\\:full_ref=true"])
    options = CambiOptions(**settings, topk=0.2, vis_lum_threshold=9)  # type: ignore[arg-type]
    ours = metrics.cambi(dist[0], options=options).item()
    more = metrics.cambi_full_reference(ref[0], dist[0], options=options).item()
    values = sorted(v.item() for k, v in expected.items() if "cambi" in k.lower())
    assert ours > 0.1 and len(values) == 3
    assert min(abs(v - ours) for v in values) < 1e-5
    assert min(abs(v - more) for v in values) < 1e-5


@pytest.mark.parametrize(
    ("width", "height", "depth", "chroma", "rate"),
    [(402, 300, 8, "420", 25), (402, 300, 10, "422", 50), (800, 450, 8, "444", 30), (96, 80, 8, "420", 25)],
)
def test_ffmpegs_xpsnr_says_the_same(
    oracle: Oracle, width: int, height: int, depth: int, chroma: str, rate: int
) -> None:
    ref, dist = made_pair(width, height, depth, chroma, frames=4)
    expected = oracle.xpsnr(ref, dist, depth, chroma, rate)
    assert_close(metrics.xpsnr(ref, dist, bit_depth=depth, frame_rate=rate), expected, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [25, 60])
def test_ffmpegs_xpsnr_of_large_pictures(oracle: Oracle, rate: int) -> None:
    ref, dist = made_pair(2560, 1442, 8, "420", frames=3)
    expected = oracle.xpsnr(ref, dist, 8, "420", rate)
    assert_close(metrics.xpsnr(ref, dist, frame_rate=rate), expected, 1e-4)


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
