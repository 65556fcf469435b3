"""VMAF v1: the successor of v0.6.1, with banding and chroma."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.vmaf_stream import CITE, GROUPS, NEED, VmafAnalyzer, score_column
from mediaml.metrics.vmaf_model import Feature
from mediaml.spec import Spec


class VmafV1(VmafAnalyzer):
    """A screen of 1080 lines seen from three times its height. Null for grey pictures, and chroma under 80 pixels a side."""

    spec = Spec(
        name="vmaf_v1",
        version=1,
        summary="VMAF v1.0.16 and its features (ADM3, motion3, SpEED on chroma, CAMBI)",
        outputs=(
            score_column("vmaf_v1", "VMAF v1.0.16, 0 (bad) to 100"),
            score_column("adm3", "detail kept and impairment added, blended: 1 where nothing is lost", maximum=255.0),
            score_column("motion3", "motion of the reference, in 8-bit codes, at most 18", maximum=18.0, better=None),
            score_column(
                "speed_chroma", "difference of local information in U and V, at most 45", maximum=45.0, better="lower"
            ),
            score_column(
                "cambi_v1", "banding as VMAF v1 sees it (other settings than `cambi`)", maximum=17.0, better="lower"
            ),
        ),
        need=NEED,
        ordered=True,
        needs_reference=True,
        weights=("vmaf_v1_0_16",),
        groups=GROUPS,
        default=False,
        cite=CITE,
        cost_ms=400.0,
    )
    shares_features = False

    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        of = {f.name: values[f] for f in self.model.features}
        names = {"adm3": "adm3", "motion3": "motion3", "speed_chroma": "speed_chroma_uv", "cambi_v1": "cambi"}
        return {"vmaf_v1": self.model.score(values), **{column: of[name] for column, name in names.items()}}
