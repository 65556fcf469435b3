"""Reads what nr_data.py wrote, as mediaml_nr takes it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.frames import Bitstream, Planes
from mediaml.nets.mediaml_nr import MediamlNr, Prediction
from mediaml.nets.nr_facts import facts_vector
from mediaml.nets.nr_statistics import fragments, statistics
from pipelines.nr_data import LOOKED_AT

_CODEC_NAMES = {"x264": "h264", "x265": "hevc", "vp9": "vp9", "svt-av1": "av1"}
STREAM_FRAMES = 100  # a stream's key frame interval where the encode's own says nothing: its clip is shorter


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """One encode: three of its pictures, facts of all, and the VMAF of all, at the source's size and at its own."""

    name: str
    group: str
    part: str
    encoder: str
    crf: int
    spoil: str
    whole: bool
    scale: float  # the source's height over its own
    planes: Planes  # (3, 1, H, W)
    coded: Bitstream  # of the three pictures
    key_bytes: float
    other_bytes: float
    interval: int
    vmaf: Tensor  # (2, 3): at the source's size, at its own; of the three pictures
    vmaf_clip: tuple[float, float]  # the same two over the clip

    @property
    def codec(self) -> str:
        """FFmpeg's name."""
        return _CODEC_NAMES[self.encoder]

    @property
    def pixels(self) -> int:
        height, width = self.planes.size
        return height * width

    def stream_bits_per_pixel(self, frames: float = STREAM_FRAMES) -> float:
        """Of a long stream of such pictures with a key frame every `frames`, where the encode has only the first."""
        every = self.interval if self.interval < len(self) else frames
        return 8 * (self.key_bytes + (every - 1) * self.other_bytes) / every / self.pixels

    def __len__(self) -> int:
        return 12

    def facts(self, frames: float = STREAM_FRAMES) -> Tensor:
        """(3, 10) of the pictures looked at."""
        return facts_vector(self.codec, self.pixels, self.stream_bits_per_pixel(frames), self.coded, len(LOOKED_AT))

    def picture(self, index: int) -> Planes:
        y, u, v = (p[index : index + 1] for p in (self.planes.y, self.planes.u, self.planes.v) if p is not None)
        return Planes(y, u, v, 8)


def read(path: Path) -> Encode:
    """One file of nr_data.py."""
    with np.load(path) as file:
        about = json.loads(str(file["facts"]))
        y, u, v = (torch.from_numpy(file[n])[:, None] for n in ("y", "u", "v"))
    at = list(LOOKED_AT)
    sizes, types = np.array(about["packet_bytes"]), np.array(about["picture_type"])
    columns = {
        n: torch.tensor([about[n][i] for i in at], dtype=torch.float32) for n in ("packet_bytes", "qp", "qp_deviation")
    }
    coded = Bitstream(picture_type=torch.tensor(types[at], dtype=torch.uint8), **columns)
    labels = torch.tensor([[about[n][i] for i in at] for n in ("vmaf", "vmaf_own_size")])
    means = float(np.mean(about["vmaf"][1:])), float(np.mean(about["vmaf_own_size"][1:]))
    first = types == 1 if about["interval"] < len(sizes) else np.arange(len(sizes)) == 0
    return Encode(
        name=path.stem,
        group=about["group"],
        part=about["part"],
        encoder=about["codec"],
        crf=about["crf"],
        spoil=about["spoil"],
        whole=about["whole"],
        scale=about["source_height"] / about["height"],
        planes=Planes(y, u, v, 8),
        coded=coded,
        key_bytes=float(np.nanmean(sizes[first])),
        other_bytes=float(np.nanmean(sizes[~first])),
        interval=about["interval"],
        vmaf=labels.clamp(0, 100),
        vmaf_clip=(min(means[0], 100.0), min(means[1], 100.0)),
    )


def read_all(data: Path, part: str) -> tuple[list[Encode], list[Tensor]]:
    """All encodes of a part, by name, and what `measured` gives for each, kept in a file beside them.

    Raises InvalidValue where there are none.
    """
    encodes = [read(p) for p in sorted(data.glob(f"{part}-*.npz"))]
    if not encodes:
        raise InvalidValue(f"{data} holds no encodes of the part {part!r}; run: python -m pipelines.nr_data {data}")
    kept = data / f"measured-{part}.safetensors"
    known = load_file(kept) if kept.is_file() else {}
    fresh = {e.name: measured(e) for e in encodes if e.name not in known}
    if fresh:
        save_file(known | fresh, kept)
    return encodes, [(fresh if e.name in fresh else known)[e.name] for e in encodes]


@torch.inference_mode()
def measured(encode: Encode) -> Tensor:
    """(3, 12, 524): the statistics of the fragments of the pictures looked at."""
    luma, chroma = fragments(encode.planes, "limited")
    return statistics(luma.flatten(0, 1), chroma.flatten(0, 1)).unflatten(0, luma.shape[:2]).clone()


@torch.inference_mode()
def predictions(
    net: MediamlNr, found: Sequence[Tensor], encodes: Sequence[Encode], *, own_size: bool = False, facts: bool = True
) -> list[Prediction]:
    """For the pictures looked at of each encode, from what `measured` gave, at the source's size or at the encode's
    own; without facts all of them are unknown."""
    predicted = []
    for pictures, encode in zip(found, encodes, strict=True):
        stated = encode.facts() if facts else torch.full_like(encode.facts(), math.nan)
        scale = torch.full((len(pictures),), 1.0 if own_size else encode.scale)
        predicted.append(net(pictures, stated, scale))
    return predicted
