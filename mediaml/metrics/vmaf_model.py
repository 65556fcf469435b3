"""VMAF models as libvmaf's JSON files hold them: which features, how they are scaled, the regression, and what follows it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mediaml.errors import WeightsAbsent, WeightsCorrupt
from mediaml.nets.libsvm import RbfRegression, parse_libsvm

_LARGEST = 16 << 20
_DELTA = 0.01  # over which libvmaf takes the slope of the transform
Option = tuple[str, float | str]


class Feature(NamedTuple):
    """One input of a model.

    name     as libvmaf calls it, without its prefix and suffix: "adm2", "vif_scale0", "motion2", "cambi"
    options  of its extractor where they are not the default, sorted: (("adm_enhn_gain_limit", 1.0),)
    """

    name: str
    options: tuple[Option, ...] = ()


class Bootstrap(NamedTuple):
    """Score of a set of models trained on resampled opinions, each (N,): mean, spread and 95 % interval."""

    score: Tensor
    stddev: Tensor
    low: Tensor
    high: Tensor


@dataclass(frozen=True, slots=True)
class Transform:
    """What may follow the regression: p0 + p1 x + p2 x^2, then straight pieces between `knots`, then one of two bounds."""

    polynomial: tuple[float, float, float] | None
    knots: tuple[tuple[float, float], ...]
    never_above_input: bool
    never_below_input: bool
    by_default: bool

    def __call__(self, x: Tensor) -> Tensor:
        y = x
        if self.polynomial is not None:
            p0, p1, p2 = self.polynomial
            y = p0 + p1 * x + p2 * x * x
        if self.knots:
            y = _piecewise(y, self.knots)
        if self.never_above_input:
            y = torch.minimum(x, y)
        return torch.maximum(x, y) if self.never_below_input else y


@dataclass(frozen=True, slots=True)
class VmafModel:
    """One regression.

    slopes, intercepts  of the score, then of each feature: what libvmaf calls linear_rescale; empty for none
    clip                lowest and highest score, or None
    chroma_correction   how strongly chroma follows luma where it says nothing by itself, or None
    """

    features: tuple[Feature, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    regression: RbfRegression
    transform: Transform | None
    clip: tuple[float, float] | None
    chroma_correction: float | None = None

    def raw(self, values: Mapping[Feature, Tensor]) -> Tensor:
        """The regression's score, (N,) float64, from features (N,) each; neither transformed nor clipped."""
        x = torch.stack([values[f].double() for f in self.features], dim=1)  # (N, F)
        if self.chroma_correction is not None:
            x = self._corrected(x, self.chroma_correction)
        regression = self.regression.to(x.device)
        if not self.slopes:
            return regression(x)
        x = x * x.new_tensor(self.slopes[1:]) + x.new_tensor(self.intercepts[1:])
        return (regression(x) - self.intercepts[0]) / self.slopes[0]

    def _corrected(self, x: Tensor, strength: float) -> Tensor:
        """Where chroma says nothing (flat, or equal to the last bit), it is taken from luma's detail."""
        names = [f.name for f in self.features]
        chroma, luma = ([i for i, n in enumerate(names) if part in n] for part in ("speed_chroma", "adm3"))
        if len(chroma) != 1 or len(luma) != 1:
            return x
        columns = list(x.unbind(dim=1))
        silent = columns[chroma[0]] == 0
        columns[chroma[0]] = torch.where(silent, strength * (1 - columns[luma[0]]), columns[chroma[0]])
        return torch.stack(columns, dim=1)

    def finish(self, raw: Tensor, *, transform: bool = False, clip: bool = True) -> Tensor:
        """`raw` transformed (if asked, or if the model says so) and clipped."""
        if self.transform is not None and (transform or self.transform.by_default):
            raw = self.transform(raw)
        return raw.clamp(*self.clip) if clip and self.clip is not None else raw


@dataclass(frozen=True, slots=True)
class VmafModels:
    """What one file holds: one model, or a set (21 of them) whose spread gives an interval.

    source  the file's path or name, `sha256` that of its bytes
    """

    source: str
    sha256: str
    models: tuple[VmafModel, ...]

    @property
    def features(self) -> tuple[Feature, ...]:
        """Every feature that predicting needs."""
        return self.models[0].features

    @property
    def is_bootstrap(self) -> bool:
        return len(self.models) > 1

    def score(self, values: Mapping[Feature, Tensor], *, transform: bool = False, clip: bool = True) -> Tensor:
        """(N,) float64 from features (N,) each. `transform` is libvmaf's enable_transform (the phone model)."""
        raw = torch.stack([m.raw(values) for m in self.models]).mean(dim=0)
        return self.models[0].finish(raw, transform=transform, clip=clip)

    def bootstrap(self, values: Mapping[Feature, Tensor], *, transform: bool = False) -> Bootstrap:
        """Score, standard deviation and 95 % interval of a set of models, as libvmaf computes them."""
        raw = torch.stack([m.raw(values) for m in self.models])  # (models, N)
        mean = raw.mean(dim=0)
        low, high = (torch.quantile(raw, q, dim=0) for q in (0.025, 0.975))
        ends = [self._done(t, transform) for t in (mean - _DELTA, mean + _DELTA)]
        stddev = raw.std(dim=0, correction=0) * (ends[1] - ends[0]) / (2 * _DELTA)
        score, low, high = (self._done(t, transform) for t in (mean, low, high))
        return Bootstrap(score, stddev, low, high)

    def _done(self, raw: Tensor, transform: bool) -> Tensor:
        return self.models[0].finish(raw, transform=transform)


