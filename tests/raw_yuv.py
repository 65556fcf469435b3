"""Raw 4:2:0 files, as the reference implementations' test clips are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CLIPS = "vmaf-yuv/Netflix+vmaf_resource/python/test/resource/yuv"
Planes = tuple[Tensor, Tensor, Tensor]
AKIYO = "vmaf_hacking_investigation_0_0_akiyo_cif_notyuv_0to0_identity_vs_akiyo_cif_notyuv_0to0_multiply_q_352x288"


def planes(path: Path, width: int, height: int, bit_depth: int = 8) -> Planes:
    """Y, U, V of every picture: (N, 1, H, W) and twice (N, 1, H / 2, W / 2), uint8 or uint16."""
    codes = torch.from_numpy(np.fromfile(path, np.uint8 if bit_depth == 8 else np.uint16))
    luma, chroma = width * height, width * height // 4
    pictures = codes.view(-1, luma + 2 * chroma)
    small = (-1, 1, height // 2, width // 2)
    return (
        pictures[:, :luma].reshape(-1, 1, height, width),
        pictures[:, luma : luma + chroma].reshape(small),
        pictures[:, luma + chroma :].reshape(small),
    )


def src01(shared_data: Path) -> tuple[Tensor, Tensor]:
    """Luma of the 10-bit pair: the original and a coded copy, 3 pictures of 576x324."""
    ref, dist = src01_planes(shared_data)
    return ref[0], dist[0]


def src01_planes(shared_data: Path) -> tuple[Planes, Planes]:
    """Y, U and V of the same."""
    names = ("src01_hrc00_576x324.yuv420p10le.yuv", "src01_hrc01_576x324.yuv420p10le.yuv")
    ref, dist = (planes(shared_data / CLIPS / n, 576, 324, 10) for n in names)
    return ref, dist


def akiyo(shared_data: Path) -> tuple[Tensor, Tensor]:
    """Luma of the 8-bit pair: the original and one with more contrast, one picture of 352x288."""
    ref, dist = (planes(shared_data / CLIPS / f"{n}_{AKIYO}", 352, 288)[0] for n in ("refp", "disp"))
    return ref, dist
