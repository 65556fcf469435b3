"""Tokenizers and text towers that open_clip takes from Hugging Face's package transformers (SigLIP, XLM-R, NLLB, mT5 ...).

Their files (config.json, tokenizer.json and the like: no weights, which are all in open_clip's checkpoint) are read from
this machine only: a folder that the user names, the folder of the checkpoint, or Hugging Face's own cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mediaml.errors import InvalidValue, UsageError, printable
from mediaml.nets.open_clip_architecture import Architecture

LOCAL = "local-dir:"
EXTRA = "pip install 'mediaml[transformers]'"
TOWER_FILES = ("config.json",)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "sentencepiece.bpe.model", "spiece.model", "vocab.txt")


@cache
def tokenizer(arch: Architecture) -> Any:
    """Texts -> (N, context) int64. Raises UsageError (transformers, or files of the tokenizer, are not here)."""
    import open_clip

    if arch.tokenizer == "clip":
        return open_clip.get_tokenizer(arch.name)
    _need_transformers(
        f"open_clip {arch.name}: its texts need the tokenizer {arch.tokenizer} of the package transformers",
        ". Pictures of this model need nothing more" if not arch.text_model else "",
    )
    text = _text_config(arch)
    folder = folder_of(arch, arch.tokenizer, TOKENIZER_FILES, "tokenizer")
    try:
        return open_clip.tokenizer.HFTokenizer(
            str(folder),
            context_length=text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
            tokenizer_mode=text.get("tokenizer_mode"),
            **text.get("tokenizer_kwargs", {}),
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise InvalidValue(f"{printable(folder)}: not a tokenizer that transformers reads: {_first(error)}") from error


def encode_text(model: Any, tokens: Tensor) -> Tensor:
    """open_clip's `encode_text`: (N, context) -> (N, D).

    CLIP's own text tower looks backwards only and gives what it has at the end token, so what stands after the longest text
    of the batch changes nothing and is left out: a few words cost a fraction of the 77 places.
    """
    own = type(model).__name__ == "CLIP" and model.text_pool_type == "argmax"
    if not own or model.attn_mask is None:
        return model.encode_text(tokens)
    n = int(tokens.argmax(1).max()) + 1
    dtype = model.transformer.get_cast_dtype()
    x = model.token_embedding(tokens[:, :n]).to(dtype) + model.positional_embedding[:n].to(dtype)
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:n, :n]))
    x = x[torch.arange(len(x), device=x.device), tokens.argmax(1)]
    if isinstance(model.text_projection, torch.nn.Linear):
        return model.text_projection(x)
    return x if model.text_projection is None else x @ model.text_projection


def transformers_tower(arch: Architecture) -> dict[str, Any]:
    """open_clip's `text_cfg` of a model with such a text tower, built from its config.json without weights.

    Raises UsageError (transformers, or the file, is not here), InvalidValue (it cannot be read).
    """
    _need_transformers(f"open_clip {arch.name}: its text tower is {arch.text_model} of the package transformers")
    folder = folder_of(arch, arch.text_model, TOWER_FILES, "text tower")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidValue(
            f"{printable(folder / 'config.json')}: not a configuration of transformers: {error!r}"
        ) from error
    from open_clip.hf_configs import arch_dict

    if kind not in arch_dict:
        raise InvalidValue(
            f"{printable(folder / 'config.json')}: open_clip has no text tower of kind {kind!r}; it knows "
            f"{', '.join(arch_dict)}"
        )
    return {**_text_config(arch), "hf_model_name": str(folder), "hf_model_pretrained": False}


def folder_of(arch: Architecture, name: str, files: tuple[str, ...], what: str) -> Path:
    """The folder with one of `files` of the Hugging Face model `name`. Raises UsageError saying how to get it."""
    for folder in _folders(arch, name, files):
        if any((folder / file).is_file() for file in files):
            return folder
    given = f" (not in {printable(arch.text_folder)}, which was named)" if arch.text_folder else ""
    raise UsageError(
        f"open_clip {arch.name}: the files of its {what} {name} ({', '.join(files)}) are not on this machine{given}. "
        f"Get them with: hf download {name} --include '*.json' --include '*.model' --include '*.txt', or name a "
        "folder that has them: ?text=FOLDER at the end of the model's address"
    )


def _folders(arch: Architecture, name: str, files: tuple[str, ...]) -> Iterator[Path]:
    """Where they may lie, in the order in which they count."""
    if arch.text_folder:
        yield Path(arch.text_folder)
        return
    if arch.name.startswith(LOCAL):
        beside = Path(arch.name.removeprefix(LOCAL))
        yield beside / name
        yield beside
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for file in files:
        try:
            found = try_to_load_from_cache(name, file)
        except HFValidationError:
            return  # a name of no repository, of an open_clip_config.json made by hand
        if isinstance(found, str):
            yield Path(found).parent


def _text_config(arch: Architecture) -> Mapping[str, Any]:
    import open_clip

    return (open_clip.get_model_config(arch.name) or {}).get("text_cfg", {})


def _need_transformers(what: str, rest: str = "") -> None:
    try:
        import transformers  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError(f"{what}; install it with: {EXTRA}{rest}") from None


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