def read_vmaf_model(path: Path) -> VmafModels:
    """A libvmaf model file (JSON): one model or a set of them.

    Raises WeightsAbsent (no such file) and WeightsCorrupt (not such a model, or a kind that is not known here).
    """
    if not path.is_file():
        raise WeightsAbsent(f"{path}: no such VMAF model file; give the path of a libvmaf model in JSON")
    if (size := path.stat().st_size) > _LARGEST:
        raise WeightsCorrupt(f"{path}: {size} bytes, a VMAF model may have {_LARGEST}")
    content = path.read_bytes()
    try:
        models = _models(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsCorrupt(f"{path}: not a libvmaf model: {type(error).__name__}: {error}") from error
    return VmafModels(str(path), sha256(content).hexdigest(), models)


def _models(root: Mapping[str, Any]) -> tuple[VmafModel, ...]:
    if "model_dict" in root:
        return (_model(root["model_dict"]),)
    models = tuple(_model(root[str(i)]["model_dict"]) for i in range(len(root)))
    if not models or any(m.features != models[0].features for m in models):
        raise ValueError("a set of models must share its features")
    return models


def _model(d: Mapping[str, Any]) -> VmafModel:
    if "LIBSVMNUSVR" not in d["model_type"]:
        raise ValueError(f"model_type {d['model_type']!r}; known: LIBSVMNUSVR and its bootstraps")
    names: Sequence[str] = d["feature_names"]
    options: Sequence[Mapping[str, Any]] = d.get("feature_opts_dicts") or [{}] * len(names)
    features = tuple(Feature(_short(n), _options(o)) for n, o in zip(names, options, strict=True))
    slopes, intercepts = _rescaling(d, len(features))
    clip = d.get("score_clip")
    correction = d.get("chroma_correction_parameter")
    return VmafModel(
        features,
        slopes,
        intercepts,
        parse_libsvm(d["model"], len(features)),
        _transform(d["score_transform"]) if d.get("score_transform") else None,
        (float(clip[0]), float(clip[1])) if clip else None,
        None if correction is None else float(correction),
    )


def _rescaling(d: Mapping[str, Any], features: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if d["norm_type"] == "none":
        return (), ()
    if d["norm_type"] != "linear_rescale":
        raise ValueError(f"norm_type {d['norm_type']!r}; known: none, linear_rescale")
    slopes, intercepts = (tuple(map(float, d[k])) for k in ("slopes", "intercepts"))
    if not len(slopes) == len(intercepts) == features + 1 or slopes[0] == 0:
        raise ValueError(f"{len(slopes)} slopes and {len(intercepts)} intercepts for {features} features")
    return slopes, intercepts


def _short(name: str) -> str:
    """ "VMAF_integer_feature_adm2_score" -> "adm2"; float extractors count as their fixed-point twins."""
    bare = name.strip("'").removesuffix("_score")
    head, separator, tail = bare.partition("_feature_")
    if not separator or not head:
        raise ValueError(f"feature {name!r} is not of the form X_feature_Y_score")
    return tail


def _options(given: Mapping[str, Any]) -> tuple[Option, ...]:
    return tuple(sorted((k, v if isinstance(v, str) else float(v)) for k, v in given.items()))


def _transform(d: Mapping[str, Any]) -> Transform:
    terms = [d.get(k) for k in ("p0", "p1", "p2")]
    polynomial = None
    if any(t is not None for t in terms):
        polynomial = (float(terms[0] or 0), float(terms[1] or 0), float(terms[2] or 0))
    return Transform(
        polynomial,
        tuple((float(x), float(y)) for x, y in d.get("knots") or ()),
        _true(d.get("out_lte_in")),
        _true(d.get("out_gte_in")),
        _true(d.get("enabled")),
    )


def _true(value: Any) -> bool:
    return value is True or value == "true"


def _piecewise(x: Tensor, knots: Sequence[tuple[float, float]]) -> Tensor:
    """Straight lines through the knots, the outer two continued; an outer level piece continues level."""
    at, to = (torch.tensor(column, dtype=x.dtype, device=x.device) for column in zip(*knots, strict=True))
    if len(at) < 2 or not bool((at[1:] > at[:-1]).all()) or not math.isfinite(float(to.sum())):
        raise ValueError("knots must be two or more, rising")
    piece = (torch.searchsorted(at, x.detach().contiguous()) - 1).clamp(0, len(at) - 2)
    slope = (to[1:] - to[:-1]) / (at[1:] - at[:-1])
    return to[piece] + slope[piece] * (x - at[piece])
