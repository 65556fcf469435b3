"""`mediaml.Upscaler`: tensors in, larger tensors out."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.ops.colour import rgb_luma
from mediaml.restore.models import Where, load_model


class Upscaler:
    """Enlarges pictures with a model: `mediaml.Upscaler("mediaml_sr_x2", device="cuda")(frames)`.

    `model` is mediaml_sr_x2, realesr-animevideov3, realesrgan-x4plus, realesrgan-x4plus-anime, or the path of a checkpoint
    that spandrel recognises; `scale` is 2 or 4; `tile` is the side of tiles in input pixels (None: from free memory);
    `ensemble` takes the mean over eight orientations, for eight times the work. Raises UnknownName, InvalidValue,
    WeightsAbsent (with the command that brings the weights) and WeightsCorrupt.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "mediaml_sr_x2",
        *,
        scale: int = 2,
        device: str = "cpu",
        tile: int | None = None,
        ensemble: bool = False,
    ) -> None:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise InvalidValue(f"device {device} was asked for, but torch finds no CUDA device; use device='cpu'")
        self._enlarger = load_model(model, scale, Where(torch.device(device), tile, ensemble=ensemble))

    @property
    def scale(self) -> int:
        """Output pixels an input pixel, each way."""
        return self._enlarger.scale

    def __call__(self, frames: Tensor, *, strength: float | Tensor | None = None) -> Tensor:
        """(N, 3, H, W) float R'G'B' in [0, 1] -> (N, 3, H * scale, W * scale) float32 in [0, 1], on the model's device.

        `strength` is how strongly the pictures were compressed, for models that use it: the quantizer on H.264's scale over
        51, one number or (N,); 0 for pictures that never were; None estimates it. Raises InvalidValue for other shapes,
        integers, NaN, and values outside [0, 1].
        """
        if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape or not frames.is_floating_point():
            raise InvalidValue(f"frames must be (N, 3, H, W) float in [0, 1], not {tuple(frames.shape)} {frames.dtype}")
        low, high = (float(v) for v in frames.aminmax())
        if not (low >= 0 and high <= 1):
            raise InvalidValue(f"frames lie in [{low:g}, {high:g}]; they must lie in [0, 1]: divide 8-bit codes by 255")
        return torch.cat(
            [self._one(f[None], s) for f, s in zip(frames, self._strengths(frames, strength), strict=True)]
        )

    def _one(self, frame: Tensor, strength: Tensor) -> Tensor:
        return self._enlarger.rgb(frame, strength[None])

    def _strengths(self, frames: Tensor, strength: float | Tensor | None) -> Tensor:
        """(N,) in [0, 1]."""
        if strength is None:
            with torch.no_grad():
                luma = rgb_luma(frames.float()) * (219 / 255) + 16 / 255
                return torch.cat([self._enlarger.estimate(one[None]) for one in luma])
        given = torch.as_tensor(strength, dtype=torch.float32).expand(len(frames))
        if not bool(((given >= 0) & (given <= 1)).all()):
            raise InvalidValue(f"strength {strength} must lie in [0, 1]: the quantizer on H.264's scale over 51")
        return given
