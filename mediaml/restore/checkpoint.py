"""Checkpoints that the user brings: safetensors or a torch file of tensors, recognised by spandrel (the extra `sr`)."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from mediaml.errors import InvalidValue
from mediaml.restore.enlarger import Enlarger
from mediaml.restore.rgb import RgbEnlarger

_REACH = 32  # pixels; most of what an unknown network looks at
_BYTES_PER_PIXEL = 8000.0


def load_checkpoint(
    path: Path, scale: int, device: torch.device, *, tile: int | None, workers: int, ensemble: bool
) -> Enlarger:
    """The network that spandrel makes of the tensors in `path`.

    The file is read here, with `weights_only`, so that a pickle with code in it is refused and never run. Raises InvalidValue
    for such a file, for one that is no checkpoint, for an architecture that spandrel does not know, for a network that does
    not map RGB to RGB, and where spandrel is not installed.
    """
    state = read_state(path)
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ImportError as error:
        raise InvalidValue(
            f"{path.name}: checkpoints of other architectures are recognised by spandrel, which is not installed; "
            "run: pip install 'mediaml[sr]'"
        ) from error
    try:
        model = ModelLoader(device="cpu").load_from_state_dict(state)
    except UnsupportedModelError as error:
        inner = next((v for v in state.values() if isinstance(v, dict) and v), state)
        keys = ", ".join(map(str, list(inner)[:3]))
        raise InvalidValue(f"{path}: spandrel knows no architecture with these tensors ({keys}, ...)") from error
    if not isinstance(model, ImageModelDescriptor) or (model.input_channels, model.output_channels) != (3, 3):
        raise InvalidValue(f"{path}: {model.architecture.name} does not turn one RGB picture into another")
    if model.scale < 2:
        raise InvalidValue(f"{path}: {model.architecture.name} restores at x{model.scale}; it does not enlarge")
    name = f"{model.architecture.name}:{path.name}"
    return RgbEnlarger(
        name, model.model, native=model.scale, scale=scale, reach=_REACH, bytes_per_pixel=_BYTES_PER_PIXEL,
        device=device, tile=tile, workers=workers, ensemble=ensemble,
    )  # fmt: skip


def read_state(path: Path) -> dict[str, Any]:
    """The tensors of a .safetensors, .pth, .pt or .ckpt file. Raises InvalidValue; never runs what a file carries."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise InvalidValue(f"{path} is not a safetensors file: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # of other pickle protocols: what cannot be read is refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)|(reduce on \S+)|(Unsupported class \S+)", str(error))
        if named is None:
            raise InvalidValue(
                f"{path} is not a torch checkpoint: its pickle holds what tensors do not need, and is not run"
            ) from error
        raise InvalidValue(
            f"{path} holds more than tensors and is refused, because loading it would run code "
            f"(it asks for {next(filter(None, named.groups()))}); convert it to safetensors where you trust it"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidValue(f"{path} is not a torch checkpoint: {str(error).splitlines()[0][:160]}") from error
    if not isinstance(state, dict) or not state:
        raise InvalidValue(f"{path} holds a {type(state).__name__}, not a dictionary of tensors")
    return state
