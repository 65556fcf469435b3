"""Joint image-text embeddings by any open_clip model, one vector a second.

A model is chosen by its address, which may stand wherever an analyzer's name may::

    open_clip:ViT-B-32/laion2b_s34b_b79k              a model and a pretrained tag of open_clip's list
    open_clip:ViT-B-32/@my/checkpoint.safetensors     the same architecture with weights of your own
    open_clip:@my/checkpoint.safetensors              with open_clip_config.json beside the checkpoint
    open_clip:ViT-B-32/openai?precision=bf16&fps=2    with settings
    open_clip:ViT-B-16-SigLIP/webli?text=FOLDER       with the files of its tokenizer and text tower (transformers)

Every model is an analyzer of its own name, so that a new one is added beside the old; model, precision, sampling and
preprocessing are in its parameters, and the checksum of its weights in every row.

Preprocessing is open_clip's own for the model (size, resize mode, interpolation, mean, deviation), done on the shared decode:
swscale's antialiased filter on the CPU, the same filter as matrix products on a GPU. The vectors agree with those of
open_clip's transform on the same frames to a cosine of 0.999 or more (tests/unit/test_open_clip.py, benchmarks/embedding.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import Analyzer, FrameAnalyzer, analyzer_family
from mediaml.analyzers.embed.joint_vector import check_same_weights, embedder_name, joint_vector
from mediaml.errors import InvalidValue, UnknownName, printable
from mediaml.frames import FrameBatch
from mediaml.nets.checkpoint import read_checkpoint
from mediaml.nets.open_clip_architecture import CONFIG, Architecture, architecture
from mediaml.nets.open_clip_net import PRECISIONS, OpenClipNet, Precision, adapted, build, matching_architectures
from mediaml.nets.open_clip_text import tokenizer
from mediaml.spec import Fit, Need, Spec, View
from mediaml.weights.open_clip_models import split_reference

SCHEME = "open_clip:"
FPS = 1.0
_FITS: Mapping[str, Fit] = {"shortest": "cover", "squash": "stretch", "longest": "contain"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A parsed address.

    weight  what `mediaml.weights` resolves: open_clip:MODEL/TAG, or @FILE
    space   value of `embeddings.model`: vectors of one space, and only those, are comparable
    """

    address: str
    arch: Architecture
    weight: str
    space: str
    precision: Precision
    fps: float

    @property
    def name(self) -> str:
        """The analyzer's name."""
        return embedder_name(self.space)

    @property
    def view(self) -> View:
        height, width = self.arch.size
        bilinear = self.arch.interpolation == "bilinear"
        return View.rgb(width, height, _FITS[self.arch.resize], "bilinear" if bilinear else "bicubic")


def parse(address: str) -> Choice:
    """The choice that `address` makes. Downloads nothing.

    Raises UnknownName (model, tag or setting, with near matches), InvalidValue, WeightsAbsent (no such file).
    """
    body, _, query = address.removeprefix(SCHEME).partition("?")
    precision, fps, text = _settings(address, query)
    model, at, file = body.partition("@")
    model = model.strip("/")
    if at:
        path = Path(file).expanduser().absolute()
        weight = f"@{path}"
        sha256 = weights.describe(weight).sha256  # raises where there is no such file
        arch = architecture(model or _beside(path), text_folder=text)
        label = model or printable(path.parent.name) or "own"
        space = f"{SCHEME}{label}/@{sha256[:12]}"
        whole = f"{SCHEME}{model}/@{path}" if model else f"{SCHEME}@{path}"
    else:
        weight = SCHEME + "/".join(split_reference(SCHEME + body))
        arch = architecture(*split_reference(SCHEME + body), text)
        space = whole = weight
    if precision != "fp32":
        space += f"?precision={precision}"
    whole += f"?precision={precision}&fps={fps:g}" + (f"&text={quote(text)}" if text else "")
    return Choice(whole, arch, weight, space, precision, fps)


