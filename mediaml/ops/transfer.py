"""Transfer functions: code values in [0, 1] <-> light. Elementwise, on any float tensor, on any device.

Display light is in cd/m2, scene light is relative in [0, 1]. Inputs are clamped to the domain of the function.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

PQ_PEAK_CD_M2 = 10000.0
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073


def pq_encode(light: Tensor) -> Tensor:
    """cd/m2 in [0, 10000] -> PQ signal in [0, 1] (ITU-R BT.2100-2 table 4, SMPTE ST 2084: inverse EOTF)."""
    x = (light.clamp(0, PQ_PEAK_CD_M2) / PQ_PEAK_CD_M2) ** _PQ_M1
    return ((_PQ_C1 + _PQ_C2 * x) / (1 + _PQ_C3 * x)) ** _PQ_M2


def pq_decode(signal: Tensor) -> Tensor:
    """PQ signal in [0, 1] -> cd/m2 in [0, 10000] (ITU-R BT.2100-2 table 4: EOTF)."""
    x = signal.clamp(0, 1) ** (1 / _PQ_M2)
    return PQ_PEAK_CD_M2 * ((x - _PQ_C1).clamp(min=0) / (_PQ_C2 - _PQ_C3 * x)) ** (1 / _PQ_M1)


def hlg_decode(signal: Tensor) -> Tensor:
    """HLG signal in [0, 1] -> scene light in [0, 1] (ITU-R BT.2100-2 table 5: inverse OETF)."""
    x = signal.clamp(0, 1)
    return torch.where(x <= 0.5, x * x / 3, (torch.exp((x - _HLG_C) / _HLG_A) + _HLG_B) / 12)


def hlg_encode(scene: Tensor) -> Tensor:
    """Scene light in [0, 1] -> HLG signal in [0, 1] (ITU-R BT.2100-2 table 5: OETF)."""
    x = scene.clamp(0, 1)
    high = _HLG_A * torch.log((12 * x - _HLG_B).clamp(min=1e-9)) + _HLG_C
    return torch.where(x <= 1 / 12, torch.sqrt(3 * x), high)


def hlg_system_gamma(peak_cd_m2: float) -> float:
    """The OOTF's gamma for a display's nominal peak (ITU-R BT.2100-2 note 5e; 1.2 up to 1000 cd/m2)."""
    return 1.2 + 0.42 * math.log10(max(peak_cd_m2, 1000.0) / 1000.0)


def srgb_decode(signal: Tensor) -> Tensor:
    """sRGB signal in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    x = signal.clamp(0, 1)
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def srgb_encode(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] -> sRGB signal in [0, 1] (IEC 61966-2-1)."""
    x = linear.clamp(0, 1)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
