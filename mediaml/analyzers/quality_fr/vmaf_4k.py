"""VMAF for 4K."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.vmaf_stream import CITE, COST_MS, GROUPS, NEED, VmafAnalyzer, score_column
from mediaml.metrics.vmaf_model import Feature
from mediaml.spec import Spec


class Vmaf4k(VmafAnalyzer):
    """A 4K television seen from one and a half times its height."""

    spec = Spec(
        name="vmaf_4k",
        version=1,
        summary="VMAF 4K v0.6.1",
        outputs=(score_column("vmaf_4k", "VMAF 4K v0.6.1, 0 (bad) to 100"),),
        need=NEED,
        ordered=True,
        needs_reference=True,
        weights=("vmaf_4k_v0_6_1",),
        groups=GROUPS,
        default=False,
        cite=CITE,
        cost_ms=COST_MS,
    )

    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        return {"vmaf_4k": self.model.score(values)}
