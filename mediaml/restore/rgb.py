"""Networks that take and give R'G'B': Real-ESRGAN and whatever else was trained so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediaml.errors import InvalidValue
from mediaml.frames import Colour, Planes
from mediaml.ops.colour import rgb_to_yuv, yuv_to_rgb
from mediaml.ops.resize import imresize
from mediaml.restore.enlarger import Enlarger
from mediaml.restore.ensemble import over_orientations
from mediaml.restore.replay import Replayed
from mediaml.restore.tiling import TileSide, tiled


class RgbEnlarger(Enlarger):
    """A network (N, 3, H, W) in [0, 1] -> (N, 3, H * native, W * native), in tiles.

    Where `scale` is smaller than the network's own, its result is shrunk by antialiased bicubic. `reach` is how far a pixel's
    influence goes (the overlap of tiles); `bytes_per_pixel` what one input pixel costs in memory; `ensemble` the mean over
    eight orientations. `convolutional` says that the network is nothing but convolutions and pointwise functions: on a GPU
    it then runs with channels last, and its kernels are recorded and replayed.
    """

    def __init__(
        self,
        name: str,
        net: nn.Module,
        *,
        native: int,
        scale: int,
        reach: int,
        bytes_per_pixel: float,
        device: torch.device | None = None,
        tile: int | None = None,
        workers: int = 1,
        ensemble: bool = False,
        convolutional: bool = False,
    ) -> None:
        if scale > native or native % scale:
            raise InvalidValue(f"{name} enlarges x{native}; --scale {scale} cannot be made from it: ask for a divisor")
        self.name, self.scale, self.device = name, scale, device or torch.device("cpu")
        self._half = self.device.type == "cuda"
        self._net = net.eval().requires_grad_(False).to(self.device)
        if self._half:
            self._net = self._net.half()
        self._apply: Callable[[Tensor], Tensor] = self._net
        if convolutional and self.device.type == "cuda":
            self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._apply = self._net if ensemble else Replayed(self._net)
        self._native, self._reach, self._ensemble = native, reach, ensemble
        self._side = TileSide(bytes_per_pixel / (2 if self._half else 1), self.device, workers, tile)

    def planes(self, planes: Planes, colour: Colour, siting: str, strength: Tensor) -> Planes:
        del siting  # chroma is made anew from R'G'B', at centred positions of full size, then averaged
        shown = self.rgb(yuv_to_rgb(planes.to(self.device), colour), strength)
        peak = (1 << planes.bit_depth) - 1
        y, u, v = (p.round_().clamp_(0, peak) for p in rgb_to_yuv(shown, colour, planes.bit_depth))
        if planes.u is None or planes.v is None:
            return Planes(y.to(planes.y.dtype), None, None, planes.bit_depth)
        rows, columns = (-(-a * b // c) for a, b, c in zip(y.shape[2:], planes.u.shape[2:], planes.size, strict=True))
        small: Callable[[Tensor], Tensor] = lambda p: F.adaptive_avg_pool2d(p, (rows, columns)).round_()  # noqa: E731
        return Planes(y.to(planes.y.dtype), small(u).to(planes.y.dtype), small(v).to(planes.y.dtype), planes.bit_depth)

    def rgb(self, frames: Tensor, strength: Tensor) -> Tensor:
        del strength
        x = frames.to(self.device, torch.float16 if self._half else torch.float32)
        with torch.no_grad():
            whole = partial(tiled, self._apply, scale=self._native, tile=self._side.of(len(x)), overlap=self._reach)
            shown = (over_orientations(whole, x) if self._ensemble else whole(x)).float().clamp_(0, 1)
            if self._native != self.scale:
                shown = imresize(shown, scale=self.scale / self._native).clamp_(0, 1)
        return shown
