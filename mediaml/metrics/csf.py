"""Contrast sensitivity at the four scales of ADM's wavelet transform, one weight a detail band."""

from __future__ import annotations

import math
from functools import cache

from mediaml.errors import InvalidValue

# Watson, Yang, Solomon & Villasenor 1997, luma: threshold parameters (table IV) and basis amplitudes (table V)
_A, _K, _F0 = 0.495, 0.466, 0.401
_DIAGONAL = 0.534  # relative frequency of the diagonal band; 1 for the others
_AMPLITUDES = ((0.67234, 0.72709), (0.41317, 0.49428), (0.22727, 0.28688), (0.11792, 0.15214))

# libvmaf's blends of Barten's and Watson's functions: (display height, distance in heights) -> edges, diagonal
_BLEND: dict[tuple[int, float], tuple[tuple[float, ...], tuple[float, ...]]] = {
    (1080, 3.0): ((0.01183, 0.025026, 0.04295, 0.058621), (0.004302, 0.011778, 0.023918, 0.035901)),
    (1080, 5.0): ((0.004212, 0.014809, 0.029642, 0.047464), (0.000984, 0.005852, 0.0146, 0.027574)),
    (2160, 1.5): ((0.01183, 0.025026, 0.04295, 0.058621), (0.004302, 0.011778, 0.023918, 0.035901)),
    (2160, 3.0): ((0.00226, 0.01183, 0.025026, 0.04295), (0.000479, 0.004302, 0.011778, 0.023918)),
    (2160, 5.0): ((0.000092, 0.004212, 0.014809, 0.029642), (0.000050, 0.000984, 0.005852, 0.0146)),
    (720, 3.0): ((0.018715, 0.035637, 0.052798, 0.061509), (0.007999, 0.018396, 0.031851, 0.037718)),
    (720, 5.0): ((0.010144, 0.022561, 0.040309, 0.05672), (0.003463, 0.010282, 0.021839, 0.034641)),
    (480, 3.0): ((0.027961, 0.045875, 0.060275, 0.056234), (0.013572, 0.026277, 0.036959, 0.034511)),
    (480, 5.0): ((0.016781, 0.032822, 0.05032, 0.061594), (0.00691, 0.016545, 0.029917, 0.037777)),
}


@cache
def sensitivities(mode: int, distance: float, height: int, scale: int) -> tuple[float, float, float]:
    """Weights of the horizontal, vertical and diagonal band at `scale` (0 is the finest).

    mode 0: Watson et al. 1997; mode 2: libvmaf's blend with Barten's function, tabulated for a few displays.
    Raises InvalidValue for another mode, or for a display without a table.
    """
    if mode == 0:
        edge, diagonal = (1 / _quantisation_step(scale, which, distance * height) for which in (0, 1))
    elif mode == 2 and (height, distance) in _BLEND:
        edge, diagonal = (row[scale] for row in _BLEND[height, distance])
    else:
        known = ", ".join(f"{h} at {d:g}" for h, d in _BLEND)
        raise InvalidValue(f"adm_csf_mode {mode} for {height} lines at {distance:g} heights; mode 2 knows {known}")
    return edge, edge, diagonal


def _quantisation_step(scale: int, which: int, lines_of_distance: float) -> float:
    pixels_a_degree = lines_of_distance * math.pi / 180
    frequency = _DIAGONAL if which else 1.0
    distance = math.log10(2 ** (scale + 1) * _F0 * frequency / pixels_a_degree)
    return 2 * _A * 10 ** (_K * distance**2) / _AMPLITUDES[scale][which]
