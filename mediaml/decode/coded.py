"""What the coded form of a decoded picture says: its packet's size, its type, its quantiser.

FFmpeg exports the quantiser of every macroblock of H.264, MPEG-2 and MPEG-4 part 2, and the picture's (with its segments')
of VP9, where the decoder is asked (`export_side_data=venc_params`); measured cost on H.264 at 720p: under 1 % of decoding.
For HEVC, VVC, AV1, VP8, Theora and JPEG the picture's is read from the packet's headers (header_hevc.py and its kin: about
20 us a picture).
Packets carry their size and that quantiser to their pictures as FFmpeg's opaque pointer (`copy_opaque`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, cast

import av
import numpy as np
import torch
from av.codec.context import CodecContext, Flags
from av.sidedata.encparams import VideoEncParams

from mediaml.decode.header_av1 import Av1Quantiser
from mediaml.decode.header_hevc import HevcQuantiser
from mediaml.decode.header_jpeg import JpegQuantiser
from mediaml.decode.header_theora import TheoraQuantiser
from mediaml.decode.header_vp8 import Vp8Quantiser
from mediaml.decode.header_vvc import VvcQuantiser
from mediaml.frames import Bitstream

_UNKNOWN = float("nan")


class Coded(NamedTuple):
    """One picture: packet size in bytes, AVPictureType, mean and standard deviation of the blocks' QP (NaN: not known)."""

    packet_bytes: float
    picture_type: int
    qp: float
    qp_deviation: float


class QuantiserReader(Protocol):
    """Follows the headers of a stream, whose every packet it is shown in the order of decoding."""

    def quantiser(self, packet: bytes) -> float:
        """QP of the picture that the packet shows, in the codec's unit; NaN where it cannot be told."""
        ...


_READERS: dict[str, Callable[[bytes], QuantiserReader]] = {
    "hevc": HevcQuantiser,
    "vvc": VvcQuantiser,
    "av1": Av1Quantiser,
    "vp8": Vp8Quantiser,
    "theora": TheoraQuantiser,
    "mjpeg": JpegQuantiser,
}


def quantiser_reader(codec: str, extradata: bytes | None) -> QuantiserReader | None:
    """For codecs (FFmpeg's names) whose decoders do not export it; None for others."""
    kind = _READERS.get(codec)
    return None if kind is None else kind(extradata or b"")


def export_coding(context: CodecContext) -> None:
    """Before the first packet: makes the decoder's pictures carry what `coded_facts` reads."""
    context.options = context.options | {"export_side_data": "venc_params"}
    context.flags = context.flags | Flags.copy_opaque


def coded_facts(frame: av.VideoFrame) -> Coded:
    """The facts of a picture of a decoder prepared by `export_coding`."""
    opaque = frame.opaque
    packet_bytes, stated = opaque if isinstance(opaque, tuple) else (_UNKNOWN, _UNKNOWN)
    exported = next((data for data in frame.side_data if isinstance(data, VideoEncParams)), None)
    qp, deviation = (stated, _UNKNOWN) if exported is None else _quantiser(exported)
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
