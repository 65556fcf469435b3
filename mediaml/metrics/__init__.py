"""Full-reference metrics as functions: (N, 1, H, W) tensors in, (N,) tensors out; any device, differentiable where the
metric is. Each names the convention it follows. The analyzers in `mediaml.analyzers.quality_fr` are thin users of these.

Most functions bear the name of the module that holds them, so all are imported here: the name is then the function.
"""

from __future__ import annotations

from mediaml.metrics.adm import Adm, AdmOptions, adm
from mediaml.metrics.motion import motion, motion2, motion3
from mediaml.metrics.vif import vif
from mediaml.metrics.vmaf import vmaf, vmaf_bootstrap, vmaf_model

__all__ = ["Adm", "AdmOptions", "adm", "motion", "motion2", "motion3", "vif", "vmaf", "vmaf_bootstrap", "vmaf_model"]
