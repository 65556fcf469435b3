"""The passport of SSIM and MS-SSIM: which software computes what under these names.

One pair of pictures has a different 'SSIM' in every popular package: they scale code values, downscale, treat borders and
negative values differently. Each convention here states its choices; `mediaml.metrics.ssim` and `ms_ssim` follow them.
All take luma only. Where the software converts RGB itself, `colour` says how, so that figures can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mediaml.errors import UnknownName
from mediaml.ops.filters import gaussian_taps

LIBVMAF_WINDOW = (
    0.001028,
    0.007599,
    0.036001,
    0.109361,
    0.213006,
    0.266012,
    0.213006,
    0.109361,
    0.036001,
    0.007599,
    0.001028,
)
"""libvmaf's 11-tap Gaussian of sigma 1.5, rounded to six digits: it sums to 1.000002, and that shows in flat places."""

LIBVMAF_LOW_PASS = (0.026727, -0.016828, -0.078201, 0.266846, 0.602914, 0.266846, -0.078201, -0.016828, 0.026727)
"""The low-pass of the 9/7 biorthogonal wavelet, before MS-SSIM halves a picture."""

Scale = Literal["eight_bit", "full_scale", "rounded"]
Shrink = Literal["libvmaf", "matlab", "pool", "none"]
Halving = Literal["wavelet", "matlab", "pool", "pool_padded_left", "pool_padded_zero"]


@dataclass(frozen=True, slots=True)
class SsimConvention:
    """How one software computes SSIM (one scale) and MS-SSIM (five scales).

    name        as it is asked for
    source      where it comes from
    scale       of codes before anything else: "eight_bit" code / 2^(depth - 8), "full_scale" code * 255 / (2^depth - 1),
                "rounded" that, rounded to whole 8-bit codes. C1 and C2 belong to a range of 255 in all of them.
    shrink      SSIM only, where the shorter side is 384 px or more: by round(side / 256) with a box filter.
                "libvmaf" and "matlab" mirror at borders and differ in where even boxes sit; "pool" drops what does not fill
                a box and rounds half to even; "none" keeps the size
    window      taps of the 11x11 Gaussian, one direction
    same_size   True: the window is also put over mirrored borders; False: only where it fits ("valid")
    clamp_variance, clamp_covariance, clamp_contrast   negative variances, a negative covariance where one picture is flat,
                or a pixel's negative contrast and structure become 0
    halving     between the scales of MS-SSIM
    colour      what the software does with RGB, which is outside of this function
    """

    name: str
    source: str
    scale: Scale
    shrink: Shrink
    halving: Halving
    colour: str
    window: tuple[float, ...] = gaussian_taps(11, 1.5)
    same_size: bool = False
    clamp_variance: bool = False
    clamp_covariance: bool = False
    clamp_contrast: bool = False

    @property
    def passport(self) -> str:
        """One line for reports and schemas."""
        border = "mirrored borders" if self.same_size else "window inside the picture"
        return (
            f"convention {self.name} ({self.source}); scale {self.scale}; shrink {self.shrink}; {border}; {self.colour}"
        )


_LUMA = "luma as coded, limited range is not stretched"
_ALL = (
    SsimConvention(
        "libvmaf",
        "libvmaf float_ssim and float_ms_ssim",
        "eight_bit",
        "libvmaf",
        "wavelet",
        _LUMA,
        window=LIBVMAF_WINDOW,
        clamp_variance=True,
        clamp_covariance=True,
    ),
    SsimConvention(
        "wang2004",
        "the authors' MATLAB: ssim.m of Wang, Bovik, Sheikh & Simoncelli 2004, msssim.m of Wang, Simoncelli & Bovik 2003",
        "full_scale",
        "matlab",
        "matlab",
        "the authors use rgb2gray",
    ),
    SsimConvention(
        "torchmetrics",
        "torchmetrics 1.9 with data_range given as the full code range",
        "full_scale",
        "none",
        "pool",
        "torchmetrics averages over R, G and B",
        same_size=True,
        clamp_variance=True,
    ),
    SsimConvention("piq", "piq 0.8", "full_scale", "pool", "pool_padded_left", "piq averages over R, G and B"),
    SsimConvention(
        "pyiqa",
        "pyiqa 0.1.16",
        "rounded",
        "none",
        "pool_padded_zero",
        "pyiqa takes Y of YIQ, 0.299 R + 0.587 G + 0.114 B, rounded to 8 bits",
        clamp_contrast=True,
    ),
)
CONVENTIONS: Mapping[str, SsimConvention] = MappingProxyType({c.name: c for c in _ALL})
DEFAULT = "libvmaf"


def ssim_convention(name: str) -> SsimConvention:
    """Raises UnknownName with near matches."""
    if name not in CONVENTIONS:
        raise UnknownName("SSIM convention", name, CONVENTIONS)
    return CONVENTIONS[name]
