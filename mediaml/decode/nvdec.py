"""NVIDIA's hardware decoder (NVDEC) through PyAV's hardware frames: pictures that never leave the GPU.

A hardware frame is NV12 (8 bit) or P010/P016 (10 to 16 bit) in GPU memory; PyAV gives its planes as DLPack tensors
(`plane_tensors`). `mediaml.decode.device_lanes` copies them once, on the device, into batches, because the decoder owns few
surfaces and reuses them, and makes views there. Timestamps, colour and the order of frames are those of the software path.

NVDEC decodes H.264, HEVC, VP9 and AV1 in 4:2:0 at 8 bits, and HEVC, VP9 and AV1 at 10. Everything else is decoded in
software by threads on the CPU's cores; `why_software` says why, in words for the user. A stream that ought to work is tried
once for each kind of stream, because drivers and generations differ.
Sources: PyAV `av.codec.hwaccel`; NVIDIA Video Codec SDK, NVDEC application note, table of supported codecs.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from os import PathLike

import av
import torch
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError
from torch import Tensor

from mediaml.decode.opening import open_container
from mediaml.decode.plan import Plan
from mediaml.errors import InvalidValue
from mediaml.media import MediaInfo, VideoStream

DEPTHS = {"h264": (8,), "hevc": (8, 10), "vp9": (8, 10), "av1": (8, 10)}
"""Codec -> bit depths that every NVDEC since the fifth generation (Ampere) decodes in 4:2:0."""
PACKETS_TRIED = 64  # a decoder with B-frames gives its first picture after a few
_SEMI_PLANAR = {"nv12": (8, 0), "p010le": (10, 6), "p016le": (16, 0)}  # format -> (depth, unused low bits)


def accelerator(device: torch.device) -> HWAccel:
    """What `open_container` needs to decode on `device`: in torch's own CUDA context, frames left there."""
    return HWAccel("cuda", device=str(device.index or 0), allow_software_fallback=False, is_hw_owned=True)


def why_software(path: str | PathLike[str], media: MediaInfo, plan: Plan, device: torch.device) -> str | None:
    """Why the pictures that `plan` wants are decoded on the CPU; None where NVDEC decodes them."""
    main = media.main_video
    if device.type != "cuda":
        return f"the device is {device.type}"
    if main is None or plan.video_stream != main.index:
        return "no pictures are wanted"
    if plan.mode != "sequential":
        return f"the plan is {plan.mode}, which decodes few pictures"
    if any(need.bitstream for need in plan.video_needs):
        return "an analyzer reads coding facts, which only software decoders give"
    return why_refused(path, main, device)


def why_refused(path: str | PathLike[str], stream: VideoStream, device: torch.device) -> str | None:
    """Why `device` does not decode `stream`, tried on the file itself once for each kind of stream; None where it does."""
    return why_not(stream) or _refused(path, stream, device)


def why_not(stream: VideoStream) -> str | None:
    """Why this machine cannot decode `stream` in hardware; None where it should."""
    if "cuda" not in hwdevices_available():
        return "this build of FFmpeg has no CUDA decoders"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    if stream.codec not in DEPTHS or stream.bit_depth not in DEPTHS[stream.codec]:
        return f"NVDEC does not decode {stream.codec} at {stream.bit_depth} bits"
    if stream.chroma != "420":
        return f"NVDEC decodes 4:2:0 only, not {stream.chroma}"
    if stream.width % 2 or stream.height % 2:
        return f"hardware frames have even sizes only, not {stream.width}x{stream.height}"
    return None


def plane_tensors(frame: av.VideoFrame) -> tuple[tuple[Tensor, Tensor, Tensor], int, int]:
    """((y, u, v), bit depth, unused low bits) of an NV12, P010 or P016 frame, in the decoder's own memory.

    y is (H, W), u and v (h, w) with a stride of two samples. Copy them before the next frame is asked for.
    Raises InvalidValue: another pixel format.
    """
    name = (frame.sw_format.name if frame.sw_format is not None else None) or frame.format.name
    if name not in _SEMI_PLANAR:
        raise InvalidValue(f"a hardware frame of format {name} is not one of {', '.join(_SEMI_PLANAR)}")
    # The capsule itself: torch would ask PyAV to synchronise with its stream, which PyAV refuses. Decoder and copies share
    # CUDA's default stream, so they are in order without that.
    y, uv = (torch.from_dlpack(plane.__dlpack__()) for plane in frame.planes[:2])
    return (y, uv[..., 0], uv[..., 1]), *_SEMI_PLANAR[name]


def _refused(path: str | PathLike[str], stream: VideoStream, device: torch.device) -> str | None:
    kind = (stream.codec, stream.profile, stream.bit_depth, stream.width, stream.height)
    known = _verdicts(str(device))
    if kind not in known:
        known[kind] = _trial(path, stream, device)
    return known[kind]


@lru_cache(maxsize=8)
def _verdicts(device: str) -> dict[tuple, str | None]:  # noqa: ARG001
    """Kind of stream -> why the device refused it, kept for the life of the process."""
    return {}


def _trial(path: str | PathLike[str], stream: VideoStream, device: torch.device) -> str | None:
    """Decodes one picture in hardware; why that fails."""
    try:
        with open_container(path, accelerator(device)) as container:
            video = container.streams[stream.index]
            for packet in islice(container.demux(video), PACKETS_TRIED):
                for frame in packet.decode():
                    plane_tensors(frame)  # type: ignore[arg-type]
                    return None
    except (FFmpegError, RuntimeError, InvalidValue) as error:
        return f"the hardware decoder refused it: {error}"
    return f"the hardware decoder gave no picture within {PACKETS_TRIED} packets"
