"""CAMBI, the contrast-aware multiscale banding index: how visible false contours are. It needs no reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.errors import InvalidValue, UnknownName
from mediaml.metrics.cambi_counts import Steps, contrasts
from mediaml.metrics.cambi_thresholds import EOTFS, Eotf, darkest_counted, highest_visible
from mediaml.metrics.inputs import check_pair

SMALLEST = 216
"""A picture with both sides shorter than this many pixels has no CAMBI."""

_SCALE_WEIGHTS = (16, 8, 4, 2, 1)  # finest first
_MASK = 7  # pixels a side of the box in which flatness is counted
_LARGEST_WINDOW = 65
_SPEEDUP_PIXELS = {1080: 1920 * 1080, 1440: 2560 * 1440, 2160: 3840 * 2160}


@dataclass(frozen=True, slots=True)
class CambiOptions:
    """libvmaf's options of `cambi`, with its defaults; a model may set others.

    enc_width, enc_height  size of the encode, px, where the picture was upscaled since; 0 for the picture's own. A larger one
                           than the picture's counts as the picture's
    enc_bit_depth          bits of the encode; 0 for the picture's own. Below 10, dither is averaged away first
    src_width, src_height  the same of the reference, for `cambi_full_reference`
    window_size            px at 3840x2160, 15..127
    topk                   fraction of pixels averaged, the worst ones, (0, 1]
    tvi_threshold          visible contrast, (0, 1]
    max_log_contrast       steps up to 2^this 10-bit codes count, 0..5
    vis_lum_threshold      cd/m2 below which nothing is seen
    eotf                   "bt1886" or "pq"
    high_res_speedup       1080, 1440 or 2160: pictures of at least that size start at half of it; 0 for none
    max_val                highest value
    """

    enc_width: int = 0
    enc_height: int = 0
    enc_bit_depth: int = 0
    src_width: int = 0
    src_height: int = 0
    window_size: int = 65
    topk: float = 0.6
    tvi_threshold: float = 0.019
    max_log_contrast: int = 2
    vis_lum_threshold: float = 0.0
    eotf: Eotf = "bt1886"
    high_res_speedup: int = 0
    max_val: float = 1000.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("window_size", 15, 127),
            ("topk", 1e-4, 1),
            ("tvi_threshold", 1e-4, 1),
            ("max_log_contrast", 0, 5),
            ("vis_lum_threshold", 0, 300),
            ("max_val", 0, 1000),
        ):
            if not low <= (value := getattr(self, name)) <= high:
                raise InvalidValue(f"CAMBI {name} {value} must lie in {low}..{high}")
        if self.eotf not in EOTFS:
            raise UnknownName("CAMBI eotf", self.eotf, EOTFS)
        if self.high_res_speedup not in (0, *_SPEEDUP_PIXELS):
            raise InvalidValue(f"CAMBI high_res_speedup {self.high_res_speedup}; known: 0, 1080, 1440, 2160")

    @property
    def steps(self) -> Steps:
        """Which differences of codes count."""
        reach = 1 << self.max_log_contrast
        highest = tuple(highest_visible(step, self.tvi_threshold, self.eotf) for step in range(1, reach + 1))
        return Steps(highest, darkest_counted(self.vis_lum_threshold, self.eotf))


def cambi(dist: Tensor, *, bit_depth: int | None = None, options: CambiOptions | None = None) -> Tensor:
    """(N, 1, H, W) luma codes, limited range -> (N,) float64: 0 (no banding) to about 24; from 5 on it annoys.

    uint8, or other integers with `bit_depth` 8 to 16; float pictures are refused, as banding is a matter of codes. Follows
    libvmaf 3 `cambi`, equal to 1e-5. Any device; not differentiable. Tandon, Afonso, Sole & Krasula 2021. Raises InvalidValue
    (float, both sides under 216 pixels, pictures so wide that the window exceeds 65 pixels, out of range).
    """
    options = options or CambiOptions()
    depth = _depth(dist, bit_depth)
    height, width = _size(dist, options.enc_height, options.enc_width)
    return _scores(dist, depth, height, width, options)


def cambi_full_reference(
    ref: Tensor, dist: Tensor, *, bit_depth: int | None = None, options: CambiOptions | None = None
) -> Tensor:
    """(N,) float64: how much more banding the distorted picture has than the reference; 0 where it has less.

    libvmaf's cambi_full_reference (full_ref). Raises InvalidValue as `cambi`.
    """
    options = options or CambiOptions()
    depth = _depth(dist, bit_depth)
    check_pair(ref, dist, bit_depth)
    ours = _scores(dist, depth, *_size(dist, options.enc_height, options.enc_width), options)
    theirs = _scores(ref, depth, *_size(ref, options.src_height, options.src_width), options)
    return (ours - theirs).clamp(0, options.max_val)


def fits(height: int, width: int, size: int = 65) -> bool:
    """Whether the window of a picture of this size stays within 65 pixels."""
    return _window(height, width, size, half=False) <= _LARGEST_WINDOW


def _window(height: int, width: int, size: int, *, half: bool) -> int:
    """Odd pixels a side of the window: `size` at 3840x2160, in proportion to width + height."""
    window = (size * (width + height) // 375) >> 4
    return ((window + 1) >> 1 if half else window) | 1


def _depth(t: Tensor, bit_depth: int | None) -> int:
    depth = check_pair(t, t, bit_depth)
    if depth is None:
        raise InvalidValue(f"CAMBI needs integer codes, not {t.dtype}: banding is a matter of codes")
    return depth


def _size(t: Tensor, height: int, width: int) -> tuple[int, int]:
    """That the measure is taken at."""
    h, w = t.shape[2:]
    if not height or not width or height > h or width > w:
        height, width = h, w
    if height < SMALLEST and width < SMALLEST:
        raise InvalidValue(f"CAMBI of {width}x{height}: one side must have {SMALLEST} pixels or more")
    return height, width


def _scores(t: Tensor, depth: int, height: int, width: int, options: CambiOptions) -> Tensor:
    half = bool(options.high_res_speedup) and height * width >= _SPEEDUP_PIXELS[options.high_res_speedup]
    window = _window(height, width, options.window_size, half=half)
    if window > _LARGEST_WINDOW:
        raise InvalidValue(
            f"CAMBI window of {window} pixels for {width}x{height}: at most {_LARGEST_WINDOW}; lower window_size "
            f"{options.window_size}"
        )
    smooth = (options.enc_bit_depth or depth) < 10
    scores = []
    for picture in t[:, 0]:
        image = _ten_bits(_resized(picture.to(torch.int32), height, width), depth)
        image = _without_dither(image) if smooth else image
        levels = _levels(image, half)
        score = sum(
            weight * _worst(contrasts(i, m, window, options.steps), i.numel(), options.topk)
            for weight, (i, m) in zip(_SCALE_WEIGHTS, levels, strict=True)
        )
        scores.append(score / window**2)
    return torch.stack(scores).clamp_max(options.max_val)  # type: ignore[arg-type]


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    """(H, W) -> (height, width), the nearest pixel."""
    h, w = picture.shape
    if (h, w) == (height, width):
        return picture
    return picture[_nearest(h, height).to(picture.device)][:, _nearest(w, width).to(picture.device)]


def _nearest(length: int, wanted: int) -> Tensor:
    """Positions summed up in float32, as libvmaf does."""
    ratio = torch.tensor(length / wanted, dtype=torch.float32)
    at = ratio / 2 - 0.5
    places = []
    for _ in range(wanted):
        places.append(int(at.item() + 0.5))
        at = at + ratio
    return torch.tensor(places).clamp_max(length - 1)


def _ten_bits(x: Tensor, depth: int) -> Tensor:
    """Codes -> 10-bit codes, rounded; int16."""
    if depth <= 10:
        return (x << (10 - depth)).to(torch.int16)
    return ((x + (1 << (depth - 11))) >> (depth - 10)).to(torch.int16)


def _without_dither(x: Tensor) -> Tensor:
    """Mean of each pixel and those to the right and below, rounded down."""
    out = x.clone()
    out[:-1, :-1] = (x[:-1, :-1] + x[:-1, 1:] + x[1:, :-1] + x[1:, 1:]) >> 2
    out[:-1, -1] = (x[:-1, -1] + x[1:, -1]) >> 1
    out[-1, :-1] = (x[-1, :-1] + x[-1, 1:]) >> 1
    return out


def _levels(image: Tensor, half: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Codes and mask at the five scales."""
    mask = _flat(image)
    for scale in range(len(_SCALE_WEIGHTS)):
        if scale or half:
            image, mask = image[::2, ::2], mask[::2, ::2]
        image = _mode_filtered(image.contiguous())
        yield image, mask


