"""Reading a checkpoint that cannot run code: safetensors, or torch's zip and pickle files with `weights_only`."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mediaml.errors import WeightsCorrupt, WeightsError, printable

_FOREIGN = re.compile(r"GLOBAL ([\w.]+)")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU. The format is told by the content, not by the name.

    A training checkpoint's "state_dict" is taken out of it, and the "module." of data-parallel training off its names.
    Raises WeightsCorrupt (truncated, not a checkpoint, a pickle with anything but tensors and plain containers in it),
    WeightsError (no tensors).
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise WeightsError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    found: Any = _safetensors(path) if head[8:9] == b"{" else _torch(path)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    state = {str(k): v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, dict) else {}
    if not state:
        raise WeightsError(f"{printable(path)}: holds no tensors by name; a state dict is wanted")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise WeightsCorrupt(
            f"{printable(path)}: damaged or truncated safetensors file ({error}); fetch it again"
        ) from error


def _torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols other than torch's own
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _FOREIGN.search(str(error))
        what = f"refers to {named[1]}" if named else "is damaged, or holds more than tensors"
        raise WeightsCorrupt(
            f"{printable(path)}: refused: a pickle that holds more than tensors could run code, and this one {what}. Get the "
            "weights as safetensors, or convert them where you trust their origin"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, UnicodeDecodeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsCorrupt(
            f"{printable(path)}: damaged, truncated or not a checkpoint ({first}); fetch it again"
        ) from error
