"""XPSNR: PSNR whose errors weigh less where the reference is busy in space and time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.metrics.inputs import check_pair
from mediaml.ops.filters import separable

HIGHEST = 100.0
"""dB for equal pictures, where FFmpeg's filter gives infinity."""

_LARGE = 2048 * 1152  # more pixels: activity is measured on 2x2 averages
_SMALL = 640 * 480  # up to so many pixels: a block weighs no more than its neighbours
_FAST = 32  # frames a second from which on motion is the second difference
_TEMPORAL = 2.0  # weight of temporal activity
_SMOOTH = (1.0, 2.0, 1.0)


class History(NamedTuple):
    """The two reference luma pictures before the first of a batch, (1, 1, H, W) each, newest first; None: black."""

    last: Tensor | None = None
    before_last: Tensor | None = None

    def after(self, luma: Tensor) -> History:
        """The history after a batch of reference luma, (N, 1, H, W)."""
        if len(luma) > 1:
            return History(luma[-1:], luma[-2:-1])
        return History(luma, self.last)


def xpsnr(
    ref: Tensor | Sequence[Tensor],
    dist: Tensor | Sequence[Tensor],
    *,
    bit_depth: int | None = None,
    frame_rate: float = 25.0,
    history: History | None = None,
) -> Tensor:
    """Consecutive pictures, reference and distorted -> (N, P) float64, dB, at most 100: one column a plane.

    ref, dist   luma (N, 1, H, W), or planes (Y, U, V) of 4:2:0, 4:2:2 or 4:4:4; integer codes with `bit_depth`, or float in
                [0, 1] over the full code range (taken as 8-bit codes)
    frame_rate  frames a second: from 32 on, motion is measured over three pictures
    history     reference luma before the first picture; without it, it follows black, as in FFmpeg's filter

    A stream's value is not the mean: see `pooled_xpsnr`. Follows FFmpeg's filter `xpsnr` for 8 to 14 bit (Helmrich, Siekmann,
    Becker, Bosse, Marpe & Wiegand 2020). Pictures of fewer than 2,025 pixels give plain PSNR.
    Differentiable with respect to `dist`. Raises InvalidValue (NaN, out of range, planes that do not belong together).
    """
    refs, dists = ([t] if isinstance(t, Tensor) else list(t) for t in (ref, dist))
    if len(refs) not in (1, 3) or len(dists) != len(refs):
        raise InvalidValue(f"XPSNR takes luma, or planes Y, U and V; ref has {len(refs)}, dist {len(dists)}")
    if not 0 < frame_rate <= 1000:
        raise InvalidValue(f"frame_rate {frame_rate} must lie in (0, 1000]")
    depths = [check_pair(a, b, bit_depth) for a, b in zip(refs, dists, strict=True)]
    bits = depths[0] or 8
    codes = [[_codes(p, depths[0]) for p in planes] for planes in (refs, dists)]
    luma = codes[0][0]
    past = [_past(t, luma, depths[0]) for t in history or History()]
    line = torch.cat([past[1], past[0], luma.detach()])
    size = block_size(*luma.shape[2:])
    rows = []
    for i in range(len(luma)):
        weights = _weights(line[i : i + 3], size, bits, frame_rate) if size >= 4 else None
        pairs = zip(*(([p[i, 0] for p in planes]) for planes in codes), strict=True)
        rows.append(torch.stack([_weighted(a, b, weights, size, luma.shape[2:]) for a, b in pairs]))
    pixels = luma.new_tensor([float(p[0].numel()) for p in codes[0]], dtype=torch.float64)
    return decibel(torch.stack(rows) / (pixels * (2**bits - 1) ** 2))


def pooled_xpsnr(values: Tensor) -> Tensor:
    """(N,) dB of one plane -> () dB of the stream: of the squared mean of the roots of weighted errors, as FFmpeg sums up."""
    if values.numel() == 0:
        raise InvalidValue("pooled_xpsnr needs at least one picture")
    return -20 * (10 ** (-values.double() / 20)).mean().log10()


def decibel(error: Tensor) -> Tensor:
    """-10 log10, at most `HIGHEST`."""
    return (-10 * error.log10()).clamp_max(HIGHEST)


def block_size(height: int, width: int) -> int:
    """Pixels a side of a weighted block: 128 at 3840x2160, in proportion to the root of the area, a multiple of 4."""
    return 4 * int(32 * math.sqrt(width * height / (3840 * 2160)) + 0.5)


def _codes(t: Tensor, depth: int | None) -> Tensor:
    """float32 (exact to 16 bit); float64 stays."""
    if depth is None:
        return (t if t.dtype == torch.float64 else t.float()) * 255
    return (t.to(torch.int32) if t.dtype == torch.uint16 else t).float()


def _past(t: Tensor | None, luma: Tensor, depth: int | None) -> Tensor:
    if t is None:
        return torch.zeros_like(luma[:1])
    if t.shape != luma[:1].shape:
        raise InvalidValue(f"history is {tuple(t.shape)}, a picture {tuple(luma[:1].shape)}")
    return _codes(t, depth)