def _flat(x: Tensor) -> Tensor:
    """Where most pixels of the 7x7 around equal their right and lower neighbours, bool."""
    h, w = x.shape
    same = torch.ones_like(x, dtype=torch.bool)
    same[:, :-1] &= x[:, :-1] == x[:, 1:]
    same[:-1] &= x[:-1] == x[1:]
    blocks = (w >> 6) * (h >> 6)
    threshold = (_MASK**2 + 3 * ((max(blocks, 1) - 1).bit_length() - 11) - 1) >> 1
    around = F.avg_pool2d(same.float()[None, None], _MASK, stride=1, padding=_MASK // 2, divisor_override=1)
    return around[0, 0] > threshold


def _mode_filtered(x: Tensor) -> Tensor:
    """The commonest of three (the least where all differ), along rows, then along columns; first and last row stay."""
    if x.shape[0] < 3:
        return x
    across = x.clone()
    if x.shape[1] > 2:
        across[:, 1:-1] = _mode(x[:, :-2], x[:, 1:-1], x[:, 2:])
    out = x.clone()
    out[1:-1] = _mode(across[:-2], across[1:-1], across[2:])
    return out


def _mode(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    least = torch.minimum(torch.minimum(a, b), c)
    return torch.where((a == b) | (a == c), a, torch.where(b == c, b, least))


def _worst(values: Tensor, pixels: int, topk: float) -> Tensor:
    """() float64: mean of the largest of `pixels` values, of which those not given are 0."""
    count = min(max(int(topk * pixels), 1), pixels)
    if len(values) > count:
        values = values.topk(count, sorted=False).values
    return values.sum(dtype=torch.float64) / count
