"""`mediaml_sr_x2`: luma x2 for compressed video, conditioned on the quantizer, a gated residual over Lanczos.

Everything runs at half the input's resolution: luma is unshuffled into cells of 2x2 pixels (4 channels), and each cell gives
4x4 output pixels (16 channels), so that 100 k weights cost what 25 k weights cost at full resolution.

The strength of compression is the quantizer on H.264's scale divided by 51; 0 for pictures that were never coded.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediaml.errors import InvalidValue

SLOPE = 0.1
_QUANTIZED_AWAY = 0.4  # codes of 8 bits
KNOTS = 11  # strengths for which a modulation is learnt
CELL = 2  # input pixels a side of a cell
_SUBPIXELS = (2 * CELL) ** 2  # output pixels a cell


class Convolution(nn.Module):
    """A k x k convolution."""

    def __init__(self, channels_in: int, channels_out: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels_out, channels_in, size, size))
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def start(self, *, zero: bool = False) -> None:
        """As a convolution of half the usual variance plus the identity; or as zero."""
        if zero:
            return
        out, fan_in, size, _ = self.weight.shape
        self.weight.normal_(std=0.7 / math.sqrt(fan_in * size * size))
        if out == fan_in:
            self.weight[:, :, size // 2, size // 2] += torch.eye(out)


class MediamlSr(nn.Module):
    """(N, 1, H, W) luma in [0, 1] and (N,) strength -> (N, 1, 2H, 2W), not clamped. Any H, W from 1x1 up.

    `compute_dtype` is what the residual is computed in; weights and the base stay float32.
    """

    compute_dtype = torch.float32

    def __init__(self, channels: int = 48, depth: int = 4) -> None:
        super().__init__()
        self.channels, self.depth = channels, depth
        sizes = [(CELL**2, channels, 5), *[(channels, channels, 3)] * depth, (channels, _SUBPIXELS, 3)]
        self.blocks = nn.ModuleList(Convolution(*size) for size in sizes)
        self.modulation = nn.Parameter(torch.zeros(KNOTS, 2 * sum(s[1] for s in sizes)))
        self.gate = Convolution(channels, _SUBPIXELS, 1)
        self.register_buffer("base", lanczos_kernel(), persistent=False)
        self.base: Tensor
        self._start_as_lanczos()

    @property
    def reach(self) -> int:
        """Input pixels to each side beyond which nothing changes an output pixel: the overlap that tiles need."""
        return CELL * (2 + self.depth + 1 + 1)

    def forward(self, luma: Tensor, strength: Tensor) -> Tensor:
        if luma.ndim != 4 or luma.shape[1] != 1 or 0 in luma.shape or strength.shape != luma.shape[:1]:
            raise InvalidValue(
                f"luma must be (N, 1, H, W) and strength (N,), not {tuple(luma.shape)} and {tuple(strength.shape)}"
            )
        cells = _cells(luma)
        out = F.conv2d(cells, self.base)
        out += self._residual(_centred(cells).to(self.compute_dtype), strength)
        return _picture(out, luma.shape)

    def _residual(self, cells: Tensor, strength: Tensor) -> Tensor:
        """(N, 4, h + 4, w + 4) -> (N, 16, h, w), gated."""
        blocks = self.convolutions()
        widths = [b.bias.shape[0] for b in blocks]
        scales, shifts = (m.split(widths, dim=1) for m in self._modulation(strength).chunk(2, dim=1))
        x = F.leaky_relu_(_convolved(cells, blocks[0], scales[0], shifts[0], padding=0), SLOPE)
        for block, scale, shift in zip(blocks[1:-1], scales[1:-1], shifts[1:-1], strict=True):
            x = F.leaky_relu_(_convolved(x, block, scale, shift), SLOPE)
        gate = torch.sigmoid(F.conv2d(x, self.gate.weight.to(x.dtype), self.gate.bias.to(x.dtype)))
        return _convolved(x, blocks[-1], scales[-1], shifts[-1]) * gate

    def _modulation(self, strength: Tensor) -> Tensor:
        """(N,) -> (N, 2 * channels of all blocks): linear between the knots, which lie evenly in [0, 1]."""
        place = strength.clamp(0, 1)[:, None] * (KNOTS - 1)
        weight = (1 - (place - torch.arange(KNOTS, device=place.device, dtype=place.dtype)).abs()).clamp(min=0)
        return weight @ self.modulation

    def convolutions(self) -> list[Convolution]:
        """First to last, without the gate's."""
        return list(self.blocks)  # type: ignore[arg-type]

    def _start_as_lanczos(self) -> None:
        """Body convolutions begin near the identity, the residual at zero behind an open gate (noise would close it)."""
        with torch.no_grad():
            for block in self.convolutions()[:-1]:
                block.start()
            self.convolutions()[-1].start(zero=True)
            nn.init.constant_(self.gate.bias, 2.0)


