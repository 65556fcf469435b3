"""RGB views made from native planes with torch, on whatever device the planes are: the same pictures as views.py.

Resampling is two matrix products a plane, with the weights of the view's filter; chroma is resampled straight from its own
grid to the view, with its siting (left, as MPEG-2, H.264 and HEVC have it), so that no full-size RGB picture is ever made.
"fast_bilinear" reads the rows that row_sampling.py reads, and takes chroma as centred, as that does.
Largest and mean difference from the CPU's views of smooth pictures, in code values: "bilinear", "bicubic" and "area" 1 and
0.05 (4 and 1 with subsampled chroma); "fast_bilinear" 3 and 0.6, because the CPU rounds small planes before it makes colours
of them. HDR: 4 above code 32; near black gamma magnifies rounding. tests/unit/test_device_views.py checks these figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mediaml.decode.colour import luma_matrix
from mediaml.decode.row_sampling import CHROMA_SHARE, LUMA_SHARE, sampled_rows
from mediaml.decode.tonemap import HLG_GAMMA, HLG_PEAK, TARGET_PEAK, ToneMap
from mediaml.decode.views import Geometry, geometry
from mediaml.frames import AudioBlock, Colour, FrameBatch, Planes
from mediaml.media import VideoStream
from mediaml.ops.colour import code_range, luma_weights
from mediaml.ops.transfer import pq_encode
from mediaml.spec import Filter, View

_HLG_LUMA = (0.2627, 0.6780, 0.0593)
_BICUBIC = 0.6  # swscale's default


@dataclass(frozen=True, slots=True)
class DeviceViews:
    """A `FrameBatch.make_view` for batches that hold native planes of one stream."""

    stream: VideoStream

    def __call__(self, batch: FrameBatch, view: View) -> Tensor:
        """(N, 3, H, W) uint8 R'G'B', full range, on the batch's device."""
        planes = batch.planes
        assert planes is not None
        height, width = planes.size
        planned = geometry(view, width, height, self.stream.sample_aspect_ratio, self.stream.rotation_degrees)
        rgb = _rgb(planes, batch.colour, planned, view.filter)  # (N, 3, h, w) float32 in [0, 1]
        tone = ToneMap.of(batch.colour, self.stream.hdr)
        rgb = (rgb * 255).round_() if tone is None else _tone_mapped(tone, rgb)
        rgb = rgb.to(torch.uint8)
        if planned.crop is not None:
            x, y, w, h = planned.crop
            rgb = rgb[..., y : y + h, x : x + w]
        if self.stream.mirrored:
            rgb = rgb.flip(-1)
        return torch.rot90(rgb, -(self.stream.rotation_degrees // 90 % 4), (-2, -1)).contiguous()


def on_device(batch: FrameBatch | AudioBlock, device: torch.device) -> FrameBatch | AudioBlock:
    """The batch with planes, views or samples moved to `device`; times stay on the host, where the engine reads them."""
    if isinstance(batch, AudioBlock):
        return replace(batch, samples=_uploaded(batch.samples, device))
    planes = batch.planes
    if planes is not None:
        u, v = (None if p is None else _uploaded(p, device) for p in (planes.u, planes.v))
        planes = Planes(_uploaded(planes.y, device), u, v, planes.bit_depth)
    return replace(batch, planes=planes, views={view: _uploaded(t, device) for view, t in batch.views.items()})


def _uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """On a GPU through pinned memory, so that the copy runs beside the kernels (torch keeps the pages until it ends)."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _rgb(planes: Planes, colour: Colour, planned: Geometry, filter: Filter) -> Tensor:
    codes = code_range(planes.bit_depth, colour.range)
    y = (_resampled(planes.y, planned.scaled, filter, 0.0, LUMA_SHARE) - codes.black) / (codes.white - codes.black)
    if planes.u is None or planes.v is None:
        return y.expand(-1, 3, -1, -1).clamp(0, 1)
    sited_left = filter != "fast_bilinear" and planes.u.shape[3] < planes.y.shape[3]
    left = -0.25 if sited_left else 0.0  # in chroma samples
    u, v = (
        (_resampled(p, planned.scaled, filter, left, CHROMA_SHARE) - codes.chroma_zero) / codes.chroma_half_span
        for p in (planes.u, planes.v)
    )
    kr, kg, kb = luma_weights(luma_matrix(colour.matrix))
    red, blue = y + (1 - kr) * v, y + (1 - kb) * u
    green = (y - kr * red - kb * blue) / kg
    return torch.cat((red, green, blue), dim=1).clamp_(0, 1)


