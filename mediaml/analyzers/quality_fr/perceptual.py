"""LPIPS and DISTS, with networks that the user supplies: `mediaml weights pull NAME --from FILE`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer
from mediaml.analyzers.quality_fr.paired import nothing, paired_spec, score
from mediaml.analyzers.quality_fr.vmaf_stream import pair_of
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch, Planes
from mediaml.metrics.perceptual import Dists, Lpips, dists, lpips, read_dists, read_lpips
from mediaml.nets.imagenet_stages import SMALLEST, BackboneName
from mediaml.ops.colour import yuv_to_rgb
from mediaml.spec import Spec

_LPIPS = "Zhang, Isola, Efros, Shechtman & Wang 2018, The unreasonable effectiveness of deep features (LPIPS v0.1)"
_DISTS = "Ding, Ma, Wang & Simoncelli 2020, Image quality assessment: unifying structure and texture similarity"


def _spec(name: str, what: str, backbone: str, heads: str, cite: str, cost_ms: float) -> Spec:
    about = f"{what}; 0 for equal pictures; R'G'B' at the pictures' own size; the network is the user's"
    column = score(name, "1", about, minimum=-1e-3, better="lower")
    return paired_spec(name, what, (column,), cite=cite, cost_ms=cost_ms, weights=(backbone, heads))


class _Perceptual(FrameAnalyzer):
    """One picture at a time, as the features of a large one fill memory. Null under the network's least size."""

    backbone: ClassVar[BackboneName] = "vgg"

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        ref, dist = pair_of(batch)
        name = self.spec.outputs[0].name
        if min(ref.size) < SMALLEST[self.backbone]:
            return {name: nothing(batch)}
        against = batch.reference
        if against is None:
            raise InvalidValue(f"{name} needs a batch with a reference")
        pairs = [
            (yuv_to_rgb(_one(ref, i), against.colour), yuv_to_rgb(_one(dist, i), batch.colour))
            for i in range(len(batch))
        ]
        return {name: torch.cat([self.distance(a, b) for a, b in pairs])}

    @abstractmethod
    def distance(self, ref: Tensor, dist: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] -> (1,)."""


def _one(planes: Planes, row: int) -> Planes:
    u, v = (None if p is None else p[row : row + 1] for p in (planes.u, planes.v))
    return Planes(planes.y[row : row + 1], u, v, planes.bit_depth)


class _Lpips(_Perceptual):
    def setup(self, device: torch.device) -> None:
        super().setup(device)
        backbone, heads = (weights.resolve(w) for w in self.spec.weights)
        self.net: Lpips = read_lpips(backbone, heads, self.backbone, device)

    def distance(self, ref: Tensor, dist: Tensor) -> Tensor:
        return lpips(ref, dist, self.net)


class LpipsAlex(_Lpips):
    """The authors' default for judging pictures."""

    spec = _spec("lpips", "LPIPS v0.1 with AlexNet", "alexnet_imagenet", "lpips_alex_heads", _LPIPS, 300.0)
    backbone = "alex"


class LpipsVgg(_Lpips):
    spec = _spec("lpips_vgg", "LPIPS v0.1 with VGG-16", "vgg16_imagenet", "lpips_vgg_heads", _LPIPS, 9000.0)


class DistsVgg(_Perceptual):
    spec = _spec("dists", "DISTS: structure and texture similarity", "vgg16_imagenet", "dists_weights", _DISTS, 10000.0)

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        backbone, own = (weights.resolve(w) for w in self.spec.weights)
        self.net: Dists = read_dists(backbone, own, device)

    def distance(self, ref: Tensor, dist: Tensor) -> Tensor:
        return dists(ref, dist, self.net)
