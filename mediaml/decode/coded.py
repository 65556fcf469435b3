"""What the coded form of a decoded picture says: its packet's size, its type, its quantiser.

FFmpeg exports the quantiser of every macroblock of H.264, MPEG-2 and MPEG-4 part 2, and the picture's (with its segments')
of VP9, where the decoder is asked (`export_side_data=venc_params`); measured cost on H.264 at 720p: under 1 % of decoding.
Packets carry their size to their pictures as FFmpeg's opaque pointer (`copy_opaque`).
"""

from __future__ import annotations

from typing import NamedTuple, cast

import av
import numpy as np
import torch
from av.codec.context import CodecContext, Flags
from av.sidedata.encparams import VideoEncParams

from mediaml.frames import Bitstream

_UNKNOWN = float("nan")


class Coded(NamedTuple):
    """One picture: packet size in bytes, AVPictureType, mean and standard deviation of the blocks' QP (NaN: not known)."""

    packet_bytes: float
    picture_type: int
    qp: float
    qp_deviation: float


def export_coding(context: CodecContext) -> None:
    """Before the first packet: makes the decoder's pictures carry what `coded_facts` reads."""
    context.options = context.options | {"export_side_data": "venc_params"}
    context.flags = context.flags | Flags.copy_opaque


def coded_facts(frame: av.VideoFrame) -> Coded:
    """The facts of a picture of a decoder prepared by `export_coding`."""
    opaque = frame.opaque
    packet_bytes = float(opaque[0]) if isinstance(opaque, tuple) else _UNKNOWN
    exported = next((data for data in frame.side_data if isinstance(data, VideoEncParams)), None)
    qp, deviation = (_UNKNOWN, _UNKNOWN) if exported is None else _quantiser(exported)
    return Coded(packet_bytes, int(frame.pict_type), qp, deviation)


def _quantiser(params: VideoEncParams) -> tuple[float, float]:
    """Mean and standard deviation of the QP over the picture's area."""
    if params.nb_blocks == 0:
        return float(params.qp), 0.0
    blocks = np.ndarray(
        (params.nb_blocks, 5),  # x, y, width, height, QP less the picture's
        np.int32,
        buffer=cast(bytes, params),  # a buffer, which its stub does not say
        offset=params.blocks_offset,
        strides=(params.block_size, 4),
    )
    area = blocks[:, 2].astype(np.float64) * blocks[:, 3]
    difference = blocks[:, 4].astype(np.float64)
    mean = float(np.average(difference, weights=area))
    return params.qp + mean, float(np.sqrt(np.average((difference - mean) ** 2, weights=area)))


def bitstream(facts: list[Coded]) -> Bitstream:
    """The facts of a batch's pictures as its columns."""
    size, kind, qp, deviation = zip(*facts, strict=True)
    return Bitstream(
        packet_bytes=torch.tensor(size, dtype=torch.float32),
        picture_type=torch.tensor(kind, dtype=torch.uint8),
        qp=torch.tensor(qp, dtype=torch.float32),
        qp_deviation=torch.tensor(deviation, dtype=torch.float32),
    )
