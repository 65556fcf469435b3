"""What the fast shot detector keeps of each frame: how it differs from those before it."""

from __future__ import annotations

import torch
from torch import Tensor

SPANS = (8, 16, 32)
"""Frames over which gradual transitions are looked for."""
LONGEST = SPANS[-1]
BACK = 4
"""A flash is at most this many frames less one: the picture after it is compared with the one before it."""
CHANGED = 0.06
"""Of full scale: a pixel that differs by more has changed."""
_SHIFTS = [(dy, dx) for dy in range(-2, 3) for dx in range(-4, 5)]

FEATURES = (
    "step",
    "plain_step",
    "back",
    "contrast",
    *(f"{n}_{s}" for s in SPANS for n in ("ends", "bend", "once", "changed")),
)
"""Columns of `difference_features`:

step          mean |frame - the one before|, the least over global shifts of up to 4 by 2 pixels
plain_step    the same without shifts
back          mean |frame - the one BACK frames before|
contrast      standard deviation of the frame's pixels
ends_S        mean |frame - the one S before|
bend_S        mean |the one S/2 before - mean of both ends|: 0 for a linear mix
once_S        mean over pixels of the distance of the middle to the nearer end: 0 where each pixel changes once
changed_S     share of pixels that differ between the ends
"""


def difference_features(joined: Tensor) -> Tensor:
    """(LONGEST + N, 3, H, W) uint8, the first LONGEST being frames before -> (N, len(FEATURES)) float32 in [0, 1]."""
    pictures = joined.to(torch.float32) / 255
    now = pictures[LONGEST:]
    ago = lambda k: pictures[LONGEST - k : len(pictures) - k]  # noqa: E731
    found = [_least_shifted(now, ago(1)), _mean_gap(now, ago(1)), _mean_gap(now, ago(BACK))]
    found.append(now.flatten(1).std(dim=1, correction=0))
    for span in SPANS:
        start, middle = ago(span), ago(span // 2)
        gap = (now - start).abs()
        found.append(gap.mean(dim=(1, 2, 3)))
        found.append(_mean_gap(middle, (now + start) / 2))
        found.append(torch.minimum((middle - start).abs(), (middle - now).abs()).mean(dim=(1, 2, 3)))
        found.append((gap.amax(dim=1) > CHANGED).float().mean(dim=(1, 2)))
    return torch.stack(found, dim=1)


def _mean_gap(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean(dim=(1, 2, 3))


def _least_shifted(now: Tensor, before: Tensor) -> Tensor:
    """(N,) least mean difference of the middle of `now` to `before` moved by one of the shifts."""
    height, width = now.shape[2:]
    middle = now[:, :, 2 : height - 2, 4 : width - 4]
    gaps = [_mean_gap(middle, before[:, :, 2 + dy : height - 2 + dy, 4 + dx : width - 4 + dx]) for dy, dx in _SHIFTS]
    return torch.stack(gaps).amin(dim=0)
