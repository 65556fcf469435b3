"""Reads what nr_data.py wrote, as mediaml_nr takes it."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.errors import InvalidValue
from mediaml.frames import Bitstream, FrameBatch, Planes
from mediaml.nets.mediaml_nr import MediamlNr, Prediction, Seen, look
from mediaml.nets.nr_facts import facts_vector
from mediaml.nets.nr_motion import changes
from mediaml.nets.nr_probes import QUANTISED
from mediaml.ops.quantiser import log2_step
from mediaml.spec import Need, View
from pipelines.nr_data import LABELS
from pipelines.nr_encoders import ENCODERS

LOOKED_AT = (3, 7, 10)
STREAM_FRAMES = 100  # a stream's key frame interval where the encode's own says nothing: its clip is shorter
_CODEC_NAMES = {"x264": "h264", "x265": "hevc", "vp9": "vp9", "svt-av1": "av1"}
_CODEC_NAMES |= {name: encoder.codec for name, encoder in ENCODERS.items() if name not in _CODEC_NAMES}
_FACTS = ("packet_bytes", "picture_type", "qp", "qp_deviation")


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """One encode: facts of its pictures, and the VMAF of all: `nr_data.LABELS`."""

    path: Path
    group: str
    part: str
    encoder: str
    crf: int
    spoil: str
    whole: bool
    scale: float  # the source's height over its own
    pixels: int
    coded: Bitstream  # of the pictures looked at
    changed: Tensor  # (3, 2): how much they differ from those before
    key_bytes: float
    other_bytes: float
    interval: int
    vmaf: Tensor  # (4, 3): the labels of the pictures looked at
    vmaf_clip: tuple[float, ...]  # the same labels over the clip

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def codec(self) -> str:
        """FFmpeg's name."""
        return _CODEC_NAMES[self.encoder]

    @property
    def learned(self) -> tuple[int, ...]:
        """The labels to learn from: 0 at the source's size where that is another and was measured, 1 at the encode's own."""
        return (0, 1) if self.scale != 1.0 and not math.isnan(self.vmaf_clip[0]) else (1,)

    def stream_bits_per_pixel(self, frames: float = STREAM_FRAMES) -> float:
        """Of a long stream of such pictures with a key frame every `frames`, where the encode has only the first."""
        every = self.interval if self.interval <= len(self) else frames
        return 8 * (self.key_bytes + (every - 1) * self.other_bytes) / every / self.pixels

    def __len__(self) -> int:
        return 12

    def facts(self, frames: float = STREAM_FRAMES) -> Tensor:
        """(3, 12) of the pictures looked at."""
        bits = self.stream_bits_per_pixel(frames)
        return facts_vector(self.codec, self.pixels, bits, self.coded, len(LOOKED_AT), self.changed)

    def pictures(self) -> Planes:
        """(3, 1, H, W): the pictures looked at, decoded again."""
        return _decoded(self.path)[0][0]


def read_all(data: Path, part: str) -> tuple[list[Encode], list[Seen]]:
    """All encodes of a part, by name, and what is seen of the pictures looked at of each.

    What was measured once is kept in a file beside them. Raises InvalidValue where there are none.
    """
    paths = sorted(data.glob(f"{part}-*.npz"))
    if not paths:
        raise InvalidValue(f"{data} holds no encodes of the part {part!r}; run: python -m pipelines.nr_data {data}")
    kept = data / f"measured-{part}.safetensors"
    known = load_file(kept) if kept.is_file() else {}
    fresh = [p for p in paths if f"{p.stem}.probes" not in known]
    for path in fresh:
        known |= {f"{path.stem}.{name}": found for name, found in _measured(path).items()}
    if fresh:
        save_file(known, kept)
    encodes = [_described(p, known[f"{p.stem}.coded"], known[f"{p.stem}.changed"]) for p in paths]
    return encodes, [_seen(known, p.stem) for p in paths]


@torch.inference_mode()
def _measured(path: Path) -> dict[str, Tensor]:
    """statistics (3, 12, 524) half: of the fragments of the pictures looked at; probes (3, 40) of those; coded (4, 12):
    facts of all pictures; changed (3, 2): how much those looked at differ from the ones before."""
    about = _about(path)
    (planes, colour_range), previous, facts = _decoded(path)
    step = log2_step(_CODEC_NAMES[about["codec"]], facts[_FACTS.index("qp"), list(LOOKED_AT)])
    seen = look(planes, colour_range, step)
    probed = torch.cat([seen.quantised, seen.plain], dim=1)
    moved = changes(previous, planes.y, planes.bit_depth)
    return {"statistics": seen.statistics.half(), "probes": probed, "coded": facts, "changed": moved}


