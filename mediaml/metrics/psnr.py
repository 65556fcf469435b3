"""Peak signal-to-noise ratio: one plane, three planes together, and a whole stream."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import cv2
import torch
from torch import Tensor

from mediaml.errors import InvalidValue, UnknownName
from mediaml.metrics.inputs import check_pair

Pooling = Literal["mse_mean", "frame_mean"]


class PsnrConvention(NamedTuple):
    """How one software treats equal pictures: the highest value, and what it adds to the error (of a peak of 1)."""

    capped: bool
    added: float
    source: str


CONVENTIONS = {
    "libvmaf": PsnrConvention(
        True, 0.0, "libvmaf psnr: equal pictures and all above 6 * depth + 12 dB give that (60 at 8 bit)"
    ),
    "ffmpeg": PsnrConvention(False, 0.0, "FFmpeg's psnr filter: equal pictures give infinity"),
    "torchmetrics": PsnrConvention(
        False, 0.0, "torchmetrics with data_range the full code range, each picture by itself"
    ),
    "piq": PsnrConvention(False, 1e-8, "piq: 1e-8 is added to the error, so 80 dB for equal pictures"),
    "pyiqa": PsnrConvention(False, 1e-8, "pyiqa: 1e-8 is added to the error, so 80 dB for equal pictures"),
}


def psnr(ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, convention: str = "libvmaf") -> Tensor:
    """(N, 1, H, W) pairs of one plane -> (N,) float64, dB.

    10 log10(peak^2 / mse) with the peak 2^depth - 1 whatever the range of the video. Integer codes with `bit_depth`, or
    float in [0, 1] over the full code range (capped like 8 bit). Conventions differ for nearly equal pictures only: see
    `CONVENTIONS`. Any device; differentiable below the cap. Raises InvalidValue (NaN, out of range) and UnknownName.
    """
    if convention not in CONVENTIONS:
        raise UnknownName("PSNR convention", convention, CONVENTIONS)
    depth = check_pair(ref, dist, bit_depth)
    how = CONVENTIONS[convention]
    return decibel(_error(ref, dist, depth) + how.added, cap(depth) if how.capped else math.inf)


def mse(ref: Tensor, dist: Tensor, *, bit_depth: int | None = None) -> Tensor:
    """(N, 1, H, W) pairs of one plane -> (N,) float64 mean squared error as a fraction of the squared peak, [0, 1].

    PSNR is -10 log10 of it; a stream's is that of the mean: `pooled_psnr`. Raises InvalidValue (NaN, out of range).
    """
    return _error(ref, dist, check_pair(ref, dist, bit_depth))


def psnr_611(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """(6 Y + U + V) / 8 of the planes' PSNR in dB, the weighting of JCT-VC's reports for 4:2:0."""
    return (6 * y + u + v) / 8


def pooled_psnr(mse: Tensor, *, pooling: Pooling = "mse_mean", cap: float = math.inf) -> Tensor:
    """(N,) errors of a stream's pictures, fractions of the squared peak as `mse` gives them -> () dB.

    "mse_mean"    of the mean error (FFmpeg's 'average', libvmaf's apsnr): bad pictures weigh most
    "frame_mean"  mean of the pictures' dB, each at most `cap` (libvmaf's pooled mean)
    Raises InvalidValue for no pictures or another pooling.
    """
    if mse.numel() == 0:
        raise InvalidValue("pooled_psnr needs the error of at least one picture")
    if pooling == "mse_mean":
        return decibel(mse.double().mean(), cap)
    if pooling == "frame_mean":
        return decibel(mse.double(), cap).mean()
    raise InvalidValue(f"PSNR pooling {pooling!r}; known: mse_mean, frame_mean")


def cap(bit_depth: int | None) -> float:
    """libvmaf's highest PSNR in dB: 60 at 8 bit, 72 at 10 bit, 108 at 16 bit."""
    return 6.0 * (bit_depth or 8) + 12.0


def decibel(mse: Tensor, cap: float = math.inf) -> Tensor:
    """-10 log10(mse), at most `cap`; infinite (or `cap`) for 0."""
    return (-10 * mse.log10()).clamp_max(cap)


def _error(ref: Tensor, dist: Tensor, depth: int | None) -> Tensor:
    """(N,) float64, of a peak of 1."""
    if depth is None:
        return (ref - dist).square().mean(dim=(1, 2, 3), dtype=torch.float64)
    peak_squares = float(ref[0].numel()) * (2**depth - 1) ** 2
    if ref.device.type == "cpu" and ref.dtype in (torch.uint8, torch.uint16):
        sums = [_squares(a, b) for a, b in zip(ref[:, 0], dist[:, 0], strict=True)]
        return torch.tensor(sums, dtype=torch.float64) / peak_squares
    apart = ref.to(torch.int64) - dist.to(torch.int64)
    return apart.square().sum(dim=(1, 2, 3)).double() / peak_squares


def _squares(a: Tensor, b: Tensor) -> float:
    """Sum of squared differences of two planes, (H, W) uint8 or uint16."""
    return cv2.norm(a.numpy(), b.numpy(), cv2.NORM_L2SQR)
