"""The features that VMAF models ask for: which extractor with which settings, and each computed once for all models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.adm import AdmOptions, adm_scores
from mediaml.metrics.inputs import eight_bit_scale
from mediaml.metrics.motion import differences, motion2, motion3
from mediaml.metrics.vif import NO_LIMIT, vif_scales
from mediaml.metrics.vmaf_model import Feature

SMALLEST = 16  # pixels a side
_CENTRE = 128.0
_VIF = tuple(f"vif_scale{i}" for i in range(4))
_ADM = ("adm2", "adm3", "aim", *(f"adm_scale{i}" for i in range(4)))
_MOTION = ("motion2", "motion3")
_ADM_FIELDS: dict[str, Any] = {f.name: f.default for f in fields(AdmOptions)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compute for a set of features: enhancement gain limits of VIF, settings of ADM, and whether AIM is needed."""

    vif_limits: tuple[float, ...]
    adm_options: tuple[AdmOptions, ...]
    aim: bool

    @classmethod
    def of(cls, wanted: Iterable[Feature]) -> Plan:
        """Raises InvalidValue for a feature or an option that is not known here."""
        wanted = tuple(wanted)
        for feature in wanted:
            check_feature(feature)
        return cls(
            tuple(dict.fromkeys(_vif_limit(f) for f in wanted if f.name in _VIF)),
            tuple(dict.fromkeys(_adm_options(f) for f in wanted if f.name in _ADM)),
            any(f.name in ("aim", "adm3") for f in wanted),
        )


def check_feature(feature: Feature) -> None:
    """Raises InvalidValue for a feature or an option that is not known here."""
    if feature.name in _VIF:
        _vif_limit(feature)
    elif feature.name in _ADM:
        _adm_options(feature)
    elif feature.name in _MOTION:
        _options(feature, {"motion_max_val": 10000.0})
    else:
        raise InvalidValue(f"VMAF feature {feature.name!r}; known: {', '.join((*_VIF, *_ADM, *_MOTION))}")


def spatial(ref: Tensor, dist: Tensor, depth: int | None, plan: Plan) -> dict[Feature, Tensor]:
    """(N, 1, H, W) luma -> every VIF and ADM value of the plan, (N,) float64 each. On the CPU picture by picture."""
    step = 1 if ref.device.type == "cpu" else ref.shape[0]
    parts = [_spatial(ref[i : i + step], dist[i : i + step], depth, plan) for i in range(0, ref.shape[0], step)]
    return {feature: torch.cat([p[feature] for p in parts]) for feature in parts[0]}


def _spatial(ref: Tensor, dist: Tensor, depth: int | None, plan: Plan) -> dict[Feature, Tensor]:
    x, y = (eight_bit_scale(t, depth) - _CENTRE for t in (ref, dist))
    found: dict[Feature, Tensor] = {}
    if plan.vif_limits:
        for limit, scales in zip(plan.vif_limits, vif_scales(x, y, plan.vif_limits), strict=True):
            key = () if limit == NO_LIMIT else (("vif_enhn_gain_limit", limit),)
            found |= {Feature(name, key): scales[:, i] for i, name in enumerate(_VIF)}
    for options, values in zip(plan.adm_options, adm_scores(x, y, plan.adm_options, aim=plan.aim), strict=True):
        key = tuple(
            sorted((f"adm_{n}", float(getattr(options, n))) for n, d in _ADM_FIELDS.items() if getattr(options, n) != d)
        )
        found |= {Feature(n, key): getattr(values, n) for n in ("adm2", "adm3", "aim")}
        found |= {Feature(f"adm_scale{i}", key): values.scales[:, i] for i in range(4)}
    return found


class MotionMeter:
    """`motion` of a stream that comes in batches: keeps the last picture."""

    def __init__(self) -> None:
        self._last: Tensor | None = None

    def push(self, luma: Tensor, depth: int | None) -> Tensor:
        """(N, 1, H, W), the next pictures -> (N,) float64; 0 for the first of all."""
        x = eight_bit_scale(luma, depth)
        first = x.new_zeros(1, dtype=torch.float64)
        if self._last is not None:
            first = differences(torch.cat([self._last, x[:1]]))
        self._last = x[-1:].detach().clone()
        return torch.cat([first, differences(x)])


def temporal(moved: Tensor, wanted: Iterable[Feature]) -> dict[Feature, Tensor]:
    """`motion` of a whole stream, (N,) -> the wanted motion features, (N,) each."""
    found: dict[Feature, Tensor] = {}
    for feature in wanted:
        if feature.name in _MOTION:
            maximum = dict(feature.options).get("motion_max_val", 10000.0)
            found[feature] = (
                motion3(moved, maximum=maximum) if feature.name == "motion3" else motion2(moved).clamp_max(maximum)
            )
    return found


def _vif_limit(feature: Feature) -> float:
    return _options(feature, {"vif_enhn_gain_limit": NO_LIMIT})["vif_enhn_gain_limit"]


def _adm_options(feature: Feature) -> AdmOptions:
    given = _options(feature, {f"adm_{n}": d for n, d in _ADM_FIELDS.items()})
    return AdmOptions(**{n: type(d)(given[f"adm_{n}"]) for n, d in _ADM_FIELDS.items()})


def _options(feature: Feature, known: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(dict(feature.options)) - set(known))
    if unknown:
        raise InvalidValue(f"VMAF feature {feature.name}: option {unknown[0]!r}; known: {', '.join(known)}")
    return {**known, **dict(feature.options)}
