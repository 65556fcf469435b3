"""open_clip's models (Ilharco et al. 2021; Radford et al. 2021, arXiv 2103.00020): pictures and texts as unit vectors.

The architectures, tokenizers and preprocessing settings are open_clip's own (package open-clip-torch); here they are built
without any download, given a checkpoint that cannot run code, and fed uint8 pictures on whatever device these are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaml.errors import WeightsError, printable
from mediaml.nets.checkpoint import read_checkpoint
from mediaml.nets.open_clip_architecture import Architecture
from mediaml.nets.open_clip_text import encode_text, tokenizer, transformers_tower

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
_CHUNK = 16  # pictures in one pass on the CPU


class OpenClipNet:
    """Both towers with their weights. Vectors come out as float32 of length 1, whatever the precision inside."""

    def __init__(
        self, arch: Architecture, checkpoint: Path, device: torch.device | str = "cpu", precision: Precision = "fp32"
    ) -> None:
        """Raises WeightsCorrupt (truncated, or a pickle that would run code), WeightsError (of another architecture),
        UsageError (a text tower that cannot be built here)."""
        self.arch = arch
        self.device = torch.device(device)
        self.precision = precision
        model = build(arch)
        load_into(model, checkpoint, arch)
        self.model: Any = _cast(model.eval(), self.device, precision, keep_text=bool(arch.text_model))
        self.dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(arch.mean, device=self.device).mul(255).view(shape)
        self._scale = torch.tensor(arch.std, device=self.device).mul(255).view(shape)

    def prepare(self, frames: Tensor) -> Tensor:
        """(N, 3, h, w) uint8, at most the model's size, -> (N, 3, H, W): padded where smaller, and normalised."""
        h, w = self.arch.size
        if frames.shape[2:] != (h, w):
            down, across = h - frames.shape[2], w - frames.shape[3]
            sides = (across // 2, across - across // 2, down // 2, down - down // 2)
            frames = F.pad(frames, sides, value=self.arch.fill)
        return (frames.float() - self._mean) / self._scale

    @torch.inference_mode()
    def images(self, frames: Tensor) -> Tensor:
        """(N, 3, h, w) uint8 pictures of the model's size (smaller ones are padded) -> (N, D) float32 unit vectors."""
        parts = frames.split(_CHUNK) if frames.device.type == "cpu" else (frames,)
        found = [self.model.encode_image(self.prepare(part).to(self.dtype)) for part in parts]
        return F.normalize(torch.cat(found).float(), dim=1)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str], templates: Sequence[str] = ("{}",)) -> Tensor:
        """(N, D) float32 unit vectors: for each text the mean over the templates ("a photo of {}"), of length 1 again.

        Texts longer than the model's context are cut off. Raises UsageError where the tokenizer needs another package.
        """
        tokens = tokenizer(self.arch)
        vectors = []
        for text in texts:
            filled = [template.replace("{}", text) for template in templates]
            encoded = F.normalize(encode_text(self.model, tokens(filled).to(self.device)).float(), dim=1)
            vectors.append(F.normalize(encoded.mean(0), dim=0))
        return torch.stack(vectors)


