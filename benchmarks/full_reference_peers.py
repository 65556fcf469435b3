"""The other packages: which can be imported, what they give, and how to install those that are missing.

    pip install --no-deps --target DIR torchmetrics lightning-utilities piq pyiqa vmaf-torch scikit-image lazy-loader
    PYTHONPATH=DIR python -m benchmarks.full_reference

--no-deps keeps the torch that is installed. None of them is a dependency of mediaml.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from benchmarks.full_reference_material import Planes

Peer = Callable[[Tensor, Tensor], Tensor]
PACKAGES = {  # as imported -> as installed
    "vmaf_torch": "vmaf-torch",
    "torchmetrics": "torchmetrics lightning-utilities",
    "piq": "piq",
    "pyiqa": "pyiqa",
    "skimage": "scikit-image lazy-loader",
}


@cache
def missing() -> dict[str, str]:
    """Packages that cannot be found -> the command that brings them."""
    absent = {name: given for name, given in PACKAGES.items() if importlib.util.find_spec(name) is None}
    return {name: f"pip install --no-deps --target DIR {given}; PYTHONPATH=DIR" for name, given in absent.items()}


@cache
def conventions() -> dict[str, Peer]:
    """ "metric:convention" -> the package's own function of float luma in [0, 1]; those that can be imported."""
    found: dict[str, Peer] = {}
    absent = missing()
    for package, make in (("torchmetrics", _torchmetrics), ("piq", _piq), ("pyiqa", _pyiqa), ("skimage", _skimage)):
        if package not in absent:
            found |= make()
    return found


def _torchmetrics() -> Mapping[str, Peer]:
    image = importlib.import_module("torchmetrics.functional.image")
    return {
        "psnr:torchmetrics": lambda x, y: image.peak_signal_noise_ratio(y, x, data_range=1.0),
        "ssim:torchmetrics": lambda x, y: image.structural_similarity_index_measure(y, x, data_range=1.0),
        "ms_ssim:torchmetrics": lambda x, y: image.multiscale_structural_similarity_index_measure(y, x, data_range=1.0),
    }


def _piq() -> Mapping[str, Peer]:
    piq = importlib.import_module("piq")
    return {"psnr:piq": piq.psnr, "ssim:piq": piq.ssim, "ms_ssim:piq": piq.multi_scale_ssim}


def _pyiqa() -> Mapping[str, Peer]:
    """Without pyiqa's __init__, which imports far more than three metrics need."""
    spec = importlib.util.find_spec("pyiqa")
    places = list((spec.submodule_search_locations if spec else None) or ())
    for suffix in ("", ".archs", ".utils"):
        module = types.ModuleType("pyiqa" + suffix)
        module.__path__ = [p + suffix.replace(".", "/") for p in places]
        sys.modules["pyiqa" + suffix] = module
    ssim, psnr = (importlib.import_module(f"pyiqa.archs.{m}_arch") for m in ("ssim", "psnr"))
    return {"psnr:pyiqa": psnr.PSNR(), "ssim:pyiqa": ssim.SSIM(), "ms_ssim:pyiqa": ssim.MS_SSIM()}


def _skimage() -> Mapping[str, Peer]:
    """scikit-image with the settings its documentation gives for Wang et al.; it does not shrink large pictures."""
    metrics = importlib.import_module("skimage.metrics")

    def ssim(x: Tensor, y: Tensor) -> Tensor:
        codes = [t[0, 0].double().numpy() * 255 for t in (x, y)]
        given = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
        return torch.tensor(metrics.structural_similarity(*codes, **given))

    return {"ssim:wang2004": ssim}


def applies(name: str, height: int, width: int) -> bool:
    """Whether that package computes its convention for pictures of that size."""
    if name.startswith("ms_ssim"):
        return min(height, width) >= 176
    return name != "ssim:wang2004" or min(height, width) < 384  # larger ones are shrunk by the authors, not by skimage


def vmaf_torch(ref: Planes, dist: Planes, bit_depth: int) -> Tensor:
    """vmaf-torch's VMAF v0.6.1, (N,). It takes luma on 0..255, so deeper codes are divided."""
    module = _vmaf_torch()
    x, y = (t.y.float() / 2 ** (bit_depth - 8) for t in (ref, dist))
    with torch.inference_mode():
        pairs = list(zip(x.split(1), y.split(1), strict=True))
        vif = torch.cat([module.compute_vif_features(a, b) for a, b in pairs])
        adm = torch.cat([module.compute_adm_score(a, b) for a, b in pairs])
        return module.predict(adm, module.compute_motion2(x), vif).flatten().double()


def _vmaf_torch() -> Any:
    sys.modules.setdefault("yuvio", types.ModuleType("yuvio"))  # which only its file reader needs
    return importlib.import_module("vmaf_torch").VMAF(clip_score=True)
