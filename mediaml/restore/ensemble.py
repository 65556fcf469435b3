"""A picture enlarged in all eight orientations, and their mean: what a network does to one and not to another averages out.

Timofte, Rothe and Van Gool 2016, Seven ways to improve example-based single image super resolution, arXiv:1511.02228.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def over_orientations(apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`apply` to (N, C, H, W) as it is, mirrored, and turned by quarters, each result turned back; their mean."""
    total: Tensor | None = None
    for mirrored in (False, True):
        for quarters in range(4):
            seen = torch.rot90(x.flip(3) if mirrored else x, quarters, (2, 3)).contiguous()
            made = torch.rot90(apply(seen), -quarters, (2, 3))
            made = made.flip(3) if mirrored else made
            total = made.clone() if total is None else total.add_(made)
    assert total is not None
    return total.div_(8)
