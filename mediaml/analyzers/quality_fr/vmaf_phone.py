"""VMAF on a phone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.vmaf_stream import CITE, COST_MS, GROUPS, NEED, VmafAnalyzer, score_column
from mediaml.metrics.vmaf_model import Feature
from mediaml.spec import Spec


class VmafPhone(VmafAnalyzer):
    """The default model, transformed for a small screen (libvmaf's enable_transform)."""

    spec = Spec(
        name="vmaf_phone",
        version=1,
        summary="VMAF v0.6.1 for a phone",
        outputs=(score_column("vmaf_phone", "VMAF v0.6.1 transformed for viewing on a phone, 0 (bad) to 100"),),
        need=NEED,
        ordered=True,
        needs_reference=True,
        weights=("vmaf_v0_6_1",),
        groups=GROUPS,
        default=False,
        cite=CITE,
        cost_ms=COST_MS,
    )

    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        return {"vmaf_phone": self.model.score(values, transform=True)}
