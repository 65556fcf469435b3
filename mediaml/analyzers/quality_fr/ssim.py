"""SSIM of luma, in libvmaf's and four other conventions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.paired import PairedAnalyzer, paired_spec, score
from mediaml.frames import Planes
from mediaml.metrics.ssim import smallest, ssim
from mediaml.metrics.ssim_conventions import CONVENTIONS, DEFAULT
from mediaml.spec import Spec

_CITE = "Wang, Bovik, Sheikh & Simoncelli 2004, Image quality assessment"


class _Ssim(PairedAnalyzer):
    """Null for pictures that the window does not fit into."""

    smallest = smallest(CONVENTIONS[DEFAULT])

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        convention = self.spec.name.removeprefix("ssim").removeprefix("_") or DEFAULT
        return {self.spec.name: ssim(ref.y, dist.y, bit_depth=ref.bit_depth, convention=convention)}


def _spec(name: str, convention: str, cost_ms: float) -> Spec:
    passport = CONVENTIONS[convention].passport
    column = score(name, "1", f"SSIM of luma, 1 for equal pictures; {passport}", minimum=-1, maximum=1.001)
    return paired_spec(name, f"SSIM of luma as {convention} has it", (column,), cite=_CITE, cost_ms=cost_ms)


class Ssim(_Ssim):
    spec = _spec("ssim", DEFAULT, 8.0)


class SsimWang2004(_Ssim):
    spec = _spec("ssim_wang2004", "wang2004", 8.0)


class SsimTorchmetrics(_Ssim):
    spec = _spec("ssim_torchmetrics", "torchmetrics", 70.0)


class SsimPiq(_Ssim):
    spec = _spec("ssim_piq", "piq", 8.0)


class SsimPyiqa(_Ssim):
    spec = _spec("ssim_pyiqa", "pyiqa", 70.0)
