"""The facts of a bitstream as the numbers that mediaml_nr takes: one scale for all codecs, NaN where a fact is not known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mediaml.frames import Bitstream
from mediaml.media import MediaInfo
from mediaml.ops.quantiser import log2_step

# how far a codec has come since H.264, in steps of about a third fewer bits at equal quality; others are not known
_GENERATION = {
    "mjpeg": -2.5, "mpeg1video": -1.5, "mpeg2video": -1.0, "h263": -0.8, "flv1": -0.8, "mpeg4": -0.5, "theora": -0.4,
    "vc1": -0.2, "vp8": -0.1, "h264": 0.0,
    "vp9": 0.8, "hevc": 1.0, "av1": 1.6, "vvc": 2.0,
}  # fmt: skip
_BITS_FLOOR = 1e-4  # bits a pixel, below which pictures are repetitions
_CHANGE_FLOOR = 0.1  # 8-bit codes, below which pictures stand still


def facts_vector(
    codec: str,
    pixels: int,
    stream_bits_per_pixel: float,
    coded: Bitstream | None,
    count: int,
    changed: Tensor | None = None,
) -> Tensor:
    """(N, 12) float32 for `count` pictures of `pixels` px: the quantiser's log2 step, its spread over the blocks, log2
    bits a pixel of the picture, whether it is an I, P or B picture, log2 bits a pixel of the stream, the codec's
    generation, the differences of log2 bits and log2 step that say how hard the content is, and from `changed` (N, 2), the
    mean differences from the picture before (nr_motion.py), log2 of the blurred one and of what blurring takes away. NaN:
    not known."""
    unknown = torch.full((count,), math.nan)
    step = spread = own = unknown
    types = [unknown] * 3
    if coded is not None:
        step = log2_step(codec, coded.qp)
        spread = log2_step(codec, coded.qp + coded.qp_deviation) - step
        own = (coded.packet_bytes * 8 / pixels).clamp(min=_BITS_FLOOR).log2()
        known = coded.picture_type > 0
        types = [torch.where(known, (coded.picture_type == kind).float(), math.nan) for kind in (1, 2, 3)]
    stream = torch.full((count,), math.log2(max(stream_bits_per_pixel, _BITS_FLOOR)))  # NaN stays NaN
    stream = torch.where(torch.tensor(math.isnan(stream_bits_per_pixel)), math.nan, stream)
    generation = torch.full((count,), _GENERATION.get(codec, math.nan))
    scaled = [(step - 4) / 2, spread, (own + 4) / 3, *types, (stream + 4) / 3, generation]
    motion = torch.full((2, count), math.nan)
    if changed is not None:
        blurred, plain = (changed.cpu().T + _CHANGE_FLOOR).log2()
        motion = torch.stack([blurred / 2, plain - blurred])
    return torch.stack([*scaled, (step + stream) / 4, (own - stream) / 4, *motion], dim=1)


def bits_per_pixel(media: MediaInfo) -> float:
    """Of the main video stream, over its whole length; from the file's size where the stream states no bitrate. NaN:
    not known."""
    video = media.main_video
    rate = None if video is None else video.frame_rate or video.frame_rate_nominal
    if video is None or not rate or media.kind == "image":
        return math.nan
    bitrate = video.bitrate_bps
    if bitrate is None and media.bitrate_bps:
        bitrate = media.bitrate_bps - sum(a.bitrate_bps or 128_000 for a in media.audio)
    return bitrate / (rate * video.width * video.height) if bitrate and bitrate > 0 else math.nan