def _weighted(a: Tensor, b: Tensor, weights: Tensor | None, size: int, luma: torch.Size) -> Tensor:
    """Planes (h, w) -> () float64 weighted squared error, to whole code values as the filter has it."""
    apart = (a - b).square()
    if weights is None:
        return apart.sum(dtype=torch.float64)
    down, across = size * a.shape[0] // luma[0], size * a.shape[1] // luma[1]
    error = (block_sums(apart, down, across) * weights[: -(-a.shape[0] // down), : -(-a.shape[1] // across)]).sum()
    return error + ((error + 0.5).floor() - error).detach()


def block_sums(x: Tensor, down: int, across: int) -> Tensor:
    """(h, w) -> (rows, columns) float64 sums over blocks of down x across; those at the right and bottom may be smaller."""
    h, w = x.shape
    padded = F.pad(x, (0, -w % across, 0, -h % down))
    columns = padded.view(padded.shape[0], -1, across).sum(dim=2, dtype=torch.float64)
    return columns.view(-1, down, columns.shape[1]).sum(dim=1)


def _weights(line: Tensor, size: int, bits: int, frame_rate: float) -> Tensor:
    """The picture and the two before it, (3, 1, H, W), oldest first -> (rows, columns) float64 weights of blocks."""
    height, width = line.shape[2:]
    large = width * height > _LARGE
    ring = 2 if large else 1
    spatial = _high_pass_large(line[2:], size) if large else _high_pass(line[2:])
    inside = torch.zeros_like(line[2, 0])
    inside[ring : height - ring, ring : width - ring] = 1
    busy = block_sums(spatial * inside, size, size)
    counts = block_sums(inside, size, size)
    moved = line[2, 0] - line[1, 0] if int(frame_rate) < _FAST else line[2, 0] - 2 * line[1, 0] + line[0, 0]
    if large:
        moved = _pair_sums(moved)
    motion = block_sums(moved.abs(), size // (2 if large else 1), size // (2 if large else 1))
    everywhere = block_sums(torch.ones_like(inside), size, size)
    activity = busy / counts.clamp_min(1) + _TEMPORAL * motion / everywhere
    activity = torch.where(counts > 0, activity.clamp_min(2.0 ** (bits - 6)), torch.ones_like(activity))
    weights = 1 / activity
    if width * height <= _SMALL:
        weights = _smoothed(weights)
    area = max(1e-5, width * height / (3840 * 2160))
    return weights * math.sqrt(16.0 * 2.0 ** (2 * bits - 9) / math.sqrt(area))


def _high_pass(x: Tensor) -> Tensor:
    """|16 x - (1 2 1)' (1 2 1) * x|, (1, 1, H, W) -> (H, W)."""
    return (16 * x - separable(x, _SMOOTH, _SMOOTH))[0, 0].abs()


def _high_pass_large(x: Tensor, size: int) -> Tensor:
    """The filter's 6x6 high-pass on every second pixel, put where its 2x2 centre begins; 0 elsewhere. (H, W).

    Its last block in a row counts as flat where no more than 12 pixels of it are left, as in the filter.
    """
    width = x.shape[3]
    table = x.new_tensor(
        [
            [0, -1, -1, -1, -1, 0],
            [-1, -2, -3, -3, -2, -1],
            [-1, -3, 12, 12, -3, -1],
            [-1, -3, 12, 12, -3, -1],
            [-1, -2, -3, -3, -2, -1],
            [0, -1, -1, -1, -1, 0],
        ]
    )
    found = F.conv2d(F.pad(x, (2, 3, 2, 3), mode="replicate"), table[None, None], stride=2)[0, 0]
    spread = torch.zeros_like(x[0, 0])
    spread[::2, ::2] = found.abs()
    if 0 < (left := width % size) - 2 <= 12:
        spread[:, width - left :] = 0
    return spread


def _pair_sums(x: Tensor) -> Tensor:
    """(H, W) -> sums of 2x2 pixels, (ceil(H / 2), ceil(W / 2))."""
    h, w = x.shape
    return F.avg_pool2d(F.pad(x, (0, w % 2, 0, h % 2))[None, None], 2)[0, 0] * 4


def _smoothed(weights: Tensor) -> Tensor:
    """No block weighs more than the largest of its left, upper and right neighbour, in the filter's order of raster."""
    columns = weights.shape[1]
    w = weights.flatten().tolist()
    for i in range(len(w)):
        column = i % columns
        if column == 0:
            least = w[i - 2] if i > 1 else 0.0
        else:
            least = max(w[i - 2], w[i]) if column > 1 else w[i]
        if i > columns:
            least = max(least, w[i - 1 - columns])
        if i > 0 and w[i - 1] > least:
            w[i - 1] = least
        if i == len(w) - 1 and i > columns:
            w[i] = min(w[i], max(w[i - 1], w[i - columns]))
    return weights.new_tensor(w).view_as(weights)
