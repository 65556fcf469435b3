"""What the frame-by-frame full-reference analyzers share: planes of the pair in, null where the picture is too small."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer
from mediaml.analyzers.quality_fr.vmaf_stream import pair_of
from mediaml.frames import FrameBatch, Planes
from mediaml.spec import Better, Column, Need, Spec, View


class PairedAnalyzer(FrameAnalyzer):
    """`scores` gives the spec's columns for a pair; pictures with a side under `smallest` pixels get null."""

    smallest: ClassVar[int] = 1

    @abstractmethod
    def scores(self, ref: Planes, dist: Planes) -> Mapping[str, Tensor]:
        """Columns, (N,) float64 each."""

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        ref, dist = pair_of(batch)
        if min(ref.size) < self.smallest:
            return {c.name: nothing(batch) for c in self.spec.outputs}
        return self.scores(ref, dist)


def nothing(batch: FrameBatch) -> Tensor:
    """(N,) NaN, which is written as null."""
    return torch.full((len(batch),), math.nan, dtype=torch.float64, device=batch.device)


def score(
    name: str,
    unit: str,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    better: Better | None = "higher",
) -> Column:
    """A nullable float64 column a frame."""
    return Column(name, "float64", unit, description, minimum=minimum, maximum=maximum, nullable=True, better=better)


def paired_spec(
    name: str,
    summary: str,
    outputs: tuple[Column, ...],
    *,
    cite: str,
    cost_ms: float,
    ordered: bool = False,
    weights: tuple[str, ...] = (),
) -> Spec:
    """Of an analyzer that takes both pictures' planes, and that nothing runs unasked."""
    return Spec(
        name=name,
        version=1,
        summary=summary,
        outputs=outputs,
        need=Need(View.planes()),
        ordered=ordered,
        needs_reference=True,
        weights=weights,
        groups=("quality_fr",),
        default=False,
        cite=cite,
        cost_ms=cost_ms,
    )


def each_plane(ref: Planes, dist: Planes) -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of planes by name: y, and u and v where both pictures have them."""
    planes = {"y": (ref.y, dist.y), "u": (ref.u, dist.u), "v": (ref.v, dist.v)}
    return {name: (a, b) for name, (a, b) in planes.items() if a is not None and b is not None}
