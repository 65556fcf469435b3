"""VMAF v0.6.1, with the features that make it up."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.vmaf_stream import CITE, COST_MS, GROUPS, NEED, VmafAnalyzer, score_column
from mediaml.metrics.vmaf_model import Feature
from mediaml.spec import Spec

_PARTS = {
    **{
        f"vif_scale{i}": f"visual information fidelity at scale {i} (0 is the finest); above 1 if enhanced"
        for i in range(4)
    },
    "adm2": "detail loss: 1 where no detail is lost, above 1 if enhanced",
    **{f"adm_scale{i}": f"detail loss at scale {i} (0 is the finest)" for i in range(4)},
    "motion2": "motion of the reference: mean blurred difference in 8-bit codes, the less of before and after",
}


class Vmaf(VmafAnalyzer):
    """libvmaf's default model: a television of 1080 lines seen from three times its height."""

    spec = Spec(
        name="vmaf",
        version=1,
        summary="VMAF v0.6.1 and its features (VIF, ADM, motion)",
        outputs=(
            score_column("vmaf", "VMAF v0.6.1, 0 (bad) to 100"),
            *(
                score_column(name, text, maximum=255.0, better=None if name == "motion2" else "higher")
                for name, text in _PARTS.items()
            ),
        ),
        need=NEED,
        ordered=True,
        needs_reference=True,
        weights=("vmaf_v0_6_1",),
        groups=GROUPS,
        default=False,
        cite=CITE,
        cost_ms=COST_MS,
    )
    extra_features = tuple(Feature(f"adm_scale{i}") for i in range(4))

    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        return {"vmaf": self.model.score(values), **{name: values[Feature(name)] for name in _PARTS}}
