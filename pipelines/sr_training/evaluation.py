"""Weights -> figures: Set5 with the usual protocol, and inter-coded clips that training never saw."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.nets.mediaml_sr import MediamlSr, lanczos_x2
from mediaml.ops.resize import imresize
from mediaml.restore.strength import jpeg_strength
from pipelines.sr_training.pairs import downscaled, strength_of
from pipelines.training_media.camera_motion import clip
from pipelines.training_media.encodes import Codec, Planes, as_viewed, rgb_to_planes
from pipelines.training_media.pictures import listed

Upscale = Callable[[Tensor, Tensor], Tensor]  # (N, 1, H, W), (N,) -> (N, 1, 2H, 2W)
# held-out pictures that are for the final figures only; the last of them is seen before the next
MEASURED = (
    "picture_1a_by_freespace", "friends_by_aitzol_berasategi", "butterfly_kenneth_wimer", "drop", "garden", "coldripple",
    "eveningglow",
)  # fmt: skip
VALIDATION = ("onestandsout", "path", "safelanding")
BORDER = 2  # pixels of the benchmarks' convention for x2


@dataclass(frozen=True, slots=True)
class CodedScore:
    """One clip, one encode: PSNR-Y in dB over all frames (from the mean squared error), 8-bit peak."""

    clip: str
    codec: Codec
    crf: int
    lanczos: float
    ours: float

    @property
    def gain(self) -> float:
        return self.ours - self.lanczos


def still_psnr(upscale: Upscale, folder: Path, jpeg_quality: int | None = None) -> dict[str, float]:
    """{file stem: PSNR-Y in dB}: antialiased bicubic down, 8 bits, x2, luma of BT.601, 2 pixels of border left out.

    With `jpeg_quality` the small picture is a JPEG (4:2:0) of that quality, and its strength is what its table says.
    """
    return {path.stem: _still(upscale, path, jpeg_quality) for path in sorted(folder.glob("*.png"))}


def _still(upscale: Upscale, path: Path, jpeg_quality: int | None) -> float:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InvalidValue(f"{path} is not a picture")
    rgb = np.ascontiguousarray(pixels[..., ::-1])
    rgb = rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]
    high = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None].double()
    low, strength = imresize(high, scale=0.5).round_().clamp_(0, 255), 0.0
    if jpeg_quality is not None:
        low, strength = _jpeg(low, jpeg_quality)
    with torch.inference_mode():
        shown = upscale(_luma(low).float() / 255, torch.tensor([strength])).double().clamp(16 / 255, 235 / 255) * 255
    error = (shown - _luma(high))[..., BORDER:-BORDER, BORDER:-BORDER]
    return float(10 * torch.log10(255**2 / error.square().mean()))


def _jpeg(rgb: Tensor, quality: int) -> tuple[Tensor, float]:
    """(1, 3, H, W) codes -> the same from a JPEG file, and the strength that its table tells."""
    file = io.BytesIO()
    Image.fromarray(rgb[0].permute(1, 2, 0).to(torch.uint8).numpy()).save(file, "JPEG", quality=quality)
    with Image.open(file) as opened:
        strength = jpeg_strength(opened.quantization[0])  # type: ignore[attr-defined]
        decoded = np.array(opened.convert("RGB"))
    return torch.from_numpy(decoded).permute(2, 0, 1)[None].to(rgb.dtype), strength


def _luma(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) in 0..255 -> (N, 1, H, W), MATLAB's rgb2ycbcr, not rounded."""
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=rgb.dtype).view(1, 3, 1, 1) / 255
    return (rgb * weights).sum(dim=1, keepdim=True) + 16


def lanczos(luma: Tensor, strength: Tensor) -> Tensor:
    """The base that the network corrects."""
    del strength
    return lanczos_x2(luma)


def coded_scores(
    net: MediamlSr, clips: Sequence[tuple[str, list[Planes]]], encodes: Sequence[tuple[Codec, int]]
) -> Iterator[CodedScore]:
    """Each clip downscaled, inter-coded, decoded, and upscaled by `net` and by Lanczos."""
    for name, high in clips:
        low = [(downscaled(y), downscaled(u, "area"), downscaled(v, "area")) for y, u, v in high]
        for codec, crf in encodes:
            seen = as_viewed(low, codec, crf)
            errors = []
            for frame, original in zip(seen, high, strict=True):
                luma = torch.from_numpy(frame.planes[0])[None, None].float() / 255
                strength = torch.tensor([strength_of(codec, crf, frame.qp)])
                with torch.inference_mode():
                    errors.append([_mse(f(luma, strength), original[0]) for f in (lanczos, net)])
            base, ours = 10 * np.log10(255**2 / np.mean(errors, axis=0))
            yield CodedScore(name, codec, crf, float(base), float(ours))


def _mse(shown: Tensor, original: NDArray[np.uint8]) -> float:
    codes = (shown * 255).round_().clamp_(0, 255)[0, 0]
    return float((codes - torch.from_numpy(original)).square().mean())


def held_out_clips(
    frames: int, size: tuple[int, int] = (640, 384), only: str | None = None
) -> list[tuple[str, list[Planes]]]:
    """Clips of a moving camera over pictures that neither training nor validation sees; the same whenever they are made."""
    shown = _held_out(MEASURED)
    return [
        (name, [rgb_to_planes(f) for f in clip([picture, shown[i + 1][1]], size, frames, 9000 + i)])
        for i, (name, picture) in enumerate(shown[:-1])
        if only in (None, name)
    ]


def validation_clips(frames: int, size: tuple[int, int] = (640, 384)) -> list[tuple[str, list[Planes]]]:
    """Clips of the held-out pictures that `held_out_clips` does not show: sharp, and soft and coded before."""
    shown = _held_out(VALIDATION)
    made: list[tuple[str, list[Planes]]] = []
    for i, (name, picture) in enumerate(shown):
        other = shown[(i + 1) % len(shown)][1]
        for soft in (False, True):
            planes = [rgb_to_planes(f) for f in clip([picture, other], size, frames, 9500 + 2 * i + soft, soft=soft)]
            if soft:
                planes = [d.planes for d in as_viewed(planes, "x264", 22)]
            made.append((f"{name}{', soft' if soft else ''}", planes))
    return made


def _held_out(names: Sequence[str]) -> list[tuple[str, NDArray[np.uint8]]]:
    by_name = {p.name: p for p in listed(split="held_out")}
    return [(name, by_name[name].read()) for name in names]


def real_clip(path: Path, frames: int, size: tuple[int, int] | None = None) -> list[Planes]:
    """The first frames of a file as 8-bit 4:2:0 planes, both sides cut to multiples of 4 (or scaled to `size`)."""
    shown: list[Planes] = []
    with av.open(str(path), "r") as container:
        for frame in container.decode(video=0):
            if len(shown) == frames:
                break
            width, height = size or (frame.width, frame.height)
            frame = frame.reformat(width=width, height=height, format="yuv420p", interpolation="BICUBIC")
            rows, columns = height // 4 * 4, width // 4 * 4
            y, u, v = (
                np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[: rows // s, : columns // s].copy()  # type: ignore[call-overload]
                for p, s in zip(frame.planes, (1, 2, 2), strict=True)
            )
            shown.append((y, u, v))
    return shown
