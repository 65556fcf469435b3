"""Spatial and temporal perceptual information (SI, TI): how much detail and motion a picture holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
from cv2.typing import MatLike
from numpy.typing import NDArray
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.errors import InvalidValue
from mediaml.frames import Colour, FrameBatch
from mediaml.ops.colour import coded_luma, unit_luma
from mediaml.ops.filters import sobel
from mediaml.ops.gathered import Gathered
from mediaml.ops.transfer import hlg_decode, hlg_system_gamma, pq_encode
from mediaml.spec import Column, Need, Spec, Table, View

Domain = Literal["pq", "code"]
SCALE = 255.0  # values are reported as if the domain's [0, 1] were 8-bit code values
SDR_PEAK, SDR_BLACK = 300.0, 0.1  # cd/m2, the display assumed for SDR
HDR_PEAK, HDR_BLACK = 1000.0, 0.01  # cd/m2, for HLG
_STRIP_ROWS = 32  # rows worked on at a time on the CPU: they stay in the cache
_SI_LIMIT = 4 * SCALE * math.sqrt(2) / 2  # the deviation of a magnitude in [0, 4 * 255 * sqrt 2]

FloatPlane = NDArray[np.float32]


def _column(name: str, what: str, limit: float, table: Table = Table.FRAMES, nullable: bool = True) -> Column:
    return Column(name, "float32", "8-bit code value", what, table, 0.0, limit, nullable=nullable)


class SiTi(FrameAnalyzer):
    """SI and TI of every frame of native luma, and their maxima and means over the file.

    SI is the standard deviation of the Sobel magnitude without the outermost pixel; null for pictures below 3x3 px. TI is
    the standard deviation of the difference to the frame before; null for a file's first frame and where the size changes.

    domain "pq"    ITU-T P.910 (10/2023): luma is brought to [0, 1] by range and bit depth, shown on a display (SDR:
                   BT.1886, gamma 2.4, 0.1..300 cd/m2; HLG: BT.2100, 0.01..1000 cd/m2), coded by PQ and scaled to 255. PQ
                   input is taken as it is. The same as VQEG's siti-tools 0.6.0, but for a wrong sign in its HLG curve.
    domain "code"  P.910 editions up to 2008: coded luma as it is, on the scale of 8 bits; about twice the values of "pq" for
                   SDR. FFmpeg's siti filter stretches limited range first, so it gives 255 / 219 times these.
    """

    spec = Spec(
        name="siti",
        version=1,
        summary="spatial and temporal information (ITU-T P.910)",
        outputs=(
            _column("si", "spatial information", _SI_LIMIT),
            _column("ti", "temporal information; null for the first frame", SCALE),
            _column("si_max", "largest spatial information of the file", _SI_LIMIT, Table.FILES),
            _column("si_mean", "mean spatial information of the file", _SI_LIMIT, Table.FILES),
            _column("ti_max", "largest temporal information of the file", SCALE, Table.FILES),
            _column("ti_mean", "mean temporal information of the file", SCALE, Table.FILES),
        ),
        need=Need(View.luma()),
        ordered=True,
        groups=("quality", "complexity"),
        cite="ITU-T P.910 (10/2023) clause 7.8; VQEG siti-tools",
        cost_ms=6.5,
    )

    def __init__(self, domain: Domain = "pq") -> None:
        if domain not in ("pq", "code"):
            raise InvalidValue(f"siti domain {domain!r} must be 'pq' (P.910 10/2023) or 'code' (P.910 2008)")
        self.domain: Domain = domain
        self._reset()

    @property
    def parameters(self) -> Mapping[str, str]:
        return {"domain": self.domain}

    def _reset(self) -> None:
        self._before: Tensor | None = None  # the last frame in the domain, (1, 1, H, W) float32
        self._spare: Tensor | None = None  # on the CPU: room for the next one
        self._seen = Gathered()

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        luma, bit_depth = coded_luma(batch)
        curve = domain_curve(self.domain, bit_depth, batch.colour)
        if self._before is not None and self._before.shape[2:] != luma.shape[2:]:
            self._before = self._spare = None
        values = (
            self._on_cpu(luma, curve) if luma.device.type == "cpu" else self._on_device(luma, curve.to(luma.device))
        )
        columns = {"si": values[0], "ti": values[1]}
        self._seen.add(columns)
        return columns

    def _on_cpu(self, luma: Tensor, curve: Tensor) -> Tensor:
        table = curve.numpy() if luma.dtype == torch.uint8 else np.resize(curve.numpy(), 65536)
        values = []
        for plane in luma:
            mapped = self._spare if self._spare is not None else torch.empty((1, 1, *luma.shape[2:]))
            before = None if self._before is None else self._before[0, 0].numpy()
            values.append(_measure(plane[0].numpy(), table, mapped[0, 0].numpy(), before))
            self._spare, self._before = self._before, mapped
        return torch.tensor(values, dtype=torch.float32).T

    def _on_device(self, luma: Tensor, curve: Tensor) -> Tensor:
        values = []
        for plane in luma.split(1):
            mapped = curve[plane.to(torch.int64)]  # (1, 1, H, W)
            magnitude = torch.hypot(*sobel(mapped))[..., 1:-1, 1:-1]
            nothing = mapped.new_full((), math.nan)
            si = magnitude.std(correction=0) if magnitude.numel() else nothing
            ti = nothing if self._before is None else (mapped - self._before).std(correction=0)
            values.append(torch.stack([si, ti]))
            self._before = mapped
        return torch.stack(values, dim=1)

    def finish(self) -> Rows:
        seen = self._seen.columns()
        self._reset()
        row: dict[str, list[float | None]] = {}
        for name, column in seen.items():
            values = column.cpu().to(torch.float64)
            known = values[~values.isnan()]
            row[f"{name}_max"] = [known.max().item() if len(known) else None]
            row[f"{name}_mean"] = [known.mean().item() if len(known) else None]
        return {Table.FILES: row} if row else {}


@lru_cache(maxsize=16)
def domain_curve(domain: Domain, bit_depth: int, colour: Colour) -> Tensor:
    """Code value -> value in the domain on the 0..255 scale: (2**bit_depth,) float32."""
    codes = torch.arange(2**bit_depth, dtype=torch.float64)
    if domain == "code":
        return (codes / 2 ** (bit_depth - 8)).float()
    signal = unit_luma(codes, bit_depth, colour.range, torch.float64)
    if colour.transfer == "smpte2084":
        coded = signal
    elif colour.transfer == "arib-std-b67":
        light = hlg_decode(signal) ** hlg_system_gamma(HDR_PEAK)
        coded = pq_encode((HDR_PEAK - HDR_BLACK) * light + HDR_BLACK)
    else:
        coded = pq_encode((SDR_PEAK - SDR_BLACK) * signal**2.4 + SDR_BLACK)
    return (coded * SCALE).float()


def _measure(
    coded: NDArray[np.uint8] | NDArray[np.uint16], table: FloatPlane, mapped: FloatPlane, before: FloatPlane | None
) -> tuple[float, float]:
    """SI and TI (NaN for none) of one plane; fills `mapped` with the plane in the domain. Works in strips of rows."""
    height, width = coded.shape
    detail, motion = _Spread(), _Spread()
    scratch = np.empty((2, _STRIP_ROWS + 2, width), np.float32)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        cv2.LUT(np.ascontiguousarray(coded[top:bottom]), table, dst=mapped[top:bottom])
        strip = mapped[max(top - 2, 0) : bottom]  # one row of overlap on each side of the rows that count
        across, down = scratch[:, : len(strip)]
        if width > 2 and len(strip) > 2:
            cv2.Sobel(strip, cv2.CV_32F, 1, 0, dst=across, ksize=3)
            cv2.Sobel(strip, cv2.CV_32F, 0, 1, dst=down, ksize=3)
            detail.add(cv2.magnitude(across, down, magnitude=across)[1:-1, 1:-1])
        if before is not None:
            motion.add(cv2.subtract(mapped[top:bottom], before[top:bottom], dst=down[: bottom - top]))
    return detail.deviation, motion.deviation


class _Spread:
    """Standard deviation of values that come in pieces."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: MatLike) -> None:
        self.count += values.size
        self.total += cv2.sumElems(values)[0]
        self.squares += cv2.norm(values, cv2.NORM_L2SQR)

    @property
    def deviation(self) -> float:
        if not self.count:
            return math.nan
        mean = self.total / self.count
        return math.sqrt(max(self.squares / self.count - mean * mean, 0.0))
