"""open_clip models with a tokenizer or text tower of transformers: open_clip's own vectors, from files of this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from mediaml.analyzers.embed.open_clip import open_clip_net, parse
from mediaml.errors import InvalidValue, UsageError
from mediaml.nets.open_clip_text import tokenizer
from tests.open_clip_lab import reference, tiny_by_transformers, tokenizer_files, tower_config

pytest.importorskip("transformers")

TOWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "siglip's kind": ("", {"tokenizer_kwargs": {"clean": "canonicalize"}}),
    "roberta": ("roberta", {"hf_pooler_type": "mean_pooler"}),
    "xlm-roberta": ("xlm-roberta", {"hf_pooler_type": "mean_pooler"}),
    "mt5": ("mt5", {"hf_pooler_type": "mean_pooler"}),
    "nllb": ("m2m_100", {"hf_proj_type": "linear", "hf_pooler_type": "cls_pooler"}),
}
TEXTS = ["A red car, in the rain!", "photo of a dog"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a hub nor somebody's cache of it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def own_texts(folder: Path, precision: str = "fp32") -> torch.Tensor:
    model, _ = reference(folder, precision)
    with torch.no_grad():
        return model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS), normalize=True).float()


@pytest.mark.parametrize("name", TOWERS)
def test_texts_and_pictures_are_open_clips_own(tmp_path: Path, name: str) -> None:
    kind, text = TOWERS[name]
    checkpoint = tiny_by_transformers(tmp_path / "model", kind, **text)
    net = open_clip_net(parse(f"open_clip:@{checkpoint}"))
    assert torch.allclose(net.texts(TEXTS), own_texts(checkpoint.parent), atol=1e-5)
    pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model, _ = reference(checkpoint.parent)
    with torch.no_grad():
        wanted = model.encode_image(net.prepare(pictures), normalize=True)
    assert torch.allclose(net.images(pictures), wanted, atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_texts_at_lower_precision(tmp_path: Path, precision: str) -> None:
    checkpoint = tiny_by_transformers(tmp_path / "model", "xlm-roberta")
    net = open_clip_net(parse(f"open_clip:@{checkpoint}?precision={precision}"))
    assert (net.texts(TEXTS) * own_texts(checkpoint.parent)).sum(1).min() > 0.999


def test_the_files_may_lie_in_a_folder_that_the_address_names(tmp_path: Path) -> None:
    checkpoint = tiny_by_transformers(tmp_path / "model", "roberta")
    wanted = own_texts(checkpoint.parent)
    elsewhere = tmp_path / "text files"
    elsewhere.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.move(tmp_path / "model" / name, elsewhere / name)
    choice = parse(f"open_clip:@{checkpoint}?text={elsewhere}")
    assert torch.allclose(open_clip_net(choice).texts(TEXTS), wanted, atol=1e-5)
    assert parse(choice.address) == choice
    assert choice.space == parse(f"open_clip:@{checkpoint}").space, "texts' files make no space of their own"


def test_files_in_the_hubs_cache_are_found(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--xlm-roberta-base" / "snapshots" / ("1" * 40)
    snapshot.mkdir(parents=True)
    tokenizer_files(snapshot)
    tower_config("xlm-roberta", snapshot)
    refs = tmp_path / "hub" / "models--xlm-roberta-base" / "refs"
    refs.mkdir()
    (refs / "main").write_text("1" * 40)
    (tmp_path / "w.safetensors").write_bytes(b"x")
    arch = parse(f"open_clip:xlm-roberta-base-ViT-B-32/@{tmp_path}/w.safetensors").arch
    assert tokenizer(arch)(TEXTS).shape == (2, 77)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "xlm-roberta-base-ViT-B-32",
            r"text tower xlm-roberta-base .* not on this machine.*hf download xlm-roberta-base",
        ),
        ("xlm-roberta-base-ViT-B-32?text=EMPTY", r"not in .*empty, which was named"),
    ],
)
def test_lacking_files_are_named_with_the_command(tmp_path: Path, address: str, message: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    model, _, query = address.partition("?")
    query = query.replace("EMPTY", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match=message):
        open_clip_net(parse(f"open_clip:{model}/@{tmp_path}/w.safetensors" + (f"?{query}" if query else "")))


def test_wrong_folders_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="is not a folder"):
        parse(f"open_clip:ViT-B-16-SigLIP/webli?text={tmp_path}/gone")
    arch = parse(f"open_clip:ViT-B-16-SigLIP/webli?text={tmp_path}").arch
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidValue, match="not a tokenizer that transformers reads"):
        tokenizer(arch)
    checkpoint = tiny_by_transformers(tmp_path / "model", "roberta")
    for text, message in (("{", "not a configuration"), ('{"model_type": "gpt2"}', "no text tower of kind 'gpt2'")):
        (tmp_path / "model" / "config.json").write_text(text)
        with pytest.raises(InvalidValue, match=message):
            open_clip_net(parse(f"open_clip:@{checkpoint}"))


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"text tower is xlm-roberta-base .*pip install 'mediaml\[transformers\]'"):
        open_clip_net(parse(f"open_clip:xlm-roberta-base-ViT-B-32/@{tmp_path}/w.safetensors"))
