"""VMAF by any of libvmaf's models: one that mediaml knows by name, or a file of the user's.

The address stands wherever a metric's name may::

    vmaf:vmaf_4k_v0.6.1neg          a model by libvmaf's name
    vmaf:my/model.json              libvmaf's JSON (one model, or a set of them with an interval); my/model.json alone will do
    vmaf:my/model.json?transform=1  libvmaf's enable_transform, viewing on a phone
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import Analyzer, analyzer_family
from mediaml.analyzers.quality_fr.vmaf_stream import CITE, GROUPS, NEED, SHARED, VmafAnalyzer, score_column
from mediaml.errors import InvalidValue, UnknownName, WeightsAbsent, printable
from mediaml.metrics.vmaf import MODELS
from mediaml.metrics.vmaf_features import Plan
from mediaml.metrics.vmaf_model import Feature, VmafModels, read_vmaf_model
from mediaml.spec import Column, Spec

SCHEME = "vmaf:"
_TRANSFORM = "?transform=1"


class AnyVmaf(VmafAnalyzer):
    """Its subclasses, made by `vmaf_analyzer`, have the `spec`. Null where the picture is too small for the model."""

    transform: ClassVar[bool] = False

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool]:
        return {"model_sha256": weights.describe(self.spec.weights[0]).sha256, "transform": self.transform}

    def setup(self, device: torch.device) -> None:
        model = read_vmaf_model(weights.resolve(self.spec.weights[0]))
        self.shares_features = SHARED.covers(Plan.of(model.features))
        super().setup(device)

    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        names = [c.name for c in self.spec.outputs]
        if len(names) == 1:
            return {names[0]: self.model.score(values, transform=self.transform)}
        found = self.model.bootstrap(values, transform=self.transform)
        return dict(zip(names, (found.score, found.stddev, found.low, found.high), strict=True))


@analyzer_family("vmaf")
def vmaf_analyzer(address: str) -> type[Analyzer]:
    """Raises UnknownName (a model, with near matches), WeightsAbsent, WeightsCorrupt, InvalidValue (a feature or an option
    that is not known here)."""
    body = address.removeprefix(SCHEME)
    transform = body.endswith(_TRANSFORM)
    body = body.removesuffix(_TRANSFORM)
    if body.lower().endswith(".json"):
        path = Path(body).expanduser().absolute()
        if not path.is_file():
            raise WeightsAbsent(f"{printable(path)}: no such VMAF model file; give the path of a libvmaf model in JSON")
        return _made(f"@{path}", path.stem, transform)
    if body not in MODELS:
        raise UnknownName("VMAF model", body, [*MODELS, "the path of a libvmaf model ending in .json"])
    return _made(MODELS[body], body, transform)


@cache
def _made(weight: str, label: str, transform: bool) -> type[AnyVmaf]:
    try:
        model = read_vmaf_model(weights.resolve(weight))
    except WeightsAbsent:  # `check_weights` says which command brings it
        model = None
    if model is not None:
        _check(model)
    spec = Spec(
        name=_name(label, transform),
        version=1,
        summary=f"VMAF by the model {printable(label)}{', transformed for a phone' if transform else ''}",
        outputs=_outputs(_name(label, transform), label, model),
        need=NEED,
        ordered=True,
        needs_reference=True,
        weights=(weight,),
        groups=GROUPS,
        default=False,
        cite=CITE,
        cost_ms=400.0,
    )
    given = {"spec": spec, "transform": transform, "address": f"{SCHEME}{weight.removeprefix('@')}"}
    return type("VmafModelFile", (AnyVmaf,), given)


def _check(model: VmafModels) -> None:
    try:
        Plan.of(model.features)
    except InvalidValue as error:
        raise InvalidValue(f"{printable(model.source)}: {error}") from error


def _name(label: str, transform: bool) -> str:
    """That of the analyzer and its column: vmaf_4k_v0.6.1neg is vmaf_4k_v0_6_1neg."""
    bare = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "model"
    return ("" if bare.startswith("vmaf_") else "vmaf_") + bare + ("_phone" if transform else "")


def _outputs(name: str, label: str, model: VmafModels | None) -> tuple[Column, ...]:
    clip = None if model is None else model.models[0].clip
    low, high = clip or (-1e4, 1e4)
    score = score_column(name, f"VMAF by the model {printable(label)}", minimum=low, maximum=high)
    if model is None or not model.is_bootstrap:
        return (score,)
    return (
        score,
        score_column(f"{name}_stddev", "standard deviation over the models", maximum=1e4, better=None),
        score_column(f"{name}_low", "2.5th percentile over the models", minimum=low, maximum=high),
        score_column(f"{name}_high", "97.5th percentile over the models", minimum=low, maximum=high),
    )
