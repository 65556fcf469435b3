"""The name of a model, or a checkpoint's path -> the enlarger."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mediaml import weights
from mediaml.errors import InvalidValue, UnknownName
from mediaml.nets.mediaml_sr import MediamlSr, StrengthEstimator
from mediaml.nets.rrdb import RrdbNet
from mediaml.nets.srvgg import SrvggCompact
from mediaml.restore.checkpoint import load_checkpoint
from mediaml.restore.enlarger import Enlarger
from mediaml.restore.luma import LumaEnlarger
from mediaml.restore.rgb import RgbEnlarger
from mediaml.weights.ncnn import read_ncnn

SCALES = (2, 4)


@dataclass(frozen=True, slots=True)
class Where:
    """Where and how a network runs: device, the side of tiles (None: from free memory), threads that run it at once, and
    whether the mean over eight orientations is taken.
    """

    device: torch.device
    tile: int | None = None
    workers: int = 1
    ensemble: bool = False


Loader = Callable[[int, Where], Enlarger]


def load_model(name: str | os.PathLike[str], scale: int, where: Where) -> Enlarger:
    """The enlarger `name` for x2 or x4; a name of `MODELS`, or the path of our own kind of file or of a
    checkpoint that spandrel recognises.

    Raises InvalidValue (a scale that the model cannot give, a checkpoint that is none or holds code), UnknownName,
    WeightsAbsent and WeightsCorrupt.
    """
    if scale not in SCALES:
        raise InvalidValue(f"--scale {scale} must be 2 or 4")
    if str(name) in MODELS:
        return MODELS[str(name)](scale, where)
    path = Path(name).expanduser()
    if path.is_file() and _architecture(path) == "mediaml_sr":
        return luma_enlarger(path.name, path, scale, where)
    if path.is_file():
        return load_checkpoint(
            path, scale, where.device, tile=where.tile, workers=where.workers, ensemble=where.ensemble
        )
    raise UnknownName("model (nor is it a file)", str(name), MODELS)


def _architecture(path: Path) -> str | None:
    """What a safetensors file of ours says it is."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(str(path), "pt") as file:
            return (file.metadata() or {}).get("architecture")
    except SafetensorError:
        return None


def _mediaml_sr(scale: int, where: Where) -> Enlarger:
    path = weights.resolve("mediaml_sr_x2")
    return luma_enlarger("mediaml_sr_x2", path, scale, where)


def luma_enlarger(name: str, path: Path, scale: int, where: Where) -> LumaEnlarger:
    """`mediaml_sr_x2`'s nets out of the safetensors at `path`. Raises InvalidValue where it holds something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            facts = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise InvalidValue(f"{path} is not a safetensors file: {error}") from error
    if facts.get("architecture") != "mediaml_sr":
        raise InvalidValue(f"{path} does not hold mediaml_sr, but {facts.get('architecture', 'no named architecture')}")
    net, estimator = MediamlSr(int(facts["channels"]), int(facts["depth"])), StrengthEstimator()
    for module, prefix in ((net, "sr."), (estimator, "strength.")):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    passes = {2: 1, 4: 2}[scale]
    return LumaEnlarger(
        name, net, estimator, passes=passes,
        device=where.device, tile=where.tile, workers=where.workers, ensemble=where.ensemble,
    )  # fmt: skip


def _compact(scale: int, where: Where) -> Enlarger:
    param, content = weights.resolve("realesrgan_animevideov3_x4_param"), weights.resolve("realesrgan_animevideov3_bin")
    net = SrvggCompact()
    net.load_ncnn(read_ncnn(param, content))
    return _rgb("realesr-animevideov3", net, 4, scale, SrvggCompact.REACH, SrvggCompact.BYTES_PER_PIXEL, where)


def _rrdb(name: str, entry: str, blocks: int) -> Loader:
    def load(scale: int, where: Where) -> Enlarger:
        param, content = weights.resolve(f"{entry}_param"), weights.resolve(f"{entry}_bin")
        net = RrdbNet(blocks)
        net.load_ncnn(read_ncnn(param, content))
        return _rgb(name, net, 4, scale, RrdbNet.REACH, RrdbNet.BYTES_PER_PIXEL, where)

    return load


def _rgb(
    name: str, net: nn.Module, native: int, scale: int, reach: int, bytes_per_pixel: float, where: Where
) -> RgbEnlarger:
    return RgbEnlarger(
        name, net, native=native, scale=scale, reach=reach, bytes_per_pixel=bytes_per_pixel,
        device=where.device, tile=where.tile, workers=where.workers, ensemble=where.ensemble, convolutional=True,
    )  # fmt: skip


MODELS: dict[str, Loader] = {
    "mediaml_sr_x2": _mediaml_sr,
    "realesr-animevideov3": _compact,
    "realesrgan-x4plus": _rrdb("realesrgan-x4plus", "realesrgan_x4plus", 23),
    "realesrgan-x4plus-anime": _rrdb("realesrgan-x4plus-anime", "realesrgan_x4plus_anime", 6),
}
