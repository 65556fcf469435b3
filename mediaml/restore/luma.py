"""Our own network on native planes: luma by the network, chroma by Lanczos at its true position."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.frames import Colour, Planes
from mediaml.nets.mediaml_sr import MediamlSr, StrengthEstimator
from mediaml.ops.colour import rgb_to_yuv
from mediaml.restore.chroma import enlarged_chroma
from mediaml.restore.enlarger import Enlarger
from mediaml.restore.ensemble import over_orientations
from mediaml.restore.replay import Replayed
from mediaml.restore.tiling import TileSide, tiled

_SRGB = Colour("bt709", "limited", "iec61966-2-1", "bt709")


class LumaEnlarger(Enlarger):
    """`mediaml_sr_x2`, once (x2) or twice (x4; what was upscaled before counts as not compressed).

    `ensemble` takes the mean over eight orientations: eight times the work for a little less error.
    """

    uses_strength = True

    def __init__(
        self,
        name: str,
        net: MediamlSr,
        estimator: StrengthEstimator,
        *,
        passes: int = 1,
        device: torch.device | None = None,
        tile: int | None = None,
        workers: int = 1,
        ensemble: bool = False,
    ) -> None:
        self.name, self.scale, self.device = name, 2**passes, device or torch.device("cpu")
        self.net = net.eval().requires_grad_(False).to(self.device)
        if self.device.type == "cuda":
            self.net.compute_dtype = torch.float16
        elif bfloat16_is_fast(self.device):
            self.net.compute_dtype = torch.bfloat16
        self._estimator = estimator.eval().requires_grad_(False).to(self.device)
        self._passes, self._ensemble = passes, ensemble
        self._apply = Replayed(self.net) if self.device.type == "cuda" and not ensemble else self.net
        frame_bytes = 3 * net.channels / 4 * self.net.compute_dtype.itemsize + 24 * torch.float32.itemsize
        self._side = TileSide(frame_bytes, self.device, workers, tile)

    def planes(self, planes: Planes, colour: Colour, siting: str, strength: Tensor) -> Planes:
        subsampling = _subsampling(planes)
        for step in range(self._passes):
            y = self._luma(planes, colour, strength if step == 0 else torch.zeros_like(strength))
            u, v = (self._chroma(p, planes.bit_depth, subsampling, siting, y) for p in (planes.u, planes.v))
            planes = Planes(y, u, v, planes.bit_depth)
        return planes

    def rgb(self, frames: Tensor, strength: Tensor) -> Tensor:
        y, u, v = rgb_to_yuv(frames.to(self.device, torch.float32), _SRGB)  # code values of 8 bits, not rounded
        for step in range(self._passes):
            y = self.luma(y / 255, strength if step == 0 else torch.zeros_like(strength)) * 255
            u, v = (enlarged_chroma(p, (1, 1), "center") for p in (u, v))
        return _unrounded_rgb(y, u, v)

    def estimate(self, luma: Tensor) -> Tensor:
        with torch.no_grad():
            return self._estimator(luma.to(self.device, torch.float32))

    def _luma(self, planes: Planes, colour: Colour, strength: Tensor) -> Tensor:
        """(N, 1, H, W) codes -> (N, 1, 2H, 2W) codes of the same depth. The network knows limited range."""
        peak = (1 << planes.bit_depth) - 1
        unit = 255 * 2 ** (planes.bit_depth - 8)
        codes = planes.y.to(self.device, torch.float32)
        full = colour.range == "full"
        luma = codes * (219 / 255 / peak) + 16 / 255 if full else codes / unit
        shown = self.luma(luma, strength)
        codes = shown.sub_(16 / 255).mul_(255 / 219 * peak) if full else shown.mul_(unit)
        return codes.round_().clamp_(0, peak).to(planes.y.dtype)

    def luma(self, luma: Tensor, strength: Tensor) -> Tensor:
        """(N, 1, H, W) codes of limited range over 255, (N,) -> (N, 1, 2H, 2W) float32, not clamped; one pass."""
        luma, strength = luma.to(self.device, torch.float32), strength.to(self.device, torch.float32)
        side = self._side.of(len(luma))
        with torch.no_grad():
            whole = partial(tiled, lambda x: self._apply(x, strength), scale=2, tile=side, overlap=self.net.reach)
            return over_orientations(whole, luma) if self._ensemble else whole(luma)

    def _chroma(
        self, plane: Tensor | None, bit_depth: int, subsampling: tuple[int, int], siting: str, y: Tensor
    ) -> Tensor | None:
        if plane is None:
            return None
        with torch.no_grad():
            shown = enlarged_chroma(plane.to(self.device, torch.float32), subsampling, siting)
        rows, columns = (-(-size // s) for size, s in zip(y.shape[2:], subsampling, strict=True))
        codes = shown[:, :, :rows, :columns].round_().clamp_(0, (1 << bit_depth) - 1)
        return codes.to(plane.dtype)


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether this processor has instructions for bfloat16 (AVX-512 BF16); without them it is slower than float32."""
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def _subsampling(planes: Planes) -> tuple[int, int]:
    """(vertical, horizontal) of chroma."""
    if planes.u is None:
        return 1, 1
    found = tuple(-(-a // b) for a, b in zip(planes.size, planes.u.shape[2:], strict=True))
    if any(f not in (1, 2, 4) for f in found):
        raise InvalidValue(f"chroma of {tuple(planes.u.shape[2:])} does not belong to luma of {planes.size}")
    return found[0], found[1]


def _unrounded_rgb(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Code values of 8 bits, limited range, BT.709 -> (N, 3, H, W) R'G'B' in [0, 1]."""
    luma, cb, cr = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    red, blue = luma + 1.5748 * cr, luma + 1.8556 * cb
    green = (luma - 0.2126 * red - 0.0722 * blue) / 0.7152
    return torch.cat([red, green, blue], dim=1).clamp_(0, 1)