def _settings(address: str, query: str) -> tuple[Precision, float, str]:
    """Precision, frames a second, and the folder of the text tower's files or ""."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    for key in given:
        if key not in ("precision", "fps", "text"):
            raise UnknownName(f"setting of {printable(address)}", key, ("precision", "fps", "text"))
    words: dict[str, Precision] = {p: p for p in PRECISIONS}
    precision = given.get("precision", "fp32")
    if precision not in words:
        raise UnknownName("precision", precision, words)
    try:
        fps = float(given.get("fps", FPS))
    except ValueError:
        fps = 0.0
    if not 0 < fps <= 1000:
        raise InvalidValue(f"{printable(address)}: fps {given['fps']!r} must be a number in (0, 1000]")
    text = str(Path(given["text"]).expanduser().absolute()) if given.get("text") else ""
    if text and not Path(text).is_dir():
        raise InvalidValue(f"{printable(address)}: text={printable(given['text'])} is not a folder")
    return words[precision], fps, text


def _beside(checkpoint: Path) -> str:
    """Where the architecture of a bare checkpoint is described. Raises InvalidValue with likely names."""
    if (checkpoint.parent / CONFIG).is_file():
        return f"local-dir:{checkpoint.parent}"
    likely = matching_architectures(read_checkpoint(checkpoint))
    names = f"; by its tensors it may be {' or '.join(likely[:4])}" if likely else ""
    raise InvalidValue(
        f"{printable(checkpoint)}: there is no {CONFIG} beside it, so the architecture must be named: "
        f"open_clip:{likely[0] if likely else 'MODEL'}/@{printable(checkpoint)}{names}"
    )


class OpenClipEmbedding(FrameAnalyzer):
    """Unit vectors of one open_clip model; its subclasses, made by `open_clip_analyzer`, have the `spec`."""

    choice: ClassVar[Choice]

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool]:
        chosen, arch = self.choice, self.choice.arch
        return {
            "model": chosen.space,
            "precision": chosen.precision,
            "fps": chosen.fps,
            "size": f"{arch.size[1]}x{arch.size[0]}",
            "resize": arch.resize,
            "interpolation": arch.interpolation,
            "mean": str(arch.mean),
            "std": str(arch.std),
            "quick_gelu": arch.quick_gelu,
        }

    @property
    def space(self) -> str:
        return self.choice.space

    def check(self) -> None:
        """Refuses what no file could be embedded with: a checkpoint of another architecture, truncated or unsafe."""
        path = weights.resolve(self.choice.weight)
        adapted(build(self.choice.arch, "meta"), read_checkpoint(path), self.choice.arch, path)

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self.net = open_clip_net(self.choice, str(device))

    @torch.inference_mode()
    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        return {"vector": self.net.images(batch.view(self.choice.view))}


def open_clip_net(choice: Choice, device: str = "cpu") -> OpenClipNet:
    """Both towers, from verified weights; kept for the next caller. Raises WeightsError."""
    return _net(choice, weights.resolve(choice.weight), weights.identity_sha256(choice.weight), device)


@cache
def _net(choice: Choice, path: Path, _sha256: str, device: str) -> OpenClipNet:
    return OpenClipNet(choice.arch, path, device, choice.precision)


@analyzer_family("open_clip")
@cache
def open_clip_analyzer(address: str) -> type[Analyzer]:
    """The analyzer of an address. Raises as `parse` does."""
    chosen = parse(address)
    spec = Spec(
        name=chosen.name,
        version=1,
        summary=f"Joint image-text embedding: {chosen.space}, {chosen.fps:g} a second",
        outputs=(joint_vector("image", "texts and pictures", chosen.arch.dimensions),),
        need=Need(chosen.view, fps=chosen.fps, tolerance_seconds=min(0.5, 0.5 / chosen.fps)),
        weights=(chosen.weight,),
        groups=("embeddings",),
        default=False,
        cite="Radford et al. 2021, arXiv:2103.00020; Ilharco et al. 2021, OpenCLIP, doi:10.5281/zenodo.5143773",
        cost_ms=60.0,
    )
    fields: dict[str, Any] = {"spec": spec, "choice": chosen, "address": chosen.address, "__doc__": spec.summary}
    return type("OpenClipEmbedding", (OpenClipEmbedding,), fields)


def text_tower(space: str, weights_sha256: str, address: str | None = None) -> OpenClipNet:
    """The model whose vectors a lake holds as (model, weights checksum), for texts. Raises WeightsError, UsageError.

    address  where the weights lie, for a space of weights of the user's own
    """
    if address is None:
        if "/@" in space:
            model, _, settings = space.partition("?")
            model = model.partition("/@")[0] + "/@FILE" + ("?" + settings if settings else "")
            raise InvalidValue(f"the space {space} comes from a checkpoint of your own; name it: --model {model}")
        address = space
    choice = parse(address)
    check_same_weights(space, weights_sha256, choice.weight)
    tokenizer(choice.arch)  # refuse before the weights are read
    return open_clip_net(choice)
