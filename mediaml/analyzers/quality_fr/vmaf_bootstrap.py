"""VMAF with an interval: libvmaf's set of models trained on resampled opinions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mediaml.analyzers.quality_fr.vmaf_stream import CITE, COST_MS, GROUPS, NEED, VmafAnalyzer, score_column
from mediaml.metrics.vmaf_model import Feature
from mediaml.spec import Spec


class VmafBootstrap(VmafAnalyzer):
    """How far the score depends on who was asked and what was shown; it is not the interval in which opinions will lie."""

    spec = Spec(
        name="vmaf_bootstrap",
        version=1,
        summary="VMAF b_v0.6.3: mean of 21 models with its 95 % interval",
        outputs=(
            score_column("vmaf_bootstrap", "mean over the models, 0 (bad) to 100"),
            score_column("vmaf_bootstrap_stddev", "standard deviation over the models", better=None),
            score_column("vmaf_bootstrap_low", "2.5th percentile over the models"),
            score_column("vmaf_bootstrap_high", "97.5th percentile over the models"),
        ),
        need=NEED,
        ordered=True,
        needs_reference=True,
        weights=("vmaf_b_v0_6_3",),
        groups=GROUPS,
        default=False,
        cite=CITE,
        cost_ms=COST_MS,
    )

    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        found = self.model.bootstrap(values)
        return {
            "vmaf_bootstrap": found.score,
            "vmaf_bootstrap_stddev": found.stddev,
            "vmaf_bootstrap_low": found.low,
            "vmaf_bootstrap_high": found.high,
        }
