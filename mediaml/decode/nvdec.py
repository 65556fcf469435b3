"""Decoding on NVIDIA's hardware decoder (NVDEC) through PyAV's hardware frames: pictures that never leave the GPU.

A hardware frame is NV12 (8 bit) or P010/P016 (10 to 16 bit) in GPU memory; PyAV gives its planes as DLPack tensors. They are
copied once, on the device, into planes of their own, because the decoder owns few surfaces and reuses them. Views are then
made there by `mediaml.decode.device_views`. Timestamps, colour and the order of frames are those of the software path.

NVDEC decodes H.264, HEVC, VP9 and AV1 in 4:2:0 at 8 bits, and HEVC, VP9 and AV1 at 10; other streams need the software
path, whose decode threads use the CPU's cores (`MediaStream`): `why_not` says which.
Sources: PyAV `av.codec.hwaccel`; NVIDIA Video Codec SDK, NVDEC application note, table of supported codecs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import torch
from av.codec.hwaccel import HWAccel, hwdevices_available
from torch import Tensor

from mediaml.decode.clock import FrameClock
from mediaml.decode.colour import source_of, traits
from mediaml.decode.device_views import DeviceViews
from mediaml.decode.opening import open_container
from mediaml.decode.problems import ProblemLog
from mediaml.errors import InvalidValue, NoStreams
from mediaml.frames import FrameBatch, Planes
from mediaml.media import MediaInfo, VideoStream

DEPTHS = {"h264": (8,), "hevc": (8, 10), "vp9": (8, 10), "av1": (8, 10)}
"""Codec -> bit depths that every NVDEC since the fifth generation (Ampere) decodes in 4:2:0."""
_SEMI_PLANAR = {"nv12": (8, 0), "p010le": (10, 6), "p012le": (12, 4), "p016le": (16, 0)}  # format -> (depth, shift)


def why_not(stream: VideoStream) -> str | None:
    """Why this machine cannot decode `stream` in hardware; None where it can."""
    if "cuda" not in hwdevices_available():
        return "this build of FFmpeg has no CUDA decoders"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    if stream.codec not in DEPTHS or stream.bit_depth not in DEPTHS[stream.codec]:
        return f"NVDEC does not decode {stream.codec} at {stream.bit_depth} bits"
    return None if stream.chroma == "420" else f"NVDEC decodes 4:2:0 only, not {stream.chroma}"


def semi_planar(frame: av.VideoFrame) -> Planes:
    """The planes of one NV12, P010, P012 or P016 frame, copied on the device where they lie; y (1, 1, H, W).

    Raises InvalidValue: another pixel format.
    """
    name = (frame.sw_format.name if frame.sw_format is not None else None) or frame.format.name
    if name not in _SEMI_PLANAR:
        raise InvalidValue(f"a hardware frame of format {name} is not one of {', '.join(_SEMI_PLANAR)}")
    depth, shift = _SEMI_PLANAR[name]
    y = torch.from_dlpack(frame.planes[0])  # (H, W)
    uv = torch.from_dlpack(frame.planes[1])  # (h, w, 2)
    return Planes(_plane(y, shift), _plane(uv[..., 0], shift), _plane(uv[..., 1], shift), depth)


def _plane(samples: Tensor, shift: int) -> Tensor:
    """(1, 1, H, W), a copy without the unused low bits."""
    whole = samples.to(torch.int32).bitwise_right_shift(shift).to(torch.uint16) if shift else samples.clone()
    return whole.contiguous()[None, None]


def device_batches(
    path: Path, media: MediaInfo, device: torch.device, frames: int = 32, device_id: int = 0
) -> Iterator[FrameBatch]:
    """Every frame of the main video in display order, in batches of `frames`, planes on `device`.

    Raises InvalidValue: the machine or the stream cannot be decoded in hardware (`why_not`). NoStreams: no video.
    """
    main = media.main_video
    if main is None:
        raise NoStreams(path, "there is no video stream to decode in hardware")
    reason = why_not(main)
    if reason is not None:
        raise InvalidValue(
            f"{path}: cannot be decoded in hardware: {reason}; use the software path (--device cpu or auto)"
        )
    accelerator = HWAccel("cuda", device=device_id, allow_software_fallback=False, is_hw_owned=True)
    with open_container(path, accelerator) as container:
        stream = container.streams[main.index]
        if not isinstance(stream, av.VideoStream) or stream.time_base is None:
            raise NoStreams(path, "there is no video stream to decode in hardware")
        clock = FrameClock(main, stream.time_base, ProblemLog())
        held: list[tuple[Planes, float, float, bool]] = []
        first: av.VideoFrame | None = None
        start = 0
        for frame in container.decode(stream):
            first = first or frame
            stamp = clock.stamp(frame)
            held.append((semi_planar(frame), stamp.pts_seconds, stamp.duration_seconds, bool(frame.key_frame)))
            if len(held) == frames:
                yield batch_of(held, first, main, start, device)
                start, held = start + len(held), []
        if held and first is not None:
            yield batch_of(held, first, main, start, device)


def batch_of(
    held: Sequence[tuple[Planes, float, float, bool]],
    frame: av.VideoFrame,
    stream: VideoStream,
    start: int,
    device: torch.device,
) -> FrameBatch:
    """Frames (planes, pts, duration, key) as one batch; `frame` tells the colour, `start` is the first frame's index."""
    planes, pts, durations, keys = zip(*held, strict=True)
    y, u, v = (torch.cat([getattr(p, name) for p in planes]).to(device) for name in ("y", "u", "v"))
    return FrameBatch(
        pts_seconds=torch.tensor(pts, dtype=torch.float64),
        duration_seconds=torch.tensor(durations, dtype=torch.float64),
        frame_index=torch.arange(start, start + len(held)),
        key_frame=torch.tensor(keys),
        colour=source_of(traits(frame)._replace(format="yuv420p"), stream).colour,
        planes=Planes(y, u, v, planes[0].bit_depth),
        make_view=DeviceViews(stream),
    )
