"""Joint embeddings of sound and text by any CLAP model in a local folder, one vector a window of 10 s.

A model is chosen by its address, which may stand wherever an analyzer's name may::

    clap:@my/clap-htsat-unfused      a folder as transformers saves it, with model.safetensors

Its sounds then answer to words: `mediaml search LAKE "dog barking" --model clap:@my/clap-htsat-unfused`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.analyzers.audio.window_vectors import WindowVectors
from mediaml.analyzers.base import Analyzer, analyzer_family
from mediaml.analyzers.embed.joint_vector import check_same_weights, embedder_name, joint_vector
from mediaml.errors import InvalidValue, WeightsAbsent, printable
from mediaml.nets.clap import WEIGHTS, ClapNet, FrontEnd, dimensions, front_end
from mediaml.spec import AudioView, Need, Spec, Table

SCHEME = "clap:"
_SHORTEST_SECONDS = 0.5  # a shorter rest at the end is not embedded, unless it is all there is


@dataclass(frozen=True, slots=True)
class ClapChoice:
    """A parsed address. `weight` is what `mediaml.weights` resolves, `space` the value of `embeddings.model`."""

    address: str
    folder: Path
    weight: str
    space: str
    front: FrontEnd
    dimensions: int

    @property
    def name(self) -> str:
        return embedder_name(self.space)


def parse(address: str) -> ClapChoice:
    """Raises InvalidValue, WeightsAbsent, WeightsCorrupt. Downloads nothing."""
    body = address.removeprefix(SCHEME)
    if not body.startswith("@") or len(body) == 1:
        raise InvalidValue(f"{printable(address)}: a CLAP model is a folder of your own: clap:@my/folder")
    folder = Path(body[1:]).expanduser().absolute()
    if not folder.is_dir():
        raise WeightsAbsent(f"{printable(address)}: {printable(folder)} is not a folder; check the path after '@'")
    if not (folder / WEIGHTS).is_file():
        raise WeightsAbsent(f"{printable(folder)}: there is no {WEIGHTS}; pickled weights (.bin) are not read")
    weight = f"@{folder / WEIGHTS}"
    space = f"{SCHEME}{printable(folder.name) or 'own'}/@{weights.describe(weight).sha256[:12]}"
    return ClapChoice(f"{SCHEME}@{folder}", folder, weight, space, front_end(folder), dimensions(folder))


class ClapEmbedding(RunAnalyzer):
    """Unit vectors of windows of 10 s, one after the other, and their mean; `clap_analyzer` makes the subclasses."""

    choice: ClassVar[ClapChoice]

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool]:
        return {"model": self.choice.space, "window_seconds": self.choice.front.seconds}

    @property
    def space(self) -> str:
        return self.choice.space

    def check(self) -> None:
        clap_net(self.choice)

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._net = clap_net(self.choice, str(device))
        self._sha256 = weights.identity_sha256(self.choice.weight)

    def reset(self) -> None:
        self._windows = WindowVectors()

    def begin_run(self) -> None:
        self._at = 0

    def add(self, piece: Tensor) -> None:
        count = piece.shape[1]
        if count >= _SHORTEST_SECONDS * self.rate or not self._windows:
            vector = self._net.sounds(piece[:1])[0].cpu()
            start = self.origin + self._at / self.rate
            self._windows.add(start, start + count / self.rate, vector)
        self._at += count

    def end_run(self) -> None:
        pass

    def rows(self) -> Mapping[Table, Mapping[str, list[Any]]]:
        return {Table.EMBEDDINGS: self._windows.rows(self.space, self._sha256)}


@cache
def clap_net(choice: ClapChoice, device: str = "cpu") -> ClapNet:
    """Both towers; kept for the next caller. Raises WeightsError, UsageError."""
    return ClapNet(choice.folder, device)


@analyzer_family("clap")
@cache
def clap_analyzer(address: str) -> type[Analyzer]:
    """The analyzer of an address. Raises as `parse` does."""
    chosen = parse(address)
    spec = Spec(
        name=chosen.name,
        version=1,
        summary=f"Joint sound-text embedding: {chosen.space}, a window of {chosen.front.seconds} s",
        outputs=(joint_vector("sound", "texts", chosen.dimensions),),
        need=Need(AudioView(chosen.front.sample_rate, "mono")),
        ordered=True,
        weights=(chosen.weight,),
        groups=("embeddings",),
        default=False,
        cite="Wu et al. 2023, Large-scale contrastive language-audio pretraining, arXiv:2211.06687",
        cost_ms=40.0,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "spec": spec, "choice": chosen, "address": chosen.address, "__doc__": spec.summary,
        "piece_seconds": float(chosen.front.seconds),
    }  # fmt: skip
    return type("ClapEmbedding", (ClapEmbedding,), fields)


def text_tower(space: str, weights_sha256: str, address: str | None) -> ClapNet:
    """The model whose vectors a lake holds as (model, weights checksum), for texts. Raises WeightsError, InvalidValue."""
    if address is None:
        raise InvalidValue(f"the space {space} comes from a folder of your own; name it: --model clap:@FOLDER")
    choice = parse(address)
    check_same_weights(space, weights_sha256, choice.weight)
    return clap_net(choice)
