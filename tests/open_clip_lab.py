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


def tiny(
    folder: Path,
    seed: int = 0,
    preprocess: dict[str, Any] | None = None,
    text_cfg: dict[str, Any] | None = None,
    **vision: Any,
) -> Path:
    """A model folder as open_clip's `push_to_hf_hub` writes it; gives the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    model_cfg = TINY | {"vision_cfg": TINY["vision_cfg"] | vision}
    if text_cfg is not None:
        model_cfg["text_cfg"] = text_cfg
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess or {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    path = folder / "open_clip_model.safetensors"
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, path)
    return path


def reference(folder: Path, precision: str = "fp32") -> tuple[Any, Any]:
    """open_clip's own model with the folder's checkpoint, and its own transform."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}", precision=precision)
    return model.eval(), transform


WORDS = ["<s>", "<pad>", "</s>", "<unk>", "a", "photo", "of", "dog", "red", "car", "in", "the", "rain", "ship"]


def tokenizer_files(folder: Path) -> None:
    """A tokenizer of a dozen words, as transformers saves one."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(folder)


def tower_config(kind: str, folder: Path) -> None:
    """config.json of a small text tower of transformers."""
    import transformers

    common = {"vocab_size": len(WORDS), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    bert = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    bert |= {"max_position_embeddings": 100}
    made = {
        "roberta": lambda: transformers.RobertaConfig(**common, **bert),
        "xlm-roberta": lambda: transformers.XLMRobertaConfig(**common, **bert),
        "mt5": lambda: transformers.MT5Config(**common, d_model=24, d_kv=12, d_ff=32, num_layers=1, num_heads=2),
        "m2m_100": lambda: transformers.M2M100Config(
            **common, d_model=24, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=100,
        ),
    }[kind]()  # fmt: skip
    made.save_pretrained(folder)


def tiny_by_transformers(folder: Path, kind: str, **text: Any) -> Path:
    """A model folder whose text tower is transformers' (kind "" for open_clip's own tower, with a tokenizer of theirs)."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_files(folder)
    text_cfg: dict[str, Any] = {"hf_tokenizer_name": str(folder), "context_length": 16, **text}
    if kind:
        tower_config(kind, folder)
        text_cfg |= {"hf_model_name": str(folder)}
    else:
        text_cfg |= {"vocab_size": len(WORDS), "width": 32, "heads": 2, "layers": 1}
    return tiny(folder, text_cfg=text_cfg)
