"""Small open_clip models with random weights, made and saved by the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

TINY: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def tiny(folder: Path, seed: int = 0, preprocess: dict[str, Any] | None = None, **vision: Any) -> Path:
    """A model folder as open_clip's `push_to_hf_hub` writes it; gives the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    model_cfg = TINY | {"vision_cfg": TINY["vision_cfg"] | vision}
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess or {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    path = folder / "open_clip_model.safetensors"
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, path)
    return path


def reference(folder: Path, precision: str = "fp32") -> tuple[Any, Any]:
    """open_clip's own model with the folder's checkpoint, and its own transform."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}", precision=precision)
    return model.eval(), transform
