"""What the VMAF analyzers share: features of a stream of pairs, computed once a batch for all of them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch, Planes
from mediaml.metrics.vmaf_features import MotionMeter, Plan, motion_steps, normal, spatial, temporal
from mediaml.metrics.vmaf_model import Feature, VmafModels, read_vmaf_model
from mediaml.ops.gathered import Gathered, GatheredColumn
from mediaml.spec import Better, Column, Need, Table, View

GROUPS = ("quality_fr", "vmaf")
NEED = Need(View.planes())
CITE = "Li et al. 2016, Toward a practical perceptual video quality metric; https://github.com/Netflix/vmaf (libvmaf 3)"
COST_MS = 150.0  # a pair of 1080p pictures, for all VMAF analyzers together

NEG = ("vif_enhn_gain_limit", 1.0), ("adm_enhn_gain_limit", 1.0)
SHARED = Plan.of(
    Feature(name, options) for name, limit in (("vif_scale0", NEG[0]), ("adm2", NEG[1])) for options in ((), (limit,))
)


def score_column(
    name: str, description: str, *, minimum: float = 0.0, maximum: float = 100.0, better: Better | None = "higher"
) -> Column:
    """A score a frame; null where the picture is too small for the model (under 16 pixels a side)."""
    return Column(name, "float64", "1", description, minimum=minimum, maximum=maximum, nullable=True, better=better)


class VmafAnalyzer(FrameAnalyzer):
    """Gathers features in `update` and gives all rows in `finish`: the score of a frame depends on the motion of the next.

    Subclasses have a spec whose first weight is the model, and say in `columns` what they make of the features: those of the
    model and `extra_features`.
    """

    extra_features: tuple[Feature, ...] = ()
    shares_features = True  # False: the model's own, computed for it alone

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self.model: VmafModels = read_vmaf_model(weights.resolve(self.spec.weights[0]))
        self._plan = SHARED if self.shares_features else Plan.of(self.model.features)
        self._reset()

    @abstractmethod
    def columns(self, values: Mapping[Feature, Tensor]) -> Mapping[str, Tensor]:
        """The spec's columns, (N,) each, from the features of a whole stream."""

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        ref, dist = pair_of(batch)
        self._keys.add({"frame_index": batch.frame_index, "pts_seconds": batch.pts_seconds})
        if self._plan.fits(*ref.size, (ref.u.shape[2], ref.u.shape[3]) if ref.u is not None else None):
            values = batch.shared(("vmaf_spatial", self._plan), lambda: _spatial(ref, dist, self._plan))
            for step, meter in self._meters.items():
                self._moved[step].add(meter.push(ref.y, ref.bit_depth))
        else:
            nothing = torch.full((len(batch),), math.nan, dtype=torch.float64, device=batch.device)
            values = {f: nothing for f in self._wanted if not f.name.startswith("motion")}
            for moved in self._moved.values():
                moved.add(nothing)
        self._spatial.add({f: values[k] for f in self._wanted for k in (f, normal(f)) if k in values})
        return {}

    def finish(self) -> Rows:
        keys, values, moved = self._keys.columns(), self._spatial.columns(), self._moved
        self._reset()
        if not keys:
            return {}
        values |= temporal({step: column.values() for step, column in moved.items()}, self._wanted)
        columns = {name: _nullable(column) for name, column in self.columns(values).items()}
        return {Table.FRAMES: {name: column.tolist() for name, column in keys.items()} | columns}

    @property
    def _wanted(self) -> tuple[Feature, ...]:
        return tuple(dict.fromkeys((*self.model.features, *self.extra_features)))

    def _reset(self) -> None:
        self._keys: Gathered[str] = Gathered()
        self._spatial: Gathered[Feature] = Gathered()
        self._meters = {step: MotionMeter(step) for step in motion_steps(self._wanted)}
        self._moved = {step: GatheredColumn() for step in self._meters}


def _spatial(ref: Planes, dist: Planes, plan: Plan) -> dict[Feature, Tensor]:
    chroma = None
    if ref.u is not None and ref.v is not None and dist.u is not None and dist.v is not None:
        chroma = (ref.u, ref.v), (dist.u, dist.v)
    return spatial(ref.y, dist.y, ref.bit_depth, plan, chroma)


def pair_of(batch: FrameBatch) -> tuple[Planes, Planes]:
    """Planes of the reference and of the batch itself; raises InvalidValue where they are not a pair."""
    ref = batch.reference.planes if batch.reference is not None else None
    dist = batch.planes
    if ref is None or dist is None:
        raise InvalidValue("full-reference metrics take batches with planes and a reference that has planes")
    if ref.size != dist.size or ref.bit_depth != dist.bit_depth:
        raise InvalidValue(
            f"the reference is {ref.size[1]}x{ref.size[0]} {ref.bit_depth}-bit, the other {dist.size[1]}x{dist.size[0]} "
            f"{dist.bit_depth}-bit; they must be brought to one size and depth before"
        )
    return ref, dist


def _nullable(column: Tensor) -> list[float | None]:
    return [None if math.isnan(v) else v for v in column.tolist()]
