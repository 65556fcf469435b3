"""A small CLAP model with random weights, made and saved by the tests as transformers saves one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = ["dog", "barking", "rain", "falls", "on", "a", "roof", "church", "bell", "rings"]


def tiny(folder: Path, *, fused: bool = False, seed: int = 0) -> Any:
    """Saves config, safetensors, front end and tokenizer; gives transformers' own model."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

    text = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 37, "max_position_embeddings": 32, "pad_token_id": 1}
    audio = {"num_mel_bins": 16, "spec_size": 64, "patch_size": 4, "patch_stride": [4, 4], "window_size": 4}
    audio |= {"hidden_size": 32, "patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2]}
    audio |= {
        "num_hidden_layers": 2,
        "enable_fusion": fused,
        "aff_block_r": 2,
        "fusion_type": "aff_2d" if fused else None,
    }
    torch.manual_seed(seed)
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=24)).eval()
    model.save_pretrained(str(folder))
    front = ClapFeatureExtractor(
        feature_size=16, max_length_s=1, frequency_min=50, truncation="fusion" if fused else "rand_trunc"
    )
    front.save_pretrained(str(folder))
    vocabulary = {w: k for k, w in enumerate(["<s>", "<pad>", "</s>", "<unk>", *dict.fromkeys(WORDS)])}
    made = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.model_max_length = 30
    fast.save_pretrained(str(folder))
    return model