def _tone_mapped(tone: ToneMap, rgb: Tensor) -> Tensor:
    """(N, 3, H, W) HDR R'G'B' in [0, 1] to 8-bit SDR code values: tonemap.py's chain, on the device."""
    codes = (rgb * 65535).round_().long()
    gain = torch.from_numpy(tone.gain).to(rgb.device)
    light = torch.from_numpy(tone.light).to(rgb.device)[codes]
    if tone.is_hlg:
        luma = sum(weight * light[:, i : i + 1] for i, weight in enumerate(_HLG_LUMA))
        ootf = HLG_PEAK * torch.as_tensor(luma).clamp_min(1e-9) ** (HLG_GAMMA - 1)
        largest = pq_encode(ootf * light.amax(dim=1, keepdim=True))
        light = light * ootf * gain[(largest * 65535).round_().long()] / TARGET_PEAK
    else:
        light = light * gain[codes.amax(dim=1, keepdim=True)]
    if tone.matrix is not None:
        light = torch.einsum("ij,njhw->nihw", torch.from_numpy(tone.matrix).to(rgb.device), light)
    return (255 * light.clamp(0, 1) ** (1 / 2.4)).round_()


def _resampled(plane: Tensor, size: tuple[int, int], filter: Filter, offset: float, share: float) -> Tensor:
    """(N, 1, h, w) code values to (N, 1, H, W) float32; `offset` is where sample 0 lies, in samples, across.

    `share`: of the rows that "fast_bilinear" reads.
    """
    if filter == "fast_bilinear":
        plane = plane[:, :, sampled_rows(plane.shape[2], size[1], share)]
    values = plane.to(torch.int32).to(torch.float32) if plane.dtype == torch.uint16 else plane.to(torch.float32)
    across = _weights(plane.shape[3], size[0], filter, offset, str(plane.device))  # (W, w)
    down = _weights(plane.shape[2], size[1], filter, 0.0, str(plane.device))  # (H, h)
    return down @ (values @ across.T)


@lru_cache(maxsize=64)
def _weights(source: int, target: int, filter: Filter, offset: float, device: str) -> Tensor:
    """(target, source) float32 rows that sum to 1; samples outside the picture repeat its edge."""
    ratio = source / target
    centres = (np.arange(target) + 0.5) * ratio - 0.5 - offset  # in source samples
    wide = 1.0 if filter == "fast_bilinear" else max(1.0, ratio)
    reach = int(np.ceil(2 * wide)) + 1
    taps = np.floor(centres)[:, None] + np.arange(-reach, reach + 1)[None]  # (target, taps)
    values = _kernel(filter, ratio, (taps - centres[:, None]) / wide, wide)
    values /= values.sum(axis=1, keepdims=True)
    dense = np.zeros((target, source))
    rows = np.broadcast_to(np.arange(target)[:, None], taps.shape)
    np.add.at(dense, (rows, np.clip(taps, 0, source - 1).astype(np.int64)), values)
    return torch.from_numpy(dense.astype(np.float32)).to(device)


def _kernel(filter: Filter, ratio: float, x: np.ndarray, wide: float) -> np.ndarray:
    """The filter at distances `x`, in units of the wider of the two sampling steps."""
    d = np.abs(x)
    if filter == "area" and ratio > 1:  # how much of each source sample lies under one target sample
        return np.clip(0.5 + 0.5 / wide - d, 0, 1 / wide)
    if filter == "bicubic":
        c = _BICUBIC
        near = 1 - (3 - c) * d**2 + (2 - c) * d**3
        far = c * (4 - 8 * d + 5 * d**2 - d**3)
        return np.where(d < 1, near, np.where(d < 2, far, 0.0))
    return np.clip(1 - d, 0, None)
