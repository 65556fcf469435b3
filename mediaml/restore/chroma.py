"""Subsampled chroma, enlarged x2 by Lanczos so that it stays where the picture's colour is.

A chroma sample of 4:2:0 video lies between luma columns ("center") or on one ("left", which H.264, HEVC and VP9 mean). Output
sample j of a plane subsampled s times lies, in input samples, at j / 2 - (o + 1/2) / (2 s), where o is the offset of chroma
sample 0 from luma sample 0 in luma samples: (s - 1) / 2 for centred siting, 0 for co-sited.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue

_LOBES = 3
_COSITED = {"left": (False, True), "center": (False, False), "topleft": (True, True), "top": (True, False)}  # y, x


def enlarged_chroma(plane: Tensor, subsampling: tuple[int, int], siting: str) -> Tensor:
    """(N, 1, h, w) float -> (N, 1, 2h, 2w), not clamped; `subsampling` is (vertical, horizontal), each 1, 2 or 4."""
    if siting not in _COSITED:
        raise InvalidValue(f"chroma siting {siting!r} is not one of {', '.join(_COSITED)}")
    shifts = [
        (0.5 if cosited or s == 1 else s / 2) / (2 * s)
        for s, cosited in zip(subsampling, _COSITED[siting], strict=True)
    ]
    kernel = _kernel(*shifts).to(plane)
    padded = F.pad(plane, (_LOBES,) * 4, mode="replicate")
    return F.pixel_shuffle(F.conv2d(padded, kernel), 2)


@lru_cache(maxsize=16)
def _kernel(shift_y: float, shift_x: float) -> Tensor:
    """(4, 1, 7, 7): the four output samples of an input sample."""
    rows, columns = _taps(shift_y), _taps(shift_x)
    return torch.einsum("ai,bj->abij", rows, columns).reshape(4, 1, 7, 7).float()


def _taps(shift: float) -> Tensor:
    """(2, 7): Lanczos weights of input samples -3..3 for outputs at -shift and 1/2 - shift."""
    position = torch.arange(-_LOBES, _LOBES + 1, dtype=torch.float64)
    distance = torch.tensor([[-shift], [0.5 - shift]], dtype=torch.float64) - position
    taps = torch.sinc(distance) * torch.sinc(distance / _LOBES) * (distance.abs() < _LOBES)
    return taps / taps.sum(dim=1, keepdim=True)
