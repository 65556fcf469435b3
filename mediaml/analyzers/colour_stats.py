"""Statistics of brightness and colour of a small view: how bright, contrasty, colourful and warm the picture is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer
from mediaml.frames import FrameBatch
from mediaml.ops.colour import luma_weights
from mediaml.spec import Column, Need, Spec, View

SMALL_RGB = Need(View.rgb(256, 144), fps=2.0, tolerance_seconds=0.25)
DARK, BRIGHT = 0.1, 0.9  # of luma in [0, 1]
_CLIP_LOW, _CLIP_HIGH = 1, 254  # 8-bit code values that all three channels reach


def _share(name: str, what: str) -> Column:
    return Column(name, "float32", "1", what, minimum=0.0, maximum=1.0)


class ColourStats(FrameAnalyzer):
    """Brightness and colour of 256x144 RGB views, two a second.

    The view samples pixels rather than averaging them, so percentiles and clipped shares are those of the full picture up to
    sampling error. Luma is BT.709 R'G'B'-weighted, in [0, 1]; black bars count as picture. HDR arrives tone-mapped.
    Defined for every picture: black gives 0 for all but `dark_share` and `black_clip_share`, which are 1.
    """

    spec = Spec(
        name="colour_stats",
        version=3,
        summary="brightness, contrast, saturation, colourfulness, warmth",
        outputs=(
            _share("luma_mean", "mean luma: 0 black, 1 white"),
            Column("luma_std", "float32", "1", "standard deviation of luma: RMS contrast", minimum=0.0, maximum=0.5),
            _share("luma_p01", "1st percentile of luma (nearest rank)"),
            _share("luma_p50", "median of luma (nearest rank)"),
            _share("luma_p99", "99th percentile of luma (nearest rank)"),
            _share("saturation_mean", "mean HSV saturation; 0 for grey and for black"),
            Column(
                "colourfulness",
                "float32",
                "8-bit code value",
                "Hasler & Suesstrunk: 0 grey, 33 moderate, 59 quite, 109 extreme",
                minimum=0.0,
                maximum=480.0,
            ),
            Column(
                "warmth", "float32", "1", "mean of R' - B': positive warm, negative cool", minimum=-1.0, maximum=1.0
            ),
            _share("dark_share", f"share of pixels with luma below {DARK}"),
            _share("bright_share", f"share of pixels with luma above {BRIGHT}"),
            _share("black_clip_share", f"share of pixels with R', G' and B' at most {_CLIP_LOW} of 255"),
            _share("white_clip_share", f"share of pixels with R', G' and B' at least {_CLIP_HIGH} of 255"),
        ),
        need=SMALL_RGB,
        groups=("colour",),
        cite="Hasler & Suesstrunk 2003, Measuring colourfulness in natural images, SPIE 5007",
        cost_ms=3.0,
    )

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        view = self._view(batch)
        rgb = view.flatten(2).to(torch.float32)  # (N, 3, pixels) in 0..255
        low, high = view.amin(dim=1).flatten(1), view.amax(dim=1).flatten(1)  # (N, pixels) uint8
        luma = (rgb * (rgb.new_tensor(luma_weights("bt709")) / 255)[:, None]).sum(dim=1).clamp_(0, 1)
        top = high.to(torch.float32)
        return {
            "luma_mean": luma.mean(dim=1),
            "luma_std": luma.std(dim=1, correction=0).clamp(max=0.5),
            "luma_p01": percentile(luma, 0.01),
            "luma_p50": percentile(luma, 0.50),
            "luma_p99": percentile(luma, 0.99),
            "saturation_mean": ((top - low) / top.clamp(min=1)).mean(dim=1),
            "colourfulness": colourfulness(rgb),
            "warmth": (rgb[:, 0].mean(dim=1) - rgb[:, 2].mean(dim=1)) / 255,
            "dark_share": (luma < DARK).float().mean(dim=1),
            "bright_share": (luma > BRIGHT).float().mean(dim=1),
            "black_clip_share": (high <= _CLIP_LOW).float().mean(dim=1),
            "white_clip_share": (low >= _CLIP_HIGH).float().mean(dim=1),
        }

    def _view(self, batch: FrameBatch) -> Tensor:
        assert isinstance(SMALL_RGB.view, View)
        return batch.view(SMALL_RGB.view)


def percentile(values: Tensor, share: float) -> Tensor:
    """(N, M) -> (N,): the smallest value that at least `share` of the row does not exceed (nearest rank)."""
    rank = max(1, -int(-share * values.shape[1] // 1))
    return values.kthvalue(rank, dim=1).values


def colourfulness(rgb: Tensor) -> Tensor:
    """(N, 3, M) R'G'B' in 0..255 -> (N,): Hasler & Suesstrunk 2003, equation 10."""
    red, green, blue = rgb.unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue], dim=1)  # (N, 2, M)
    spread = opponents.var(dim=2, correction=0).sum(dim=1).sqrt()
    return spread + 0.3 * opponents.mean(dim=2).square().sum(dim=1).sqrt()
