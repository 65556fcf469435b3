"""Weights of open_clip's own list of models: `open_clip:MODEL/TAG` becomes an entry like those of the manifest.

An entry of the manifest that says `open_clip = "MODEL/TAG"` is that weight; any other pair of open_clip's list is made up
here from the hub repository or address that open_clip names. Their checksums are not known beforehand: the first pull
records it, as with every unpinned weight. Where no licence is on record here, pulling asks for `--accept-licence`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from mediaml.errors import UnknownName, WeightsUnavailable
from mediaml.weights.manifest import HubSource, Manifest, UrlSource, WeightEntry

SCHEME = "open_clip:"
LARGEST = 24_000_000_000  # bytes of the largest model of the list, with room
SAFE_NAME = "open_clip_model.safetensors"
OLD_NAME = "open_clip_pytorch_model.bin"
_MIT_OWNERS = ("laion",)
_UNSTATED = "LicenseRef-see-model-page"


def split_reference(reference: str) -> tuple[str, str]:
    """("MODEL", "TAG") of open_clip:MODEL/TAG, spelt as open_clip spells them. Raises UnknownName with near matches."""
    from open_clip import list_models, list_pretrained

    model, _, tag = reference.removeprefix(SCHEME).partition("/")
    if model not in list_models():
        raise UnknownName("open_clip model", model, list_models())
    tags = [t for m, t in list_pretrained() if m == model]
    tag = tag.lower().replace("-", "_")
    if tag not in tags:
        raise UnknownName(f"pretrained tag of {model}", tag, tags)
    return model, tag


def open_clip_entry(reference: str, manifest: Manifest) -> WeightEntry:
    """The entry of open_clip:MODEL/TAG. Raises UnknownName, WeightsUnavailable (open_clip names no source)."""
    model, tag = split_reference(reference)
    for entry in manifest.weights.values():
        if entry.open_clip == f"{model}/{tag}":
            return entry
    return _made_up(model, tag)


@cache
def _made_up(model: str, tag: str) -> WeightEntry:
    from open_clip import get_pretrained_cfg

    facts: Mapping[str, Any] = get_pretrained_cfg(model, tag)
    where = f"{model}/{tag}"
    licence = _licence(facts.get("hf_hub", ""), tag)
    return WeightEntry(
        name="open_clip_" + re.sub(r"[^a-z0-9]+", "_", where.lower()).strip("_"),
        source=_source(facts, where),
        sha256="unpinned",
        max_size=LARGEST,
        format="safetensors" if facts.get("hf_hub") else "torch_weights_only",
        licence=licence,
        commercial_use=licence != _UNSTATED,
        purpose=f"joint image-text embeddings: open_clip {where}",
        cite="https://github.com/mlfoundations/open_clip",
        open_clip=where,
    )


def _source(facts: Mapping[str, Any], where: str) -> HubSource | UrlSource:
    hub = str(facts.get("hf_hub", ""))
    if hub:
        owner, name, *rest = hub.split("/")
        file = "/".join(rest) or SAFE_NAME
        fallback = None if rest and rest != [""] else OLD_NAME
        return HubSource(type="hub", repo=f"{owner}/{name}", file=file, revision="main", fallback=fallback)
    url = str(facts.get("url", ""))
    if not url:
        raise WeightsUnavailable(f"open_clip {where}: open_clip names no source for it; use open_clip:MODEL/@FILE")
    return UrlSource(type="url", url=url)


def _licence(hub: str, tag: str) -> str:
    if hub.split("/")[0] in _MIT_OWNERS:
        return "MIT"
    if tag == "webli" and "SigLIP" in hub:
        return "Apache-2.0"
    return _UNSTATED
