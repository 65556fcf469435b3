"""`mediaml upscale --evaluate`: shrink the source, enlarge it again, and score that against the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mediaml.engine.upscale.frames import SourcePicture, SourcePictures
from mediaml.engine.upscale.plan import UpscaleSettings, plan_upscale
from mediaml.engine.upscale.video import load_enlarger
from mediaml.errors import InvalidValue, WeightsAbsent
from mediaml.frames import Colour, Planes
from mediaml.metrics.psnr import mse, pooled_psnr
from mediaml.metrics.ssim import ssim
from mediaml.metrics.vmaf import vmaf
from mediaml.nets.mediaml_sr import lanczos_x2
from mediaml.ops.resize import imresize
from mediaml.restore.enlarger import Enlarger

_SMALLEST = 64
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class UpscaleScores:
    """Luma scores over the frames, by method: PSNR of the mean squared error in dB, the means of the others.

    scores   {"bicubic": {"PSNR": ..., "SSIM": ..., "VMAF": ..., "VMAF-NEG": ...}, "Lanczos": ..., the model's name: ...}
    shown    the picture of the page: original and each method's, (1, ., .) planes of one frame
    """

    source: Path
    scale: int
    frames: int
    metrics: tuple[str, ...]
    scores: Mapping[str, Mapping[str, float]]
    shown: Mapping[str, Planes]
    colour: Colour


def evaluate(
    source: Path, settings: UpscaleSettings, frames: int = 48, *, progress: Progress | None = None
) -> UpscaleScores:
    """Scores bicubic, Lanczos and the model on the first `frames` frames, each shrunk by antialiased bicubic.

    VMAF and VMAF-NEG are left out where their weights are not here. Raises InvalidValue for pictures too small to be shrunk
    and for no frame, and what `plan_upscale` and `load_model` raise.
    """
    if frames < 1:
        raise InvalidValue(f"--frames {frames} must be at least 1")
    plan = plan_upscale(source, source.with_name(f"{source.stem}.evaluation.mkv"), replace(settings, codec="ffv1"))
    if min(plan.size) < _SMALLEST * settings.scale**2:
        raise InvalidValue(
            f"{source} is {plan.video.width}x{plan.video.height}; --evaluate needs {_SMALLEST * settings.scale}"
        )
    enlarger = load_enlarger(settings)
    originals: list[Tensor] = []
    made: dict[str, list[Tensor]] = {"bicubic": [], "Lanczos": [], enlarger.name: []}
    shown: dict[str, Planes] = {}
    colour, depth = Colour(), 8
    for picture in SourcePictures(plan, enlarger, frames, on_host=True).read():
        if picture.index == frames:
            break
        original, low = _pair(picture, settings.scale)
        colour, depth = picture.colour, original.bit_depth
        originals.append(original.y)
        for name, planes in _methods(low, picture, enlarger, plan.siting):
            made[name].append(planes.y)
            if picture.index == 0:
                shown[name] = planes
        if picture.index == 0:
            shown = {"original": original} | shown
        if progress is not None:
            progress(picture.index + 1, frames)
    reference = torch.cat(originals)
    scores = {name: _scores(reference, torch.cat(y), depth) for name, y in made.items()}
    return UpscaleScores(
        source, settings.scale, len(originals), tuple(next(iter(scores.values()))), scores, shown, colour
    )


def _pair(picture: SourcePicture, scale: int) -> tuple[Planes, Planes]:
    """The picture cut to a multiple of what chroma needs, and the same shrunk."""
    planes, unit = picture.planes, 2 * scale
    height, width = (s // unit * unit for s in planes.size)
    parts = []
    for plane in (planes.y, planes.u, planes.v):
        if plane is None:
            parts.append(None)
            continue
        rows, columns = (
            -(-p * s // full) for p, s, full in zip(plane.shape[2:], (height, width), planes.size, strict=True)
        )
        parts.append(plane[:, :, :rows, :columns])
    original = Planes(parts[0], parts[1], parts[2], planes.bit_depth)
    return original, _resized(original, 1 / scale)


def _methods(low: Planes, picture: SourcePicture, enlarger: Enlarger, siting: str) -> Iterator[tuple[str, Planes]]:
    yield "bicubic", _resized(low, enlarger.scale)
    yield "Lanczos", _lanczos(low, enlarger.scale)
    luma = low.y.to(torch.float32) / ((1 << low.bit_depth) - 1)
    with torch.no_grad():
        yield enlarger.name, enlarger.planes(low, picture.colour, siting, enlarger.estimate(luma)).to("cpu")


def _resized(planes: Planes, scale: float) -> Planes:
    peak = (1 << planes.bit_depth) - 1

    def one(p: Tensor) -> Tensor:
        return imresize(p.to(torch.float32), scale=scale).round_().clamp_(0, peak).to(p.dtype)

    return _each(planes, one)


def _lanczos(planes: Planes, scale: int) -> Planes:
    peak = (1 << planes.bit_depth) - 1

    def one(p: Tensor) -> Tensor:
        x = p.to(torch.float32)
        for _ in range(scale.bit_length() - 1):
            x = lanczos_x2(x)
        return x.round_().clamp_(0, peak).to(p.dtype)

    return _each(planes, one)


def _each(planes: Planes, change: Callable[[Tensor], Tensor]) -> Planes:
    u, v = (None if p is None else change(p) for p in (planes.u, planes.v))
    return Planes(change(planes.y), u, v, planes.bit_depth)


def _scores(reference: Tensor, made: Tensor, bit_depth: int) -> dict[str, float]:
    found = {
        "PSNR": float(pooled_psnr(mse(reference, made, bit_depth=bit_depth), cap=100.0)),
        "SSIM": float(ssim(reference, made, bit_depth=bit_depth).mean()),
    }
    for name, model in (("VMAF", "vmaf_v0.6.1"), ("VMAF-NEG", "vmaf_v0.6.1neg")):
        try:
            found[name] = float(vmaf(reference, made, model=model, bit_depth=bit_depth).mean())
        except WeightsAbsent:
            continue
    return found
