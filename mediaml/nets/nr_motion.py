"""How much a picture differs from the one before it, as mediaml_nr takes it: grain and noise change what motion leaves."""

from __future__ import annotations

import torch
from torch import Tensor

from mediaml.ops.filters import separable

_TAPS = tuple(t / 65536 for t in (3571, 16004, 26386, 16004, 3571))  # of VMAF's motion (libvmaf, integer_motion)


def changes(previous: Tensor, luma: Tensor, bit_depth: int) -> Tensor:
    """Two luma planes (N, 1, H, W) of integers -> (N, 2) float32: the mean absolute difference, blurred as VMAF's motion
    and not blurred, in 8-bit codes."""
    rows = []
    for before, now in zip(previous, luma, strict=True):
        difference = (now.float() - before.float())[None] / (1 << (bit_depth - 8))
        blurred = separable(difference, _TAPS, _TAPS)
        rows.append(torch.stack([blurred.abs().mean(), difference.abs().mean()]))
    return torch.stack(rows)
