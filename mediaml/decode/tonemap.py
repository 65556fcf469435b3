"""HDR R'G'B' (PQ or HLG, BT.2020 or BT.709 primaries) to SDR BT.709 R'G'B', for views that models look at.

1. To display light in cd/m2: SMPTE ST 2084's EOTF; for HLG the inverse OETF and the OOTF of BT.2100-2 (system gamma 1.2 on a
   1000 cd/m2 display).
2. Tone mapping by the EETF of Report ITU-R BT.2390-10, 5.4.1 (a Hermite knee in the PQ domain, black at zero) on the
   largest of R, G and B, so that hue and saturation ratios stay. Source peak: MaxCLL, else the mastering display's, else
   1000 cd/m2. Target peak: 203 cd/m2, the reference white of Report BT.2408: HDR diffuse white becomes SDR white.
3. BT.2020 (or P3) to BT.709 primaries in linear light (BT.2087), clipped to the gamut.
4. The inverse of the BT.1886 EOTF: gamma 2.4, 8 bit, full range.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mediaml.frames import Colour
from mediaml.media import HdrInfo

Floats = NDArray[np.float32]

TARGET_PEAK = 203.0  # cd/m2
DEFAULT_PEAK = 1000.0
HLG_PEAK = 1000.0
HLG_GAMMA = 1.2
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_CODES = 1 << 16
_ROWS_AT_ONCE = 1 << 16  # pixels: working set stays in the cache

_TO_BT709 = {
    "bt2020": ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730)),
    "smpte432": ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
    "smpte431": ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}  # fmt: skip


def pq_to_light(code: NDArray) -> NDArray[np.float64]:
    """ST 2084 EOTF: [0, 1] to cd/m2 in [0, 10000]."""
    root = np.power(np.clip(code, 0, 1), 1 / _M2)
    return 10000.0 * np.power(np.maximum(root - _C1, 0) / (_C2 - _C3 * root), 1 / _M1)


def light_to_pq(light: NDArray | float) -> NDArray[np.float64]:
    """Inverse of `pq_to_light`."""
    power = np.power(np.clip(np.asarray(light, np.float64) / 10000.0, 0, 1), _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_to_scene(code: NDArray) -> NDArray[np.float64]:
    """Inverse OETF of BT.2100 HLG: [0, 1] to scene light in [0, 1]."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code * code / 3, (np.exp((code - c) / a) + b) / 12)


def eetf(light: NDArray, source_peak: float, target_peak: float = TARGET_PEAK) -> NDArray[np.float64]:
    """BT.2390 EETF: display light to display light, both cd/m2; equal up to the knee, never above `target_peak`."""
    whole = float(light_to_pq(source_peak))
    peak = float(light_to_pq(target_peak)) / whole
    if peak >= 1:
        return np.asarray(light, np.float64)
    knee = 1.5 * peak - 0.5
    e = np.clip(light_to_pq(light) / whole, 0, 1)
    t = (e - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * peak
    return pq_to_light(np.where(e < knee, e, spline) * whole)


class ToneMap:
    """The whole chain for one kind of source, by tables over 16-bit codes.

    light   (65536,) code to light: scene light for HLG, else display light with SDR white at 1
    gain    (65536,) what the EETF leaves of display light, by the PQ code of the largest channel
    matrix  (3, 3) to BT.709 primaries, or None
    """

    def __init__(self, transfer: str, primaries: str, source_peak: float) -> None:
        self.source_peak = source_peak
        codes = np.arange(_CODES) / (_CODES - 1)
        self.is_hlg = transfer == "arib-std-b67"
        light = hlg_to_scene(codes) if self.is_hlg else pq_to_light(codes) / TARGET_PEAK
        self.light = light.astype(np.float32)
        nits = pq_to_light(codes)
        ratio = np.divide(eetf(nits, source_peak), nits, out=np.ones(_CODES), where=nits > 0)
        self.gain = ratio.astype(np.float32)
        matrix = _TO_BT709.get(primaries)
        self.matrix = None if matrix is None else np.asarray(matrix, np.float32)
        self._encode = _gamma_table()

    @staticmethod
    def of(colour: Colour, hdr: HdrInfo | None) -> ToneMap | None:
        """For HDR sources; None where there is nothing to map."""
        if not colour.is_hdr:
            return None
        peak = HLG_PEAK if colour.transfer == "arib-std-b67" else _stated_peak(hdr)
        return _tone_map(colour.transfer, colour.primaries, peak)

    def __call__(self, picture: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """(H, W, 3) 16-bit full-range R'G'B' to (H, W, 3) 8-bit."""
        flat = picture.reshape(-1, 3)
        out = np.empty(flat.shape, np.uint8)
        for at in range(0, len(flat), _ROWS_AT_ONCE):
            out[at : at + _ROWS_AT_ONCE] = self._map(flat[at : at + _ROWS_AT_ONCE])
        return out.reshape(picture.shape)

    def _map(self, codes: NDArray[np.uint16]) -> NDArray[np.uint8]:
        light = self.light[codes]  # (n, 3)
        light *= self._hlg_gain(light) if self.is_hlg else self.gain[codes.max(axis=1)][:, None]
        if self.matrix is not None:
            light = light @ self.matrix.T
        np.clip(light, 0, 1, out=light)
        index = np.sqrt(light, out=light)
        index *= _CODES - 1
        return self._encode[np.rint(index).astype(np.uint16)]

    def _hlg_gain(self, scene: Floats) -> Floats:
        """(n, 1) factor from scene light to SDR light (1 is white): OOTF and tone mapping."""
        luminance = scene @ np.asarray((0.2627, 0.6780, 0.0593), np.float32)
        ootf = HLG_PEAK * np.power(np.maximum(luminance, 1e-9), HLG_GAMMA - 1)
        code = light_to_pq(ootf * scene.max(axis=1))
        gain = self.gain[np.rint(code * (_CODES - 1)).astype(np.uint16)]
        return (ootf * gain / TARGET_PEAK).astype(np.float32)[:, None]


@lru_cache(maxsize=8)
def _tone_map(transfer: str, primaries: str, peak: float) -> ToneMap:
    return ToneMap(transfer, primaries, peak)


@lru_cache(maxsize=1)
def _gamma_table() -> NDArray[np.uint8]:
    """Square root of linear light as a 16-bit code -> 8-bit code of gamma 2.4."""
    root = np.arange(_CODES) / (_CODES - 1)
    return np.round(255 * np.power(root, 2 / 2.4)).astype(np.uint8)


def _stated_peak(hdr: HdrInfo | None) -> float:
    """cd/m2; values that no mastering could have are ignored."""
    if hdr is not None:
        for stated in (hdr.max_cll, hdr.mastering_max_luminance):
            if stated is not None and 100 <= stated <= 10000:
                return stated
    return DEFAULT_PEAK
