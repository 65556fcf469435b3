"""PSNR of the three planes and of all, with the errors that pooling needs; and other packages' PSNR of luma."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.quality_fr.paired import PairedAnalyzer, each_plane, paired_spec, score
from mediaml.frames import Planes
from mediaml.metrics.psnr import CONVENTIONS, cap, decibel, mse, psnr, psnr_611
from mediaml.spec import Spec

_RANGE = "peak 2^depth - 1 whatever the range"
_CITE = "libvmaf 3 psnr (https://github.com/Netflix/vmaf)"


class Psnr(PairedAnalyzer):
    """PSNR capped as libvmaf caps it: 60 dB at 8 bit, 72 at 10, 108 at 16. Chroma is null for grey pictures."""

    spec = paired_spec(
        "psnr",
        "PSNR of Y, U, V and 6:1:1, and mean squared errors",
        (
            *(
                score(f"psnr_{p}", "dB", f"PSNR of {p.upper()}; convention libvmaf: capped; {_RANGE}", maximum=108)
                for p in "yuv"
            ),
            score("psnr_611", "dB", "(6 Y + U + V) / 8 of the planes' capped PSNR", maximum=108),
            *(
                score(
                    f"mse_{p}",
                    "squared peak",
                    f"mean squared error of {p.upper()} as a fraction of the squared peak; PSNR is -10 log10 of it",
                    minimum=0,
                    maximum=1,
                    better="lower",
                )
                for p in "yuv"
            ),
        ),
        cite=_CITE,
        cost_ms=2.0,
    )

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        absent = torch.full((ref.y.shape[0],), math.nan, dtype=torch.float64, device=ref.y.device)
        found = {f"mse_{p}": absent for p in "yuv"}
        for name, (a, b) in each_plane(ref, dist).items():
            found[f"mse_{name}"] = mse(a, b, bit_depth=ref.bit_depth)
        for p in "yuv":
            found[f"psnr_{p}"] = decibel(found[f"mse_{p}"], cap(ref.bit_depth))
        found["psnr_611"] = psnr_611(found["psnr_y"], found["psnr_u"], found["psnr_v"])
        return found


class _Other(PairedAnalyzer):
    """Luma, in the convention that the analyzer's name ends with; null where it is infinite."""

    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        found = psnr(ref.y, dist.y, bit_depth=ref.bit_depth, convention=self.spec.name.removeprefix("psnr_"))
        return {self.spec.name: found.masked_fill(found.isinf(), math.nan)}


def _other(convention: str) -> Spec:
    name, source = f"psnr_{convention}", CONVENTIONS[convention].source
    column = score(name, "dB", f"PSNR of luma; convention {convention} ({source}; null for that); {_RANGE}")
    return paired_spec(name, f"PSNR of luma as {convention} has it", (column,), cite=source, cost_ms=1.0)


class PsnrFfmpeg(_Other):
    spec = _other("ffmpeg")


class PsnrTorchmetrics(_Other):
    spec = _other("torchmetrics")


class PsnrPiq(_Other):
    spec = _other("piq")


class PsnrPyiqa(_Other):
    spec = _other("pyiqa")