def build(arch: Architecture, device: str = "cpu") -> nn.Module:
    """The model with fresh weights, or on "meta" without any. Downloads nothing.

    Raises UsageError (the text tower needs transformers, or files that are not here).
    """
    import open_clip

    own: Any = {"text_cfg": transformers_tower(arch)} if arch.text_model else {}
    with _quiet(), torch.device(device):
        return open_clip.create_model(
            arch.name,
            device=device,
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=arch.quick_gelu,
            **own,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warning, on the root logger, that a model was made without weights: they are loaded next."""

    def keep(record: logging.LogRecord) -> bool:
        return Path(record.pathname).parent.name != "open_clip"

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)


def load_into(model: nn.Module, checkpoint: Path, arch: Architecture) -> None:
    """Gives `model` the tensors of a checkpoint. Raises WeightsCorrupt, WeightsError (of another architecture)."""
    model.load_state_dict(adapted(model, read_checkpoint(checkpoint), arch, checkpoint))


def adapted(model: Any, state: dict[str, Tensor], arch: Architecture, checkpoint: Path) -> dict[str, Tensor]:
    """The state as `model` names it. Raises WeightsError, with what differs, where it is of another architecture."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    own = model.state_dict()
    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for name in ("logit_scale", "logit_bias"):
        if name in state and name in own and state[name].numel() == own[name].numel():
            state[name] = state[name].reshape(own[name].shape)
    state.pop("text.transformer.embeddings.position_ids", None)
    if arch.tag:  # some tags of open_clip's list share weights made for another picture size
        resize_pos_embed(state, model)
        resize_text_pos_embed(state, model)
    missing = sorted(own.keys() - state.keys())
    extra = sorted(state.keys() - own.keys())
    other = [n for n in own.keys() & state.keys() if own[n].shape != state[n].shape]
    if missing or extra or other:
        raise WeightsError(_misfit(arch, checkpoint, own, state, (missing, extra, sorted(other))))
    return state


def _misfit(
    arch: Architecture,
    checkpoint: Path,
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    found: tuple[list[str], list[str], list[str]],
) -> str:
    missing, extra, other = found
    if other:
        name = other[0]
        shown = f"{name} is {tuple(state[name].shape)}, the model's {tuple(own[name].shape)}"
    else:
        shown = f"first missing: {missing[0]}" if missing else f"first unknown: {extra[0]}"
    likely = [n for n in matching_architectures(state) if n != arch.name]
    hint = f"; by its tensors it may be {' or '.join(likely[:3])}" if likely else ""
    return (
        f"{printable(checkpoint)}: not a checkpoint of open_clip {arch.name}: {len(missing)} tensors missing, {len(extra)} "
        f"unknown, {len(other)} of other shapes ({shown}){hint}"
    )


def matching_architectures(state: Mapping[str, Tensor]) -> list[str]:
    """open_clip's models with ViT towers of the sizes of these tensors; [] where they tell nothing."""
    text = "text." if "text.positional_embedding" in state else ""
    names = {
        "patch": "visual.conv1.weight",
        "grid": "visual.positional_embedding",
        "tokens": f"{text}token_embedding.weight",
        "context": f"{text}positional_embedding",
        "out": "visual.proj",
    }
    if not all(n in state for n in names.values()):
        return []
    shapes = {k: tuple(state[n].shape) for k, n in names.items()}
    deep = [
        sum(n.startswith(f"{p}transformer.resblocks.") and n.endswith(".ln_1.weight") for n in state)
        for p in ("visual.", text)
    ]
    width, _, patch, _ = shapes["patch"]
    side = round((shapes["grid"][0] - 1) ** 0.5) * patch
    wanted = (shapes["out"][1], side, patch, width, deep[0], *shapes["context"], shapes["tokens"][0], deep[1])
    return [name for name, sizes in _sizes().items() if sizes == wanted]


@cache
def _sizes() -> dict[str, tuple[int, ...]]:
    """open_clip model -> what `matching_architectures` reads off a checkpoint."""
    import open_clip

    found: dict[str, tuple[int, ...]] = {}
    for name in open_clip.list_models():
        cfg: Any = open_clip.get_model_config(name)
        vision, text = cfg["vision_cfg"], cfg["text_cfg"]
        if "patch_size" in vision and isinstance(vision.get("layers"), int) and "width" in text:
            heights = (cfg["embed_dim"], vision.get("image_size", 224), vision["patch_size"], vision.get("width", 768))
            rest = (
                text.get("context_length", 77),
                text["width"],
                text.get("vocab_size", 49408),
                text.get("layers", 12),
            )
            found[name] = (*heights, vision["layers"], *rest)
    return found


def _cast(model: Any, device: torch.device, precision: Precision, keep_text: bool) -> Any:
    """`keep_text`: the text tower stays fp32 (open_clip's cast of transformers' towers leaves them with two dtypes)."""
    from open_clip.factory import _set_model_device_and_precision as place  # what open_clip itself does

    place(model, device, precision, type(getattr(model, "visual", None)).__name__ == "TimmModel")
    if keep_text:
        model.text.float()
    return model
