"""The features that VMAF models ask for: which extractor with which settings, and each computed once for all models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.adm import AdmOptions, adm_scores
from mediaml.metrics.cambi import CambiOptions, cambi
from mediaml.metrics.inputs import eight_bit_scale
from mediaml.metrics.motion import differences, motion2, motion3
from mediaml.metrics.speed import SpeedOptions, check_options, smallest_chroma, speed_chroma
from mediaml.metrics.vif import NO_LIMIT, vif_scales
from mediaml.metrics.vmaf_model import Feature, Option

SMALLEST = 16  # pixels a side
_LARGEST_SIDE_CAMBI = 216  # of the longer side, at least
_CENTRE = 128.0
_VIF = tuple(f"vif_scale{i}" for i in range(4))
_ADM = ("adm2", "adm3", "aim", *(f"adm_scale{i}" for i in range(4)))
_MOTION = ("motion2", "motion3")
_CAMBI, _SPEED = "cambi", "speed_chroma_uv"
_MOTION_FIELDS: dict[str, Any] = {"max_val": 10000.0, "five_frame_window": False, "moving_average": False}
Chroma = tuple[Tensor, Tensor]
"""U and V, (N, 1, h, w) each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compute for a set of features: gain limits of VIF, settings of the others, whether AIM is needed."""

    vif_limits: tuple[float, ...] = ()
    adm_options: tuple[AdmOptions, ...] = ()
    aim: bool = False
    cambi_options: tuple[CambiOptions, ...] = ()
    speed_options: tuple[SpeedOptions, ...] = ()

    @classmethod
    def of(cls, wanted: Iterable[Feature]) -> Plan:
        """Raises InvalidValue for a feature or an option that is not known here."""
        wanted = tuple(wanted)
        for feature in wanted:
            if feature.name not in (*_VIF, *_ADM, *_MOTION, _CAMBI, _SPEED):
                known = ", ".join((*_VIF, *_ADM, *_MOTION, _CAMBI, _SPEED))
                raise InvalidValue(f"VMAF feature {feature.name!r}; known: {known}")
            if feature.name in _MOTION:
                _settings(feature, "motion_", _MOTION_FIELDS)
        speed = tuple(SpeedOptions(**_settings(f, "speed_", _fields(SpeedOptions))) for f in wanted if f.name == _SPEED)
        for options in speed:
            check_options(options)
        return cls(
            tuple(dict.fromkeys(_vif_limit(f) for f in wanted if f.name in _VIF)),
            tuple(
                dict.fromkeys(AdmOptions(**_settings(f, "adm_", _fields(AdmOptions))) for f in wanted if f.name in _ADM)
            ),
            any(f.name in ("aim", "adm3") for f in wanted),
            tuple(CambiOptions(**_settings(f, "cambi_", _fields(CambiOptions))) for f in wanted if f.name == _CAMBI),
            speed,
        )

    def covers(self, other: Plan) -> bool:
        """Whether everything that `other` computes is computed by this one."""
        mine, theirs = ((p.vif_limits, p.adm_options, p.cambi_options, p.speed_options) for p in (self, other))
        return all(set(b) <= set(a) for a, b in zip(mine, theirs, strict=True)) and (self.aim or not other.aim)

    def fits(self, height: int, width: int, chroma: tuple[int, int] | None) -> bool:
        """Whether pictures of that size are large enough for everything in the plan; `chroma` is the size of U and V."""
        large = min(height, width) >= SMALLEST
        if self.cambi_options:
            large = large and max(height, width) >= _LARGEST_SIDE_CAMBI
        if self.speed_options:
            large = large and chroma is not None and min(chroma) >= max(map(smallest_chroma, self.speed_options))
        return large


def spatial(
    ref: Tensor,
    dist: Tensor,
    depth: int | None,
    plan: Plan,
    chroma: tuple[Chroma, Chroma] | None = None,
) -> dict[Feature, Tensor]:
    """(N, 1, H, W) luma -> every value of the plan that needs one picture only, (N,) float64 each.

    `chroma` is that of reference and distorted. On the CPU picture by picture. Raises InvalidValue where the plan needs
    chroma and there is none.
    """
    step = 1 if ref.device.type == "cpu" else ref.shape[0]
    parts = [_luma(ref[i : i + step], dist[i : i + step], depth, plan) for i in range(0, ref.shape[0], step)]
    found = {feature: torch.cat([p[feature] for p in parts]) for feature in parts[0]}
    for options in plan.cambi_options:
        found[Feature(_CAMBI, _given(options, "cambi_"))] = cambi(dist, bit_depth=depth, options=options)
    for options in plan.speed_options:
        if chroma is None:
            raise InvalidValue("this VMAF model looks at chroma: give the U and V planes of both pictures")
        found[Feature(_SPEED, _given(options, "speed_"))] = speed_chroma(*chroma, bit_depth=depth, options=options)
    return found


def _luma(ref: Tensor, dist: Tensor, depth: int | None, plan: Plan) -> dict[Feature, Tensor]:
    x, y = (eight_bit_scale(t, depth) - _CENTRE for t in (ref, dist))
    found: dict[Feature, Tensor] = {}
    if plan.vif_limits:
        for limit, scales in zip(plan.vif_limits, vif_scales(x, y, plan.vif_limits), strict=True):
            key = () if limit == NO_LIMIT else (("vif_enhn_gain_limit", limit),)
            found |= {Feature(name, key): scales[:, i] for i, name in enumerate(_VIF)}
    for options, values in zip(plan.adm_options, adm_scores(x, y, plan.adm_options, aim=plan.aim), strict=True):
        key = _given(options, "adm_")
        found |= {Feature(n, key): getattr(values, n) for n in ("adm2", "adm3", "aim")}
        found |= {Feature(f"adm_scale{i}", key): values.scales[:, i] for i in range(4)}
    return found


class MotionMeter:
    """`motion` of a stream that comes in batches: keeps the last `step` pictures."""

    def __init__(self, step: int = 1) -> None:
        self._step = step
        self._kept: Tensor | None = None  # (K, 1, H, W), at most `step` of them

    def push(self, luma: Tensor, depth: int | None) -> Tensor:
        """(N, 1, H, W), the next pictures -> (N,) float64; 0 for the first `step` of all, and where the size changes."""
        x = eight_bit_scale(luma, depth)
        if self._kept is not None and self._kept.shape[1:] == x.shape[1:]:
            x = torch.cat([self._kept, x])
        found = differences(x, self._step)
        self._kept = x[-self._step :].detach().clone()
        return torch.cat([found.new_zeros(max(0, len(luma) - len(found))), found])


def motion_steps(wanted: Iterable[Feature]) -> tuple[int, ...]:
    """How far back the motion features look: 1, or 2 with the five-frame window."""
    return tuple(sorted({_motion_step(f) for f in wanted if f.name in _MOTION}))


def _motion_step(feature: Feature) -> int:
    return 2 if _settings(feature, "motion_", _MOTION_FIELDS)["five_frame_window"] else 1


def temporal(moved: Mapping[int, Tensor], wanted: Iterable[Feature]) -> dict[Feature, Tensor]:
    """`motion` of a whole stream, (N,) for each of `motion_steps` -> the wanted motion features, (N,) each."""
    found: dict[Feature, Tensor] = {}
    for feature in wanted:
        if feature.name in _MOTION:
            given, step = _settings(feature, "motion_", _MOTION_FIELDS), _motion_step(feature)
            if feature.name == "motion3":
                found[feature] = motion3(
                    moved[step], maximum=given["max_val"], step=step, average=given["moving_average"]
                )
            else:
                found[feature] = motion2(moved[step], step=step).clamp_max(given["max_val"])
    return found


def normal(feature: Feature) -> Feature:
    """The same feature without options that say what holds anyway."""
    kinds: dict[str, Any] = {_CAMBI: CambiOptions(), _SPEED: SpeedOptions()} | dict.fromkeys(_ADM, AdmOptions())
    default = kinds.get(feature.name)
    if default is None:
        return feature
    prefix = {_CAMBI: "cambi_", _SPEED: "speed_"}.get(feature.name, "adm_")
    return Feature(feature.name, _given(type(default)(**_settings(feature, prefix, _fields(type(default)))), prefix))


def _vif_limit(feature: Feature) -> float:
    return _settings(feature, "vif_", {"enhn_gain_limit": NO_LIMIT})["enhn_gain_limit"]


def _fields(kind: type) -> dict[str, Any]:
    return {f.name: f.default for f in fields(kind)}


def _given(options: Any, prefix: str) -> tuple[Option, ...]:
    """The options that differ from their defaults, as a feature's name has them."""
    values = ((n, getattr(options, n), d) for n, d in _fields(type(options)).items())
    return tuple(sorted((prefix + n, v if isinstance(v, str) else float(v)) for n, v, d in values if v != d))


def _settings(feature: Feature, prefix: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Every option without its prefix, in its own type; raises InvalidValue for one that is not known."""
    given = {name.removeprefix(prefix): value for name, value in feature.options}
    unknown = sorted(set(given) - set(known))
    if unknown:
        names = ", ".join(prefix + n for n in known)
        raise InvalidValue(f"VMAF feature {feature.name}: option {prefix}{unknown[0]}; known: {names}")
    return {name: type(default)(given.get(name, default)) for name, default in known.items()}
