"""VMAF, for any of libvmaf's models."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from torch import Tensor

from mediaml import weights
from mediaml.errors import InvalidValue, UnknownName
from mediaml.metrics.inputs import check_pair
from mediaml.metrics.motion import motion
from mediaml.metrics.vmaf_features import SMALLEST, Chroma, Plan, motion_steps, normal, spatial, temporal
from mediaml.metrics.vmaf_model import Bootstrap, Feature, VmafModels, read_vmaf_model

MODELS = {
    "vmaf_v0.6.1": "vmaf_v0_6_1",
    "vmaf_v0.6.1neg": "vmaf_v0_6_1_neg",
    "vmaf_4k_v0.6.1": "vmaf_4k_v0_6_1",
    "vmaf_4k_v0.6.1neg": "vmaf_4k_v0_6_1_neg",
    "vmaf_b_v0.6.3": "vmaf_b_v0_6_3",
    "vmaf_v1.0.16": "vmaf_v1_0_16",
    **{
        f"vmaf_v1.0.16_{view}": f"vmaf_v1_0_16_{view}"
        for view in ("3d0h_2160", "1d5h_2160", "5d0h", "hfr_3d0h", "hfr_3d0h_2160", "hfr_1d5h_2160", "hfr_5d0h")
    },
}
"""libvmaf's model names -> names of weights."""


def vmaf(
    ref: Tensor,
    dist: Tensor,
    *,
    model: str | Path | VmafModels = "vmaf_v0.6.1",
    bit_depth: int | None = None,
    chroma: tuple[Chroma, Chroma] | None = None,
    transform: bool = False,
    clip: bool = True,
) -> Tensor:
    """(N, 1, H, W) luma of N consecutive pictures, reference and distorted -> (N,) float64, 0 (bad) to 100.

    ref, dist  integer codes with `bit_depth` (uint8 needs none), or float in [0, 1] over the full code range
    model      a name of `MODELS` ("vmaf_v0.6.1", "vmaf_v0.6.1neg", "vmaf_4k_v0.6.1", "vmaf_v1.0.16", ...), the path of a
               libvmaf model in JSON, or what `vmaf_model` gave
    chroma     ((U, V) of ref, (U, V) of dist), which VMAF v1 looks at
    transform  libvmaf's enable_transform: viewing on a phone
    clip       to the model's range, 0..100

    The first picture has no motion; the last takes its own, as libvmaf has it. Any device; differentiable with respect to
    both inputs where one asks for a gradient (then without the rounding of fixed point). Equal to libvmaf 3 to about 0.001.
    Source: Li, Aaron, Katsavounidis, Moorthy & Manohara 2016; https://github.com/Netflix/vmaf.
    Raises InvalidValue, UnknownName (a model, with near matches), WeightsAbsent, WeightsCorrupt.
    """
    models = vmaf_model(model)
    return models.score(_features(ref, dist, bit_depth, models, chroma), transform=transform, clip=clip)


def vmaf_bootstrap(
    ref: Tensor,
    dist: Tensor,
    *,
    model: str | Path | VmafModels = "vmaf_b_v0.6.3",
    bit_depth: int | None = None,
    transform: bool = False,
) -> Bootstrap:
    """As `vmaf`, with the standard deviation and the 95 % interval over a set of models, (N,) each.

    The interval says how much the model depends on who was asked and what was shown; it is not where opinions will lie.
    Raises InvalidValue for a file that holds a single model.
    """
    models = vmaf_model(model)
    if not models.is_bootstrap:
        raise InvalidValue(f"{models.source} holds one model; an interval needs a set such as vmaf_b_v0.6.3")
    return models.bootstrap(_features(ref, dist, bit_depth, models), transform=transform)


def vmaf_model(model: str | Path | VmafModels) -> VmafModels:
    """The model of that name, or in that JSON file. Raises UnknownName, WeightsAbsent, WeightsCorrupt."""
    if isinstance(model, VmafModels):
        return model
    if isinstance(model, str) and not model.endswith(".json"):
        if model not in MODELS:
            raise UnknownName("VMAF model", model, MODELS)
        model = weights.resolve(MODELS[model])
    path = Path(model)
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else read_vmaf_model(path)


@cache
def _read(path: Path, _mtime_ns: int) -> VmafModels:
    return read_vmaf_model(path)


def _features(
    ref: Tensor,
    dist: Tensor,
    bit_depth: int | None,
    models: VmafModels,
    chroma: tuple[Chroma, Chroma] | None = None,
) -> dict[Feature, Tensor]:
    plan = Plan.of(models.features)
    depth = check_pair(ref, dist, bit_depth, smallest=SMALLEST)
    values = spatial(ref, dist, depth, plan, chroma)
    moved = {step: motion(ref, bit_depth=bit_depth, step=step) for step in motion_steps(models.features)}
    values |= temporal(moved, models.features)
    return {f: values[f if f in values else normal(f)] for f in models.features}
