"""MS-SSIM of luma, in libvmaf's and four other conventions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.paired import PairedAnalyzer, paired_spec, score
from mediaml.frames import Planes
from mediaml.metrics.ms_ssim import SMALLEST, ms_ssim
from mediaml.metrics.ssim_conventions import CONVENTIONS, DEFAULT
from mediaml.spec import Spec

_CITE = "Wang, Simoncelli & Bovik 2003, Multi-scale structural similarity for image quality assessment"


class _MsSsim(PairedAnalyzer):
    """Null for pictures with a side under 176 pixels."""

    smallest = max(SMALLEST.values())

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        convention = self.spec.name.removeprefix("ms_ssim").removeprefix("_") or DEFAULT
        return {self.spec.name: ms_ssim(ref.y, dist.y, bit_depth=ref.bit_depth, convention=convention)}


def _spec(name: str, convention: str) -> Spec:
    passport = CONVENTIONS[convention].passport
    column = score(name, "1", f"MS-SSIM of luma, 1 for equal pictures; {passport}", minimum=0, maximum=1.001)
    return paired_spec(name, f"MS-SSIM of luma as {convention} has it", (column,), cite=_CITE, cost_ms=100.0)


class MsSsim(_MsSsim):
    spec = _spec("ms_ssim", DEFAULT)


class MsSsimWang2004(_MsSsim):
    spec = _spec("ms_ssim_wang2004", "wang2004")


class MsSsimTorchmetrics(_MsSsim):
    spec = _spec("ms_ssim_torchmetrics", "torchmetrics")


class MsSsimPiq(_MsSsim):
    spec = _spec("ms_ssim_piq", "piq")


class MsSsimPyiqa(_MsSsim):
    spec = _spec("ms_ssim_pyiqa", "pyiqa")
