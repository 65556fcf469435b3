"""Non-maximum suppression, loaded when first used: torchvision brings torch's compiler along: 170 MB and 1.5 CPU seconds."""

from __future__ import annotations

from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """(N, 4) boxes, (N,) scores -> indices of those kept, best first; a box that overlaps a better one by more goes."""
    from torchvision.ops import nms as suppress

    return suppress(boxes, scores, overlap)


def batched_nms(boxes: Tensor, scores: Tensor, kinds: Tensor, overlap: float) -> Tensor:
    """`nms` among boxes of one kind, for each of (N,) kinds."""
    from torchvision.ops import batched_nms as suppress

    return suppress(boxes, scores, kinds, overlap)
