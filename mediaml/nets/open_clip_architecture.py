"""What open_clip's package, or a configuration file, says of a model before its weights are read. Downloads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mediaml.errors import InvalidValue, UnknownName, printable

CONFIG = "open_clip_config.json"


@dataclass(frozen=True, slots=True)
class Architecture:
    """What can be said of a model before its weights are read.

    name       open_clip's name of it, or "local-dir:FOLDER" for one whose open_clip_config.json lies beside its checkpoint
    tag        open_clip's pretrained tag whose preprocessing and activation hold; "" for none
    size       (height, width) of the picture it takes
    resize     "shortest" (scale, crop the centre), "squash" (stretch) or "longest" (scale, pad)
    dimensions of its vectors
    """

    name: str
    tag: str
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize: str
    fill: int
    dimensions: int
    quick_gelu: bool
    tokenizer: str  # "clip" or the name of a Hugging Face tokenizer
    text_model: str = ""  # name of the Hugging Face model that is the text tower; "" for open_clip's own
    text_folder: str = ""  # where the user says that its files and the tokenizer's lie


def architecture(name: str, tag: str = "", text_folder: str = "") -> Architecture:
    """Of an open_clip model, or of a folder with an open_clip_config.json ("local-dir:FOLDER"). Downloads nothing.

    Raises UnknownName, InvalidValue (a configuration file that is not one).
    """
    import open_clip

    local: Mapping[str, Any] = {}
    if name.startswith("local-dir:"):
        local = _read_config(Path(name.removeprefix("local-dir:")) / CONFIG)
        model = local["model_cfg"]
    else:
        model = open_clip.get_model_config(name)
        if model is None:
            raise UnknownName("open_clip model", name, open_clip.list_models())
    chosen: Mapping[str, Any] = open_clip.get_pretrained_cfg(name, tag) if tag else local.get("preprocess_cfg", {})
    defaults = asdict(open_clip.transform.PreprocessCfg())
    settings = defaults | {k: v for k, v in chosen.items() if k in defaults and v is not None}
    image = model["vision_cfg"].get("image_size", 224)
    size = (image, image) if isinstance(image, int) else (int(image[0]), int(image[1]))
    text = model["text_cfg"]
    siglip = "siglip" in name.lower() and not local
    return Architecture(
        name=name,
        tag=tag,
        size=size,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        interpolation=settings["interpolation"],
        resize=settings["resize_mode"],
        fill=int(settings["fill_color"]),
        dimensions=int(model["embed_dim"]),
        quick_gelu=bool(chosen.get("quick_gelu", model.get("quick_gelu", False))),
        tokenizer=text.get("hf_tokenizer_name") or ("siglip" if siglip else "clip"),
        text_model=text.get("hf_model_name") or "",
        text_folder=text_folder,
    )


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _ = [found["model_cfg"][part] for part in ("vision_cfg", "text_cfg", "embed_dim")]
    except OSError as error:
        raise InvalidValue(f"{printable(path)}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValue(f"{printable(path)}: not an open_clip configuration: {error!r}") from error
    return found