def lanczos_x2(luma: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 1, 2H, 2W): what the network falls back to, Lanczos with three lobes, not clamped."""
    return _picture(F.conv2d(_cells(luma), lanczos_kernel().to(luma)), luma.shape)


def _cells(luma: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 4, h + 4, w + 4), with two more cells on each side; a last cell may be half beyond the picture."""
    height, width = luma.shape[2:]
    ring = 2 * CELL
    padded = F.pad(luma, (ring, ring + width % CELL, ring, ring + height % CELL), mode="replicate")
    return F.pixel_unshuffle(padded, CELL).contiguous(memory_format=torch.channels_last)


def _picture(out: Tensor, shape: torch.Size) -> Tensor:
    """(N, 16, h, w) -> (N, 1, 2H, 2W) for luma of `shape`: a pixel shuffle, half its time where channels come last."""
    count, _, rows, columns = out.shape
    side = 2 * CELL
    cells = out.permute(0, 2, 3, 1).reshape(count, rows, columns, side, side)
    shown = cells.permute(0, 1, 3, 2, 4).reshape(count, 1, side * rows, side * columns)
    return shown[:, :, : 2 * shape[2], : 2 * shape[3]]


def _centred(cells: Tensor) -> Tensor:
    """Codes of 8 bits about their middle, over 64: integers over a power of two, which bfloat16 holds without loss."""
    return cells * (255 / 64) - 2


def _convolved(x: Tensor, block: Convolution, scale: Tensor, shift: Tensor, padding: int = 1) -> Tensor:
    """The block's convolution, times 1 + `scale` (N, out), plus `shift` (N, out): part of the kernel where N is 1."""
    weight, bias = block.weight, block.bias
    if len(shift) == 1:
        factor = 1 + scale[0]
        weight, bias = weight * factor[:, None, None, None], bias * factor + shift[0]
        return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=padding)
    convolved = F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=padding)
    scale, shift = scale.to(x.dtype), shift.to(x.dtype)
    return torch.addcmul(shift[:, :, None, None], convolved, 1 + scale[:, :, None, None])


class StrengthEstimator(nn.Module):
    """(N, 1, H, W) luma in [0, 1] -> (N,) strength of compression, from its traces; for HEVC, AV1 and pictures.

    Over 8x8 blocks, each frequency's mean log magnitude, its deviation, and how often it is quantized away.
    """

    FEATURES = 3 * 63

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", _dct_kernels(), persistent=False)
        self.register_buffer("mean", torch.zeros(self.FEATURES))
        self.register_buffer("deviation", torch.ones(self.FEATURES))
        self.head = nn.Sequential(nn.Linear(self.FEATURES, 24), nn.LeakyReLU(SLOPE), nn.Linear(24, 1))
        self.frequencies: Tensor
        self.mean: Tensor
        self.deviation: Tensor

    def forward(self, luma: Tensor) -> Tensor:
        return self.unbounded(self.features(luma)).clamp(0, 1)

    def features(self, luma: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 189)."""
        rows, columns = (max(0, 16 - s) for s in luma.shape[2:])
        padded = F.pad(luma, (0, columns, 0, rows), mode="replicate")
        magnitude = F.conv2d(padded * 255, self.frequencies, stride=8).abs()  # (N, 63, h, w)
        levels = torch.log1p(magnitude)
        gone = (magnitude < _QUANTIZED_AWAY).float()
        return torch.cat([levels.mean(dim=(2, 3)), levels.std(dim=(2, 3)), gone.mean(dim=(2, 3))], dim=1)

    def unbounded(self, features: Tensor) -> Tensor:
        """(N, 189) -> (N,), not limited to [0, 1]: what training looks at, because a clamped value has no gradient."""
        return self.head((features - self.mean) / self.deviation)[:, 0]


def _dct_kernels() -> Tensor:
    """(63, 1, 8, 8): the orthonormal 8x8 DCT-II without its mean."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)
    basis = torch.cos(math.pi * (n + 0.5) * k / 8) * torch.where(k == 0, math.sqrt(1 / 8), 0.5)
    return torch.einsum("ai,bj->abij", basis, basis).reshape(64, 1, 8, 8)[1:].contiguous()


def lanczos_kernel(lobes: int = 3) -> Tensor:
    """(16, 4, 5, 5): Lanczos interpolation x2 as a convolution from cells of 2x2 pixels to cells of 4x4 output pixels."""
    position = torch.arange(-2 * CELL, 3 * CELL, dtype=torch.float64)  # input pixels around a cell
    centre = (torch.arange(2 * CELL, dtype=torch.float64) + 0.5) / 2 - 0.5
    distance = centre[:, None] - position
    taps = torch.sinc(distance) * torch.sinc(distance / lobes) * (distance.abs() < lobes)
    taps = (taps / taps.sum(dim=1, keepdim=True)).view(2 * CELL, 5, CELL)  # output phase, cell, pixel in it
    kernel = torch.einsum("aci,bdj->abijcd", taps, taps)
    return kernel.reshape(_SUBPIXELS, CELL**2, 5, 5).float()