def _seen(known: dict[str, Tensor], name: str) -> Seen:
    quantised, plain = known[f"{name}.probes"].tensor_split((QUANTISED,), dim=1)
    return Seen(known[f"{name}.statistics"].float(), quantised, plain)


def _decoded(path: Path) -> tuple[tuple[Planes, Literal["limited", "full"]], Tensor, Tensor]:
    """The pictures looked at with their range, the luma before each (3, 1, H, W), and the bitstream's facts (4, N) of all,
    as analyzers get them."""
    need = Need(View.planes(), bitstream=True, previous=True)
    found: list[FrameBatch] = []
    with tempfile.NamedTemporaryFile(suffix=".mkv") as file, np.load(path) as kept:
        Path(file.name).write_bytes(kept["encode"].tobytes())
        media = probe(Path(file.name))
        with MediaStream(Path(file.name), media, make_plan(media, [need])) as stream:
            found += [b for b in (delivery.batch for delivery in stream) if isinstance(b, FrameBatch)]
    at = list(LOOKED_AT)
    y, u, v = (torch.cat([_plane(batch, name) for batch in found])[at] for name in "yuv")
    facts = torch.stack([torch.cat([getattr(b.bitstream, name).float() for b in found]) for name in _FACTS])
    previous = torch.cat([b.previous for b in found if b.previous is not None])[at]
    assert found[0].planes is not None
    return (Planes(y, u, v, found[0].planes.bit_depth), found[0].colour.range), previous, facts


def _plane(batch: FrameBatch, name: str) -> Tensor:
    plane = getattr(batch.planes, name)
    assert plane is not None
    return plane


def _described(path: Path, facts: Tensor, changed: Tensor) -> Encode:
    """One file of nr_data.py with the facts (4, N) of its pictures and the changes (3, 2) of those looked at."""
    about = _about(path)
    at = list(LOOKED_AT)
    size, kind, qp, deviation = facts
    coded = Bitstream(size[at], kind[at].to(torch.uint8), qp[at], deviation[at])
    labels = torch.tensor([about[name] for name in LABELS]).clamp(0, 100)
    first = kind == 1 if about["interval"] < len(size) else torch.arange(len(size)) == 0
    clip = labels[:, 1:].mean(dim=1).tolist()
    return Encode(
        path=path,
        group=about["group"],
        part=about["part"],
        encoder=about["codec"],
        crf=about["crf"],
        spoil=about["spoil"],
        whole=about["whole"],
        scale=about["source_height"] / about["height"],
        pixels=about["height"] * about["width"],
        coded=coded,
        changed=changed,
        key_bytes=float(size[first].nanmean()),
        other_bytes=float(size[~first].nanmean()) if not first.all() else float(size.nanmean()),
        interval=about["interval"],
        vmaf=labels[:, at],
        vmaf_clip=tuple(clip),
    )


def _about(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return json.loads(str(file["facts"]))


@torch.inference_mode()
def predictions(
    net: MediamlNr, seen: Sequence[Seen], encodes: Sequence[Encode], *, own_size: bool = False, facts: bool = True
) -> list[Prediction]:
    """For the pictures looked at of each encode, at the source's size or at the encode's own; without facts all of them
    are unknown, the codec too."""
    found: dict[int, Prediction] = {}
    for codec in dict.fromkeys(e.codec for e in encodes):
        at = [i for i, e in enumerate(encodes) if e.codec == codec]
        stated = torch.cat([encodes[i].facts() for i in at])
        stated = stated if facts else torch.full_like(stated, math.nan)
        scales = torch.cat([torch.full((len(LOOKED_AT),), 1.0 if own_size else encodes[i].scale) for i in at])
        every = Seen._make(torch.cat(column) for column in zip(*(seen[i] for i in at), strict=True))
        shown = net(every, stated, scales, codec if facts else "")
        found |= {i: Prediction(*one) for i, *one in zip(at, *(t.split(len(LOOKED_AT)) for t in shown), strict=True)}
    return [found[i] for i in range(len(encodes))]
