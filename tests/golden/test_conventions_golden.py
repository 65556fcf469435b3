"""SSIM, MS-SSIM and PSNR in other packages' conventions against those packages, where they can be imported.

pip install --no-deps --target DIR torchmetrics lightning-utilities piq pyiqa scikit-image lazy-loader
PYTHONPATH=DIR scripts/test tests/golden/test_conventions_golden.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor

from benchmarks.full_reference_peers import applies, conventions, missing
from mediaml import metrics
from tests.golden.fr_oracle import read_raw
from tests.raw_yuv import src01

NAMES = [f"{m}:{p}" for m in ("psnr", "ssim", "ms_ssim") for p in ("torchmetrics", "piq", "pyiqa")] + ["ssim:wang2004"]
PACKAGES = {"wang2004": "skimage"}
Case = tuple[str, Tensor, Tensor, int]


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> list[Case]:
    return [*stills(shared_data), *y4m(shared_data), ("src01", *src01(shared_data), 10)]


def stills(shared_data: Path) -> Iterator[Case]:
    folder = shared_data / "iqa-calib/chaofengc+IQA-PyTorch/ResultsCalibra"
    for name in ("I03.bmp", "I04.bmp"):
        pair = [cv2.imread(str(folder / d / name), cv2.IMREAD_GRAYSCALE) for d in ("ref_dir", "dist_dir")]
        ref, dist = (torch.from_numpy(p)[None, None] for p in pair)
        yield name, ref, dist, 8


def y4m(shared_data: Path) -> Iterator[Case]:
    folder = shared_data / "fr-y4m/rust-av+av-metrics/testfiles"
    pair = []
    for name in ("yuv420p8_input.y4m", "yuv420p8_output.y4m"):
        head = (folder / name).read_bytes()[:200].index(b"\n") + 1
        pair.append(read_raw(folder / name, 640, 360, 8, skip=head, gap=len(b"FRAME\n"))[0])
    yield "fr-y4m", pair[0], pair[1], 8


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_a_convention_is_what_its_package_says(cases: list[Case], name: str) -> None:
    metric, convention = name.split(":")
    package = PACKAGES.get(convention, convention)
    if package in missing():
        pytest.skip(f"{package} cannot be imported: {missing()[package]}")
    peer, seen = conventions()[name], 0
    for case, ref, dist, depth in cases:
        if not applies(name, *ref.shape[2:]):
            continue
        for x, y in zip(ref.split(1), dist.split(1), strict=True):
            expected = float(peer(*(t.double() / (2**depth - 1) for t in (x, y))))
            found = getattr(metrics, metric)(x, y, bit_depth=depth, convention=convention).item()
            assert found == pytest.approx(expected, abs=1e-4), case
            seen += 1
    assert seen >= 6
