"""VMAF NEG: no credit for enhancement."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.vmaf_stream import CITE, COST_MS, GROUPS, NEED, VmafAnalyzer, score_column
from mediaml.metrics.vmaf_model import Feature
from mediaml.spec import Spec


class VmafNeg(VmafAnalyzer):
    """The default model over features that do not count contrast gained: for comparing codecs."""

    spec = Spec(
        name="vmaf_neg",
        version=1,
        summary="VMAF v0.6.1 NEG (no enhancement gain)",
        outputs=(score_column("vmaf_neg", "VMAF NEG v0.6.1, 0 (bad) to 100"),),
        need=NEED,
        ordered=True,
        needs_reference=True,
        weights=("vmaf_v0_6_1_neg",),
        groups=GROUPS,
        default=False,
        cite=CITE,
        cost_ms=COST_MS,
    )

    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        return {"vmaf_neg": self.model.score(values)}
